//! Why a row is, or is not, what the next run does: what the ledger has of its key, and the plan's own word about it.

use std::path::PathBuf;

use serde::Serialize;

use super::ahead::ahead;
use super::apart::Apart;
use super::lock::SyncLock;
use super::work::blocking;
use super::{RunError, RunRequest};
use crate::ledger::Note;
use crate::ledger::recorded;
use crate::ledger::tables::{ENTRIES, UNSETTLED, temporary};
use crate::mapping::{KeyError, Layout, key};
use crate::plan::Planned;
use crate::record::{Unsettled, meaning, read_unsettled};
use crate::report::Stopped;
use crate::warehouse::{Connection, WarehouseError};

/// What a ledger has of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The key, a JSON object by column.
    pub key: String,
    /// What the destination has, as far as it told: one for each place.
    pub entries: Vec<Entry>,
    /// What was attempted and not accepted.
    pub unsettled: Vec<Unsettled>,
}

/// What the destination has of a key at a place, as far as it told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The match value, where it is not the key, as JSON.
    pub place: Option<String>,
    /// The record as it was last acknowledged, as JSON; absent where none ever was.
    pub record: Option<String>,
    /// The record that was sent and never acknowledged, as JSON.
    pub attempted: Option<String>,
    /// The run that first planned the operation which wrote it.
    pub run: u64,
    /// The destination's own id.
    pub id: Option<String>,
    /// Whether nobody acknowledged it, but a person or the mode declared it.
    pub assumed: bool,
    /// Whether the destination may have another record.
    pub uncertain: bool,
    /// Whether the row left in insert mode and is only remembered.
    pub memory: bool,
}

/// What the next run does about a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Next {
    /// The key, a JSON object by column.
    pub key: String,
    /// Whether the model has rows of it.
    pub in_model: bool,
    /// Why its rows cannot be sent; empty where they can.
    pub faults: Vec<String>,
    /// What is done, or not done, about each difference; empty where there is none.
    pub steps: Vec<Step>,
    /// The guards that stop the run before it sends anything: what is done is what would be, if that were allowed.
    pub stopped: Vec<Stopped>,
    /// What else is to be known of that run.
    pub notes: Vec<String>,
}

/// What is done about a difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// `added`, `changed` or `removed`.
    pub change: String,
    /// The match value, where it is not the key, as JSON.
    pub place: Option<String>,
    /// The operation; absent where nothing is sent.
    pub operation: Option<String>,
    /// Why, in a word.
    pub reason: String,
    /// The same for people.
    pub meaning: Option<&'static str>,
    /// The fields whose values differ.
    pub fields: Vec<String>,
    /// The record as last acknowledged, as JSON.
    pub before: Option<String>,
    /// The record as it will be, as JSON.
    pub after: Option<String>,
}

impl From<KeyError> for RunError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Warehouse(error) => Self::Warehouse(error),
            other => Self::Key(other),
        }
    }
}

/// What a ledger has of a key; nothing where there is none yet. Of a copy, which nobody else has: what a stopped run left is
/// taken in first, as the next run does.
///
/// # Errors
/// When the text is no key, or the ledger cannot be read.
pub async fn held(
    lock: std::sync::Arc<SyncLock>,
    extensions: Vec<PathBuf>,
    note: Option<Note>,
    key: String,
) -> Result<Option<Held>, RunError> {
    blocking(move || {
        let mut apart = Apart::open(&lock, &extensions, lock.ledger().exists(), note.as_ref())?;
        if lock.journal().exists() {
            // Where it cannot be taken in, the ledger is shown as it is, and `next` says what is wrong.
            let _ = apart.ledger.recover(&mut apart.connection, &lock.journal());
        }
        let Some(meta) = apart.ledger.meta() else {
            return Ok(None);
        };
        of_key(&apart.connection, &meta.layout, &key).map(Some)
    })
    .await
}

fn of_key(connection: &Connection, layout: &Layout, key: &str) -> Result<Held, RunError> {
    let wanted = temporary("wanted");
    let key = key::read(connection, layout, &[key.to_owned()], &wanted)?.concat();
    let entries = connection.query_rows::<_, WarehouseError>(
        &format!(
            "SELECT {place}, {record}, CASE WHEN e.h IS NULL THEN {sent} END, op_run, dest_id, assumed, uncertain, memory \
             FROM {ENTRIES} AS e JOIN {wanted} AS w ON {same} ORDER BY 1",
            place = recorded::place(layout, "e."),
            record = recorded::previous(layout, "e."),
            sent = layout.record_json("e."),
            same = layout.same_key("e", "w"),
        ),
        |row| {
            Ok(Entry {
                place: row.get(0)?,
                record: row.get(1)?,
                attempted: row.get(2)?,
                run: row.get(3)?,
                id: row.get(4)?,
                assumed: row.get(5)?,
                uncertain: row.get(6)?,
                memory: row.get(7)?,
            })
        },
    )?;
    let of_key = format!(
        "(SELECT u.* FROM {UNSETTLED} AS u JOIN {wanted} AS w ON {})",
        layout.same_key("u", "w")
    );
    let unsettled = read_unsettled(connection, &recorded::unsettled(layout, &of_key))?;
    Ok(Held {
        key,
        entries,
        unsettled,
    })
}

/// What the next run does about a key, by the code that plans it. Changes and sends nothing; of a copy of the ledger.
///
/// # Errors
/// When the text is no key, or why the run would not come to compare anything, a guard that stops it before included.
pub async fn next(request: RunRequest, key: String) -> Result<Next, RunError> {
    let (mut ahead, _) = ahead(&request).await?;
    blocking(move || {
        let layout = ahead.projection.layout.clone();
        let wanted = temporary("wanted");
        let key = key::read(&ahead.connection, &layout, &[key], &wanted)?.concat();
        let planned = ahead.plan()?;
        // A row of the model for each, with what is wrong with it, if anything is.
        let faults = ahead.connection.query_rows::<_, WarehouseError>(
            &format!(
                "SELECT d.fault FROM {} AS d JOIN {wanted} AS w ON {} ORDER BY 1",
                temporary("desired"),
                layout.same_key("d", "w")
            ),
            |row| row.get::<Option<String>>(0),
        )?;
        Ok(Next {
            key,
            in_model: !faults.is_empty() || planned.known_apart && is_known(&ahead.connection, &planned, &wanted)?,
            faults: faults.into_iter().flatten().collect(),
            steps: if planned.shortcut {
                Vec::new()
            } else {
                steps(&ahead.connection, &planned, &wanted)?
            },
            stopped: planned.stops.iter().map(Stopped::from).collect(),
            notes: ahead.notes.into_iter().chain(planned.notes).collect(),
        })
    })
    .await
}

/// Whether a row of the key is as acknowledged: the key has an entry, and the comparison did not find that it left.
fn is_known(connection: &Connection, planned: &Planned, wanted: &str) -> Result<bool, WarehouseError> {
    let layout = &planned.at.layout;
    let left = if planned.shortcut {
        String::new()
    } else {
        format!(
            " ANTI JOIN (SELECT * FROM {} WHERE change = 'removed') AS c ON {}",
            temporary("changes"),
            layout.same_entry("c", "e")
        )
    };
    let known = format!(
        "SELECT EXISTS (FROM (SELECT * FROM {} WHERE NOT memory) AS e SEMI JOIN {wanted} AS w ON {}{left})",
        planned.at.entries,
        layout.same_key("e", "w")
    );
    Ok(connection.scalar(&known)? == Some(true))
}

/// The differences of the key with what the plan says of them.
fn steps(connection: &Connection, planned: &Planned, wanted: &str) -> Result<Vec<Step>, WarehouseError> {
    let at = &planned.at;
    let layout = &at.layout;
    let (record, of_former) = recorded::record(layout, &at.former);
    // An operation whose record is an entry's says so.
    let query = format!(
        "SELECT c.change, {place}, p.kind, CASE WHEN c.action = 'send' THEN {reason} ELSE c.action END, \
         array_to_string({fields}, chr(0)), {before}, {after} \
         FROM {changes} AS c JOIN {wanted} AS w ON {same_key} LEFT JOIN {plan} AS p ON {planned} AND p.change = c.change \
         LEFT JOIN {entries} AS e ON {entry}{of_former} ORDER BY c.change = 'removed' DESC, 2",
        place = recorded::place(layout, "c."),
        reason = recorded::reason(layout, &at.plan),
        fields = recorded::changed_fields(layout),
        before = recorded::previous(layout, "e."),
        after = recorded::sent(layout, &record),
        changes = temporary("changes"),
        same_key = layout.same_key("c", "w"),
        plan = at.plan,
        planned = layout.same_entry("p", "c"),
        entries = at.entries,
        entry = layout.same_entry("e", "c"),
    );
    connection.query_rows(&query, |row| {
        let operation: Option<String> = row.get(2)?;
        let fields: Option<String> = row.get(4)?;
        let reason: String = row.get(3)?;
        Ok(Step {
            change: row.get(0)?,
            place: row.get(1)?,
            meaning: meaning(&reason),
            reason,
            fields: fields
                .filter(|fields| !fields.is_empty())
                .map_or_else(Vec::new, |fields| fields.split('\0').map(str::to_owned).collect()),
            before: row.get(5)?,
            after: if operation.is_some() { row.get(6)? } else { None },
            operation,
        })
    })
}
