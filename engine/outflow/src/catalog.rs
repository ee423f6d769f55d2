//! The catalog: what several processes that share a project must know of each other.
//!
//! One SQLite file per project: which syncs there are and who made them, their runs with counts and ends, the follow-ups
//! that wait, when each schedule last fired, and a note of each ledger's last commit (rule 7), against which a ledger is
//! compared when it is opened. Any process reads and writes it at any time; a reader never waits for a run.

mod private;
mod queue;
mod runs;
mod schema;
mod syncs;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::Connection;

pub use queue::{Cause, Order, Settle, Taken, Ticket, Trigger};
pub use runs::{Begun, Ended, Run};
pub use syncs::SyncRow;

/// How long a writer waits for another process's short transaction.
const BUSY: Duration = Duration::from_secs(30);

/// An open catalog. Cheap transactions, one at a time.
pub struct Catalog {
    connection: Mutex<Connection>,
    path: PathBuf,
}

/// Why the catalog cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// SQLite's word.
    #[error("the catalog {path}: {source}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: rusqlite::Error,
    },
    /// The operating system's word.
    #[error("the catalog {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// Others may look into the folder, and it may be theirs.
    #[error(
        "the state would be kept in {path}, which others can look into (mode {mode:o}), and which cannot be closed to them: {reason}; name a folder of its own"
    )]
    Open {
        /// The folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// Why it is left as it is.
        reason: String,
    },
    /// A newer version of outflow wrote it.
    #[error(
        "the catalog {path} has format {found}, and this version of outflow reads up to {known}; use the newer version"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
}

impl Catalog {
    /// Opens the catalog in a state folder; both are made where they are not there, for their owner only (rule 39).
    ///
    /// # Errors
    /// When they cannot be made, read or closed to others, or a newer version wrote the catalog.
    pub fn open(state: &Path) -> Result<Self, CatalogError> {
        let path = state.join("catalog.sqlite");
        let io = |source| CatalogError::Io {
            path: path.clone(),
            source,
        };
        private::folder(state, &path)?;
        private::file(&path).map_err(io)?;
        let database = |source| CatalogError::Database {
            path: path.clone(),
            source,
        };
        let mut connection = Connection::open(&path).map_err(database)?;
        connection.busy_timeout(BUSY).map_err(database)?;
        write_ahead(&connection).map_err(database)?;
        connection
            .execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")
            .map_err(database)?;
        let found = schema::migrate(&mut connection).map_err(database)?;
        if found > schema::FORMAT {
            return Err(CatalogError::Newer {
                path,
                found,
                known: schema::FORMAT,
            });
        }
        Ok(Self {
            connection: Mutex::new(connection),
            path,
        })
    }

    /// Works in a transaction that takes the write lock at once, so that it never has to be begun again.
    fn write<T>(
        &self,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, CatalogError> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate);
        transaction
            .and_then(|transaction| {
                let value = work(&transaction)?;
                transaction.commit()?;
                Ok(value)
            })
            .map_err(|source| self.fault(source))
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, CatalogError> {
        work(&self.connection()).map_err(|source| self.fault(source))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic in a transaction rolled it back, so the connection is sound.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, source: rusqlite::Error) -> CatalogError {
        CatalogError::Database {
            path: self.path.clone(),
            source,
        }
    }
}

/// Lets readers and writers work beside each other. SQLite does not wait here where several processes open a new file at
/// once, so we do.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let begun = Instant::now();
    loop {
        match connection.execute_batch("PRAGMA journal_mode = WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) && begun.elapsed() < BUSY =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            done => return done,
        }
    }
}

/// Times are kept as RFC 3339 text in UTC with milliseconds, which sorts as time does.
fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn time(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<DateTime<Utc>> {
    row.get(column)
}

fn time_if_any(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Option<DateTime<Utc>>> {
    row.get(column)
}
