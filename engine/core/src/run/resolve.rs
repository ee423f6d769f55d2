//! A person's word on what is uncertain, under the sync's lock (rule 3). Nothing is sent.

use std::path::PathBuf;
use std::sync::Arc;

use super::RunError;
use super::apart::{Apart, Edited};
use super::lock::SyncLock;
use super::work::blocking;
use crate::ledger::{Arrival, Note, Resolved};
use crate::record::Records;

/// Takes a person's word on keys; gives what became of each.
///
/// # Errors
/// When a text is no key, or the ledger cannot be used.
pub async fn resolve(
    lock: Arc<SyncLock>,
    extensions: Vec<PathBuf>,
    note: Option<Note>,
    keys: Vec<String>,
    arrival: Arrival,
) -> Result<Edited<Vec<Resolved>>, RunError> {
    blocking(move || {
        let (mut apart, recovered) = Apart::edit(&lock, &extensions, note.as_ref())?;
        let records = Records::of(lock.folder());
        let done = apart.ledger.resolve(&mut apart.connection, &keys, arrival, &records)?;
        Ok(Edited {
            done,
            recovered,
            note: apart.ledger.note(),
        })
    })
    .await
}
