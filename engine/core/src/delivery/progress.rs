//! Progress, told at a rate that people can read.

use std::time::Duration;

use tokio::time::Instant;

use crate::report::{Control, Counts, Event};

/// Between two reports.
const EVERY: Duration = Duration::from_millis(100);

/// Tells how far delivery is.
pub struct Progress {
    planned: u64,
    told: Option<Instant>,
}

impl Progress {
    /// For a plan of so many operations.
    pub const fn new(planned: u64) -> Self {
        Self { planned, told: None }
    }

    /// Tells the counts, unless they were told a moment ago.
    pub fn tell(&mut self, control: &Control, counts: &Counts, last: bool) {
        let now = Instant::now();
        if last || self.told.is_none_or(|told| now - told >= EVERY) {
            self.told = Some(now);
            control.tell(Event::Delivered {
                attempted: counts.attempted.total(),
                rejected: counts.rejected.total(),
                planned: self.planned,
            });
        }
    }

    /// Tells that delivery waits.
    pub fn waiting(&self, control: &Control, until: Instant, reason: String) {
        let ms = u64::try_from(until.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(u64::MAX);
        control.tell(Event::Waiting { reason, ms });
    }
}
