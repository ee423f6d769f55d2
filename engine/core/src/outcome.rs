//! What came of an operation, and why a whole batch can fail.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why the destination refuses a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The destination's code, or one of the plugin's.
    pub code: String,
    /// What the destination says.
    pub message: String,
    /// The field at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// What came of one operation of a batch. Every operation gets exactly one (rule 25).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The destination has it, with its own id of the record where it told one.
    Accepted {
        /// The destination's id.
        id: Option<String>,
    },
    /// It refused the record; repeating the same will not help.
    Rejected(Rejection),
    /// There is no record with that match value.
    NoMatch,
    /// Certainly not applied; worth another attempt, after a while if given.
    Retry {
        /// How long to wait at least.
        after: Option<Duration>,
        /// What stood in the way, where the plugin tells it.
        reason: Option<String>,
    },
    /// It may have been applied.
    Unknown {
        /// Why that is not known.
        reason: String,
    },
    /// It was not sent.
    NotAttempted,
}

/// Why a task failed as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A passing fault; certainly nothing was applied.
    #[error("{0}")]
    Transient(String),
    /// A passing fault; the batch may have been applied.
    #[error("{0}")]
    Uncertain(String),
    /// Too many requests; nothing was applied.
    #[error("rate limited: {message}")]
    RateLimited {
        /// How long to wait, if the destination said so.
        wait: Option<Duration>,
        /// What it said.
        message: String,
    },
    /// The batch is larger than the destination takes; nothing was applied.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The destination refuses the batch as a whole.
    #[error("refused ({}): {}", .0.code, .0.message)]
    Refused(Rejection),
    /// The credentials are refused.
    #[error("the destination refuses the credentials: {0}")]
    Unauthorized(String),
    /// The plugin trapped or overran a limit while it held this batch. Whether something was applied is said by `sent`.
    #[error("the plugin failed: {message}")]
    Trapped {
        /// What happened.
        message: String,
        /// Whether an effect that may have applied something had left before.
        sent: bool,
    },
    /// Nothing will help; certainly nothing was applied.
    #[error("{0}")]
    Fatal(String),
    /// Nothing will help, or the plugin broke the contract (rule 25); whether something was applied is not known.
    #[error("{0}")]
    Broken(String),
}
