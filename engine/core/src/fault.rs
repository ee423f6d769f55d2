//! Faults on purpose: at every step that touches disk or wire, a test may kill the process, suspend it, or find the disk
//! full.
//!
//! Only builds with the feature `faults` have them. There `OUTFLOW_FAULT=POINT:ACTION:NTH` says what happens when a point
//! is reached for the nth time: `kill` (as SIGKILL), `stop` (as SIGSTOP), or `full` (the step fails, as on a full disk).
//! With `OUTFLOW_POWER` set, what a cut of power would leave of ledger and journal is kept beside them, in `durable/`.

use std::io;
use std::path::Path;

/// The points, in the order in which an ordinary run comes by.
pub const POINTS: [&str; 18] = [
    "run-listed",
    "ledger-bound",
    "rows-staged",
    "plan-written",
    "journal-made",
    "plan-committed",
    "plan-noted",
    "entries-written",
    "entries-durable",
    "attempt-journaled",
    "batch-answered",
    "outcomes-journaled",
    "fold-written",
    "fold-committed",
    "fold-noted",
    "journal-removed",
    "record-written",
    "run-ended",
];

/// A step is done.
///
/// # Errors
/// What a test wants to have gone wrong.
pub fn point(name: &str) -> io::Result<()> {
    debug_assert!(POINTS.contains(&name), "`{name}` is not in the list");
    #[cfg(feature = "faults")]
    on::point(name)?;
    Ok(())
}

/// So many bytes of the journal are durable.
pub(crate) fn journal_durable(journal: &Path, bytes: u64) {
    #[cfg(feature = "faults")]
    on::journal_durable(journal, bytes);
    let _ = (journal, bytes);
}

/// What the ledger's files hold is durable, and so is the journal's name, if there is one.
pub(crate) fn ledger_durable(folder: &Path) {
    #[cfg(feature = "faults")]
    on::ledger_durable(folder);
    let _ = folder;
}

#[cfg(feature = "faults")]
mod on {
    use std::fs;
    use std::io;
    use std::path::Path;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    /// After which a signal has reached every thread.
    const MOMENT: Duration = Duration::from_millis(200);

    struct Fault {
        point: String,
        action: String,
        nth: u64,
    }

    pub fn point(name: &str) -> io::Result<()> {
        static FAULT: OnceLock<Option<Fault>> = OnceLock::new();
        static PASSED: AtomicU64 = AtomicU64::new(0);
        let wanted = FAULT.get_or_init(wanted).as_ref();
        let Some(fault) = wanted.filter(|fault| fault.point == name) else {
            return Ok(());
        };
        let passed = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
        match fault.action.as_str() {
            "kill" if passed == fault.nth => die(Signal::KILL),
            "stop" if passed == fault.nth => die(Signal::STOP),
            // A full disk stays full.
            "full" if passed >= fault.nth => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn wanted() -> Option<Fault> {
        let text = std::env::var("OUTFLOW_FAULT").ok()?;
        let mut parts = text.split(':');
        Some(Fault {
            point: parts.next()?.to_owned(),
            action: parts.next()?.to_owned(),
            nth: parts.next()?.parse().ok()?,
        })
    }

    fn die(signal: Signal) -> io::Result<()> {
        kill_process(getpid(), signal)?;
        // The signal reaches this thread a moment later than the process.
        std::thread::sleep(MOMENT);
        Ok(())
    }

    fn is_power_watched() -> bool {
        std::env::var_os("OUTFLOW_POWER").is_some()
    }

    pub fn journal_durable(journal: &Path, bytes: u64) {
        if is_power_watched()
            && let Some(folder) = journal.parent()
        {
            let _ = fs::create_dir_all(folder.join("durable"));
            let _ = fs::write(folder.join("durable/journal-bytes"), bytes.to_string());
        }
    }

    pub fn ledger_durable(folder: &Path) {
        if !is_power_watched() {
            return;
        }
        let durable = folder.join("durable");
        let _ = fs::create_dir_all(&durable);
        for name in ["ledger.duckdb", "ledger.duckdb.wal", "journal"] {
            let copied = fs::copy(folder.join(name), durable.join(name));
            if copied.is_err() {
                let _ = fs::remove_file(durable.join(name));
            }
        }
    }
}
