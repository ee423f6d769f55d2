//! A destination in memory that keeps records as a CRM would, and misbehaves on request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::destination::{
    Counting, Description, Destination, Effect, Equality, Limits, OpenError, Plugins, Settings, Target,
};
use crate::operation::{Kind, Operation};
use crate::outcome::{Failure, Outcome, Rejection};

/// What it says to operations on a match value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Accept,
    Reject,
    /// Applies the operation and gives no readable answer.
    ApplyThenUnknown,
}

#[derive(Default)]
struct Kept {
    records: BTreeMap<String, Value>,
    answers: BTreeMap<String, Answer>,
    sent: Vec<String>,
    ids: Vec<String>,
    bodies: Vec<String>,
    /// Batches until the destination stalls for ever.
    stall_after: Option<usize>,
}

/// The destination; all clones are one.
#[derive(Clone, Default)]
pub struct Crm(Arc<Mutex<Kept>>);

impl Crm {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap()
    }

    pub fn answer(&self, match_value: &str, answer: Answer) {
        self.kept().answers.insert(match_value.to_owned(), answer);
    }

    pub fn stall_after(&self, batches: Option<usize>) {
        self.kept().stall_after = batches;
    }

    /// Match values and names, `1=Ann`, in order.
    pub fn records(&self) -> Vec<String> {
        let name = |record: &Value| record["name"].as_str().unwrap_or_default().to_owned();
        self.kept()
            .records
            .iter()
            .map(|(at, record)| format!("{at}={}", name(record)))
            .collect()
    }

    pub fn raw(&self, match_value: &str) -> Option<Value> {
        self.kept().records.get(match_value).cloned()
    }

    pub fn count(&self) -> usize {
        self.kept().records.len()
    }

    /// What came since the last call: kind and match value.
    pub fn take_sent(&self) -> Vec<String> {
        std::mem::take(&mut self.kept().sent)
    }

    /// The idempotency keys of all that came.
    pub fn ids(&self) -> Vec<String> {
        self.kept().ids.clone()
    }

    pub fn take_bodies(&self) -> Vec<String> {
        std::mem::take(&mut self.kept().bodies)
    }
}

struct Opened {
    crm: Crm,
    target: Target,
}

#[async_trait]
impl Plugins for Crm {
    async fn describe(&self, plugin: &str) -> Result<Description, OpenError> {
        if plugin != "crm" {
            return Err(OpenError::NoSuchPlugin {
                name: plugin.to_owned(),
                looked: vec!["memory".to_owned()],
            });
        }
        Ok(Description {
            name: "crm".into(),
            version: "1.0.0".into(),
            summary: "Records in memory.".into(),
            config_schema: json!({"type": "object", "additionalProperties": false}),
            example: String::new(),
            kinds: Kind::ALL.to_vec(),
            secrets: Vec::new(),
        })
    }

    async fn fingerprint(&self, _: &str) -> Result<String, OpenError> {
        Ok("0".into())
    }

    async fn open(&self, _: &str, _: Settings) -> Result<Box<dyn Destination>, OpenError> {
        let target = Target {
            kinds: Kind::ALL.to_vec(),
            limits: Limits {
                records: 10,
                bytes: 1 << 20,
                concurrency: 4,
                mixed: false,
                all_or_nothing: false,
            },
            counting: Counting::Batch,
            equality: Equality::Exact,
            whole: false,
            idempotent: false,
            previous: false,
            matching: true,
            finish: false,
            folder: false,
            identity: "crm".into(),
        };
        Ok(Box::new(Opened {
            crm: self.clone(),
            target,
        }))
    }
}

fn body(batch: &[Operation]) -> String {
    let line = |operation: &Operation| format!("{} {} {}\n", operation.kind, operation.match_value, operation.fields);
    batch.iter().map(line).collect()
}

#[async_trait]
impl Destination for Opened {
    fn target(&self) -> &Target {
        &self.target
    }

    async fn check(&self) -> Result<Option<String>, Failure> {
        Ok(Some("acme".into()))
    }

    async fn check_offline(&self) -> Option<String> {
        Some("acme".into())
    }

    async fn write(&self, batch: &[Operation]) -> Result<Vec<Outcome>, Failure> {
        let stalls = {
            let mut kept = self.crm.kept();
            let left = kept.stall_after;
            kept.stall_after = left.map(|left| left.saturating_sub(1));
            left == Some(0)
        };
        if stalls {
            std::future::pending::<()>().await;
        }
        // A moment, in which a run can be stopped.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let mut kept = self.crm.kept();
        kept.bodies.push(body(batch));
        Ok(batch.iter().map(|operation| kept.take(operation)).collect())
    }

    async fn preview(&self, batch: &[Operation]) -> Result<Vec<Effect>, Failure> {
        Ok(vec![Effect::Http {
            method: "POST".into(),
            url: "https://crm.example.com".into(),
            headers: Vec::new(),
            body: body(batch),
        }])
    }

    async fn finish(&self) -> Result<(), Failure> {
        Ok(())
    }

    async fn abort(&self) {}
}

impl Kept {
    fn take(&mut self, operation: &Operation) -> Outcome {
        let place = operation.match_value.to_string();
        self.sent.push(format!("{} {place}", operation.kind));
        self.ids.push(operation.idempotency_key.to_string());
        let answer = self.answers.get(&place).copied().unwrap_or(Answer::Accept);
        if answer == Answer::Reject {
            return Outcome::Rejected(Rejection {
                code: "NO".into(),
                message: "no".into(),
                field: None,
            });
        }
        if operation.kind == Kind::Update && !self.records.contains_key(&place) {
            return Outcome::NoMatch;
        }
        if operation.kind == Kind::Delete {
            self.records.remove(&place);
        } else {
            let fields: Value = serde_json::from_str(&operation.fields).unwrap();
            let record = self.records.entry(place).or_insert_with(|| json!({}));
            record
                .as_object_mut()
                .unwrap()
                .extend(fields.as_object().unwrap().clone());
        }
        match answer {
            Answer::ApplyThenUnknown => Outcome::Unknown { reason: "cut".into() },
            _ => Outcome::Accepted { id: None },
        }
    }
}
