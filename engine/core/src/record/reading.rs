//! Reading records: what did not get through in a run, what became of a key over all runs, and what differs between two.

use std::path::Path;

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Invalid, Part, READING, Record, RecordError, Records, Summary, Unsettled};
use crate::report::Split;
use crate::warehouse::{Connection, Row, Warehouse, WarehouseError, WarehouseOptions, quote};

/// Memory for reading records, in bytes.
const MEMORY_BYTES: u64 = 128 << 20;

/// Rows that cannot be sent of which [`Record::read`] gives the reasons; the record has them all.
const INVALID_SHOWN: usize = 1_000;

/// What a run did about a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// The run.
    pub run: u64,
    /// The row's key, a JSON object by column.
    pub key: String,
    /// The match value, where it is not the key, as JSON.
    pub place: Option<String>,
    /// `added`, `changed` or `removed`; absent of a row that cannot be sent.
    pub change: Option<String>,
    /// What was asked of the destination, if anything was.
    pub operation: Option<String>,
    /// Why, in a word; of a row that cannot be sent, in words.
    pub reason: Option<String>,
    /// The fields whose values were others than before.
    pub fields: Vec<String>,
    /// `accepted`, `rejected`, `unmatched`, `unknown` or `aborted`; `withheld` where nothing was asked, `invalid` where
    /// nothing could be, `superseded` where another row's operation ended what was known here.
    pub outcome: String,
    /// The destination's code.
    pub code: Option<String>,
    /// What the destination said, or why the outcome is not known.
    pub message: Option<String>,
    /// The field at fault.
    pub field: Option<String>,
    /// The record that was sent, as JSON. Of what a first sync sent and the destination accepted, only the ledger or the next
    /// run that touched it tells.
    pub sent: Option<String>,
    /// The record that the destination had acknowledged before, as JSON.
    pub previous: Option<String>,
}

/// What the destination acknowledged, by the end of one run and by the end of a later one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Differences {
    /// How many records are there in one of both only, or with other values.
    pub counts: Split,
    /// The first of them, by key.
    pub rows: Vec<Difference>,
}

/// A record that two runs left otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The row's key, a JSON object by column.
    pub key: String,
    /// The match value, where it is not the key, as JSON.
    pub place: Option<String>,
    /// `added`, `changed` or `removed`.
    pub change: String,
    /// The record after the first run, as JSON.
    pub before: Option<String>,
    /// The record after the second, as JSON; absent too where a first sync sent it, or a first rebaseline took it for
    /// delivered, and no later run touched it.
    pub after: Option<String>,
    /// The fields that differ, where both have a record.
    pub fields: Vec<FieldDifference>,
    /// Whether the last word about it was no answer: the destination may have another record.
    pub uncertain: bool,
}

/// A field that two runs left otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldDifference {
    /// The field.
    pub field: String,
    /// Its value after the first run, as JSON; absent where the record did not have it.
    pub before: Option<String>,
    /// Its value after the second.
    pub after: Option<String>,
}

impl Record {
    /// Reads what did not get through in a run; nothing where it left no record.
    ///
    /// # Errors
    /// When the record is damaged.
    pub fn read(folder: &Path) -> Result<Option<Self>, RecordError> {
        if !folder.is_dir() {
            return Ok(None);
        }
        let warehouse = instance(folder)?;
        let connection = warehouse.connect()?;
        let mut record = Self::default();
        if let Some(table) = table(folder, Part::Unsettled) {
            record.unsettled = read_unsettled(&connection, &format!("FROM {table}"))?;
        }
        if let Some(table) = table(folder, Part::Invalid) {
            let query = format!("SELECT key, reason FROM {table} ORDER BY ALL LIMIT {INVALID_SHOWN}");
            record.invalid = connection.query_rows::<_, WarehouseError>(&query, |row| {
                Ok(Invalid {
                    key: row.get(0)?,
                    reason: row.get(1)?,
                })
            })?;
        }
        Ok(Some(record))
    }
}

impl Records {
    /// What runs did about a key, the newest last. The key is a JSON object by column; equal numbers are equal however they
    /// are written.
    ///
    /// # Errors
    /// When a record is damaged.
    pub fn of_key(&self, key: &str) -> Result<Vec<Event>, RecordError> {
        let wanted = of_keys(&[key.to_owned()]);
        let mut parts = Vec::new();
        for run in self.runs()? {
            let folder = self.of_run(run);
            let mut add = |table: Option<String>, columns: &str| {
                parts
                    .extend(table.map(|table| format!("SELECT {run}::UBIGINT, {columns} FROM {table} WHERE {wanted}")));
            };
            add(
                table(&folder, Part::Invalid),
                "0, key, NULL, NULL, NULL, reason, NULL, 'invalid', NULL, NULL, NULL, NULL, NULL",
            );
            add(
                withheld(&folder),
                "1, key, place, change, NULL, reason, NULL, 'withheld', NULL, NULL, NULL, NULL, previous",
            );
            add(
                changes(&folder),
                "2, key, place, change, operation, reason, array_to_string(fields, chr(0)), outcome, code, message, field, sent, previous",
            );
        }
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let warehouse = instance(&self.folder)?;
        let connection = warehouse.connect()?;
        let query = format!(
            "FROM ({}) AS r(run, part, key, place, change, operation, reason, fields, outcome, code, message, field, sent, previous) \
             ORDER BY run, part, place",
            parts.join(" UNION ALL ")
        );
        let mut events = connection.query_rows::<_, WarehouseError>(&query, event)?;
        complete(&mut events);
        Ok(events)
    }

    /// What was acknowledged otherwise after the run `from` than after the later run `to`; at most so many rows, and all
    /// counted. The records of all runs between must be there.
    ///
    /// # Errors
    /// When a record is damaged.
    pub fn differences(&self, from: u64, to: u64, at_most: usize) -> Result<Differences, RecordError> {
        let mut parts = Vec::new();
        for run in self.runs()?.into_iter().filter(|run| (from + 1..=to).contains(run)) {
            let summary = self.summary(run)?.unwrap_or_default();
            parts.extend(self.touched(run, &summary));
        }
        let mut differences = Differences::default();
        if parts.is_empty() {
            return Ok(differences);
        }
        let warehouse = instance(&self.folder)?;
        let connection = warehouse.connect()?;
        connection.execute(&format!(
            "CREATE TEMP TABLE differing AS SELECT key, place, \
             CASE WHEN before IS NULL THEN 'added' WHEN after IS NULL THEN 'removed' ELSE 'changed' END AS change, before, after, uncertain \
             FROM (SELECT key, place, first(previous ORDER BY run, part, ordinal) AS before, \
               last(CASE WHEN followed THEN kept ELSE previous END ORDER BY run, part, ordinal) AS after, \
               last(uncertain ORDER BY run, part, ordinal) AS uncertain FROM ({}) AS t(run, part, ordinal, key, place, previous, followed, kept, uncertain) GROUP BY key, place) \
             WHERE before IS DISTINCT FROM after",
            parts.join(" UNION ALL ")
        ))?;
        let counts = connection
            .query_rows::<_, WarehouseError>("SELECT change, count(*) FROM differing GROUP BY ALL", |row| {
                Ok((row.get::<String>(0)?, row.get::<u64>(1)?))
            })?;
        for (change, count) in counts {
            if let Some(change) = crate::operation::Change::parse(&change) {
                *differences.counts.of(change) += count;
            }
        }
        let query = format!(
            "SELECT key, place, change, before, after, uncertain FROM differing ORDER BY key, place LIMIT {at_most}"
        );
        differences.rows = connection.query_rows::<_, WarehouseError>(&query, |row| {
            Ok(Difference {
                key: row.get(0)?,
                place: row.get(1)?,
                change: row.get(2)?,
                fields: differing(row.get(3)?, row.get(4)?),
                before: row.get(3)?,
                after: row.get::<Option<String>>(4)?.filter(|record| !record.is_empty()),
                uncertain: row.get(5)?,
            })
        })?;
        Ok(differences)
    }

    /// The rows that a run may have left otherwise than it found them.
    fn touched(&self, run: u64, summary: &Summary) -> Vec<String> {
        let folder = self.of_run(run);
        let withheld = withheld(&folder).map(|table| {
            format!(
                "SELECT {run}, 1, 0, key, place, previous, true, \
                 CASE WHEN reason = 'gone' AND {} OR reason = 'replace' AND {} THEN NULL ELSE kept END, false FROM {table}",
                summary.resync_over, summary.replaced
            )
        });
        let changes = changes(&folder).map(|table| {
            format!(
                "SELECT {run}, 2, ordinal, key, place, previous, followed, \
                 CASE WHEN outcome = 'accepted' AND change <> 'removed' THEN coalesce(sent, '') END, outcome = 'unknown' FROM {table}"
            )
        });
        withheld.into_iter().chain(changes).collect()
    }
}

/// Adds what a first sync sent, which the next event at the same place has as what was there before.
fn complete(events: &mut [Event]) {
    let mut later: IndexMap<Option<String>, Option<String>> = IndexMap::new();
    for event in events.iter_mut().rev() {
        if event.lacks_sent() {
            event.sent = later.get(&event.place).cloned().flatten();
        }
        if event.outcome != "invalid" {
            later.insert(event.place.clone(), event.previous.clone());
        }
    }
}

impl Event {
    /// Whether the record that was sent and accepted is not told.
    #[must_use]
    pub fn lacks_sent(&self) -> bool {
        self.sent.is_none() && self.outcome == "accepted" && self.change.as_deref() != Some("removed")
    }
}

/// The fields in which two records, which we wrote ourselves, differ.
fn differing(before: Option<&str>, after: Option<&str>) -> Vec<FieldDifference> {
    let parse = |text: Option<&'_ str>| {
        text.and_then(|text| serde_json::from_str::<IndexMap<String, Box<RawValue>>>(text).ok())
    };
    let (Some(before), Some(after)) = (parse(before), parse(after)) else {
        return Vec::new();
    };
    let value =
        |fields: &IndexMap<String, Box<RawValue>>, name: &str| fields.get(name).map(|value| value.get().to_owned());
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let names = after.keys().chain(gone);
    names
        .map(|name| FieldDifference {
            field: name.clone(),
            before: value(&before, name),
            after: value(&after, name),
        })
        .filter(|field| field.before != field.after)
        .collect()
}

/// A condition: the row is of one of these keys. Equal numbers are equal however they are written.
pub(super) fn of_keys(keys: &[String]) -> String {
    let hashes: Vec<_> = keys
        .iter()
        .map(|key| format!("outflow_hash({}::JSON)", quote::text(key)))
        .collect();
    format!("outflow_hash(key::JSON) IN ({})", hashes.join(", "))
}

/// The rows of a part, where it has any.
pub(super) fn table(folder: &Path, part: Part) -> Option<String> {
    let file = folder.join(part.file());
    file.is_file()
        .then(|| format!("read_parquet({})", quote::text(&file.to_string_lossy())))
}

/// A run's operations with their outcomes, those of a first sync included; nothing where it had none.
fn changes(folder: &Path) -> Option<String> {
    let columns = "NULL::UBIGINT AS ordinal, NULL::VARCHAR AS key, NULL::VARCHAR AS place, NULL::VARCHAR AS change, \
                   NULL::VARCHAR AS operation, NULL::VARCHAR AS reason, NULL::VARCHAR[] AS fields, NULL::VARCHAR AS outcome, \
                   NULL::BOOLEAN AS followed, NULL::VARCHAR AS code, NULL::VARCHAR AS message, NULL::VARCHAR AS field, \
                   NULL::VARCHAR AS sent, NULL::VARCHAR AS previous, NULL::VARCHAR AS id";
    let alike = "'added' AS change, 'new' AS reason, 'accepted' AS outcome, true AS followed";
    both(folder, columns, Part::Changes, (Part::First, alike))
}

/// A run's changes that became no operation, those of a first rebaseline included; nothing where it had none.
fn withheld(folder: &Path) -> Option<String> {
    let columns = "NULL::VARCHAR AS key, NULL::VARCHAR AS place, NULL::VARCHAR AS change, NULL::VARCHAR AS reason, \
                   NULL::VARCHAR AS previous, NULL::VARCHAR AS kept";
    // There is a record, which only the ledger tells.
    let alike = "'added' AS change, 'declared' AS reason, '' AS kept";
    both(folder, columns, Part::Withheld, (Part::Declared, alike))
}

/// The rows of two parts that are about the same, in one of which all say the same but for their keys. Columns that a part
/// does not have are null there.
fn both(folder: &Path, columns: &str, various: Part, (same, alike): (Part, &str)) -> Option<String> {
    let same = table(folder, same).map(|table| format!("SELECT *, {alike} FROM {table}"));
    let various = table(folder, various).map(|table| format!("FROM {table}"));
    let parts: Vec<_> = [same, various].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| {
        format!(
            "(SELECT {columns} WHERE false UNION ALL BY NAME {})",
            parts.join(" UNION ALL BY NAME ")
        )
    })
}

/// Reads unsettled operations as a query gives them.
pub(crate) fn read_unsettled(connection: &Connection, query: &str) -> Result<Vec<Unsettled>, WarehouseError> {
    connection.query_rows(query, |row| {
        Ok(Unsettled {
            key: row.get(0)?,
            change: row.get(1)?,
            kind: row.get(2)?,
            state: row.get(3)?,
            code: row.get(4)?,
            message: row.get(5)?,
            field: row.get(6)?,
            times: row.get(7)?,
            since: row.get(8)?,
            run: row.get(9)?,
        })
    })
}

fn event(row: Row<'_>) -> Result<Event, WarehouseError> {
    let fields: Option<String> = row.get(7)?;
    Ok(Event {
        run: row.get(0)?,
        key: row.get(2)?,
        place: row.get(3)?,
        change: row.get(4)?,
        operation: row.get(5)?,
        reason: row.get(6)?,
        fields: fields
            .filter(|fields| !fields.is_empty())
            .map_or_else(Vec::new, |fields| fields.split('\0').map(str::to_owned).collect()),
        outcome: row.get(8)?,
        code: row.get(9)?,
        message: row.get(10)?,
        field: row.get(11)?,
        sent: row.get(12)?,
        previous: row.get(13)?,
    })
}

/// An instance of its own, which reads and has nothing else to do. What does not fit into memory goes below `folder`, which
/// nobody else can look into.
pub(super) fn instance(folder: &Path) -> Result<Warehouse, WarehouseError> {
    Warehouse::open(&WarehouseOptions {
        memory_limit_bytes: MEMORY_BYTES,
        threads: 2,
        // Drawn, as DuckDB's names for its files are the same in every process.
        temp_dir: folder.join(format!("{READING}{:032x}", rand::random::<u128>())),
        extension_dirs: Vec::new(),
    })
}
