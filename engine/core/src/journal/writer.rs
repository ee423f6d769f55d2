//! Writing: one thread that gathers what has come, writes it, makes it durable once and answers everybody.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::frame::{self, Payload};
use super::{Entry, Header, JournalError};
use crate::durable::{self, Held};
use crate::fault;

/// Entries that wait for the writer at most; further ones hold their senders back.
const WAITING_MAX: usize = 256;

/// A journal that is being written. Dropping it closes the file.
pub struct Journal {
    place: Place,
    sender: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    durable_writes: Arc<AtomicU64>,
}

/// The journal's file, and the lock under which it is written.
#[derive(Clone)]
struct Place {
    journal: Arc<Held>,
    lock: Option<Arc<Held>>,
}

impl Place {
    fn check(&self) -> std::io::Result<()> {
        self.lock
            .iter()
            .chain([&self.journal])
            .try_for_each(|held| held.check())
    }
}

struct Request {
    entry: Entry,
    answer: oneshot::Sender<Result<(), JournalError>>,
}

impl Journal {
    /// Creates the file, readable by its owner only, with its header, and makes both durable.
    ///
    /// # Errors
    /// When it is there already, or cannot be written.
    pub fn create(path: &Path, header: &Header) -> Result<Self, JournalError> {
        Self::create_under(path, header, None)
    }

    /// As [`create`](Self::create), under a lock: once another file is in the lock's place, or in the journal's, nothing
    /// more is written, and no append succeeds (rule 30).
    pub(crate) fn create_under(path: &Path, header: &Header, lock: Option<Arc<Held>>) -> Result<Self, JournalError> {
        let io = |source| io(path, source);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(io)?;
        fault::journal_durable(path, 0);
        let place = Place {
            journal: Arc::new(Held::new(file, path.to_owned())),
            lock,
        };
        let mut tail = Tail {
            place: place.clone(),
            path: path.to_owned(),
            durable: 0,
            durable_writes: Arc::default(),
        };
        let durable_writes = Arc::clone(&tail.durable_writes);
        tail.append(&[serde_json::to_value(header).map_err(|error| io(error.into()))?])?;
        if let Some(folder) = path.parent() {
            durable::names(folder).map_err(io)?;
        }
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let writer = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || write(tail, receiver))
            .map_err(io)?;
        Ok(Self {
            place,
            sender: Some(sender),
            writer: Some(writer),
            durable_writes,
        })
    }

    /// How often the file was made durable so far; entries that come together share one.
    #[must_use]
    pub fn durable_writes(&self) -> u64 {
        self.durable_writes.load(Ordering::Relaxed)
    }

    /// Returns once the entry is durable.
    ///
    /// # Errors
    /// When it could not be written; then nothing more can.
    pub async fn append(&self, entry: Entry) -> Result<(), JournalError> {
        let gone = || JournalError::Closed("its writer has ended".into());
        let (answer, answered) = oneshot::channel();
        let sender = self.sender.as_ref().ok_or_else(gone)?;
        sender.send(Request { entry, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Whether everybody else still finds what is written here.
    pub(crate) fn check_place(&self) -> std::io::Result<()> {
        self.place.check()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(writer) = self.writer.take() {
            // The writer ends by itself once its channel is closed; a panic in it was answered as `Closed`.
            let _ = writer.join();
        }
    }
}

fn write(mut tail: Tail, mut receiver: mpsc::Receiver<Request>) {
    let mut failed: Option<String> = None;
    while let Some(first) = receiver.blocking_recv() {
        let mut group = vec![first];
        while let Ok(next) = receiver.try_recv() {
            group.push(next);
        }
        let result = match &failed {
            Some(reason) => Err(JournalError::Closed(reason.clone())),
            None => tail.append(&group.iter().map(|request| &request.entry).collect::<Vec<_>>()),
        };
        if let (Err(error), None) = (&result, &failed) {
            failed = Some(error.to_string());
        }
        let mut result = Some(result);
        for request in group {
            let answer = match result.take() {
                Some(Err(error)) => Err(error),
                Some(Ok(())) => {
                    result = Some(Ok(()));
                    Ok(())
                }
                None => Err(JournalError::Closed(failed.clone().unwrap_or_default())),
            };
            // Whoever asked may have been dropped; the entry is durable all the same.
            let _ = request.answer.send(answer);
        }
    }
}

/// The end of the file.
struct Tail {
    place: Place,
    path: PathBuf,
    durable: u64,
    durable_writes: Arc<AtomicU64>,
}

impl Tail {
    /// Writes the entries and makes them durable, or leaves the file as it was.
    fn append<T: serde::Serialize>(&mut self, entries: &[T]) -> Result<(), JournalError> {
        let mut bytes = Vec::new();
        for entry in entries {
            let payload = serde_json::to_vec(&Payload {
                durable: self.durable,
                entry,
            })
            .map_err(|error| io(&self.path, error.into()))?;
            frame::write(&payload, &mut bytes);
        }
        self.check_place()?;
        let mut file = &self.place.journal.file;
        let written = file
            .write_all(&bytes)
            .and_then(|()| fault::point("entries-written"))
            .and_then(|()| file.sync_data());
        if let Err(error) = written {
            // Half a group must not stand before a later one; nothing later is written, but a reader sees less noise.
            let _ = file.set_len(self.durable);
            let _ = file.seek(SeekFrom::Start(self.durable));
            return Err(io(&self.path, error));
        }
        self.durable += bytes.len() as u64;
        self.durable_writes.fetch_add(1, Ordering::Relaxed);
        fault::journal_durable(&self.path, self.durable);
        fault::point("entries-durable").map_err(|error| io(&self.path, error))?;
        // Once more: whoever took the place before this was durable may have read the journal without it.
        self.check_place()
    }

    fn check_place(&self) -> Result<(), JournalError> {
        self.place.check().map_err(|error| io(&self.path, error))
    }
}

fn io(path: &Path, source: std::io::Error) -> JournalError {
    JournalError::Io {
        path: path.display().to_string(),
        source,
    }
}
