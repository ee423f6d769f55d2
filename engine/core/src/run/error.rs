//! Why a run ended before delivery, and how such a run is reported (rule 34).

use std::path::PathBuf;

use crate::destination::OpenError;
use crate::journal::JournalError;
use crate::ledger::LedgerError;
use crate::mapping::KeyError;
use crate::outcome::Failure;
use crate::plan::file::PlanFileError;
use crate::plan::{PlanError, Stop};
use crate::project::diagnostic::{Diagnostic, Diagnostics};
use crate::report::Status;
use crate::warehouse::WarehouseError;

/// Why a run ended before delivery, or a preview was not made.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The project is wrong.
    #[error("{0}")]
    Configuration(#[from] Diagnostics),
    /// The destination cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The destination does not answer as it should.
    #[error("the destination cannot be reached: {0}")]
    Check(Failure),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A plan's file cannot be written or used.
    #[error(transparent)]
    PlanFile(#[from] PlanFileError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// DuckDB's word.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// The operating system's word about a file of the state.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// The claims cannot be read or written.
    #[error("who writes where is not known: {0}")]
    Claims(String),
    /// What the ledger committed cannot be noted.
    #[error("the ledger's commit cannot be noted: {0}")]
    Notes(String),
    /// A text is no key of the model.
    #[error(transparent)]
    Key(KeyError),
    /// Somebody cancelled.
    #[error("cancelled while the destination was asked whether it can be reached")]
    Cancelled,
    /// A thread that worked for the run is gone.
    #[error("the run broke off: {0}")]
    Broken(String),
}

impl RunError {
    /// How a run ends that this ended.
    #[must_use]
    pub fn status(&self) -> Status {
        let warehouse = match self {
            Self::Cancelled => return Status::Cancelled,
            Self::Check(Failure::Transient(_) | Failure::Uncertain(_) | Failure::RateLimited { .. }) => {
                return Status::Interrupted;
            }
            Self::Warehouse(error)
            | Self::Plan(PlanError::Warehouse(error) | PlanError::Ledger(LedgerError::Warehouse(error)))
            | Self::Ledger(LedgerError::Warehouse(error)) => error,
            _ => return Status::Failed,
        };
        match warehouse {
            error if error.is_cancelled() => Status::Cancelled,
            error if error.is_transient() => Status::Interrupted,
            _ => Status::Failed,
        }
    }

    /// What is wrong in the project's files, where that is it.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Configuration(diagnostics) => &diagnostics.0,
            _ => &[],
        }
    }

    /// The guard that stopped it, where one did.
    #[must_use]
    pub const fn stop(&self) -> Option<&Stop> {
        match self {
            Self::Plan(PlanError::Stopped(stop)) => Some(stop),
            _ => None,
        }
    }

    /// Whether the project must be mended.
    #[must_use]
    pub const fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Configuration(_)
                | Self::Open(_)
                | Self::PlanFile(_)
                | Self::Key(_)
                | Self::Plan(PlanError::Refused(_))
        )
    }
}
