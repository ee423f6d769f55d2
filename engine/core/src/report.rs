//! What a run tells: its counts, its end and its progress. Nothing in here acts.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::operation::Change;
use crate::project::Diagnostic;

/// A count, split by change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Operations of added rows.
    pub added: u64,
    /// Operations of changed rows.
    pub changed: u64,
    /// Operations of removed rows.
    pub removed: u64,
}

impl Split {
    /// All together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.added + self.changed + self.removed
    }

    /// The count of one change.
    pub const fn of(&mut self, change: Change) -> &mut u64 {
        match change {
            Change::Added => &mut self.added,
            Change::Changed => &mut self.changed,
            Change::Removed => &mut self.removed,
        }
    }
}

impl AddAssign for Split {
    fn add_assign(&mut self, other: Self) {
        self.added += other.added;
        self.changed += other.changed;
        self.removed += other.removed;
    }
}

/// The counts of a run (rule 33): changes = planned + withheld; planned = attempted + aborted;
/// attempted = succeeded + rejected + unmatched + unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows that the model returned, invalid ones included.
    pub queried: u64,
    /// Rows that cannot be sent: null or repeated keys, null or shared match values, values without a JSON form.
    pub invalid: u64,
    /// Rows that are as the destination last acknowledged them.
    pub unchanged: u64,
    /// Differences between model and ledger.
    pub changes: Split,
    /// Differences that this run was to deliver.
    pub planned: Split,
    /// Differences that it was not to deliver.
    pub withheld: Split,
    /// Operations whose last outcome is definite or unknown.
    pub attempted: Split,
    /// Operations that were certainly not applied, and refused by nobody.
    pub aborted: Split,
    /// Accepted operations, and removals of what was already gone.
    pub succeeded: Split,
    /// Refused operations.
    pub rejected: Split,
    /// Updates of records that the destination does not have.
    pub unmatched: Split,
    /// Operations that may have been applied.
    pub unknown: Split,
}

/// How a run ended (rule 34).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Finished; everything that was to be sent is there.
    Success,
    /// Finished, with rejected, invalid, held, unknown or unmatched rows.
    Warning,
    /// A fatal error.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
    /// A crash or a passing fault stopped it; the next run resumes what is left.
    Interrupted,
}

impl Status {
    /// The word for it in output and the catalog.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    /// The status of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [
            Self::Success,
            Self::Warning,
            Self::Failed,
            Self::Cancelled,
            Self::Interrupted,
        ]
        .into_iter()
        .find(|status| status.as_str() == word)
    }
}

/// A guard that stops a run before anything is sent, and how a person allows it (rule 35).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// What the run would do.
    pub reason: String,
    /// The approval, for `--allow`.
    pub allow: String,
}

/// What a run did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The sync's slug.
    pub sync: String,
    /// The run's number within the sync.
    pub number: u64,
    /// How it ended.
    pub status: Status,
    /// Why it failed, was interrupted or warns, for people.
    pub message: Option<String>,
    /// Its counts.
    pub counts: Counts,
    /// Whether it failed because the project must be mended.
    #[serde(default)]
    pub configuration: bool,
    /// What is wrong in the project's files, where that ended it: what the message says, by place.
    #[serde(default)]
    pub diagnostics: Vec<Diagnostic>,
    /// The guard that stopped it.
    #[serde(default)]
    pub stopped: Vec<Stopped>,
    /// What a person should know besides: held removals, a shortcut taken, a plugin that changed.
    pub notes: Vec<String>,
}

/// The stages of a run, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The model runs in DuckDB.
    Querying,
    /// Desired state is compared with the ledger.
    Planning,
    /// Operations are on their way.
    Delivering,
    /// Outcomes are folded into the ledger.
    Committing,
}

/// Something that happened in a run, for whoever watches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// A stage began.
    Stage {
        /// Which.
        stage: Stage,
    },
    /// How far the query is, 0 to 1.
    Query {
        /// The share that is done, as DuckDB estimates it.
        share: f64,
    },
    /// The plan stands.
    Planned {
        /// Its counts so far.
        counts: Box<Counts>,
    },
    /// Outcomes came in.
    Delivered {
        /// Operations with a definite or unknown outcome so far.
        attempted: u64,
        /// Refused ones among them.
        rejected: u64,
        /// Operations of the plan.
        planned: u64,
    },
    /// Delivery waits.
    Waiting {
        /// What for.
        reason: String,
        /// For how long, in milliseconds.
        ms: u64,
    },
}

/// How a run is watched and stopped. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Control {
    events: tokio::sync::broadcast::Sender<Event>,
    cancelled: tokio::sync::watch::Sender<bool>,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            events: tokio::sync::broadcast::channel(256).0,
            cancelled: tokio::sync::watch::channel(false).0,
        }
    }
}

impl Control {
    /// Tells whoever watches.
    pub fn tell(&self, event: Event) {
        // Nobody watching is no fault.
        let _ = self.events.send(event);
    }

    /// Watches from now on. A slow watcher loses events rather than slowing the run.
    #[must_use]
    pub fn watch(&self) -> tokio::sync::broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Asks the run to stop: nothing more is sent, what is in flight is waited for and recorded.
    pub fn cancel(&self) {
        self.cancelled.send_replace(true);
    }

    /// Whether somebody asked.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }

    /// Returns once somebody has asked.
    pub async fn cancelled(&self) {
        // The sender lives as long as `self`.
        let _ = self.cancelled.subscribe().wait_for(|cancelled| *cancelled).await;
    }
}
