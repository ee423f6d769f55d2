//! One run per sync at a time, over all processes (rule 30): a lock that the kernel lets go when the process dies.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A sync's state folder, held. Whoever has it may open the ledger; DuckDB's own lock does not keep a second opening in
/// the same process out.
#[derive(Debug)]
pub struct SyncLock {
    folder: PathBuf,
    /// Locked as long as it is open.
    _file: File,
}

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The user.
    pub by: String,
    /// The process.
    pub process: u32,
    /// Since when.
    pub since: DateTime<Utc>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { by, process, since } = self;
        write!(
            f,
            "{by} (process {process}) since {}",
            since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
        )
    }
}

/// What came of asking for a lock.
#[derive(Debug)]
pub enum Asked {
    /// It is ours.
    Held(SyncLock),
    /// Another has it; who, where that is written down already.
    Taken(Option<Holder>),
}

impl SyncLock {
    /// Asks for the lock of a sync, whose folder under `state` is made where it is not there, for its owner only.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn ask(state: &Path, sync: &str, by: &str) -> std::io::Result<Asked> {
        let folder = folder(state, sync);
        private_folder(&folder)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(folder.join("lock"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text)?;
                return Ok(Asked::Taken(serde_json::from_str(&text).ok()));
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
        }
        let holder = Holder {
            by: by.to_owned(),
            process: std::process::id(),
            since: Utc::now(),
        };
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(serde_json::to_string(&holder)?.as_bytes())?;
        Ok(Asked::Held(Self { folder, _file: file }))
    }

    /// The sync's state folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The ledger's file.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.folder.join("ledger.duckdb")
    }

    /// The journal's file.
    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.join("journal")
    }

    /// Where queries put what does not fit into memory.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.folder.join("temporary")
    }
}

/// The state folder of a sync.
#[must_use]
pub fn folder(state: &Path, sync: &str) -> PathBuf {
    state.join("syncs").join(sync)
}

/// Moves a file of the state, and its write-ahead log, to a name beside it that is free; gives that name.
pub(crate) fn set_aside(file: &Path) -> std::io::Result<PathBuf> {
    let beside = |file: &Path, suffix: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = (1..)
        .map(|number| beside(file, &format!(".aside-{number}")))
        .find(|path| !path.exists())
        .ok_or_else(|| std::io::Error::other("no name is free"))?;
    let log = beside(file, ".wal");
    if log.exists() {
        std::fs::rename(&log, beside(&aside, ".wal"))?;
    }
    std::fs::rename(file, &aside)?;
    Ok(aside)
}

/// Makes a folder that only its owner can look into (rule 39).
pub(crate) fn private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_30_one_at_a_time_and_the_other_is_told_who() {
        let state = tempfile::tempdir().unwrap();
        let Asked::Held(lock) = SyncLock::ask(state.path(), "a", "ann").unwrap() else {
            panic!("it was free")
        };
        let Asked::Taken(Some(holder)) = SyncLock::ask(state.path(), "a", "bob").unwrap() else {
            panic!("it is held")
        };
        assert_eq!((holder.by.as_str(), holder.process), ("ann", std::process::id()));
        assert!(
            matches!(SyncLock::ask(state.path(), "b", "bob").unwrap(), Asked::Held(_)),
            "another sync is free"
        );
        drop(lock);
        assert!(matches!(
            SyncLock::ask(state.path(), "a", "bob").unwrap(),
            Asked::Held(_)
        ));
    }

    #[cfg(unix)]
    #[test]
    fn rule_39_the_folder_is_its_owners() {
        use std::os::unix::fs::PermissionsExt;
        let state = tempfile::tempdir().unwrap();
        let asked = SyncLock::ask(&state.path().join("state"), "a", "ann").unwrap();
        let Asked::Held(lock) = asked else {
            panic!("it was free")
        };
        assert_eq!(lock.folder().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
}
