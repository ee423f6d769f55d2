//! A small HTTP server that remembers what it got.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

/// What came: method, path, `authorization`, body.
pub type Got = (String, String, String, String);

pub struct Receiver {
    pub origin: String,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let got = Arc::<Mutex<Vec<Got>>>::default();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&got));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { origin, got }
    }

    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    pub fn paths(&self) -> Vec<String> {
        self.got().into_iter().map(|(_, path, ..)| path).collect()
    }
}

async fn answer(State(got): State<Arc<Mutex<Vec<Got>>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let authorization = parts
        .headers
        .get("authorization")
        .map(|value| value.to_str().unwrap().to_owned())
        .unwrap_or_default();
    let path = parts.uri.path().to_owned();
    let body = String::from_utf8(body.to_vec()).unwrap();
    got.lock()
        .unwrap()
        .push((parts.method.to_string(), path.clone(), authorization.clone(), body));
    if path == "/slow" {
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    (StatusCode::OK, format!("no such token: {authorization}")).into_response()
}
