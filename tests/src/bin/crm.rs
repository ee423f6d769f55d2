//! A small CRM to try Outflow with: assets by registration, changed in batches and deleted one by one.
//!
//! `crm STATUS_FILE` listens on a free port of the loopback interface and keeps a JSON file up to date:
//! `{"origin": "http://localhost:…", "assets": …, "requests": …}`. It takes `POST /assets/batch/upsert` with
//! `{"inputs": [{"id": …, "properties": {…}}]}` and `DELETE /assets/ID`, both with `Authorization: Bearer …`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{delete, post};
use serde_json::{Value, json};

/// What the CRM keeps.
struct Crm {
    status: PathBuf,
    origin: String,
    assets: BTreeMap<String, Value>,
    requests: u64,
}

type Shared = Arc<Mutex<Crm>>;

#[tokio::main]
async fn main() -> Result<()> {
    let status = PathBuf::from(std::env::args().nth(1).context("usage: crm STATUS_FILE")?);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://localhost:{}", listener.local_addr()?.port());
    let mut crm = Crm {
        status,
        origin,
        assets: BTreeMap::new(),
        requests: 0,
    };
    crm.tell(0)?;
    let app = Router::new()
        .route("/assets/batch/upsert", post(upsert))
        .route("/assets/{id}", delete(remove))
        .with_state(Arc::new(Mutex::new(crm)));
    Ok(axum::serve(listener, app).await?)
}

impl Crm {
    /// Counts requests, and writes the file in one step.
    fn tell(&mut self, requests: u64) -> Result<()> {
        self.requests += requests;
        let status = json!({"origin": self.origin, "assets": self.assets.len(), "requests": self.requests});
        let next = self.status.with_extension("next");
        std::fs::write(&next, status.to_string())?;
        Ok(std::fs::rename(next, &self.status)?)
    }
}

async fn upsert(State(crm): State<Shared>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    if !headers.contains_key(header::AUTHORIZATION) {
        return (StatusCode::UNAUTHORIZED, "{}".into());
    }
    let Ok(Value::Object(body)) = serde_json::from_slice(&body) else {
        return (
            StatusCode::BAD_REQUEST,
            json!({"message": "no JSON object"}).to_string(),
        );
    };
    let mut crm = crm.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for input in body.get("inputs").and_then(Value::as_array).into_iter().flatten() {
        let id = &input["id"];
        match (id.as_str(), &input["properties"]["maker"]) {
            (Some(name), Value::String(_)) => {
                crm.assets.insert(name.to_owned(), input["properties"].clone());
                results.push(json!({"id": id}));
            }
            _ => errors.push(json!({"id": id, "message": "an asset has a maker"})),
        }
    }
    match crm.tell(1) {
        Ok(()) => (
            StatusCode::OK,
            json!({"results": results, "errors": errors}).to_string(),
        ),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

async fn remove(State(crm): State<Shared>, Path(id): Path<String>) -> StatusCode {
    let mut crm = crm.lock().unwrap_or_else(PoisonError::into_inner);
    let known = crm.assets.remove(&id).is_some();
    match crm.tell(1) {
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
        Ok(()) if known => StatusCode::NO_CONTENT,
        Ok(()) => StatusCode::NOT_FOUND,
    }
}
