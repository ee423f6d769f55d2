//! The destination's `config`.

use std::collections::BTreeMap;

use outflow_plugin_sdk::{Kind, Kinds};
use serde::Deserialize;
use serde_json::{Value, json};

/// The JSON Schema of the config.
pub const SCHEMA: &str = include_str!("schema.json");

/// How many records one `write` holds where each has a request of its own.
const SINGLE_RECORDS: u32 = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub base_url: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default = "four")]
    pub concurrency: u32,
    pub insert: Option<Action>,
    pub update: Option<Action>,
    pub upsert: Option<Action>,
    pub clear: Option<Action>,
    pub delete: Option<Action>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    pub method: String,
    pub path: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default = "one")]
    pub batch: u32,
    pub body: Option<Value>,
    #[serde(default)]
    pub success: Vec<u16>,
    pub not_found: Option<Vec<u16>>,
    pub id: Option<String>,
    pub idempotency_header: Option<String>,
    pub results: Option<Results>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    pub records: String,
    #[serde(rename = "match")]
    pub match_value: String,
    pub id: Option<String>,
    pub errors: Option<String>,
    pub error_match: Option<String>,
    pub message: Option<String>,
}

fn one() -> u32 {
    1
}

fn four() -> u32 {
    4
}

impl Config {
    pub fn action(&self, kind: Kind) -> Option<&Action> {
        match kind {
            Kind::Insert => self.insert.as_ref(),
            Kind::Update => self.update.as_ref(),
            Kind::Upsert => self.upsert.as_ref(),
            Kind::Clear => self.clear.as_ref(),
            Kind::Delete => self.delete.as_ref(),
        }
    }

    fn actions(&self) -> impl Iterator<Item = &Action> {
        [&self.insert, &self.update, &self.upsert, &self.clear, &self.delete]
            .into_iter()
            .flatten()
    }

    pub fn kinds(&self) -> Kinds {
        let mut kinds = Kinds::empty();
        kinds.set(Kinds::INSERT, self.insert.is_some());
        kinds.set(Kinds::UPDATE, self.update.is_some());
        kinds.set(Kinds::UPSERT, self.upsert.is_some());
        kinds.set(Kinds::CLEAR, self.clear.is_some());
        kinds.set(Kinds::DELETE, self.delete.is_some());
        kinds
    }

    /// A `write` of a batching kind is one request, so that a refused one can be split by the host.
    pub fn batch_records(&self) -> u32 {
        self.actions()
            .map(|action| action.batch)
            .filter(|batch| *batch > 1)
            .min()
            .unwrap_or(SINGLE_RECORDS)
    }

    /// Whether any request carries a match value.
    pub fn matching(&self) -> bool {
        self.actions().any(|action| {
            action.path.contains("{match}")
                || action.results.is_some()
                || action
                    .body
                    .as_ref()
                    .is_some_and(|body| body.to_string().contains("\"$match\""))
        })
    }
}

impl Action {
    pub fn succeeded(&self, status: u16) -> bool {
        if self.success.is_empty() {
            (200..300).contains(&status)
        } else {
            self.success.contains(&status)
        }
    }

    /// Whether the status says that there is no such record.
    pub fn missing(&self, kind: Kind, status: u16) -> bool {
        match &self.not_found {
            Some(statuses) => statuses.contains(&status),
            None => status == 404 && matches!(kind, Kind::Update | Kind::Clear | Kind::Delete),
        }
    }

    /// The body's template; without one, the record, or an array of the records.
    pub fn body_template(&self) -> Option<Value> {
        let bare = matches!(self.method.as_str(), "GET" | "DELETE");
        match &self.body {
            Some(body) => Some(body.clone()),
            None if bare => None,
            None if self.batch > 1 => Some(json!({"$each": {"$record": true}})),
            None => Some(json!({"$record": true})),
        }
    }
}
