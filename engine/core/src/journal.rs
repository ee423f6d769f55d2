//! The journal of a run: which operations were attempted, and what came of them, durable before anybody acts on it.
//!
//! An append-only file beside the ledger. An attempt is in it before its batch leaves, an outcome before it is told
//! (rule 4). It speaks of operations by their ordinal in the run's plan, which is in the ledger. At the end of a run,
//! and after a crash, it is folded into the ledger and removed.
//!
//! A file is a sequence of frames: a mark, the payload's length and CRC-32, and the payload, an [`Entry`] as JSON. Many
//! writers share one `fdatasync` (a group commit). Every frame says up to where the file was durable when it was
//! written, so that a torn tail (cut off) is told from damage in the middle (an error).

mod frame;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::destination::Counting;
use crate::outcome::Rejection;

pub use reader::Reader;
pub use writer::Journal;

/// The version of the format that is written.
pub const FORMAT: u32 = 2;

/// Ordinals from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span(pub u64, pub u64);

impl Span {
    /// The ordinals as spans, neighbours joined. Their order is kept.
    pub fn gather(ordinals: impl IntoIterator<Item = u64>) -> Vec<Self> {
        let mut spans: Vec<Self> = Vec::new();
        for ordinal in ordinals {
            match spans.last_mut() {
                Some(span) if span.1.checked_add(1) == Some(ordinal) => span.1 = ordinal,
                _ => spans.push(Self(ordinal, ordinal)),
            }
        }
        spans
    }

    /// How many ordinals it has.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.1 - self.0 + 1
    }
}

/// What a journal belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The format's version.
    pub format: u32,
    /// The ledger's incarnation.
    pub incarnation: String,
    /// The run's number.
    pub run: u64,
    /// The ledger's sequence number when the plan was committed.
    pub sequence: u64,
    /// How many operations the plan has.
    pub operations: u64,
    /// When accepted records count: at `finish` they are unknown until [`Entry::Finished`].
    pub counting: Counting,
}

/// What came of an operation, as far as it is more than "accepted".
///
/// In the file an accepted one is its id alone, a text: some destinations tell one for every record.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Kept<'static>")]
pub enum State {
    /// The destination has it, under this id of its own.
    Accepted {
        /// The destination's id.
        id: String,
    },
    /// It was refused.
    Rejected(Rejection),
    /// There is no such record.
    NoMatch,
    /// It may have been applied.
    Unknown {
        /// Why that is not known.
        reason: String,
    },
}

impl Serialize for State {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kept = match self {
            Self::Accepted { id } => Kept::Id(id.into()),
            Self::Rejected(rejection) => Kept::Other(Other::Rejected(Cow::Borrowed(rejection))),
            Self::NoMatch => Kept::Other(Other::NoMatch),
            Self::Unknown { reason } => Kept::Other(Other::Unknown { reason: reason.into() }),
        };
        kept.serialize(serializer)
    }
}

/// A state as the file has it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Kept<'a> {
    Id(Cow<'a, str>),
    Other(Other<'a>),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum Other<'a> {
    /// In files of format 1.
    Accepted {
        id: Cow<'a, str>,
    },
    Rejected(Cow<'a, Rejection>),
    NoMatch,
    Unknown {
        reason: Cow<'a, str>,
    },
}

impl From<Kept<'_>> for State {
    fn from(kept: Kept<'_>) -> Self {
        match kept {
            Kept::Id(id) | Kept::Other(Other::Accepted { id }) => Self::Accepted { id: id.into_owned() },
            Kept::Other(Other::Rejected(rejection)) => Self::Rejected(rejection.into_owned()),
            Kept::Other(Other::NoMatch) => Self::NoMatch,
            Kept::Other(Other::Unknown { reason }) => Self::Unknown {
                reason: reason.into_owned(),
            },
        }
    }
}

/// One record of the journal. Later ones override earlier ones about the same operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// These operations are about to leave. Until an outcome follows, theirs is unknown.
    Attempt {
        /// Their ordinals.
        spans: Vec<Span>,
    },
    /// These have an outcome.
    Outcomes {
        /// Accepted, without an id.
        accepted: Vec<Span>,
        /// Certainly not applied, and refused by nobody: as if they had never been attempted.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        aborted: Vec<Span>,
        /// All others.
        others: Vec<(u64, State)>,
    },
    /// The destination's `finish` succeeded: what counts at the end counts now.
    Finished,
}

/// Why the journal cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The operating system's word.
    #[error("the journal {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What happened.
        source: std::io::Error,
    },
    /// The file is damaged where it had been durable.
    #[error(
        "the journal {path} is damaged at byte {offset}, before its end: outcomes are lost; restore the state folder from a backup, or take the model's present state as delivered (`outflow rebaseline SYNC`), or send everything again (`outflow run SYNC --full-resync`)"
    )]
    Damaged {
        /// The file.
        path: String,
        /// Where.
        offset: u64,
    },
    /// Another version wrote it.
    #[error(
        "the journal {path} has format {found}, and this version reads up to {FORMAT}; use the newer version of outflow that wrote it"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its format.
        found: u32,
    },
    /// An earlier write failed, so nothing more is written.
    #[error("the journal cannot be written any more: {0}")]
    Closed(String),
}
