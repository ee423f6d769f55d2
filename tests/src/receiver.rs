//! A destination's server for tests: it keeps records, and can refuse, fail, stall, cut and count.
//!
//! `POST /KIND` takes a list of `{"match": …, "fields": {…}, "idempotency_key": "…"}` and answers
//! `{"results": [{"match": …}, …], "errors": [{"match": …, "message": …}, …]}`; or one of them alone, and answers 200, 404
//! or 422. What it keeps is what a CRM would: one record per match value, changed by what it accepted and by nothing else.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};

/// What the receiver does with the next request that a script speaks of.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Answers with this status and applies nothing.
    Status(u16),
    /// Answers 429 with `Retry-After` in seconds and applies nothing.
    RateLimit(u64),
    /// Applies everything, then ends the connection without an answer.
    ApplyThenCut,
    /// Applies nothing, and ends the connection without an answer.
    Cut,
    /// Applies everything, and answers with something that is no JSON.
    Garble,
    /// Waits so many milliseconds before it does its work.
    StallMs(u64),
    /// Refuses everything, with the request's `authorization` in its message, as careless services do.
    Echo,
    /// Refuses everything with this message.
    Say(String),
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// The operations' kind, from the path.
    pub kind: String,
    /// The headers.
    pub headers: BTreeMap<String, String>,
    /// The body, byte for byte.
    pub body: String,
}

/// An operation as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Sent {
    /// The match value.
    #[serde(rename = "match")]
    pub match_value: Value,
    /// The record.
    pub fields: Value,
    /// The idempotency key.
    pub idempotency_key: String,
    /// The operation's kind.
    #[serde(skip)]
    pub kind: String,
}

#[derive(Default)]
struct Kept {
    records: BTreeMap<String, Value>,
    received: Vec<Received>,
    requests: u64,
    sent: Vec<Sent>,
    accepted: BTreeMap<String, u64>,
    refuse: Vec<Value>,
    refuse_whole: bool,
    faults: VecDeque<Fault>,
    inserts: BTreeMap<String, u64>,
}

/// A running receiver. Stops with its last handle.
#[derive(Clone)]
pub struct Receiver {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    _stop: Arc<tokio::sync::oneshot::Sender<()>>,
}

impl Receiver {
    /// Starts one on a free port of the loopback interface.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .context("no free port")?;
        let address = listener.local_addr()?;
        let kept = Arc::new(Mutex::new(Kept::default()));
        let app = Router::new()
            .route("/{kind}", post(receive))
            .with_state(Arc::clone(&kept));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        tokio::spawn(async move {
            tokio::select! {
                _ = axum::serve(listener, app) => {}
                _ = stopped => {}
            }
        });
        Ok(Self {
            address,
            kept,
            _stop: Arc::new(stop),
        })
    }

    /// Its origin, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Refuses records with these match values, until told otherwise.
    pub fn refuse(&self, match_values: Vec<Value>) {
        self.kept().refuse = match_values;
    }

    /// Whether one refused record makes it refuse the whole request with 422.
    pub fn refuse_whole(&self, whole: bool) {
        self.kept().refuse_whole = whole;
    }

    /// The faults of the next requests, one a request.
    pub fn faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.kept().faults = faults.into_iter().collect();
    }

    /// The records that it has, by match value as JSON text.
    #[must_use]
    pub fn records(&self) -> BTreeMap<String, Value> {
        self.kept().records.clone()
    }

    /// Puts a record there, or takes it away: an edit that somebody else made.
    pub fn edit(&self, match_value: &Value, record: Option<Value>) {
        let key = match_value.to_string();
        match record {
            Some(record) => self.kept().records.insert(key, record),
            None => self.kept().records.remove(&key),
        };
    }

    /// The operations that came since the last call, in the order of their arrival.
    #[must_use]
    pub fn take_sent(&self) -> Vec<Sent> {
        std::mem::take(&mut self.kept().sent)
    }

    /// The requests that came since the last call.
    #[must_use]
    pub fn take_received(&self) -> Vec<Received> {
        std::mem::take(&mut self.kept().received)
    }

    /// How many requests came in all.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.kept().requests
    }

    /// How often the operation with each idempotency key was accepted.
    #[must_use]
    pub fn accepted(&self) -> BTreeMap<String, u64> {
        self.kept().accepted.clone()
    }

    /// How often each match value was inserted.
    #[must_use]
    pub fn inserts(&self) -> BTreeMap<String, u64> {
        self.kept().inserts.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn receive(
    State(kept): State<Arc<Mutex<Kept>>>,
    Path(kind): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.requests += 1;
        kept.received.push(Received {
            kind: kind.clone(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                .collect(),
            body: String::from_utf8_lossy(&body).into_owned(),
        });
        kept.faults.pop_front()
    };
    let (alone, operations) = match operations(&body) {
        Ok(operations) => operations,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("no operations: {error}")).into_response(),
    };
    match fault {
        Some(Fault::Status(status)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return (status, json!({"message": "as the script says"}).to_string()).into_response();
        }
        Some(Fault::RateLimit(seconds)) => {
            let wait = [("retry-after", seconds.to_string())];
            return (StatusCode::TOO_MANY_REQUESTS, wait, "too many").into_response();
        }
        Some(Fault::Cut) => return cut(),
        Some(Fault::Echo) => {
            let said = headers
                .get("authorization")
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            return (StatusCode::UNPROCESSABLE_ENTITY, json!({"message": said}).to_string()).into_response();
        }
        Some(Fault::Say(said)) => {
            return (StatusCode::UNPROCESSABLE_ENTITY, json!({"message": said}).to_string()).into_response();
        }
        Some(Fault::StallMs(ms)) => tokio::time::sleep(Duration::from_millis(ms)).await,
        Some(Fault::ApplyThenCut | Fault::Garble) | None => {}
    }
    let results = apply(&kept, &kind, operations);
    match fault {
        Some(Fault::ApplyThenCut) => cut(),
        Some(Fault::Garble) => (StatusCode::OK, "<html>").into_response(),
        _ => answer(alone, results),
    }
}

/// A list of operations, or one alone.
fn operations(body: &[u8]) -> serde_json::Result<(bool, Vec<Sent>)> {
    let body: Value = serde_json::from_slice(body)?;
    let alone = body.is_object();
    let list = if alone { Value::Array(vec![body]) } else { body };
    Ok((alone, serde_json::from_value(list)?))
}

/// What came of an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Done,
    Refused,
    Missing,
}

fn answer(alone: bool, words: Option<Vec<(Value, Word)>>) -> Response {
    let refused = json!({"message": "refused by the script"}).to_string();
    let Some(words) = words else {
        return (StatusCode::UNPROCESSABLE_ENTITY, refused).into_response();
    };
    if let (true, [(_, word)]) = (alone, &words[..]) {
        return match word {
            Word::Done => (StatusCode::OK, "{}".to_owned()),
            Word::Refused => (StatusCode::UNPROCESSABLE_ENTITY, refused),
            Word::Missing => (StatusCode::NOT_FOUND, "{}".to_owned()),
        }
        .into_response();
    }
    let (done, others): (Vec<_>, Vec<_>) = words.into_iter().partition(|(_, word)| *word == Word::Done);
    let results: Vec<_> = done.into_iter().map(|(place, _)| json!({"match": place})).collect();
    let errors: Vec<_> = others
        .into_iter()
        .map(|(place, _)| json!({"match": place, "message": "refused by the script"}))
        .collect();
    (
        StatusCode::OK,
        json!({"results": results, "errors": errors}).to_string(),
    )
        .into_response()
}

/// An answer that ends in its middle, so that the client sees a broken connection.
fn cut() -> Response {
    let broken = axum::body::Body::from_stream(tokio_stream());
    ([("content-length", "1000")], broken).into_response()
}

fn tokio_stream() -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> {
    futures::stream::iter([
        Ok(Bytes::from_static(b"{")),
        Err(std::io::ErrorKind::ConnectionReset.into()),
    ])
}

/// What came of each operation; nothing where the whole request is refused.
fn apply(kept: &Mutex<Kept>, kind: &str, operations: Vec<Sent>) -> Option<Vec<(Value, Word)>> {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let refused: Vec<bool> = operations
        .iter()
        .map(|sent| kept.refuse.contains(&sent.match_value))
        .collect();
    kept.sent.extend(operations.iter().map(|sent| Sent {
        kind: kind.to_owned(),
        ..sent.clone()
    }));
    if kept.refuse_whole && refused.iter().any(|refused| *refused) {
        return None;
    }
    let words = operations.into_iter().zip(refused).map(|(sent, refused)| {
        let place = sent.match_value.clone();
        let word = if refused { Word::Refused } else { kept.take(kind, sent) };
        (place, word)
    });
    Some(words.collect())
}

impl Kept {
    fn take(&mut self, kind: &str, sent: Sent) -> Word {
        let place = sent.match_value.to_string();
        if kind == "update" && !self.records.contains_key(&place) {
            return Word::Missing;
        }
        *self.accepted.entry(sent.idempotency_key).or_default() += 1;
        match kind {
            "delete" => {
                self.records.remove(&place);
            }
            "insert" => {
                *self.inserts.entry(place.clone()).or_default() += 1;
                self.records.insert(place, sent.fields);
            }
            _ => merge(self.records.entry(place).or_insert_with(|| json!({})), sent.fields),
        }
        Word::Done
    }
}

fn merge(record: &mut Value, fields: Value) {
    if let (Value::Object(record), Value::Object(fields)) = (record, fields) {
        record.extend(fields);
    }
}
