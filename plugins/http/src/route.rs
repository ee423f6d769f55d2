//! What is sent for one kind of operation: an action of the config, as it is once the destination is open.

use outflow_plugin_sdk::{Covers, Failure, Kind, Operation, Request};

use crate::body::Node;
use crate::config::Results;
use crate::template::{Place, Text};

/// Bytes that a body may have for a record beside its fields and match value; a guess, so that it rarely moves as it grows.
const ROOM_OF_RECORD: usize = 64;

/// A request's template, and how its answers are read.
pub struct Route {
    pub kind: Kind,
    /// The path as it is configured, for messages.
    pub path: String,
    /// Records per request.
    pub batch: u32,
    pub method: String,
    pub base_url: String,
    pub url: Text,
    pub headers: Vec<(String, Text)>,
    pub idempotency_header: Option<String>,
    pub body: Option<Node>,
    pub success: Vec<u16>,
    pub not_found: Option<Vec<u16>>,
    pub id: Option<String>,
    pub results: Option<Results>,
}

/// Why there is no request.
pub enum NoRequest {
    /// This record has nothing that can stand in the URL or in a header.
    Unaddressable,
    /// No record can be sent so.
    Failed(Failure),
}

impl Route {
    /// The request that carries these records.
    pub fn request(&self, batch: &[Operation], covers: Covers) -> Result<Request, NoRequest> {
        let operation = match batch {
            [operation] => Some(operation),
            _ => None,
        };
        let fill = |text: &Text, place| text.fill(operation, place).ok_or(NoRequest::Unaddressable);
        let url = format!("{}{}", self.base_url, fill(&self.url, Place::Url)?);
        let mut request = Request::new(&self.method, url).covers(covers);
        for (name, value) in &self.headers {
            request = request.header(name, fill(value, Place::Header)?);
        }
        if let (Some(name), Some(operation)) = (&self.idempotency_header, operation) {
            request = request.header(name, &operation.idempotency_key);
        }
        if let Some(template) = &self.body {
            let room = |operation: &Operation| operation.fields.len() + operation.match_value.len() + ROOM_OF_RECORD;
            let mut text = String::with_capacity(batch.iter().map(room).sum());
            template
                .write(batch, &mut text)
                .map_err(|why| NoRequest::Failed(Failure::Fatal(why)))?;
            request = request.json(text);
        }
        Ok(request)
    }

    /// Whether the status means success: one that is configured, else 2xx. What 207 means is said in the body only.
    pub fn succeeded(&self, status: u16) -> bool {
        match self.success.as_slice() {
            [] => (200..300).contains(&status) && (status != 207 || self.results.is_some()),
            statuses => statuses.contains(&status),
        }
    }

    /// Whether the status says that there is no such record: one that is configured, else 404 and 410, where the URL is
    /// the record's own. Another URL may be missing altogether.
    pub fn missing(&self, status: u16) -> bool {
        match &self.not_found {
            Some(statuses) => statuses.contains(&status),
            None => {
                let found_first = matches!(self.kind, Kind::Update | Kind::Clear | Kind::Delete);
                found_first && self.url.of_record().is_some() && matches!(status, 404 | 410)
            }
        }
    }

    /// Whether a request carries a match value, or an answer is read by it.
    pub fn matching(&self) -> bool {
        let in_body = |body: &Node| body.any(&|node| *node == Node::Match);
        self.results.is_some()
            || self.url.matches()
            || self.headers.iter().any(|(_, text)| text.matches())
            || self.body.as_ref().is_some_and(in_body)
    }
}
