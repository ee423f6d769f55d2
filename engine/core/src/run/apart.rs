//! A ledger that is opened apart from a run: to look at it, or to change what a person says of it.

use std::path::PathBuf;

use super::RunError;
use super::desk::remove;
use super::lock::SyncLock;
use crate::ledger::{Folded, Ledger, Note};
use crate::private;
use crate::record::Records;
use crate::warehouse::{Connection, Warehouse, WarehouseOptions};

/// What an instance may use that has only a ledger to read, in bytes.
const MEMORY_BYTES: u64 = 192_000_000;

/// An open ledger. Its instance has nothing else.
pub struct Apart {
    /// The ledger.
    pub ledger: Ledger,
    /// A connection for the work on it.
    pub connection: Connection,
    /// The instance.
    pub warehouse: Warehouse,
}

/// What a person changed in a ledger.
#[derive(Debug)]
pub struct Edited<T> {
    /// What became of it.
    pub done: T,
    /// What came of a run whose process died, where its outcomes were taken in first.
    pub recovered: Option<Folded>,
    /// What the catalog is to remember of the ledger.
    pub note: Option<Note>,
}

impl Apart {
    /// Opens the ledger that a lock is of.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn open(
        lock: &SyncLock,
        extensions: &[PathBuf],
        writable: bool,
        note: Option<&Note>,
    ) -> Result<Self, RunError> {
        private::folder(&lock.temporary()).map_err(|source| RunError::Io {
            path: lock.temporary(),
            source,
        })?;
        let warehouse = Warehouse::open(&WarehouseOptions {
            memory_limit_bytes: MEMORY_BYTES,
            threads: 2,
            temp_dir: lock.temporary(),
            extension_dirs: extensions.to_vec(),
        })?;
        let ledger = Ledger::open(&warehouse, &lock.ledger(), writable, note)?;
        let connection = warehouse.connect()?;
        Ok(Self {
            ledger,
            connection,
            warehouse,
        })
    }

    /// Opens the ledger to change it, with the sync's lock held. What a stopped run left is taken in first, for good.
    ///
    /// # Errors
    /// As [`Ledger::open`] and [`Ledger::recover`].
    pub fn edit(
        lock: &SyncLock,
        extensions: &[PathBuf],
        note: Option<&Note>,
    ) -> Result<(Self, Option<Folded>), RunError> {
        let mut apart = Self::open(lock, extensions, true, note)?;
        apart.ledger.keep_records(Records::of(lock.folder()));
        let recovered = apart.ledger.recover(&mut apart.connection, &lock.journal())?;
        remove(&lock.journal())?;
        Ok((apart, recovered))
    }
}
