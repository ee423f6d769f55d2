//! Releasing parked rows, under the sync's lock (rule 2). Nothing is sent.

use std::path::PathBuf;
use std::sync::Arc;

use super::RunError;
use super::apart::Apart;
use super::desk::remove;
use super::lock::SyncLock;
use super::work::blocking;
use crate::ledger::{Note, Released};
use crate::record::Records;

/// Releases what is parked, of these keys or, with none, of all; gives what that was, and what the catalog is to remember
/// of the ledger.
///
/// # Errors
/// When a text is no key, or the ledger cannot be used.
pub async fn release(
    lock: Arc<SyncLock>,
    extensions: Vec<PathBuf>,
    note: Option<Note>,
    keys: Option<Vec<String>>,
) -> Result<(Released, Option<Note>), RunError> {
    blocking(move || {
        let mut apart = Apart::open(&lock, &extensions, true, note.as_ref())?;
        apart.ledger.keep_records(Records::of(lock.folder()));
        apart.ledger.recover(&mut apart.connection, &lock.journal())?;
        remove(&lock.journal())?;
        let released = apart.ledger.release(&mut apart.connection, keys.as_deref())?;
        Ok((released, apart.ledger.note()))
    })
    .await
}
