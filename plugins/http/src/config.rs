//! The destination's `config`.

use std::collections::BTreeMap;

use outflow_plugin_sdk::Kind;
use serde::Deserialize;
use serde_json::Value;

/// The JSON Schema of the config.
pub const SCHEMA: &str = include_str!("schema.json");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub base_url: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default = "four")]
    pub concurrency: u32,
    pub check: Option<Check>,
    pub insert: Option<Action>,
    pub update: Option<Action>,
    pub upsert: Option<Action>,
    pub clear: Option<Action>,
    pub delete: Option<Action>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    #[serde(default = "get")]
    pub method: String,
    pub path: String,
    pub account: Option<String>,
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
    pub status: Option<String>,
    #[serde(default)]
    pub accepted: Vec<Value>,
    pub errors: Option<String>,
    pub error_match: Option<String>,
    pub message: Option<String>,
}

fn get() -> String {
    "GET".into()
}

fn one() -> u32 {
    1
}

fn four() -> u32 {
    4
}

impl Config {
    /// The actions that are configured.
    pub fn actions(self) -> Vec<(Kind, Action)> {
        let actions = [
            (Kind::Insert, self.insert),
            (Kind::Update, self.update),
            (Kind::Upsert, self.upsert),
            (Kind::Clear, self.clear),
            (Kind::Delete, self.delete),
        ];
        let configured = |(kind, action): (Kind, Option<Action>)| Some((kind, action?));
        actions.into_iter().filter_map(configured).collect()
    }
}
