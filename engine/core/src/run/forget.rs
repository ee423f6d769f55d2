//! Forgetting keys (rule 39): their values are erased from ledger, journal and records. Nothing is sent.

use std::path::Path;
use std::sync::Arc;

use super::apart::{Apart, Edited};
use super::compile::{Access, Compiled};
use super::lock::SyncLock;
use super::work::blocking;
use super::{RunError, RunRequest, compiled};
use crate::ledger::tables::temporary;
use crate::ledger::{EditError, LedgerError, Note};
use crate::mapping::key;
use crate::record::Records;
use crate::warehouse::WarehouseError;
use crate::{durable, private};

/// What was forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// The keys, each a JSON object by column.
    pub keys: Vec<String>,
    /// The entries that the ledger had of them.
    pub entries: u64,
    /// The rows that records of runs had of them.
    pub recorded: u64,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl From<EditError> for RunError {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Key(error) => error.into(),
            EditError::Ledger(error) => error.into(),
        }
    }
}

/// Which of these keys the model has, each as a JSON object by column. Reads the ledger too, for the types of sources.
///
/// # Errors
/// When a text is no key, or the model cannot be read.
pub async fn in_model(request: &RunRequest, keys: Vec<String>) -> Result<Vec<String>, RunError> {
    let Compiled {
        connection,
        projection,
        opened,
        ..
    } = compiled(request, Access::Read).await?;
    blocking(move || {
        let layout = &projection.layout;
        let wanted = temporary("wanted");
        key::read(&connection, layout, &keys, &wanted)?;
        let found = connection.query_rows::<_, WarehouseError>(
            &format!(
                "SELECT DISTINCT {key} FROM {rows} AS r JOIN {wanted} AS w ON {same} ORDER BY 1",
                key = layout.key_json("w."),
                rows = projection.relation(),
                same = layout.same_key("r", "w"),
            ),
            |row| row.get(0),
        )?;
        drop(opened);
        Ok(found)
    })
    .await
}

/// Forgets keys, with the sync's lock held. Where that fails, it is to be done again: some of it may be done.
///
/// # Errors
/// When a text is no key, or ledger or records cannot be read or written.
pub async fn forget(
    lock: Arc<SyncLock>,
    extensions: Vec<std::path::PathBuf>,
    note: Option<Note>,
    keys: Vec<String>,
) -> Result<Edited<Forgotten>, RunError> {
    blocking(move || {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| RunError::Io { path, source }
        };
        let mut forgotten = Forgotten::default();
        let (mut recovered, mut after) = (None, None);
        let records = Records::of(lock.folder());
        if lock.ledger().exists() {
            let (apart, folded) = Apart::edit(&lock, &extensions, note.as_ref())?;
            let Apart {
                mut ledger,
                mut connection,
                warehouse,
            } = apart;
            if let Some(folded) = &folded {
                forgotten.notes.push(format!(
                    "run {} had been stopped; what it delivered was taken in first",
                    folded.run
                ));
            }
            recovered = folded;
            let done = ledger.forget(&mut connection, &keys)?;
            (forgotten.keys, forgotten.entries) = (done.keys, done.entries);
            after = ledger.note();
            // Pages that are free in the file still have what was in them, so the file is written anew.
            let anew = lock.folder().join("ledger.anew");
            private::remove(&anew).map_err(at(&anew))?;
            warehouse.copy_ledger(&anew)?;
            warehouse.detach_ledger()?;
            drop((connection, warehouse));
            private::seal(&anew).map_err(at(&anew))?;
            let log = lock.folder().join("ledger.duckdb.wal");
            private::remove(&log).map_err(at(&log))?;
            std::fs::rename(&anew, lock.ledger()).map_err(at(&anew))?;
            durable::names(lock.folder()).map_err(at(lock.folder()))?;
        }
        forgotten.recorded = records.forget(&forgotten.keys).map_err(LedgerError::from)?;
        private::remove(&lock.temporary()).map_err(at(&lock.temporary()))?;
        forgotten
            .notes
            .extend(leftovers(lock.folder()).map_err(at(lock.folder()))?);
        Ok(Edited {
            done: forgotten,
            recovered,
            note: after,
        })
    })
    .await
}

/// Removes the copies that readers have left, and says what else may hold values.
fn leftovers(folder: &Path) -> std::io::Result<Vec<String>> {
    let mut notes = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.contains(".aside-") {
            notes.push(format!(
                "{} was set aside and may have values of it; remove it when you need it no more",
                path.display()
            ));
        }
    }
    let reading = super::snapshot::sweep_unused(folder)?;
    if reading > 0 {
        notes.push(format!(
            "{reading} readers have a copy of the ledger as it was before, until they are done"
        ));
    }
    Ok(notes)
}
