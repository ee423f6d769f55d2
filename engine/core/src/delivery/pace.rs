//! When something may leave: batches that wait for another attempt, and holds that the destination asked for.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::lot::Lot;

/// What waits, and until when.
#[derive(Default)]
pub struct Pace {
    waiting: BTreeMap<(Instant, u64), Lot>,
    order: u64,
    held_until: Option<Instant>,
}

impl Pace {
    /// Puts a lot aside until its time. Lots of the same time keep their order.
    pub fn put(&mut self, lot: Lot, due: Instant) {
        self.waiting.insert((due, self.order), lot);
        self.order += 1;
    }

    /// A lot whose time has come.
    pub fn take_due(&mut self, now: Instant) -> Option<Lot> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Everything that waits.
    pub fn take_all(&mut self) -> Vec<Lot> {
        std::mem::take(&mut self.waiting).into_values().collect()
    }

    /// Nothing leaves before then, whoever wants to send it.
    pub fn hold(&mut self, until: Instant) {
        self.held_until = self.held_until.max(Some(until));
    }

    /// Whether a hold is in force.
    #[must_use]
    pub fn is_held(&self, now: Instant) -> bool {
        self.held_until.is_some_and(|until| until > now)
    }

    /// How many lots wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next time at which something may have become possible.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Instant> {
        let due = self.waiting.first_key_value().map(|((due, _), _)| *due);
        match (due, self.held_until) {
            (Some(due), Some(held)) => Some(due.max(held)),
            (due, held) => due.or(held.filter(|held| *held > Instant::now())),
        }
    }
}
