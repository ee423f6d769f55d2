//! A copy of a sync's ledger, to read at leisure: a reader neither waits for a run nor keeps one waiting (rule 30).
//!
//! DuckDB lets nobody read a file that a run has open, and a reader that had it open would keep a run out. So the files
//! are copied (on file systems that can, without copying a byte), between two looks that show that nobody wrote
//! meanwhile: such a copy is what a process killed at that instant would have left, which DuckDB opens. A run writes its
//! ledger for moments only, when it has planned and when it is over.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::lock::{self, Holder, SyncLock};
use crate::private;

/// How long nobody must have written: longer than the file system's clock ticks.
const QUIET: Duration = Duration::from_millis(20);
/// How often it is tried.
const TRIES_MAX: u32 = 500;
/// The age, in seconds, from which another reader's copy is one that was left by a process that died.
const STALE_SECONDS: u64 = 3_600;

/// A copy of a sync's ledger and journal, removed with it.
#[derive(Debug)]
pub struct Snapshot {
    folder: PathBuf,
    /// The copy's own lock: whoever has it may open the copy.
    pub lock: Arc<SyncLock>,
    /// Who had the sync's lock; none where nobody had.
    pub under_way: Option<Option<Holder>>,
}

impl Snapshot {
    /// Copies the ledger of a sync, and, where no run is under way, the journal that a stopped run left.
    ///
    /// # Errors
    /// What the operating system says, or that the ledger is written all the time.
    pub fn take(state: &Path, sync: &str) -> std::io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let source = lock::folder(state, sync);
        let readings = source.join("reading");
        private::folder(&readings)?;
        sweep(&readings);
        let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = readings.join(name);
        private::remove(&folder)?;
        private::folder(&folder)?;
        let lock = Arc::new(SyncLock::of_copy(folder.clone())?);
        // From here on the copy goes with the snapshot.
        let mut snapshot = Self {
            folder,
            lock,
            under_way: None,
        };
        for _ in 0..TRIES_MAX {
            snapshot.under_way = SyncLock::look(state, sync)?;
            let files = files(&source, snapshot.under_way.is_none())?;
            let newest = files.iter().map(|file| file.written).max();
            match newest.map(|newest| newest.elapsed()) {
                Some(Ok(age)) if age < QUIET => {
                    std::thread::sleep(QUIET);
                    continue;
                }
                // The clock was set back: how long ago that was is not known, so it is looked at for that long.
                Some(Err(_)) => {
                    std::thread::sleep(QUIET);
                    if files != self::files(&source, snapshot.under_way.is_none())? {
                        continue;
                    }
                }
                _ => {}
            }
            if snapshot.copy(&source, &files).is_ok()
                && files == self::files(&source, snapshot.under_way.is_none())?
                && snapshot.under_way.is_some() == SyncLock::look(state, sync)?.is_some()
            {
                return Ok(snapshot);
            }
        }
        Err(std::io::Error::new(
            std::io::ErrorKind::ResourceBusy,
            "the ledger is being written all the time; try again",
        ))
    }

    fn copy(&self, source: &Path, files: &[Seen]) -> std::io::Result<()> {
        for old in std::fs::read_dir(&self.folder)? {
            let old = old?.path();
            if old.file_name() != Some("lock".as_ref()) {
                private::remove(&old)?;
            }
        }
        for file in files {
            std::fs::copy(source.join(&file.name), self.folder.join(&file.name))?;
        }
        Ok(())
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // What stays is swept by a later reader.
        let _ = private::remove(&self.folder);
    }
}

/// A file as it was seen.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    name: String,
    bytes: u64,
    written: SystemTime,
}

/// The files of the ledger, and the journal if that is asked for.
fn files(folder: &Path, journal: bool) -> std::io::Result<Vec<Seen>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !(name.starts_with("ledger.duckdb") || (journal && name == "journal")) {
            continue;
        }
        match entry.metadata() {
            Ok(metadata) => files.push(Seen {
                name,
                bytes: metadata.len(),
                written: metadata.modified()?,
            }),
            // It went meanwhile; the second look will not agree with a first one that had it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// Removes the copies of a sync's ledger that nobody reads any more; gives how many are being read.
pub(crate) fn sweep_unused(sync: &Path) -> std::io::Result<usize> {
    let entries = match std::fs::read_dir(sync.join("reading")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut reading = 0;
    for entry in entries {
        let copy = entry?.path();
        match std::fs::File::open(copy.join("lock")).map(|file| file.try_lock()) {
            Ok(Err(std::fs::TryLockError::WouldBlock)) => reading += 1,
            _ => private::remove(&copy)?,
        }
    }
    Ok(reading)
}

/// Removes what readers that died have left.
fn sweep(readings: &Path) {
    let entries = std::fs::read_dir(readings).into_iter().flatten().flatten();
    for entry in entries {
        let age = entry
            .metadata()
            .and_then(|entry| entry.modified())
            .map(|time| time.elapsed());
        if let Ok(Ok(age)) = age
            && age.as_secs() > STALE_SECONDS
        {
            let _ = private::remove(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::lock::Asked;

    #[test]
    fn a_clock_that_was_set_back_keeps_no_reader_waiting() {
        let state = tempfile::tempdir().unwrap();
        let Asked::Held(held) = SyncLock::ask(state.path(), "a", "ann").unwrap() else {
            panic!("it was free")
        };
        let file = private::file(&held.ledger()).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(3_600))
            .unwrap();
        drop(held);
        let begun = std::time::Instant::now();
        let snapshot = Snapshot::take(state.path(), "a").unwrap();
        assert!(snapshot.lock.ledger().exists());
        assert!(begun.elapsed() < QUIET * 50, "{:?}", begun.elapsed());
    }

    #[test]
    fn rule_30_a_copy_is_taken_while_a_run_holds_the_lock_and_leaves_nothing() {
        let state = tempfile::tempdir().unwrap();
        let Asked::Held(held) = SyncLock::ask(state.path(), "a", "ann").unwrap() else {
            panic!("it was free")
        };
        std::fs::write(held.ledger(), b"entries").unwrap();
        std::fs::write(held.journal(), b"outcomes").unwrap();
        let snapshot = Snapshot::take(state.path(), "a").unwrap();
        assert!(snapshot.under_way.is_some());
        assert_eq!(std::fs::read(snapshot.lock.ledger()).unwrap(), b"entries");
        assert!(!snapshot.lock.journal().exists(), "it is being written");
        drop(held);
        let second = Snapshot::take(state.path(), "a").unwrap();
        assert!(second.under_way.is_none());
        assert_eq!(std::fs::read(second.lock.journal()).unwrap(), b"outcomes");
        let folders = [snapshot.folder.clone(), second.folder.clone()];
        let sync = lock::folder(state.path(), "a");
        assert_eq!(sweep_unused(&sync).unwrap(), 2, "both are being read");
        std::fs::create_dir(sync.join("reading/left")).unwrap();
        drop((snapshot, second));
        assert!(folders.iter().all(|folder| !folder.exists()));
        assert_eq!(sweep_unused(&sync).unwrap(), 0);
        assert!(!sync.join("reading/left").exists());
    }
}
