//! A folder to work in without a sync's ledger, and so without its lock.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lock::{self, SyncLock};
use crate::private;

/// A folder of its own beside the copies of readers, removed with it; what a process that died left is swept as theirs.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    /// The folder's own lock, which nobody else knows of.
    pub lock: Arc<SyncLock>,
}

impl Scratch {
    /// Makes one for a sync.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn new(state: &Path, sync: &str) -> std::io::Result<Self> {
        // Drawn, as processes in containers that share the state may have one number.
        let name = format!("{:032x}", rand::random::<u128>());
        let folder = lock::folder(state, sync).join("reading").join(name);
        private::folder(&folder)?;
        let lock = Arc::new(SyncLock::of_copy(folder.clone())?);
        Ok(Self { folder, lock })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = private::remove(&self.folder);
    }
}
