//! The desired state in its thin form: key, match value, hash, and why a row cannot be sent.

use std::sync::Arc;

use super::Known;
use crate::ledger::Fingerprint;
use crate::ledger::tables::{self, drop_temporary, temporary};
use crate::mapping::{FAULT_NULL_KEY, FAULT_REPEATED_KEY, FAULT_SHARED_MATCH, Layout};
use crate::warehouse::{Connection, WarehouseError};

/// What the model returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Desired {
    /// All rows, invalid ones included.
    pub fingerprint: Fingerprint,
    /// Rows with a null in their key.
    pub null_keys: u64,
    /// Rows that cannot be sent, those included.
    pub invalid: u64,
}

/// Runs `query` (key, match value, hash, fault) into the temporary table `~desired`.
pub(crate) fn desired(connection: &Connection, query: &str) -> Result<Desired, WarehouseError> {
    let table = temporary("desired");
    drop_temporary(connection, &["desired"])?;
    connection.execute(&format!("CREATE TEMP TABLE {table} AS {query}"))?;
    Ok(Desired::of(fingerprint_of(connection, &table)?))
}

/// The same of those rows only that are not known, with what else the query has.
pub(crate) fn unknown(connection: &Connection, query: &str, known: &Arc<Known>) -> Result<Desired, WarehouseError> {
    drop_temporary(connection, &["desired"])?;
    connection.execute_asking(
        known.knows(),
        &format!(
            "CREATE TEMP TABLE {} AS SELECT * EXCLUDE (known) FROM \
             (SELECT *, outflow_holds(h, fault IS NULL) AS known FROM ({query})) WHERE NOT known",
            temporary("desired")
        ),
    )?;
    Ok(Desired::of(known.fingerprint()))
}

impl Desired {
    const fn of(fingerprint: Fingerprint) -> Self {
        Self {
            fingerprint,
            null_keys: 0,
            invalid: 0,
        }
    }

    /// Marks the rows that cannot be sent because of others: keys that occur more than once, and places that several rows
    /// share (rules 9 and 12). Apart from [`desired`], because a run without changes needs none of it.
    pub(crate) fn validate(&mut self, connection: &Connection, layout: &Layout) -> Result<(), WarehouseError> {
        let table = &temporary("desired");
        // Cheaper to see than to group by, and a model is often in order.
        if !tables::every_row_follows(connection, table, ">", &layout.comparable_key_columns(""))? {
            mark_repeated(connection, table, &layout.comparable_keys(""), FAULT_REPEATED_KEY)?;
        }
        if !layout.place_is_key() {
            mark_repeated(connection, table, &layout.comparable_place(""), FAULT_SHARED_MATCH)?;
        }
        let counts = connection.query_row::<_, WarehouseError>(
            &format!("SELECT count(*) FILTER (WHERE fault = '{FAULT_NULL_KEY}'), count(fault) FROM {table}"),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        (self.null_keys, self.invalid) = counts.unwrap_or_default();
        Ok(())
    }
}

/// Marks every row of the table whose `columns` occur more than once, unless it is at fault already or has a null there.
fn mark_repeated(connection: &Connection, table: &str, columns: &str, fault: &str) -> Result<(), WarehouseError> {
    let repeated = temporary("repeated");
    drop_temporary(connection, &["repeated"])?;
    connection.execute(&format!(
        "CREATE TEMP TABLE {repeated} AS SELECT {columns} FROM {table} GROUP BY ALL HAVING count(*) > 1"
    ))?;
    if tables::count(connection, &repeated)? > 0 {
        // IN is never true for a null, which has a fault of its own.
        connection.execute(&format!(
            "UPDATE {table} SET fault = '{fault}' WHERE fault IS NULL AND ({columns}) IN (FROM {repeated})"
        ))?;
    }
    drop_temporary(connection, &["repeated"])
}

/// Count and sums of the hashes of a table's rows (rule 36). Sums, because XOR would cancel pairs.
pub(crate) fn fingerprint_of(connection: &Connection, table: &str) -> Result<Fingerprint, WarehouseError> {
    let read = connection.query_row::<_, WarehouseError>(
        &format!(
            "SELECT count(*), coalesce(sum((h & 18446744073709551615::UHUGEINT)::UBIGINT), 0), \
             coalesce(sum((h >> 64)::UBIGINT), 0) FROM {table}"
        ),
        |row| Ok((row.get::<u64>(0)?, row.get::<u128>(1)?, row.get::<u128>(2)?)),
    )?;
    let (rows, low, high) = read.unwrap_or_default();
    Ok(Fingerprint::new(rows, low, high))
}
