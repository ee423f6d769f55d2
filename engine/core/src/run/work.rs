//! Work on threads that may block, and how a cancelled run interrupts it.

use super::{RunError, RunRequest};
use crate::warehouse::Interrupter;

/// Works on a thread that may block.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RunError> + Send + 'static,
) -> Result<T, RunError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| RunError::Broken(error.to_string()))?
}

/// The same, with DuckDB interrupted when somebody cancels.
pub async fn interruptible<T: Send + 'static>(
    request: &RunRequest,
    interrupter: &Interrupter,
    work: impl FnOnce() -> Result<T, RunError> + Send + 'static,
) -> Result<T, RunError> {
    let mut work = std::pin::pin!(blocking(work));
    tokio::select! {
        result = &mut work => result,
        () = request.control.cancelled() => {
            interrupter.cancel();
            work.await
        }
    }
}
