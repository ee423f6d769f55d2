//! The diff: desired state against the ledger, as plain SQL over key, place and hash (rules 9 to 14, 17 to 22).
//!
//! [`desired()`] runs the model, in its thin form; [`unknown`] does it with what is as acknowledged left out ([`Known`]), and
//! [`near`] finds the entries that may differ. Invalid rows are found among them. [`changes`] compares what there is with the
//! entries: a table with one row per difference, which says what is to be done about it.

mod classes;
mod desired;
mod insert;
mod known;
mod parked;

pub(crate) use classes::{Action, Tally, changes, hold_removals};
pub(crate) use desired::{Desired, desired, fingerprint_of, unknown};
pub(crate) use known::{Known, applies as narrows, near};
pub(crate) use parked::mark_parked;

use std::num::NonZeroU32;

use crate::mapping::Layout;
use crate::operation::Kind;
use crate::project::sync::{Mode, OnRemoved, OnUnknown, Returning};

/// What decides which differences there are and what follows from them.
#[derive(Clone, Debug)]
pub(crate) struct Rules<'a> {
    /// The layout of entries and desired rows.
    pub layout: &'a Layout,
    /// The table of entries.
    pub entries: &'a str,
    /// The table of unsettled operations.
    pub unsettled: &'a str,
    /// The table of removals that were not done, where there is one.
    pub proposed: Option<&'a str>,
    /// The sync's mode.
    pub mode: Mode,
    /// The delete behaviour.
    pub on_removed: OnRemoved,
    /// What insert mode does with a key that comes back.
    pub returning: Returning,
    /// What insert mode does with a row of which nobody knows whether it was inserted.
    pub on_unknown: OnUnknown,
    /// After how many rejections in a row a row is parked.
    pub park_after: Option<NonZeroU32>,
    /// Whether the target takes everything whenever anything changed (rule 24).
    pub whole: bool,
    /// Whether this is, or continues, a full resync.
    pub resync: bool,
    /// The ledger's epoch.
    pub epoch: u64,
    /// The run's number.
    pub run: u64,
    /// The mappings' version.
    pub mapping: u64,
}

impl Rules<'_> {
    /// The kind of operation that writes a row.
    pub(crate) const fn write_kind(&self) -> Kind {
        match self.mode {
            _ if self.whole => Kind::Upsert,
            Mode::Insert => Kind::Insert,
            Mode::Update => Kind::Update,
            Mode::Upsert | Mode::Mirror | Mode::All => Kind::Upsert,
        }
    }

    /// The kind of operation that removes one.
    pub(crate) const fn removal_kind(&self) -> Kind {
        match self.on_removed {
            OnRemoved::Clear => Kind::Clear,
            OnRemoved::Nothing | OnRemoved::Delete => Kind::Delete,
        }
    }

    /// Whether entries that no row has are removed one by one.
    pub(crate) fn may_remove(&self) -> bool {
        !self.resync && !self.whole && self.mode != Mode::All
    }
}
