//! Waiting for sources that are locked, missing or away (rule 16): with growing pauses, within a bound.

use std::time::{Duration, Instant};

use crate::report::Event;
use crate::warehouse::WarehouseError;

use super::{RunError, RunRequest};

/// The first pause.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// Pauses double up to this one.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A wait under way.
pub struct Wait {
    began: Instant,
    bound: Duration,
    pause: Duration,
}

impl Wait {
    /// A wait of at most that long.
    pub fn within(bound: Duration) -> Self {
        Self {
            began: Instant::now(),
            bound,
            pause: PAUSE_MIN,
        }
    }

    /// Waits a while because of an error that may pass. It comes back when the bound is reached.
    pub async fn after(&mut self, request: &RunRequest, error: WarehouseError) -> Result<(), RunError> {
        let left = self.bound.saturating_sub(self.began.elapsed());
        if left.is_zero() {
            return Err(error.into());
        }
        // The last try is at the bound itself. Those who wait for the same server do not all come at once.
        let share = 0.5 + rand::random::<f64>() / 2.0;
        let pause = self.pause.mul_f64(share).min(left);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        request.control.tell(Event::Waiting {
            reason: error.to_string(),
            ms: u64::try_from(pause.as_millis()).unwrap_or(u64::MAX).max(1),
        });
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = request.control.cancelled() => Err(WarehouseError::Cancelled.into()),
        }
    }
}
