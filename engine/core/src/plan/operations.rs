//! Reading a plan: operations in the order of their ordinals, rendered next to the data.

use std::error::Error;

use super::{Place, Planned};
use crate::delivery::{self, OperationSource};
use crate::ledger::recorded;
use crate::operation::{Change, Kind, Operation};
use crate::warehouse::{Connection, Row, WarehouseError, quote};

/// Ordinals that one query covers: a few blocks of DuckDB's, so that rendered text stays within some 20 MB.
pub(super) const WINDOW_ROWS: u64 = 20_480;

/// The operations of a plan. Rendered window by window, so that few are held at a time.
pub struct Operations {
    connection: Connection,
    query: String,
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
            query: query(&self.at),
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
            self.waiting = read(&self.connection, &self.query, self.next)?.into();
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
    read(connection, &query(at), start)
}

fn read(connection: &Connection, query: &str, start: u64) -> Result<Vec<delivery::Planned>, WarehouseError> {
    let end = start + WINDOW_ROWS;
    let window = format!("{query} WHERE p.ordinal >= {start} AND p.ordinal < {end}");
    let mut operations = connection.query_rows(&window, operation)?;
    // Nearly always in order already, and cheaper to see here than to promise in SQL.
    operations.sort_by_key(|planned: &delivery::Planned| planned.operation.ordinal);
    Ok(operations)
}

/// Everything but the window.
fn query(at: &Place) -> String {
    let layout = &at.layout;
    let (record, of_former) = recorded::record(layout, &at.former);
    // Where nothing can be cleared, the kind is refused before.
    let cleared = quote::text(&layout.cleared_json().unwrap_or_else(|| "{}".to_owned()));
    let (previous, join) = if at.previous {
        let render = format!("CASE WHEN e.h IS NOT NULL THEN {} END", layout.record_json("e."));
        (
            render,
            format!(" LEFT JOIN {} AS e ON {}", at.entries, layout.same_entry("e", "p")),
        )
    } else {
        ("NULL::VARCHAR".to_owned(), String::new())
    };
    format!(
        "SELECT p.ordinal, p.change::VARCHAR, p.kind::VARCHAR, {key}, {match_value}, p.dest_id, CASE WHEN p.kind = 'clear' THEN {cleared} ELSE {record} END, \
         {previous}, {id} FROM {plan} AS p{of_former}{join}",
        key = layout.key_json("p."),
        match_value = layout.match_json("p."),
        id = id(at),
        plan = at.plan,
    )
}

/// The hash that is an operation's id (rule 27): incarnation, key, place, kind, and the run that first planned it.
fn id(at: &Place) -> String {
    let (keys, place) = (at.layout.keys("p."), at.layout.comparable_place("p."));
    format!(
        "outflow_hash({}, {keys}, {place}, p.kind, p.op_run)",
        quote::text(&at.incarnation)
    )
}

fn operation(row: Row<'_>) -> Result<delivery::Planned, WarehouseError> {
    let change: &str = row.get(1)?;
    let kind: &str = row.get(2)?;
    let wrong = |found: &str, wanted| WarehouseError::Cell {
        column: "kind".into(),
        found: found.to_owned(),
        wanted,
    };
    Ok(delivery::Planned {
        change: Change::parse(change).ok_or_else(|| wrong(change, "a change"))?,
        operation: Operation {
            ordinal: row.get(0)?,
            kind: Kind::parse(kind).ok_or_else(|| wrong(kind, "a kind of operation"))?,
            key: row.get(3)?,
            match_value: row.get(4)?,
            id: row.get(5)?,
            fields: row.get(6)?,
            previous: row.get(7)?,
            idempotency_key: format!("{:032x}", row.get::<u128>(8)?),
        },
    })
}
