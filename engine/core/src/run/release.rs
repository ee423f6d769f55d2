//! Releasing parked rows, under the sync's lock (rule 2). Nothing is sent.

use std::path::PathBuf;
use std::sync::Arc;

use super::RunError;
use super::apart::{Apart, Edited};
use super::lock::SyncLock;
use super::work::blocking;
use crate::ledger::{Note, Released};

/// Releases what is parked, of these keys or, with none, of all.
///
/// # Errors
/// When a text is no key, or the ledger cannot be used.
pub async fn release(
    lock: Arc<SyncLock>,
    extensions: Vec<PathBuf>,
    note: Option<Note>,
    keys: Option<Vec<String>>,
) -> Result<Edited<Released>, RunError> {
    blocking(move || {
        let (mut apart, recovered) = Apart::edit(&lock, &extensions, note.as_ref())?;
        let done = apart.ledger.release(&mut apart.connection, keys.as_deref())?;
        Ok(Edited {
            done,
            recovered,
            note: apart.ledger.note(),
        })
    })
    .await
}
