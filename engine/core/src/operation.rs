//! What a run asks a destination to do: one operation per record, gathered in batches.
//!
//! Values cross this boundary as JSON text that was rendered once, next to the data; nothing above parses it again.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

/// What an operation asks the destination to do with one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Remove the record.
    Delete,
    /// Empty the mapped fields.
    Clear,
    /// Create a record; repeating it may create a second one.
    Insert,
    /// Change a record that exists.
    Update,
    /// Create the record, or change it where it exists.
    Upsert,
}

impl Kind {
    /// Every kind, removals first: the order in which a run delivers them (rule 24).
    pub const ALL: [Self; 5] = [Self::Delete, Self::Clear, Self::Insert, Self::Update, Self::Upsert];

    /// Whether the record leaves the destination's mapped state by it.
    #[must_use]
    pub const fn is_removal(self) -> bool {
        matches!(self, Self::Delete | Self::Clear)
    }

    /// The word for it in files, output and the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Clear => "clear",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Upsert => "upsert",
        }
    }

    /// The kind of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which difference between model and ledger an operation comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// The destination has no record of this key, as far as the ledger knows.
    Added,
    /// It has another one, or may have.
    Changed,
    /// It has one that the model no longer has at that place.
    Removed,
}

impl Change {
    /// Every change.
    pub const ALL: [Self; 3] = [Self::Added, Self::Changed, Self::Removed];

    /// The word for it in output and the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }

    /// The change of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|change| change.as_str() == word)
    }
}

/// One thing to do with one record, ready for the wire. Its texts are cheap to clone: those of many operations are slices of
/// one allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its place in the run's plan, from 0; the journal speaks of operations by it.
    pub ordinal: u64,
    /// What to do.
    pub kind: Kind,
    /// The row's primary key: a JSON object by column.
    pub key: ByteString,
    /// The value by which the destination finds the record, as JSON.
    pub match_value: ByteString,
    /// The destination's own id of the record, where an earlier outcome told it.
    pub id: Option<ByteString>,
    /// The record: a JSON object by field.
    pub fields: ByteString,
    /// The record as last acknowledged, where the target asked for it and there is one.
    pub previous: Option<ByteString>,
    /// The same for every attempt at the same operation, and for no other (rule 27).
    pub idempotency_key: ByteString,
}

impl Operation {
    /// Bytes that it counts for toward a batch's limit: the JSON texts that it carries.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.key.len()
            + self.match_value.len()
            + self.fields.len()
            + self.previous.as_ref().map_or(0, |previous| previous.len())
    }
}
