//! Migration: a ledger of an older format is brought up to the present one, in one transaction (rule 8).

use super::meta::FORMAT;
use super::tables::{ENTRIES, PLAN};
use super::{LedgerError, Meta};
use crate::warehouse::Connection;

/// Brings the ledger up to [`FORMAT`].
///
/// # Errors
/// [`LedgerError::ToMigrate`] where it may not be written.
pub(super) fn migrate(connection: &mut Connection, meta: &mut Meta, writable: bool) -> Result<(), LedgerError> {
    if meta.format == FORMAT {
        return Ok(());
    }
    if !writable {
        return Err(LedgerError::ToMigrate { format: meta.format });
    }
    let mut next = meta.clone();
    connection.transaction::<_, LedgerError>(|connection| {
        if next.format < 2 {
            mappings_have_versions(connection, &next)?;
        }
        next.format = FORMAT;
        next.write(connection)?;
        Ok(())
    })?;
    *meta = next;
    Ok(())
}

/// Format 2: an entry names the mappings' version.
fn mappings_have_versions(connection: &Connection, meta: &Meta) -> Result<(), LedgerError> {
    let mut rows = vec![ENTRIES];
    rows.extend(meta.plan.is_some().then_some(PLAN));
    for table in rows {
        connection.execute(&format!("ALTER TABLE {table} ADD COLUMN mapping UBIGINT DEFAULT 0"))?;
        connection.execute(&format!("ALTER TABLE {table} ALTER mapping DROP DEFAULT"))?;
    }
    Ok(())
}
