//! Reading: the header, then entry by entry, up to the last whole frame.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::destination::Counting;

use super::frame::{self, HEAD_BYTES, Payload};
use super::{Entry, FORMAT, Header, JournalError};

/// A journal that is read after its run.
///
/// The file is held in memory: it has a few bytes per operation, and ids where the destination told some.
pub struct Reader {
    path: String,
    bytes: Vec<u8>,
    at: usize,
    header: Header,
}

impl Reader {
    /// Opens a journal. `None` where there is none, or one that ends before its header was durable (then nothing was
    /// attempted).
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or was written by a newer version.
    pub fn open(path: &Path) -> Result<Option<Self>, JournalError> {
        let name = path.display().to_string();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(JournalError::Io { path: name, source }),
        };
        let mut reader = Self {
            path: name,
            bytes,
            at: 0,
            header: Header {
                format: FORMAT,
                incarnation: String::new(),
                run: 0,
                sequence: 0,
                operations: 0,
                counting: Counting::Batch,
            },
        };
        let Some(header) = reader.next::<Header>()? else {
            return Ok(None);
        };
        if header.format > FORMAT {
            return Err(JournalError::Newer {
                path: reader.path,
                found: header.format,
            });
        }
        reader.header = header;
        Ok(Some(reader))
    }

    /// What the journal belongs to.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The next entry, or `None` at the end.
    ///
    /// # Errors
    /// When the file is damaged where it had been durable.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, JournalError> {
        self.next()
    }

    fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, JournalError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        let payload = frame::read(rest)
            .and_then(|payload| Some((payload.len(), serde_json::from_slice::<Payload<T>>(payload).ok()?)));
        let Some((length, payload)) = payload else {
            return if self.was_durable() {
                Err(self.damaged())
            } else {
                Ok(None)
            };
        };
        self.at += HEAD_BYTES + length;
        Ok(Some(payload.entry))
    }

    /// Whether a later sound frame says that this place had been durable.
    fn was_durable(&self) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        frame::marks(rest)
            .filter_map(|at| frame::read(&rest[at..]))
            .filter_map(|payload| serde_json::from_slice::<Payload<serde::de::IgnoredAny>>(payload).ok())
            .any(|payload| payload.durable > self.at as u64)
    }

    fn damaged(&self) -> JournalError {
        JournalError::Damaged {
            path: self.path.clone(),
            offset: self.at as u64,
        }
    }
}
