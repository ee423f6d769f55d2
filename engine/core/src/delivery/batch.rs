//! Which operations go together: filled in the plan's order, within the target's limits (rule 24).

use std::collections::VecDeque;

use crate::destination::Limits;

use super::Planned;

/// Operations read ahead, from which batches are filled.
pub struct Filler {
    limits: Limits,
    ahead: VecDeque<Planned>,
    complete: bool,
    /// Removals have left, and nothing has shown yet that all of them have their outcome.
    removals_open: bool,
}

/// What can be sent next.
#[derive(Debug, PartialEq, Eq)]
pub enum Filled {
    /// These, together.
    Batch(Vec<Planned>),
    /// Nothing now: more must be read, or removals must have their outcome first.
    Wait,
}

impl Filler {
    /// Within these limits.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            ahead: VecDeque::new(),
            complete: false,
            removals_open: false,
        }
    }

    /// Adds operations that were read.
    pub fn push(&mut self, operations: Vec<Planned>) {
        self.ahead.extend(operations);
    }

    /// The plan has no more.
    pub const fn no_more(&mut self) {
        self.complete = true;
    }

    /// Whether a batch may be short for lack of operations that are still to be read.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        !self.complete && self.ahead.len() < self.records_max()
    }

    /// Whether every operation has been taken.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.complete && self.ahead.is_empty()
    }

    /// Batches are no larger than this from now on.
    pub fn shrink(&mut self, records_max: usize) {
        let records_max = u32::try_from(records_max).unwrap_or(u32::MAX).max(1);
        self.limits.records = self.limits.records.min(records_max);
    }

    fn records_max(&self) -> usize {
        self.limits.records.max(1) as usize
    }

    /// The next batch. `quiet` says that nothing is in flight or waiting, which the first write needs where removals
    /// came before it; the filler knows that from the kinds.
    pub fn fill(&mut self, quiet: bool) -> Filled {
        if self.wants_more() {
            return Filled::Wait;
        }
        let Some(first) = self.ahead.front() else {
            return Filled::Wait;
        };
        let (kind, removal) = (first.operation.kind, first.operation.kind.is_removal());
        if !removal && self.removals_open && !quiet {
            return Filled::Wait;
        }
        let mut bytes = 0;
        let mut count = 0;
        for planned in self.ahead.iter().take(self.records_max()) {
            let operation = &planned.operation;
            bytes += operation.bytes();
            let fits = bytes <= self.limits.bytes as usize || count == 0;
            let same = if self.limits.mixed {
                operation.kind.is_removal() == removal
            } else {
                operation.kind == kind
            };
            if !fits || !same {
                break;
            }
            count += 1;
        }
        self.removals_open = removal;
        Filled::Batch(self.ahead.drain(..count).collect())
    }
}
