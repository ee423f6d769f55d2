//! A person's word on what is uncertain, under the sync's lock (rule 3). Nothing is sent.

use std::path::PathBuf;
use std::sync::Arc;

use super::RunError;
use super::apart::Apart;
use super::desk::remove;
use super::lock::SyncLock;
use super::work::blocking;
use crate::ledger::{Arrival, Note, Resolved};
use crate::record::Records;

/// Takes a person's word on keys; gives what became of each, and what the catalog is to remember of the ledger.
///
/// # Errors
/// When a text is no key, or the ledger cannot be used.
pub async fn resolve(
    lock: Arc<SyncLock>,
    extensions: Vec<PathBuf>,
    note: Option<Note>,
    keys: Vec<String>,
    arrival: Arrival,
) -> Result<(Vec<Resolved>, Option<Note>), RunError> {
    blocking(move || {
        let mut apart = Apart::open(&lock, &extensions, true, note.as_ref())?;
        let records = Records::of(lock.folder());
        apart.ledger.keep_records(records.clone());
        apart.ledger.recover(&mut apart.connection, &lock.journal())?;
        remove(&lock.journal())?;
        let resolved = apart.ledger.resolve(&mut apart.connection, &keys, arrival, &records)?;
        Ok((resolved, apart.ledger.note()))
    })
    .await
}
