//! Reading a plan: operations in the order of their ordinals, rendered next to the data.

use std::error::Error;
use std::ops::Range;

use bytestring::ByteString;

use super::{Place, Planned};
use crate::delivery::{self, OperationSource};
use crate::ledger::recorded;
use crate::operation::{Change, Kind, Operation};
use crate::warehouse::{Connection, Row, WarehouseError, hex, quote};

/// Ordinals that one query covers: a few blocks of DuckDB's, so that rendered text stays within some 20 MB.
pub(super) const WINDOW_ROWS: u64 = 20_480;

/// From how many bytes on a text is not added to. Operations that wait keep all of the texts that theirs are slices of.
const TEXT_BYTES: usize = 256 << 10;

/// The operations of a plan. Rendered window by window, so that few are held at a time.
pub struct Operations {
    connection: Connection,
    query: Query,
    next: u64,
    end: u64,
    waiting: std::collections::VecDeque<delivery::Planned>,
}

impl Planned {
    /// The same, with operations that carry the previous record whether or not the destination asked for it.
    #[must_use]
    pub(crate) fn with_previous(mut self) -> Self {
        self.at.previous = true;
        self
    }

    /// The plan's operations, read on a connection of their own; of a preview, on the connection that made it.
    #[must_use]
    pub fn operations(&self, connection: Connection) -> Operations {
        Operations {
            connection,
            query: Query::new(&self.at),
            next: 0,
            end: self.counts.planned.total(),
            waiting: std::collections::VecDeque::new(),
        }
    }
}

impl Operations {
    /// The connection that they were read on.
    pub(crate) fn into_connection(self) -> Connection {
        self.connection
    }

    /// The next operations, at most so many; none at the end.
    ///
    /// # Errors
    /// What DuckDB says.
    pub fn next(&mut self, at_most: usize) -> Result<Vec<delivery::Planned>, WarehouseError> {
        while self.waiting.is_empty() && self.next < self.end {
            self.waiting = self.query.window(&self.connection, self.next)?.into();
            self.next += WINDOW_ROWS;
        }
        let count = at_most.min(self.waiting.len());
        Ok(self.waiting.drain(..count).collect())
    }
}

impl OperationSource for Operations {
    fn read(&mut self, at_most: usize) -> Result<Vec<delivery::Planned>, Box<dyn Error + Send + Sync>> {
        Ok(self.next(at_most)?)
    }
}

/// The operations from that ordinal on, as many as a window has.
pub(super) fn window(
    connection: &Connection,
    at: &Place,
    start: u64,
) -> Result<Vec<delivery::Planned>, WarehouseError> {
    Query::new(at).window(connection, start)
}

/// How a plan's operations are read.
struct Query {
    /// Everything but the window.
    sql: String,
    /// Whether its records are values, to be rendered here; else they are JSON already.
    renders: bool,
    /// The record that empties the mapped fields.
    cleared: String,
}

impl Query {
    fn new(at: &Place) -> Self {
        let layout = &at.layout;
        let renders = at.former.is_empty();
        let (record, of_former) = if renders {
            (layout.record_struct("p."), String::new())
        } else {
            recorded::record(layout, &at.former)
        };
        let (previous, join) = if at.previous {
            let render = format!("CASE WHEN e.h IS NOT NULL THEN {} END", layout.record_json("e."));
            let join = format!(" LEFT JOIN {} AS e ON {}", at.entries, layout.same_entry("e", "p"));
            (render, join)
        } else {
            ("NULL::VARCHAR".to_owned(), String::new())
        };
        let sql = format!(
            "SELECT p.ordinal, p.change::VARCHAR, p.kind::VARCHAR, {key}, {match_value}, p.dest_id, {record}, {previous}, {id} \
             FROM {plan} AS p{of_former}{join}",
            key = layout.key_struct("p."),
            match_value = layout.match_value("p."),
            id = id(at),
            plan = at.plan,
        );
        Self {
            sql,
            renders,
            // Where nothing can be cleared, the kind is refused before.
            cleared: layout.cleared_json().unwrap_or_else(|| "{}".to_owned()),
        }
    }

    /// The operations from that ordinal on, as many as a window has.
    fn window(&self, connection: &Connection, start: u64) -> Result<Vec<delivery::Planned>, WarehouseError> {
        let window = format!(
            "{} WHERE p.ordinal >= {start} AND p.ordinal < {}",
            self.sql,
            start + WINDOW_ROWS
        );
        let mut operations = Vec::new();
        let (mut text, mut unsliced) = (Vec::new(), Vec::new());
        connection.each_row(&window, |row| {
            unsliced.push(self.read(row, &mut text)?);
            if text.len() >= TEXT_BYTES {
                slice(&mut text, &mut unsliced, &mut operations)?;
            }
            Ok::<_, WarehouseError>(())
        })?;
        slice(&mut text, &mut unsliced, &mut operations)?;
        // Nearly always in order already, and cheaper to see here than to promise in SQL.
        operations.sort_by_key(|planned: &delivery::Planned| planned.operation.ordinal);
        Ok(operations)
    }

    /// Reads a row, its texts into `text`.
    fn read(&self, row: Row<'_>, text: &mut Vec<u8>) -> Result<Read, WarehouseError> {
        let (change, kind): (&str, &str) = (row.get(1)?, row.get(2)?);
        let wrong = |found: &str, wanted| WarehouseError::Cell {
            column: "kind".into(),
            found: found.to_owned(),
            wanted,
        };
        let change = Change::parse(change).ok_or_else(|| wrong(change, "a change"))?;
        let kind = Kind::parse(kind).ok_or_else(|| wrong(kind, "a kind of operation"))?;
        let (dest_id, previous): (Option<&str>, Option<&str>) = (row.get(5)?, row.get(7)?);
        Ok(Read {
            ordinal: row.get(0)?,
            change,
            kind,
            key: json(text, &row, 3)?,
            match_value: json(text, &row, 4)?,
            id: dest_id.map(|id| append(text, id)),
            fields: match kind {
                Kind::Clear => append(text, &self.cleared),
                _ if self.renders => json(text, &row, 6)?,
                _ => append(text, row.get(6)?),
            },
            previous: previous.map(|previous| append(text, previous)),
            idempotency_key: {
                let start = text.len();
                hex(text, &row.get::<u128>(8)?.to_be_bytes());
                start..text.len()
            },
        })
    }
}

/// The hash that is an operation's id (rule 27): incarnation, key, place, kind, and the run that first planned it.
fn id(at: &Place) -> String {
    let (keys, place) = (at.layout.keys("p."), at.layout.comparable_place("p."));
    format!(
        "outflow_hash({}, {keys}, {place}, p.kind, p.op_run)",
        quote::text(&at.incarnation)
    )
}

/// Makes operations of what was read, and empties it.
fn slice(
    text: &mut Vec<u8>,
    unsliced: &mut Vec<Read>,
    operations: &mut Vec<delivery::Planned>,
) -> Result<(), WarehouseError> {
    let room = Vec::with_capacity(text.len());
    let text = ByteString::try_from(std::mem::replace(text, room)).map_err(|error| WarehouseError::Cell {
        column: "a record".into(),
        found: error.to_string(),
        wanted: "text in UTF-8",
    })?;
    operations.extend(unsliced.drain(..).map(|read| read.operation(&text)));
    Ok(())
}

/// An operation whose texts are ranges of one.
struct Read {
    ordinal: u64,
    change: Change,
    kind: Kind,
    key: Range<usize>,
    match_value: Range<usize>,
    id: Option<Range<usize>>,
    fields: Range<usize>,
    previous: Option<Range<usize>>,
    idempotency_key: Range<usize>,
}

impl Read {
    fn operation(self, text: &ByteString) -> delivery::Planned {
        let slice = |range: Range<usize>| text.slice_ref(&text[range]);
        delivery::Planned {
            change: self.change,
            operation: Operation {
                ordinal: self.ordinal,
                kind: self.kind,
                key: slice(self.key),
                match_value: slice(self.match_value),
                id: self.id.map(slice),
                fields: slice(self.fields),
                previous: self.previous.map(slice),
                idempotency_key: slice(self.idempotency_key),
            },
        }
    }
}

/// Appends a text, and says where it is.
fn append(out: &mut Vec<u8>, text: &str) -> Range<usize> {
    let start = out.len();
    out.extend_from_slice(text.as_bytes());
    start..out.len()
}

/// Appends a value as JSON, and says where it is.
fn json(out: &mut Vec<u8>, row: &Row<'_>, column: usize) -> Result<Range<usize>, WarehouseError> {
    let start = out.len();
    row.cell(column)?.write_json(out);
    Ok(start..out.len())
}
