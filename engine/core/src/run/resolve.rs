//! A person's word on what is uncertain, under the sync's lock (rule 3). Nothing is sent.

use std::path::PathBuf;
use std::sync::Arc;

use super::RunError;
use super::apart::Apart;
use super::desk::remove;
use super::lock::SyncLock;
use super::work::blocking;
use crate::ledger::{Arrival, Folded, Note, Resolved};
use crate::record::Records;

/// What came of a person's word.
#[derive(Debug)]
pub struct Settled {
    /// What became of each key.
    pub resolved: Vec<Resolved>,
    /// What came of a run whose process died, where its outcomes were taken in first.
    pub recovered: Option<Folded>,
    /// What the catalog is to remember of the ledger.
    pub note: Option<Note>,
}

/// Takes a person's word on keys.
///
/// # Errors
/// When a text is no key, or the ledger cannot be used.
pub async fn resolve(
    lock: Arc<SyncLock>,
    extensions: Vec<PathBuf>,
    note: Option<Note>,
    keys: Vec<String>,
    arrival: Arrival,
) -> Result<Settled, RunError> {
    blocking(move || {
        let mut apart = Apart::open(&lock, &extensions, true, note.as_ref())?;
        let records = Records::of(lock.folder());
        apart.ledger.keep_records(records.clone());
        let recovered = apart.ledger.recover(&mut apart.connection, &lock.journal())?;
        remove(&lock.journal())?;
        let resolved = apart.ledger.resolve(&mut apart.connection, &keys, arrival, &records)?;
        Ok(Settled {
            resolved,
            recovered,
            note: apart.ledger.note(),
        })
    })
    .await
}
