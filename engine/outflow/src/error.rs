//! Why the engine cannot do what it was asked.

use std::path::PathBuf;

use outflow_core::project::{Diagnostic, Diagnostics};
use outflow_core::record::RecordError;
use outflow_core::run::RunError;
use outflow_core::run::lock::Holder;

use crate::catalog::CatalogError;

/// Why the engine cannot do what it was asked. A run that was begun never ends in an error, but in its report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The project is wrong.
    #[error("{0}")]
    Project(#[from] Diagnostics),
    /// The project has no such sync.
    #[error("there is no sync `{wanted}`; the project has {}", .known.join(", "))]
    NoSuchSync {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The sync says that it had another name, and no sync of that name is known.
    #[error(
        "`renamed_from: {from}` in the file of the sync `{sync}`: no sync `{from}` has run here, and every row would be sent as new; those that have are {}. Name one of them, or leave `renamed_from` out",
        .known.join(", ")
    )]
    NoSuchLedger {
        /// The sync.
        sync: String,
        /// The name.
        from: String,
        /// The names that have a ledger.
        known: Vec<String>,
    },
    /// A sync without a ledger may be one that was renamed.
    #[error(
        "the sync `{sync}` has not run yet, and {} no longer in the project; if it is the same under a new name, say `renamed_from` in its file, else every row would be sent as new. If it is a new sync: outflow run {sync} --new",
        was(.gone)
    )]
    MaybeRenamed {
        /// The sync.
        sync: String,
        /// The syncs that have a ledger and no file.
        gone: Vec<String>,
    },
    /// A sync was gone from the project and is back, or is another under its name.
    #[error(
        "the sync `{sync}` was gone from the project at {}, and its ledger is of before that. If this is the same sync: outflow run {sync} --same-sync. If it is a new one under an old name, that ledger is set aside: outflow run {sync} --new",
        .since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    )]
    WasGone {
        /// The sync.
        sync: String,
        /// When it was first missed.
        since: chrono::DateTime<chrono::Utc>,
    },
    /// A renamed sync cannot be planned before its ledger has come along.
    #[error(
        "the sync `{sync}` was `{from}` before, and the next run takes its ledger along; before that, nothing can be shown"
    )]
    NotTakenOver {
        /// The sync.
        sync: String,
        /// The name that it had.
        from: String,
    },
    /// The sync is running, and waiting was not wanted.
    #[error("the sync `{sync}` is being run{}", .holder.as_ref().map_or(String::new(), |holder| format!(" by {holder}")))]
    Running {
        /// The sync.
        sync: String,
        /// Who runs it, where that is known.
        holder: Option<Holder>,
    },
    /// The sync is running, so that nobody can say what the next run would do.
    #[error(
        "the sync `{sync}` is being run{}, and what the next run would do is known once that is over: ask again then, or wait for it with --wait",
        .holder.as_ref().map_or(String::new(), |holder| format!(" by {holder}"))
    )]
    Unsettled {
        /// The sync.
        sync: String,
        /// Who runs it, where that is known.
        holder: Option<Holder>,
    },
    /// It was cancelled before it could begin.
    #[error("cancelled while it waited for the present run of `{sync}`; what it asked for is taken back")]
    Cancelled {
        /// The sync.
        sync: String,
    },
    /// What is to be forgotten would come back.
    #[error(
        "the model of `{sync}` still has {}; the next run would send it again as new, so take it out of the model first. If that is meant: --still-in-model",
        .keys.join(", ")
    )]
    StillInModel {
        /// The sync.
        sync: String,
        /// The keys, each a JSON object by column.
        keys: Vec<String>,
    },
    /// There are no two such runs to compare.
    #[error("{message}")]
    NoSuchSpan {
        /// What is wrong, and what would be right.
        message: String,
    },
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] RunError),
    /// The catalog cannot be used.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The state folder cannot be used.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// A run's record cannot be written or read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The task of a run is gone: the program is shutting down.
    #[error("the run broke off: {0}")]
    Broken(String),
}

impl Error {
    /// What is wrong in the project's files, where that is it.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Project(diagnostics) => &diagnostics.0,
            Self::Plan(error) => error.diagnostics(),
            _ => &[],
        }
    }

    /// Whether the project or the request must be mended.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        match self {
            Self::Project(_)
            | Self::NoSuchSync { .. }
            | Self::NoSuchLedger { .. }
            | Self::MaybeRenamed { .. }
            | Self::WasGone { .. }
            | Self::NoSuchSpan { .. }
            | Self::StillInModel { .. } => true,
            Self::Plan(error) => error.is_configuration(),
            _ => false,
        }
    }
}

/// "`a`, which has, is" or "`a` and `b`, which have, are".
fn was(gone: &[String]) -> String {
    let names: Vec<_> = gone.iter().map(|name| format!("`{name}`")).collect();
    match names.as_slice() {
        [only] => format!("{only}, which has, is"),
        _ => format!("{}, which have, are", names.join(", ")),
    }
}
