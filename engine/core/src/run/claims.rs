//! Who writes to which place that takes one sync only.

use crate::project::Project;
use crate::project::diagnostic::Diagnostics;

use super::work::blocking;
use super::{RunError, RunRequest, compile};

/// Who writes to which exclusive place, over all syncs that share the state.
pub trait Claims: Send + Sync {
    /// Another sync that has a place.
    ///
    /// # Errors
    /// Why that is not known.
    fn holder(&self, sync: &str, place: &str) -> Result<Option<String>, String>;

    /// Takes a place for a sync, and lets go of the one that it had. Gives the sync that has it, where that is another;
    /// then nothing changed. Without a place, it only lets go.
    ///
    /// # Errors
    /// Why that is not known.
    fn claim(&self, sync: &str, place: Option<&str>) -> Result<Option<String>, String>;
}

/// Refuses a place that another sync has, as [`claim`] would.
pub async fn check_claim(request: &RunRequest, place: Option<&str>) -> Result<(), RunError> {
    let Some(place) = place.map(str::to_owned) else {
        return Ok(());
    };
    let job = request.clone();
    blocking(move || {
        let holder = job.claims.holder(&job.sync, &place).map_err(RunError::Claims)?;
        holder.map_or(Ok(()), |other| Err(shared(&job.project, &job.sync, &other, &place)))
    })
    .await
}

/// Takes the place that no other sync may write to.
pub async fn claim(request: &RunRequest, place: Option<&str>) -> Result<(), RunError> {
    let (job, place) = (request.clone(), place.map(str::to_owned));
    blocking(move || {
        let other = job
            .claims
            .claim(&job.sync, place.as_deref())
            .map_err(RunError::Claims)?;
        match (other, place) {
            (Some(other), Some(place)) => Err(shared(&job.project, &job.sync, &other, &place)),
            _ => Ok(()),
        }
    })
    .await
}

/// Says that two syncs write to one place where each replaces what the other wrote.
#[must_use]
pub fn shared(project: &Project, slug: &str, other: &str, place: &str) -> RunError {
    match compile::sync(project, slug) {
        Ok(sync) => {
            let message = format!(
                "the sync `{other}` writes to `{place}` as well, and each would replace what the other wrote; give each its own, for example by `{{sync}}` in the path, or disable one"
            );
            Diagnostics(vec![sync.diagnostic("destination", message)]).into()
        }
        Err(error) => error,
    }
}
