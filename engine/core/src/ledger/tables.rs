//! The ledger's tables. Entries and plan have one shape, so that a first plan can become the entries as it is.

use crate::mapping::Layout;
use crate::operation::{Change, Kind};
use crate::warehouse::{Connection, WarehouseError, quote};

/// The entries: one row per key and place that the destination has, as far as it told.
pub(crate) const ENTRIES: &str = "ledger.main.entries";
/// The operations of the open plan, by `ordinal`.
pub(crate) const PLAN: &str = "ledger.main.plan";
/// The model's rows as they were read before there were any entries, in the shape of a plan that sends them all: they become
/// the plan as they are, unless some of them cannot be sent.
pub(crate) const STAGED: &str = "ledger.main.staged";
/// Operations that were attempted and not accepted: they decide ids (rule 27), waiting (rule 20) and the rejected list.
pub(crate) const UNSETTLED: &str = "ledger.main.unsettled";
/// Sets of removals that were not done, by token: of those that a guard stopped (rule 35), and [`LEFT`].
pub(crate) const PROPOSED: &str = "ledger.main.proposed";
/// The token of what left under `nothing` while removals were held or stopped, so that it still has entries (rule 21).
pub(crate) const LEFT: &str = "left";

/// The change of an entry that goes at the end of the full resync which found its row gone.
const GONE: &str = "gone";

/// The columns of a row before its identity.
pub(crate) const HEAD: &str = "change, kind, op_run";
/// The columns of a row after its image.
pub(crate) const TAIL: &str = "dest_id, epoch, assumed, uncertain, memory, mapping";

/// The definition of entries and plan. An entry keeps the first four columns of the operation that made it.
///
/// - `op_run`: the run that first planned the operation; part of its id.
/// - `h`: the canonical hash of the row; of an entry, null where nothing was ever acknowledged.
/// - `epoch`: the full resync under which the row was sent.
/// - `assumed`: nobody acknowledged it, but a person or a mode declared it.
/// - `uncertain`: the destination may hold something else (rule 3).
/// - `memory`: the key left in insert mode and is remembered (rule 19).
/// - `mapping`: the version of the mappings under which it was acknowledged (rule 15).
fn rows(layout: &Layout) -> String {
    let images: String = layout
        .image
        .iter()
        .enumerate()
        .map(|(index, column)| format!("i{index} {}, ", column.data_type))
        .collect();
    // Words of a known few are numbers in the file; as texts, each would be looked at before it is compressed.
    let words = |words: &mut dyn Iterator<Item = &'static str>| {
        let quoted: Vec<_> = words.map(quote::text).collect();
        format!("ENUM ({})", quoted.join(", "))
    };
    let changes = words(&mut Change::ALL.into_iter().map(Change::as_str).chain([GONE]));
    let kinds = words(&mut Kind::ALL.into_iter().map(Kind::as_str));
    format!(
        "(ordinal UBIGINT, change {changes}, kind {kinds}, op_run UBIGINT, {}, h UHUGEINT, {images}\
         dest_id VARCHAR, epoch UBIGINT, assumed BOOLEAN, uncertain BOOLEAN, memory BOOLEAN, mapping UBIGINT)",
        layout.identity_definition()
    )
}

/// Makes all tables.
pub(super) fn create(connection: &Connection, layout: &Layout) -> Result<(), WarehouseError> {
    connection.execute("CREATE TABLE ledger.main.meta (state VARCHAR); INSERT INTO ledger.main.meta VALUES (NULL)")?;
    create_rows(connection, ENTRIES, layout)?;
    create_small(connection, layout)
}

/// Makes a table of rows.
pub(crate) fn create_rows(connection: &Connection, table: &str, layout: &Layout) -> Result<(), WarehouseError> {
    let temporary = if table.starts_with("temp.") { "TEMP " } else { "" };
    connection.execute(&format!("CREATE {temporary}TABLE {table} {}", rows(layout)))?;
    Ok(())
}

/// Makes the tables of unsettled operations and of proposed removals.
pub(super) fn create_small(connection: &Connection, layout: &Layout) -> Result<(), WarehouseError> {
    create_unsettled(connection, UNSETTLED, layout)?;
    connection.execute(&format!(
        "CREATE TABLE {PROPOSED} (token VARCHAR, run UBIGINT, {})",
        layout.identity_definition()
    ))?;
    Ok(())
}

/// Makes a table of unsettled operations.
pub(crate) fn create_unsettled(connection: &Connection, table: &str, layout: &Layout) -> Result<(), WarehouseError> {
    let temporary = if table.starts_with("temp.") { "TEMP " } else { "" };
    connection.execute(&format!(
        "CREATE {temporary}TABLE {table} ({}, change VARCHAR, kind VARCHAR, op_run UBIGINT, h UHUGEINT, epoch UBIGINT, \
         state VARCHAR, code VARCHAR, message VARCHAR, field VARCHAR, times UBIGINT, since UBIGINT, run UBIGINT)",
        layout.identity_definition()
    ))?;
    Ok(())
}

/// Rows in a table.
pub(crate) fn count(connection: &Connection, table: &str) -> Result<u64, WarehouseError> {
    Ok(connection
        .scalar(&format!("SELECT count(*) FROM {table}"))?
        .unwrap_or_default())
}

/// Whether every row of a table but the first is, in `columns`, so (`>`, `>=`) to the one that is stored before it.
pub(crate) fn every_row_follows(
    connection: &Connection,
    table: &str,
    so: &str,
    columns: &[String],
) -> Result<bool, WarehouseError> {
    let before: Vec<String> = columns.iter().map(|column| format!("lag({column}) OVER ()")).collect();
    let does_not: Option<bool> = connection.scalar(&format!(
        "SELECT bool_or(does_not) FROM \
         (SELECT lag(true) OVER () AND (row({}) {so} row({})) IS NOT TRUE AS does_not FROM {table})",
        columns.join(", "),
        before.join(", "),
    ))?;
    Ok(does_not != Some(true))
}

/// Makes what was staged the plan.
pub(crate) fn plan_staged(connection: &Connection) -> Result<(), WarehouseError> {
    connection.execute(&format!("ALTER TABLE {STAGED} RENAME TO plan"))?;
    Ok(())
}

/// Drops what was staged, if there is any.
pub(crate) fn drop_staged(connection: &Connection) -> Result<(), WarehouseError> {
    connection.execute(&format!("DROP TABLE IF EXISTS {STAGED}"))?;
    Ok(())
}

/// Replaces the entries by the rows of `table`, in the ledger too, and makes the small tables anew for the layout.
pub(crate) fn replace_entries(connection: &Connection, table: &str) -> Result<(), WarehouseError> {
    connection.execute(&format!("DROP TABLE {ENTRIES}; ALTER TABLE {table} RENAME TO entries"))?;
    Ok(())
}

/// A layout's small tables anew: what was unsettled at other keys or places says nothing of these.
pub(crate) fn renew_small(connection: &Connection, layout: &Layout) -> Result<(), WarehouseError> {
    connection.execute(&format!("DROP TABLE {UNSETTLED}; DROP TABLE {PROPOSED}"))?;
    create_small(connection, layout)
}

/// A name for a temporary table that no source can have.
pub(crate) fn temporary(name: &str) -> String {
    format!("temp.main.{}", quote::identifier(&format!("~{name}")))
}

/// Drops temporary tables where they are.
pub(crate) fn drop_temporary(connection: &Connection, names: &[&str]) -> Result<(), WarehouseError> {
    for name in names {
        connection.execute(&format!("DROP TABLE IF EXISTS {}", temporary(name)))?;
    }
    Ok(())
}
