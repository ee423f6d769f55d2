//! Run records: what a run leaves for anybody to read without a lock, in Parquet, so that any tool can query it.
//!
//! A folder per run under the sync's state folder, written once: a draft is filled while the run has the ledger open,
//! and gets the run's number as its name when the ledger has the same. Every change is in it, with what the destination had
//! before: so the present ledger and the records together can go back in time.

mod forgetting;
mod reading;
#[cfg(test)]
mod tests;
mod words;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::durable;
use crate::private;
use crate::report::Split;
use crate::warehouse::{Connection, WarehouseError, quote};

pub(crate) use reading::read_unsettled;
pub use reading::{Difference, Differences, Event, FieldDifference};
pub use words::meaning;

/// The version of the records' format.
const FORMAT: u32 = 1;
/// What a record says of itself.
const SUMMARY: &str = "run.json";
/// What the folders begin with that readers put there what does not fit into memory; gone with them.
const READING: &str = "reading-";
/// The age from which such a folder is one that was left by a process that died.
const STALE: Duration = Duration::from_secs(3_600);
/// Rows that are held in memory to be written together: they have text of a few hundred bytes each.
const ROW_GROUP_ROWS: u64 = 30_720;
/// What a draft's folder ends with.
const DRAFT: &str = ".open";

/// What a run left of rows that did not get through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Attempted and not accepted.
    pub unsettled: Vec<Unsettled>,
    /// Not sendable.
    pub invalid: Vec<Invalid>,
}

/// An operation that was attempted and not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unsettled {
    /// The row's key, a JSON object by column.
    pub key: String,
    /// The difference that it came from.
    pub change: String,
    /// What was asked.
    pub kind: String,
    /// `rejected`, `unknown` or `unmatched`.
    pub state: String,
    /// The destination's code.
    pub code: Option<String>,
    /// What it said, or why the outcome is not known.
    pub message: Option<String>,
    /// The field at fault.
    pub field: Option<String>,
    /// How often in a row, for the same record.
    pub times: u64,
    /// The run in which that began.
    pub since: u64,
    /// The last run that tried.
    pub run: u64,
}

/// A row that cannot be sent (rules 9 and 12).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invalid {
    /// The row's key, a JSON object by column.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// Why a record cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// DuckDB's word.
    #[error("the run's record: {0}")]
    Warehouse(#[from] WarehouseError),
    /// The operating system's word.
    #[error("{path}: {source}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// It is not what was written.
    #[error("{path} is damaged: {message}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

/// What a record says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The format's version.
    pub format: u32,
    /// The run.
    pub run: u64,
    /// When the record was closed, in milliseconds since 1970.
    pub closed_ms: u64,
    /// The operations that the run planned.
    pub operations: Split,
    /// Whether entries that no row had went at the end of a full resync.
    pub resync_over: bool,
    /// Whether everything was replaced by what was written.
    pub replaced: bool,
}

/// A part of a record: a Parquet file, which is not there where it would have no rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Operations with their outcomes.
    Changes,
    /// Which records a first sync made: operations that are not among the changes, as all of them have the same to say.
    First,
    /// Changes that became no operation, with what the ledger says of them after.
    Withheld,
    /// Which records a first rebaseline took for delivered: they are not among what was withheld, as all have the same to say.
    Declared,
    /// Rows that cannot be sent.
    Invalid,
    /// All that is attempted and not accepted, of earlier runs too.
    Unsettled,
}

impl Part {
    /// All parts.
    const ALL: [Self; 6] = [
        Self::Changes,
        Self::First,
        Self::Withheld,
        Self::Declared,
        Self::Invalid,
        Self::Unsettled,
    ];

    const fn file(self) -> &'static str {
        match self {
            Self::Changes => "changes.parquet",
            Self::First => "first.parquet",
            Self::Withheld => "withheld.parquet",
            Self::Declared => "declared.parquet",
            Self::Invalid => "invalid.parquet",
            Self::Unsettled => "unsettled.parquet",
        }
    }
}

/// The records of a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    folder: PathBuf,
}

impl Records {
    /// The records in a sync's state folder.
    #[must_use]
    pub fn of(sync: &Path) -> Self {
        Self {
            folder: sync.join("runs"),
        }
    }

    /// The folder that all records are in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of a run's record.
    #[must_use]
    pub fn of_run(&self, run: u64) -> PathBuf {
        self.folder.join(run.to_string())
    }

    /// The runs that have a record, in order.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn runs(&self) -> Result<Vec<u64>, RecordError> {
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|source| io(&self.folder, source))?,
        };
        let mut runs = Vec::new();
        for entry in entries {
            let name = entry.map_err(|source| io(&self.folder, source))?.file_name();
            runs.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        runs.sort_unstable();
        Ok(runs)
    }

    /// What a run's record says of itself; nothing where there is none.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn summary(&self, run: u64) -> Result<Option<Summary>, RecordError> {
        let path = self.of_run(run).join(SUMMARY);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|source| io(&path, source))?,
        };
        let summary = serde_json::from_str(&text).map_err(|error| RecordError::Damaged {
            path,
            message: error.to_string(),
        })?;
        Ok(Some(summary))
    }

    /// Begins the record of a run, in place of one that was begun before.
    pub(crate) fn begin(&self, run: u64) -> Result<Draft, RecordError> {
        let draft = self.draft(run);
        private::remove(&draft.folder).map_err(|source| io(&draft.folder, source))?;
        private::folder(&draft.folder).map_err(|source| io(&draft.folder, source))?;
        Ok(draft)
    }

    /// The record of a run that was begun before; or begins it, if it was not.
    pub(crate) fn resume(&self, run: u64) -> Result<Draft, RecordError> {
        let draft = self.draft(run);
        private::folder(&draft.folder).map_err(|source| io(&draft.folder, source))?;
        Ok(draft)
    }

    fn draft(&self, run: u64) -> Draft {
        Draft {
            folder: self.folder.join(format!("{run}{DRAFT}")),
            closed: self.of_run(run),
            run,
        }
    }

    /// Makes a draft with all that belongs to it a record. Call it when the ledger has what the record says.
    pub(crate) fn publish(&self, run: u64) -> Result<(), RecordError> {
        let draft = self.draft(run);
        private::remove(&draft.closed).map_err(|source| io(&draft.closed, source))?;
        std::fs::rename(&draft.folder, &draft.closed).map_err(|source| io(&draft.folder, source))?;
        durable::names(&self.folder).map_err(|source| io(&self.folder, source))
    }

    /// Deals with the drafts of stopped runs, all of which the ledger knows the end of: those that are whole become records.
    /// Removes what readers that died have left.
    pub(crate) fn settle(&self) -> Result<(), RecordError> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return Ok(());
        };
        for entry in entries.flatten() {
            let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
            let age = entry.metadata().and_then(|folder| folder.modified());
            let is_stale = age.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > STALE));
            match name.strip_suffix(DRAFT).map(str::parse) {
                Some(Ok(run)) if path.join(SUMMARY).is_file() => self.publish(run)?,
                None if !(name.starts_with(READING) && is_stale) => {}
                _ => private::remove(&path).map_err(|source| io(&path, source))?,
            }
        }
        Ok(())
    }

    /// Removes the records that were closed longer ago than `keep`, but for the newest one. Gives how many.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn sweep(&self, keep: Duration, now: SystemTime) -> Result<usize, RecordError> {
        let mut runs = self.runs()?;
        runs.pop();
        let mut removed = 0;
        for run in runs {
            let closed = match self.summary(run) {
                Ok(Some(summary)) => UNIX_EPOCH + Duration::from_millis(summary.closed_ms),
                // Without a summary it is of a version before records had one, or damaged: its age is the folder's.
                _ => std::fs::metadata(self.of_run(run))
                    .and_then(|folder| folder.modified())
                    .map_err(|source| io(&self.of_run(run), source))?,
            };
            if now.duration_since(closed).is_ok_and(|age| age > keep) {
                // First out of the readers' sight, so that none meets half of it.
                let draft = self.draft(run);
                private::remove(&draft.folder).map_err(|source| io(&draft.folder, source))?;
                std::fs::rename(&draft.closed, &draft.folder).map_err(|source| io(&draft.closed, source))?;
                private::remove(&draft.folder.join(SUMMARY)).map_err(|source| io(&draft.folder, source))?;
                private::remove(&draft.folder).map_err(|source| io(&draft.folder, source))?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// A record that is being written.
#[derive(Debug)]
pub(crate) struct Draft {
    folder: PathBuf,
    closed: PathBuf,
    run: u64,
}

impl Draft {
    /// Writes a part: what `query` gives.
    pub(crate) fn write(&self, connection: &Connection, part: Part, query: &str) -> Result<(), RecordError> {
        write_part(connection, &self.folder.join(part.file()), query)
    }

    /// Completes the draft. What it says holds once the ledger has the same, and it is [published](Records::publish).
    pub(crate) fn complete(&self, summary: Summary) -> Result<(), RecordError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let summary = Summary {
            format: FORMAT,
            run: self.run,
            closed_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            ..summary
        };
        let file = self.folder.join(SUMMARY);
        // A struct of numbers and flags always has a JSON form.
        let text = serde_json::to_string(&summary).unwrap_or_default();
        let write = || -> std::io::Result<()> {
            std::io::Write::write_all(&mut private::file(&file)?, text.as_bytes())?;
            private::seal(&file)
        };
        write().map_err(|source| io(&file, source))
    }
}

/// Writes a file, for its owner only.
fn write_part(connection: &Connection, file: &Path, query: &str) -> Result<(), RecordError> {
    let path = quote::text(&file.to_string_lossy());
    connection.execute(&format!(
        "COPY ({query}) TO {path} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
    ))?;
    private::seal(file).map_err(|source| io(file, source))
}

fn io(path: &Path, source: std::io::Error) -> RecordError {
    RecordError::Io {
        path: path.to_owned(),
        source,
    }
}
