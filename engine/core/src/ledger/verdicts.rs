//! The last word of a journal about every operation of a plan.
//!
//! A byte per operation, and text only for those that are more than accepted or aborted.

use std::collections::BTreeMap;

use crate::destination::Counting;
use crate::journal::{Entry, JournalError, Reader, Span, State};

/// What is known of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// It was not sent, or certainly not applied.
    Aborted,
    /// The destination has it.
    Accepted,
    /// It was refused.
    Rejected,
    /// There was no record.
    NoMatch,
    /// It may have been applied.
    Unknown,
}

impl Verdict {
    /// The word for it in the ledger.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::NoMatch => "unmatched",
            Self::Unknown => "unknown",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        [
            Self::Aborted,
            Self::Accepted,
            Self::Rejected,
            Self::NoMatch,
            Self::Unknown,
        ]
        .into_iter()
        .find(|verdict| verdict.as_str() == word)
    }
}

/// The verdicts of a plan.
#[derive(Debug)]
pub(super) struct Verdicts {
    verdicts: Vec<Verdict>,
    details: BTreeMap<u64, State>,
    /// Whether the destination's `finish` succeeded.
    pub(super) finished: bool,
}

/// An operation whose verdict is more than "accepted".
pub(super) struct Exception<'a> {
    pub(super) ordinal: u64,
    pub(super) verdict: Verdict,
    pub(super) state: Option<&'a State>,
}

impl Verdicts {
    /// Nobody knows what was sent.
    pub(super) fn unknown(operations: u64) -> Self {
        Self::all(Verdict::Unknown, operations)
    }

    fn all(verdict: Verdict, operations: u64) -> Self {
        let count = usize::try_from(operations).unwrap_or(usize::MAX);
        Self {
            verdicts: vec![verdict; count],
            details: BTreeMap::new(),
            finished: false,
        }
    }

    /// Reads a journal to its end; without one nothing was sent.
    pub(super) fn read(reader: Option<Reader>, operations: u64) -> Result<Self, JournalError> {
        let mut verdicts = Self::all(Verdict::Aborted, operations);
        let Some(mut reader) = reader else {
            return Ok(verdicts);
        };
        let counting = reader.header().counting;
        while let Some(entry) = reader.next_entry()? {
            verdicts.take(entry);
        }
        if counting == Counting::Finish && !verdicts.finished {
            verdicts.doubt_accepted();
        }
        Ok(verdicts)
    }

    fn take(&mut self, entry: Entry) {
        match entry {
            // An attempt whose answer is not known yet; one after an unknown outcome too.
            Entry::Attempt { spans } => self.set(&spans, Verdict::Unknown),
            Entry::Outcomes {
                accepted,
                aborted,
                others,
            } => {
                self.set(&accepted, Verdict::Accepted);
                self.set(&aborted, Verdict::Aborted);
                for (ordinal, state) in others {
                    let verdict = match &state {
                        State::Accepted { .. } => Verdict::Accepted,
                        State::Rejected(_) => Verdict::Rejected,
                        State::NoMatch => Verdict::NoMatch,
                        State::Unknown { .. } => Verdict::Unknown,
                    };
                    self.set(&[Span(ordinal, ordinal)], verdict);
                    self.details.insert(ordinal, state);
                }
            }
            Entry::Finished => self.finished = true,
        }
    }

    fn set(&mut self, spans: &[Span], verdict: Verdict) {
        let count = self.verdicts.len();
        for span in spans {
            let bound = |ordinal: u64| usize::try_from(ordinal).unwrap_or(usize::MAX).min(count);
            let range = bound(span.0)..bound(span.1.saturating_add(1));
            if let Some(places) = self.verdicts.get_mut(range) {
                places.fill(verdict);
            }
            let outdated: Vec<u64> = self
                .details
                .range(span.0..=span.1.max(span.0))
                .map(|(ordinal, _)| *ordinal)
                .collect();
            for ordinal in outdated {
                self.details.remove(&ordinal);
            }
        }
    }

    /// Rule 6: what counts at the end does not before.
    fn doubt_accepted(&mut self) {
        for (ordinal, verdict) in self.verdicts.iter_mut().enumerate() {
            if *verdict == Verdict::Accepted {
                *verdict = Verdict::Unknown;
                self.details.remove(&(ordinal as u64));
            }
        }
    }

    /// Whether no operation is without a definite outcome because it was not sent.
    pub(super) fn none_aborted(&self) -> bool {
        !self.verdicts.contains(&Verdict::Aborted)
    }

    /// The operations that are not simply accepted, and those accepted with an id, by ordinal.
    pub(super) fn exceptions(&self) -> impl Iterator<Item = Exception<'_>> {
        self.verdicts.iter().zip(0_u64..).filter_map(|(verdict, ordinal)| {
            let state = if self.details.is_empty() {
                None
            } else {
                self.details.get(&ordinal)
            };
            (*verdict != Verdict::Accepted || state.is_some()).then_some(Exception {
                ordinal,
                verdict: *verdict,
                state,
            })
        })
    }
}
