//! A ledger that is opened apart from a run: to look at it, or to change what a person says of it.

use std::path::PathBuf;

use super::RunError;
use super::lock::SyncLock;
use crate::ledger::{Ledger, Note};
use crate::private;
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
}
