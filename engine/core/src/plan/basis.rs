//! What a plan was made from, so that a later run can be held to it: exactly that is done, or nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Place, PlanError, operations};
use crate::diff;
use crate::ledger::{Fingerprint, Meta};
use crate::report::Split;
use crate::warehouse::Connection;

/// What a plan was made from, and which operations it came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basis {
    /// The sync's slug.
    pub sync: String,
    /// The run that it is a plan of; operations' ids have it (rule 27).
    pub run: u64,
    /// The configuration's parts, each by its hash.
    pub configuration: BTreeMap<String, String>,
    /// The ledger; absent before a first run.
    pub ledger: Option<LedgerVersion>,
    /// How many operations.
    pub operations: Split,
    /// The operations with their order, rows and ids, as a fingerprint.
    pub fingerprint: Fingerprint,
}

/// A ledger at one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerVersion {
    /// Which ledger.
    pub incarnation: String,
    /// How many commits it had.
    pub sequence: u64,
}

impl LedgerVersion {
    /// The version of a ledger that has committed something.
    pub(crate) fn of(meta: &Meta) -> Option<Self> {
        (meta.sequence > 0).then(|| Self {
            incarnation: meta.incarnation.clone(),
            sequence: meta.sequence,
        })
    }
}

/// A plan that a run must come to, and where its operations can be read.
pub trait Expected {
    /// What it was made from.
    fn basis(&self) -> &Basis;

    /// Its operations in order, one after the other: kind, key and record, as JSON texts.
    fn next_operation(&mut self) -> Option<(String, String, String)>;
}

/// Says what is not as it was before anything is planned.
///
/// # Errors
/// [`PlanError::NotAsPlanned`].
pub(crate) fn check_before(
    expected: &Basis,
    run: u64,
    configuration: &BTreeMap<String, String>,
    ledger: Option<&LedgerVersion>,
) -> Result<(), PlanError> {
    let mut moved: Vec<String> = expected
        .configuration
        .iter()
        .filter(|(part, hash)| configuration.get(*part) != Some(hash))
        .map(|(part, _)| format!("the {part} is another"))
        .collect();
    if expected.ledger.as_ref() != ledger {
        moved.push(match (&expected.ledger, ledger) {
            (Some(then), Some(now)) if then.incarnation == now.incarnation => format!(
                "the ledger has gone on from commit {} to {}",
                then.sequence, now.sequence
            ),
            (None, _) => "there was no ledger yet, and there is one now".to_owned(),
            _ => "the ledger is another one".to_owned(),
        });
    } else if expected.run != run {
        moved.push(format!("it is a plan of run {}, and this is run {run}", expected.run));
    }
    if moved.is_empty() {
        Ok(())
    } else {
        Err(PlanError::NotAsPlanned(moved.join("; ")))
    }
}

/// The operations of a plan as a fingerprint.
pub(super) fn fingerprint(connection: &Connection, at: &Place) -> Result<Fingerprint, PlanError> {
    Ok(diff::fingerprint_of(
        connection,
        &format!(
            "(SELECT outflow_hash(ordinal, change, kind, op_run, {}, h) AS h FROM {})",
            at.layout.identity(""),
            at.plan
        ),
    )?)
}

/// Says what is not as it was once the plan is made.
pub(super) fn check_after(
    connection: &Connection,
    at: &Place,
    expected: &mut dyn Expected,
    operations: Split,
) -> Result<(), PlanError> {
    if fingerprint(connection, at)? == expected.basis().fingerprint {
        return Ok(());
    }
    let mut message = "the model's rows are others than they were".to_owned();
    let then = expected.basis().operations;
    if then != operations {
        message.push_str(&format!(": {} were planned, and now {}", told(then), told(operations)));
    }
    if let Some((planned, now)) = first_difference(connection, at, expected, operations.total())? {
        message.push_str(&format!("; the first that differs was {planned} and is {now}"));
    }
    Err(PlanError::NotAsPlanned(message))
}

fn told(split: Split) -> String {
    format!(
        "{} added, {} changed, {} removed",
        split.added, split.changed, split.removed
    )
}

/// The first place at which two plans differ.
fn first_difference(
    connection: &Connection,
    at: &Place,
    expected: &mut dyn Expected,
    total: u64,
) -> Result<Option<(String, String)>, PlanError> {
    let show = |operation: Option<(String, String, String)>| {
        operation.map_or("nothing".to_owned(), |(kind, key, record)| {
            format!("{kind} {key} {record}")
        })
    };
    let mut start = 0;
    while start < total {
        for planned in operations::window(connection, at, start)? {
            let operation = planned.operation;
            let now = Some((
                operation.kind.to_string(),
                operation.key.into(),
                operation.fields.into(),
            ));
            let then = expected.next_operation();
            if then != now {
                return Ok(Some((show(then), show(now))));
            }
        }
        start += operations::WINDOW_ROWS;
    }
    Ok(expected.next_operation().map(|then| (show(Some(then)), show(None))))
}
