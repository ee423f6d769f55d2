//! The exit codes, which are stable: 0 success, 1 failed, 2 usage or configuration, 3 warning, 4 cancelled or
//! interrupted.

use outflow::project::Diagnostics;
use outflow::{Report, Status};

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Success = 0,
    /// Failed.
    Failed = 1,
    /// The arguments or the project are wrong.
    Configuration = 2,
    /// Finished, with rows that need a look.
    Warning = 3,
    /// Cancelled, or interrupted by a passing fault.
    Interrupted = 4,
}

impl Exit {
    /// The exit code of a run.
    pub const fn of_report(report: &Report) -> Self {
        match report.status {
            Status::Success => Self::Success,
            Status::Warning => Self::Warning,
            Status::Failed if report.configuration => Self::Configuration,
            Status::Failed => Self::Failed,
            Status::Cancelled | Status::Interrupted => Self::Interrupted,
        }
    }

    /// The exit code of what had to leave out files with mistakes.
    pub fn of_faults(faults: &Diagnostics) -> Self {
        if faults.0.is_empty() {
            Self::Success
        } else {
            Self::Configuration
        }
    }

    /// The exit code of an error.
    pub fn of(error: &anyhow::Error) -> Self {
        match error.downcast_ref::<outflow::Error>() {
            Some(error) if error.is_configuration() => Self::Configuration,
            Some(outflow::Error::Cancelled { .. }) => Self::Interrupted,
            _ if error.is::<Usage>() => Self::Configuration,
            _ => Self::Failed,
        }
    }

    /// The worse of two: of several runs, the one that a script must not miss.
    pub const fn worse(self, other: Self) -> Self {
        if other.rank() > self.rank() { other } else { self }
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Warning => 1,
            Self::Interrupted => 2,
            Self::Failed => 3,
            Self::Configuration => 4,
        }
    }
}

/// Something wrong with what was asked.
#[derive(Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
