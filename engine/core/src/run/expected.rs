//! A run that is held to a plan's file.

use crate::ledger::Ledger;
use crate::mapping::Layout;
use crate::plan::basis::{self, LedgerVersion};
use crate::plan::file::{PlanFile, PlanFileError};

use super::{RunError, RunRequest, compile};

/// Opens the file that the run is held to, if it is, and checks that configuration and ledger are as they were.
pub fn open(
    request: &RunRequest,
    layout: &Layout,
    plugin: &str,
    ledger: &Ledger,
) -> Result<Option<PlanFile>, RunError> {
    let Some(path) = &request.options.plan else {
        return Ok(None);
    };
    let file = PlanFile::open(path)?;
    let expected = &file.header.basis;
    if expected.sync != request.sync {
        return Err(PlanFileError::Content {
            path: path.clone(),
            message: format!("it is a plan of `{}`, not of `{}`", expected.sync, request.sync),
        }
        .into());
    }
    let configuration = compile::configuration(request, layout, plugin)?;
    let ledger = ledger.meta().and_then(LedgerVersion::of);
    basis::check_before(expected, request.number, &configuration, ledger.as_ref())?;
    Ok(Some(file))
}
