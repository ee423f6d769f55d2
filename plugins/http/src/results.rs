//! What an answer says of each record.

use std::collections::BTreeMap;

use outflow_plugin_sdk::{Failure, Operation, Outcome, Rejection};
use serde_json::Value;

use crate::config::Action;
use crate::template::plain;

/// The destination's own id in the answer to one record.
pub fn id(action: &Action, operation: &Operation, body: &[u8]) -> Option<String> {
    let Some(pointer) = &action.id else {
        return operation.id.clone();
    };
    let body: Value = serde_json::from_slice(body).ok()?;
    body.pointer(pointer).map(text)
}

/// The outcomes of a batch that was answered with success. Without `results` every record is accepted, unread.
pub fn read(action: &Action, batch: &[Operation], body: &[u8]) -> Result<Vec<Outcome>, Failure> {
    let Some(results) = &action.results else {
        return Ok(batch
            .iter()
            .map(|operation| Outcome::Accepted(operation.id.clone()))
            .collect());
    };
    let body: Value =
        serde_json::from_slice(body).map_err(|error| Failure::Uncertain(format!("the answer is no JSON: {error}")))?;
    let list = |pointer: &str| {
        body.pointer(pointer)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let mut outcomes = BTreeMap::new();
    for record in list(&results.records) {
        if let Some(value) = record.pointer(&results.match_value) {
            let id = results
                .id
                .as_ref()
                .and_then(|pointer| record.pointer(pointer))
                .map(text);
            outcomes.insert(text(value), Outcome::Accepted(id));
        }
    }
    for error in results.errors.as_deref().map(list).unwrap_or_default() {
        let message = results
            .message
            .as_ref()
            .and_then(|pointer| error.pointer(pointer))
            .map(text);
        let rejection = Rejection {
            code: "rejected".into(),
            message: message.unwrap_or_else(|| error.to_string()),
            field: None,
        };
        let values = match results.error_match.as_ref().and_then(|pointer| error.pointer(pointer)) {
            Some(Value::Array(values)) => values.iter().map(text).collect(),
            Some(value) => vec![text(value)],
            None => vec![],
        };
        for value in values {
            outcomes.insert(value, Outcome::Rejected(rejection.clone()));
        }
    }
    let missing = || Outcome::Unknown("the answer does not mention the record".into());
    let outcome = |operation: &Operation| outcomes.get(&plain(&operation.match_value)).cloned();
    Ok(batch
        .iter()
        .map(|operation| outcome(operation).unwrap_or_else(missing))
        .collect())
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}
