//! Operations that travel together, with what is known of their attempts.

use crate::operation::{Change, Operation};
use crate::outcome::Rejection;
use crate::report::Split;

use super::{Planned, Settled, Verdict};

/// A batch, from its first attempt to the last word about each of its operations.
#[derive(Clone, Debug)]
pub struct Lot {
    /// Apart from what is known of them, as a destination is given them in one piece.
    operations: Vec<Operation>,
    /// One per operation.
    pasts: Vec<Past>,
    /// Attempts that were spent.
    pub spent: u32,
    /// Whether it comes from a refused batch that is being split.
    pub bisecting: bool,
}

/// What is known of an operation beside what is to be done.
#[derive(Clone, Debug)]
struct Past {
    change: Change,
    /// Why an earlier attempt may have been applied, if one may.
    doubt: Option<String>,
}

/// An operation out of a lot.
#[derive(Debug)]
pub struct Item {
    /// What is to be done.
    pub operation: Operation,
    past: Past,
}

impl Item {
    /// That an attempt may have been applied. The first reason stands.
    pub fn doubt(&mut self, reason: String) {
        self.past.doubt.get_or_insert(reason);
    }

    /// Its last word.
    pub fn settle(self, settled: Settled) -> Verdict {
        Verdict {
            ordinal: self.operation.ordinal,
            change: self.past.change,
            settled,
        }
    }

    /// Its last word after a rejection, which never settles what an earlier attempt may have done (rule 3).
    pub fn refuse(mut self, rejection: Rejection) -> Verdict {
        let settled = match self.past.doubt.take() {
            Some(doubt) => Settled::unknown(format!(
                "{doubt}; a later attempt was refused ({}): {}",
                rejection.code, rejection.message
            )),
            None => Settled::rejected(rejection),
        };
        self.settle(settled)
    }
}

impl Lot {
    /// A batch before its first attempt.
    #[must_use]
    pub fn new(operations: Vec<Planned>) -> Self {
        let (operations, pasts) = operations
            .into_iter()
            .map(|Planned { change, operation }| (operation, Past { change, doubt: None }))
            .unzip();
        Self {
            operations,
            pasts,
            spent: 0,
            bisecting: false,
        }
    }

    /// The operations in order.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// How many operations.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// How many come from which difference.
    #[must_use]
    pub fn split(&self) -> Split {
        let mut split = Split::default();
        for past in &self.pasts {
            *split.of(past.change) += 1;
        }
        split
    }

    /// The operations one by one.
    pub fn into_items(self) -> impl Iterator<Item = Item> {
        self.operations
            .into_iter()
            .zip(self.pasts)
            .map(|(operation, past)| Item { operation, past })
    }

    /// A lot with the same past and no operations.
    #[must_use]
    pub const fn emptied(&self) -> Self {
        Self {
            operations: Vec::new(),
            pasts: Vec::new(),
            spent: self.spent,
            bisecting: self.bisecting,
        }
    }

    /// Adds one.
    pub fn push(&mut self, item: Item) {
        self.operations.push(item.operation);
        self.pasts.push(item.past);
    }

    /// The last word about operations that get no further attempt: unknown where one may have been applied, else
    /// aborted.
    #[must_use]
    pub fn give_up(self, why: &str) -> Vec<Verdict> {
        self.into_items()
            .map(|mut item| {
                let settled = match item.past.doubt.take() {
                    Some(doubt) => Settled::unknown(format!("{doubt}; {why}")),
                    None => Settled::Aborted,
                };
                item.settle(settled)
            })
            .collect()
    }

    /// All unknown, for this reason.
    #[must_use]
    pub fn into_unknown(self, reason: &str) -> Vec<Verdict> {
        self.into_items()
            .map(|item| item.settle(Settled::unknown(reason.to_owned())))
            .collect()
    }

    /// All refused, for this reason.
    #[must_use]
    pub fn into_refused(self, rejection: &Rejection) -> Vec<Verdict> {
        self.into_items().map(|item| item.refuse(rejection.clone())).collect()
    }

    /// That an attempt at all of them may have been applied.
    #[must_use]
    pub fn doubted(mut self, reason: &str) -> Self {
        for past in &mut self.pasts {
            past.doubt.get_or_insert_with(|| reason.to_owned());
        }
        self
    }

    /// In two halves, in order; the first has the odd one.
    #[must_use]
    pub fn halves(mut self) -> [Self; 2] {
        let middle = self.len().div_ceil(2);
        let half = Self {
            operations: self.operations.split_off(middle),
            pasts: self.pasts.split_off(middle),
            ..self
        };
        [self, half]
    }

    /// Takes single operations out, spread over the whole, to tell a cause that all share from records at fault. None
    /// where splitting finds that out as fast.
    pub fn probes(&mut self, count: usize) -> Vec<Self> {
        let total = self.len();
        if count == 0 || total < 4 * count {
            return Vec::new();
        }
        // From the back, so that the places before stay what they are.
        let mut probes: Vec<Self> = (0..count)
            .rev()
            .map(|nth| Self {
                operations: vec![self.operations.remove(nth * total / count)],
                pasts: vec![self.pasts.remove(nth * total / count)],
                ..self.emptied()
            })
            .collect();
        probes.reverse();
        probes
    }
}
