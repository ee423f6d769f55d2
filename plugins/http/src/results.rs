//! What an answer of success says of each record. What it does not say is unknown, never accepted.

use std::collections::BTreeMap;

use outflow_plugin_sdk::{Failure, Kind, Operation, Outcome, Rejection, Response};
use serde_json::Value;

use crate::config::Results;
use crate::route::Route;

/// How much of an answer a message quotes.
const QUOTED_CHARS_MAX: usize = 200;

/// The outcomes of a request's records. Without `results` and `id` every record is accepted, the answer unread.
///
/// # Errors
/// `uncertain` where the answer should be read and cannot be.
pub fn read(route: &Route, batch: &[Operation], response: &Response) -> Result<Vec<Outcome>, Failure> {
    match (&route.results, &route.id, batch) {
        (Some(results), _, _) => {
            let said = Said::read(results, &response.json()?);
            Ok(batch.iter().map(|operation| said.of(results, operation)).collect())
        }
        (None, Some(pointer), [operation]) if operation.kind != Kind::Delete => {
            Ok(vec![Outcome::Accepted(Some(id(pointer, operation, response)?))])
        }
        _ => Ok(batch
            .iter()
            .map(|operation| Outcome::Accepted(operation.id.clone()))
            .collect()),
    }
}

/// The destination's own id of a single record. An answer without a body may leave out what is known already.
fn id(pointer: &str, operation: &Operation, response: &Response) -> Result<String, Failure> {
    if let (true, Some(id)) = (response.body.is_empty(), &operation.id) {
        return Ok(id.clone());
    }
    let body: Value = response.json()?;
    present(&body, pointer).map(text).ok_or_else(|| {
        Failure::Uncertain(format!(
            "the answer has no id at `{pointer}`, so it is not taken for a success: {}",
            quoted(&body)
        ))
    })
}

/// What an answer says, by match value.
#[derive(Default)]
struct Said {
    outcomes: BTreeMap<String, Outcome>,
    /// Why it does not say more.
    lacks: Option<String>,
}

impl Said {
    fn read(results: &Results, body: &Value) -> Said {
        let mut said = Said::default();
        match body.pointer(&results.records).and_then(Value::as_array) {
            Some(records) => records.iter().for_each(|record| said.record(results, record)),
            None => said.lack(format!(
                "the answer has no list at `{}`: {}",
                results.records,
                quoted(body)
            )),
        }
        let errors = results.errors.as_deref().and_then(|pointer| body.pointer(pointer));
        for error in errors.and_then(Value::as_array).into_iter().flatten() {
            said.error(results, error);
        }
        said
    }

    /// An entry of the list of records.
    fn record(&mut self, results: &Results, record: &Value) {
        let Some(value) = present(record, &results.match_value) else {
            let at = &results.match_value;
            return self.lack(format!("a result has no match value at `{at}`: {}", quoted(record)));
        };
        let outcome = match &results.status {
            None => Outcome::Accepted(None),
            Some(at) => match record.pointer(at) {
                None => Outcome::Unknown(format!("its result has no status at `{at}`: {}", quoted(record))),
                Some(status) if results.accepted.contains(status) => Outcome::Accepted(None),
                Some(status) => rejected(text(status), results, record),
            },
        };
        let id = results.id.as_deref().and_then(|pointer| present(record, pointer));
        self.tell(
            text(value),
            match outcome {
                Outcome::Accepted(_) => Outcome::Accepted(id.map(text)),
                other => other,
            },
        );
    }

    /// An entry of the list of errors, which may be about several records.
    fn error(&mut self, results: &Results, error: &Value) {
        let values = match results
            .error_match
            .as_deref()
            .and_then(|pointer| present(error, pointer))
        {
            Some(Value::Array(values)) => values.iter().map(text).collect(),
            Some(value) => vec![text(value)],
            None => return self.lack(format!("an error names no record: {}", quoted(error))),
        };
        for value in values {
            self.tell(value, rejected("rejected".into(), results, error));
        }
    }

    fn tell(&mut self, value: String, outcome: Outcome) {
        let known = self.outcomes.get(&value);
        let outcome = match (known, outcome) {
            (None, outcome) => outcome,
            (Some(Outcome::Accepted(a)), Outcome::Accepted(b)) if *a == b => Outcome::Accepted(b),
            (Some(Outcome::Rejected(first)), Outcome::Rejected(_)) => Outcome::Rejected(first.clone()),
            _ => Outcome::Unknown("the answer says different things of the record".into()),
        };
        self.outcomes.insert(value, outcome);
    }

    fn lack(&mut self, why: String) {
        self.lacks.get_or_insert(why);
    }

    fn of(&self, results: &Results, operation: &Operation) -> Outcome {
        let needs_id = results.id.is_some() && operation.kind != Kind::Delete;
        match self.outcomes.get(&key(operation)) {
            Some(Outcome::Accepted(None)) if needs_id && operation.id.is_none() => {
                Outcome::Unknown("its result has no id, so it is not taken for a success".into())
            }
            Some(Outcome::Accepted(id)) => Outcome::Accepted(id.clone().or_else(|| operation.id.clone())),
            Some(outcome) => outcome.clone(),
            None => Outcome::Unknown(match &self.lacks {
                Some(why) => format!("the answer does not mention the record; {why}"),
                None => "the answer does not mention the record".into(),
            }),
        }
    }
}

fn rejected(code: String, results: &Results, entry: &Value) -> Outcome {
    let message = results.message.as_deref().and_then(|pointer| present(entry, pointer));
    Outcome::Rejected(Rejection {
        code,
        message: message.map_or_else(|| quoted(entry), text),
        field: None,
    })
}

/// The match value as answers tell it: numbers and texts alike, objects without their spaces.
fn key(operation: &Operation) -> String {
    let value: Option<Value> = serde_json::from_str(&operation.match_value).ok();
    value.as_ref().map_or_else(|| operation.match_value.clone(), text)
}

/// What is there, and not null.
pub fn present<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    value.pointer(pointer).filter(|value| !value.is_null())
}

/// A value as text without quotes.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// The beginning of a value, for messages.
pub fn quoted(value: &Value) -> String {
    value.to_string().chars().take(QUOTED_CHARS_MAX).collect()
}
