//! The desired state in its thin form: key, match value, hash, and why a row cannot be sent.

use super::Sketch;
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

/// Runs `query` (key, match value, hash, fault) into the temporary table `~desired`. With `sketched`, it also gives the
/// hashes of the rows that have no fault by themselves, by bucket.
pub(crate) fn desired(
    connection: &mut Connection,
    query: &str,
    sketched: bool,
) -> Result<(Desired, Option<Sketch>), WarehouseError> {
    let table = temporary("desired");
    drop_temporary(connection, &["desired"])?;
    connection.execute(&format!("CREATE TEMP TABLE {table} AS {query}"))?;
    let mut sketch = None;
    let fingerprint = if sketched {
        let sketch = sketch.insert(Sketch::new(tables::count(connection, &table)?));
        sketch_of(connection, &table, sketch)?
    } else {
        fingerprint_of(connection, &table)?
    };
    let desired = Desired {
        fingerprint,
        null_keys: 0,
        invalid: 0,
    };
    Ok((desired, sketch))
}

/// The fingerprint and the sketch, in one reading.
fn sketch_of(connection: &mut Connection, table: &str, sketch: &mut Sketch) -> Result<Fingerprint, WarehouseError> {
    let (mut count, mut low, mut high) = (0, 0_u128, 0_u128);
    let mut rows = connection.stream(&format!("SELECT h, fault IS NULL FROM {table}"))?;
    while let Some(row) = rows.next_row()? {
        let hash: u128 = row.get(0)?;
        count += 1;
        low += hash & u128::from(u64::MAX);
        high += hash >> 64;
        if row.get(1)? {
            sketch.add(hash);
        }
    }
    Ok(Fingerprint::new(count, low, high))
}

impl Desired {
    /// Marks the rows that cannot be sent because of others: keys that occur more than once, and places that several rows
    /// share (rules 9 and 12). Apart from [`desired`], because a run without changes needs none of it.
    ///
    /// With `narrowed`, the rows that may differ are marked too, and where a place is nothing but the key only theirs are
    /// looked for: an entry is the only one of its key, so that of two rows of a key one at least is not as acknowledged.
    pub(crate) fn validate(
        &mut self,
        connection: &Connection,
        layout: &Layout,
        narrowed: bool,
    ) -> Result<(), WarehouseError> {
        let (table, near) = (&temporary("desired"), temporary("near_rows"));
        let among = if narrowed && layout.place_is_key() {
            format!("{table} AS d SEMI JOIN {near} AS n ON {}", layout.same_key("n", "d"))
        } else {
            format!("{table} AS d")
        };
        let marked = if narrowed {
            vec![table.as_str(), near.as_str()]
        } else {
            vec![table.as_str()]
        };
        // Cheaper to see than to group by, and a model is often in order.
        let ascends =
            !narrowed && tables::every_row_follows(connection, table, ">", &layout.comparable_key_columns(""))?;
        if !ascends {
            mark_repeated(
                connection,
                &among,
                &marked,
                &layout.comparable_keys("d."),
                &layout.comparable_keys(""),
                FAULT_REPEATED_KEY,
            )?;
        }
        if !layout.place_is_key() {
            mark_repeated(
                connection,
                &among,
                &marked,
                &layout.comparable_place("d."),
                &layout.comparable_place(""),
                FAULT_SHARED_MATCH,
            )?;
        }
        let counts = connection.query_row::<_, WarehouseError>(
            &format!("SELECT count(*) FILTER (WHERE fault = '{FAULT_NULL_KEY}'), count(fault) FROM {table}"),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        (self.null_keys, self.invalid) = counts.unwrap_or_default();
        Ok(())
    }
}

/// Marks every row of the tables `marked` whose `columns` occur more than once in `among` (there as `qualified`), unless it is
/// at fault already or has a null there.
fn mark_repeated(
    connection: &Connection,
    among: &str,
    marked: &[&str],
    qualified: &str,
    columns: &str,
    fault: &str,
) -> Result<(), WarehouseError> {
    let repeated = temporary("repeated");
    drop_temporary(connection, &["repeated"])?;
    connection.execute(&format!(
        "CREATE TEMP TABLE {repeated} AS SELECT {qualified} FROM {among} GROUP BY ALL HAVING count(*) > 1"
    ))?;
    if tables::count(connection, &repeated)? > 0 {
        for table in marked {
            // IN is never true for a null, which has a fault of its own.
            connection.execute(&format!(
                "UPDATE {table} SET fault = '{fault}' WHERE fault IS NULL AND ({columns}) IN (FROM {repeated})"
            ))?;
        }
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
