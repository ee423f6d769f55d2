//! Requests against a real server on this machine.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request as Incoming;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response as Answer};
use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::contract::types::Covers;

async fn server() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    origin
}

async fn answer(request: Incoming) -> Answer {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let to = |status: u16| (StatusCode::from_u16(status).unwrap(), [("location", query.clone())]).into_response();
    match path.as_str() {
        "/302" => to(302),
        "/307" => to(307),
        "/loop" => (StatusCode::TEMPORARY_REDIRECT, [("location", "/loop")]).into_response(),
        "/stall" => {
            tokio::time::sleep(Duration::from_secs(20)).await;
            StatusCode::OK.into_response()
        }
        "/huge" => vec![b'x'; 3_000].into_response(),
        "/echo" => {
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap();
            format!("{} {} {:?} {body}", parts.method, parts.uri, parts.headers.get("x-key")).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn client(origins: &[&str], secrets: Secrets) -> Http {
    let origins: Vec<_> = origins.iter().map(ToString::to_string).collect();
    let limits = Limits {
        request_ms_max: 2_000,
        response_bytes_max: 2_000,
        request_bytes_max: 500,
        ..Limits::default()
    };
    Http::new(
        Egress::new(&origins).unwrap(),
        Arc::new(secrets),
        tls().unwrap(),
        &limits,
    )
    .unwrap()
}

fn none() -> Secrets {
    Secrets::of([])
}

fn post(url: String) -> Request {
    Request {
        method: "POST".into(),
        url,
        headers: Vec::new(),
        body: Body::Text("{}".into()),
        covers: Covers::Batch,
        timeout_ms: None,
    }
}

async fn send(http: &Http, url: String) -> (Result<Response, HttpError>, bool) {
    http.send(post(url)).await
}

fn text(response: Result<Response, HttpError>) -> String {
    String::from_utf8(response.unwrap().body).unwrap()
}

#[tokio::test]
async fn a_secret_is_filled_in_everywhere_and_comes_back_as_its_placeholder() {
    let origin = server().await;
    let secrets = Secrets::of([("token", "a b\"c")]);
    let token = secrets.placeholders()["token"].clone();
    let http = client(&[&origin], secrets);
    let mut request = post(format!("{origin}/echo?k={token}"));
    request.headers = vec![
        ("x-key".into(), token.clone()),
        ("content-type".into(), "application/json".into()),
    ];
    request.body = Body::Text(format!("{{\"k\":\"{token}\"}}"));
    let prepared = http.prepare(request.clone()).unwrap();
    assert_eq!(prepared.url.query(), Some("k=a%20b%22c"));
    assert_eq!(prepared.headers["x-key"].to_str().unwrap(), "a b\"c");
    assert_eq!(prepared.body, r#"{"k":"a b\"c"}"#);
    let (response, sent) = http.send(request).await;
    assert!(sent);
    let echoed = text(response);
    assert_eq!(echoed.matches(&token).count(), 3, "{echoed}");
    assert!(!echoed.contains("a b") && !echoed.contains("a%20b"), "{echoed}");
}

#[tokio::test]
async fn a_redirect_that_drops_the_body_is_not_followed() {
    let origin = server().await;
    let (failed, _) = send(&client(&[&origin], none()), format!("{origin}/302?/echo")).await;
    assert!(
        matches!(&failed, Err(HttpError::Denied(why)) if why.contains("not followed")),
        "{failed:?}"
    );
}

#[tokio::test]
async fn a_redirect_that_keeps_the_body_is_followed_to_granted_origins_only() {
    let (here, there) = (server().await, server().await);
    let both = client(&[&here, &there], none());
    assert!(text(send(&both, format!("{here}/307?{there}/echo")).await.0).starts_with("POST /echo"));
    let one = client(&[&here], none());
    let (failed, _) = send(&one, format!("{here}/307?{there}/echo")).await;
    assert!(
        matches!(&failed, Err(HttpError::Denied(why)) if why.contains("is not granted")),
        "{failed:?}"
    );
    let (failed, _) = send(&one, format!("{here}/loop")).await;
    assert!(
        matches!(&failed, Err(HttpError::Denied(why)) if why.contains("more than 5")),
        "{failed:?}"
    );
}

#[tokio::test]
async fn a_stall_may_have_been_applied() {
    let origin = server().await;
    let mut request = post(format!("{origin}/stall"));
    request.timeout_ms = Some(100);
    let began = Instant::now();
    let (failed, sent) = client(&[&origin], none()).send(request).await;
    assert!(matches!(failed, Err(HttpError::Timeout)) && sent, "{failed:?}");
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn no_connection_means_that_nothing_was_sent() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (failed, sent) = send(&client(&[&origin], none()), format!("{origin}/")).await;
    assert!(
        matches!(&failed, Err(HttpError::Unreachable(why)) if why.contains(&origin)) && !sent,
        "{failed:?}"
    );
}

#[tokio::test]
async fn a_connection_that_is_cut_may_have_been_applied() {
    for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf"] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4_096];
            tokio::io::AsyncReadExt::read(&mut stream, &mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let (failed, sent) = send(&client(&[&origin], none()), format!("{origin}/")).await;
        assert!(
            matches!(&failed, Err(HttpError::Interrupted(_))) && sent,
            "{answer}: {failed:?}"
        );
    }
}

#[tokio::test]
async fn sizes_are_bounded_both_ways() {
    let origin = server().await;
    let http = client(&[&origin], none());
    let (failed, sent) = send(&http, format!("{origin}/huge")).await;
    assert!(matches!(failed, Err(HttpError::TooLarge)) && sent);
    let mut request = post(format!("{origin}/echo"));
    request.body = Body::Bytes(vec![0; 501]);
    let (failed, sent) = http.send(request).await;
    assert!(matches!(failed, Err(HttpError::Invalid(_))) && !sent);
}

#[tokio::test]
async fn what_is_no_valid_request_is_not_sent() {
    let origin = server().await;
    let http = client(&[&origin], Secrets::of([("token", "line\nbreak")]));
    let token = http.secrets.placeholders()["token"].clone();
    let headers = [
        ("Host", "x"),
        ("content-length", "1"),
        ("a b", "x"),
        ("x", "a\r\nb: c"),
        ("x", token.as_str()),
    ];
    for (name, value) in headers {
        let mut request = post(format!("{origin}/echo"));
        request.headers = vec![(name.into(), value.into())];
        let (failed, sent) = http.send(request).await;
        let Err(HttpError::Invalid(why)) = failed else {
            panic!("{name}: {failed:?}")
        };
        assert!(!sent && !why.contains("break"), "{why}");
    }
    for method in ["CONNECT", "PO ST", ""] {
        let request = Request {
            method: method.into(),
            ..post(format!("{origin}/echo"))
        };
        assert!(
            matches!(http.send(request).await, (Err(HttpError::Invalid(_)), false)),
            "{method}"
        );
    }
    assert!(matches!(
        send(&http, "http://10.0.0.1/".into()).await,
        (Err(HttpError::Denied(_)), false)
    ));
}

#[tokio::test]
async fn reading_changes_nothing_in_the_world() {
    let origin = server().await;
    let request = Request {
        method: "GET".into(),
        body: Body::Empty,
        ..post(format!("{origin}/echo"))
    };
    let (answer, sent) = client(&[&origin], none()).send(request).await;
    assert!(answer.is_ok() && !sent);
}

#[tokio::test]
async fn a_name_that_leads_to_a_forbidden_address_is_denied_by_the_resolver() {
    use std::str::FromStr as _;
    let name = reqwest::dns::Name::from_str("localhost").unwrap();
    let mut found = reqwest::dns::Resolve::resolve(&Resolver, name).await.unwrap();
    assert!(found.all(|address| address.ip().is_loopback()));
}
