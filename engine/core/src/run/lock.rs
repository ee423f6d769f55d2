//! One run per sync at a time, over all processes (rule 30): a lock that the kernel lets go when the process dies.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::durable::{self, Held};
use crate::private;

/// How long somebody who only looks is waited for.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// A sync's state folder, held. Whoever has it may open the ledger; DuckDB's own lock does not keep a second opening in
/// the same process out.
#[derive(Debug)]
pub struct SyncLock {
    folder: PathBuf,
    /// Locked as long as it is open.
    file: Arc<Held>,
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
        durable::folder(&folder)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let path = folder.join("lock");
        let mut file = options.open(&path)?;
        let asked = Instant::now();
        while let Err(error) = file.try_lock() {
            if let std::fs::TryLockError::Error(error) = error {
                return Err(error);
            }
            // Somebody who only looks has it for an instant, and shares it.
            if file.try_lock_shared().is_ok() && asked.elapsed() < LOOK_MAX {
                file.unlock()?;
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            return Ok(Asked::Taken(serde_json::from_str(&text).ok()));
        }
        let holder = Holder {
            by: by.to_owned(),
            process: std::process::id(),
            since: Utc::now(),
        };
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(serde_json::to_string(&holder)?.as_bytes())?;
        close(&folder)?;
        let file = Arc::new(Held::new(file, path));
        Ok(Asked::Held(Self { folder, file }))
    }

    /// Looks whether somebody has the lock of a sync, and who; nothing where it is free. Keeps nobody from getting it.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn look(state: &Path, sync: &str) -> std::io::Result<Option<Option<Holder>>> {
        let mut file = match File::open(folder(state, sync).join("lock")) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text)?;
                Ok(Some(serde_json::from_str(&text).ok()))
            }
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// The lock of a copy of a sync's state, which nobody else knows of.
    pub(crate) fn of_copy(folder: PathBuf) -> std::io::Result<Self> {
        let path = folder.join("lock");
        let file = private::file(&path)?;
        file.lock()?;
        let file = Arc::new(Held::new(file, path));
        Ok(Self { folder, file })
    }

    /// The sync's state folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether it still keeps everybody else out. It does not where another file was put in its place, for example with a
    /// state folder that was restored while this process was suspended (rule 30).
    ///
    /// # Errors
    /// That it does not.
    pub fn check(&self) -> std::io::Result<()> {
        self.file.check()
    }

    /// The lock's file, for whoever writes under it.
    pub(crate) fn held(&self) -> Arc<Held> {
        Arc::clone(&self.file)
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

impl Drop for SyncLock {
    fn drop(&mut self) {
        // DuckDB makes its files for everybody. Nobody else can look into the folder; this is for copies of it.
        let _ = close(&self.folder);
    }
}

/// Takes everybody else's rights to a folder and to the files in it away (rule 39).
fn close(folder: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let close = |path: &Path, mode: u32| -> std::io::Result<()> {
            let mut permissions = std::fs::metadata(path)?.permissions();
            if permissions.mode() & 0o077 != 0 {
                permissions.set_mode(mode);
                std::fs::set_permissions(path, permissions)?;
            }
            Ok(())
        };
        close(folder, 0o700)?;
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            match entry.file_type() {
                Ok(kind) if kind.is_file() => close(&entry.path(), 0o600)?,
                _ => {}
            }
        }
    }
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// The state folder of a sync.
#[must_use]
pub fn folder(state: &Path, sync: &str) -> PathBuf {
    state.join("syncs").join(sync)
}

/// Moves a file of the state, and its write-ahead log, to a name beside it that is free; gives that name.
///
/// # Errors
/// What the operating system says.
pub fn set_aside(file: &Path) -> std::io::Result<PathBuf> {
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

    #[test]
    fn rule_30_looking_keeps_nobody_out() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(
            SyncLock::look(state.path(), "a").unwrap(),
            None,
            "there is no such folder yet"
        );
        let Asked::Held(lock) = SyncLock::ask(state.path(), "a", "ann").unwrap() else {
            panic!("it was free")
        };
        let holder = SyncLock::look(state.path(), "a").unwrap();
        assert_eq!(holder.flatten().map(|holder| holder.by), Some("ann".to_owned()));
        drop(lock);
        // As a reader that has just looked.
        let file = File::open(folder(state.path(), "a").join("lock")).unwrap();
        file.lock_shared().unwrap();
        let reader = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            drop(file);
        });
        assert!(matches!(
            SyncLock::ask(state.path(), "a", "bob").unwrap(),
            Asked::Held(_)
        ));
        reader.join().unwrap();
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
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(lock.folder()), 0o700);
        // As another program left it, and as DuckDB makes files.
        std::fs::set_permissions(lock.folder(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(lock.ledger(), "").unwrap();
        std::fs::set_permissions(lock.ledger(), std::fs::Permissions::from_mode(0o644)).unwrap();
        let (folder, ledger) = (lock.folder().to_owned(), lock.ledger());
        drop(lock);
        assert_eq!((mode(&folder), mode(&ledger)), (0o700, 0o600));
    }
}
