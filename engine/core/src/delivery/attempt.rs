//! What follows from a batch's result: what is settled, what is tried again and when, what ends the run (rules 25, 26).
//!
//! Given results and a time, it says what happens next; it neither waits nor sends.

use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;

use crate::journal::State;
use crate::operation::{Kind, Operation};
use crate::outcome::{Failure, Outcome, Rejection};

use super::budgets::Budgets;
use super::lot::Lot;
use super::{End, Settled, Verdict};

/// What follows from a result.
#[derive(Debug, Default)]
pub struct Decision {
    /// Operations with their last word.
    pub settled: Vec<Verdict>,
    /// Lots for another attempt, and when.
    pub again: Vec<(Lot, Instant)>,
    /// Nothing leaves before then; why.
    pub hold: Option<(Instant, String)>,
    /// Batches have no more bytes than this from now on.
    pub bytes_max: Option<usize>,
    /// The run ends.
    pub end: Option<End>,
}

/// Judges results over one delivery.
pub struct Judge {
    budgets: Budgets,
    idempotent: bool,
    waited: Duration,
    held_until: Option<Instant>,
    limited_in_a_row: u32,
    uncertain_in_a_row: u32,
    given_up_in_a_row: u32,
    /// Why operations were given up, where some were: such a run has not done everything.
    given_up: Option<String>,
    bisect_requests: u32,
    accepted_any: bool,
    probed: bool,
    alone: VecDeque<String>,
}

impl Judge {
    /// Within these budgets. `idempotent` says whether an insert may be repeated after a doubtful attempt.
    #[must_use]
    pub const fn new(budgets: Budgets, idempotent: bool) -> Self {
        Self {
            budgets,
            idempotent,
            waited: Duration::ZERO,
            held_until: None,
            limited_in_a_row: 0,
            uncertain_in_a_row: 0,
            given_up_in_a_row: 0,
            given_up: None,
            bisect_requests: 0,
            accepted_any: false,
            probed: false,
            alone: VecDeque::new(),
        }
    }

    /// How a delivery ends that nothing stopped: done, unless operations were given up on the way.
    #[must_use]
    pub fn end(&mut self) -> End {
        self.given_up.take().map_or(End::Done, End::Interrupted)
    }

    /// What follows from the result of an attempt at `lot`.
    pub fn judge(&mut self, lot: Lot, result: Result<Vec<Outcome>, Failure>, now: Instant) -> Decision {
        if !matches!(result, Err(Failure::RateLimited { .. })) {
            self.limited_in_a_row = 0;
        }
        if !matches!(result, Err(Failure::Uncertain(_) | Failure::Trapped { .. })) {
            self.uncertain_in_a_row = 0;
        }
        match result {
            Ok(outcomes) if outcomes.len() == lot.len() => self.answered(lot, outcomes, now),
            Ok(outcomes) => broken(lot, &format!("the plugin gave {} outcomes", outcomes.len())),
            Err(Failure::Transient(message)) => self.try_again(lot, None, &message, now),
            Err(Failure::Uncertain(message)) => self.uncertain(lot, &message, now),
            Err(Failure::RateLimited { wait, message }) => self.rate_limited(lot, wait, &message, now),
            Err(Failure::TooLarge(message)) => self.too_large(lot, message, now),
            Err(Failure::Refused(rejection)) => self.refused(lot, &rejection, now),
            Err(Failure::Trapped { message, sent }) => self.trapped(lot, message, sent, now),
            Err(failure @ Failure::Unauthorized(_)) => {
                let message = failure.to_string();
                Decision {
                    settled: lot.give_up(&message),
                    end: Some(End::Failed(message)),
                    ..Decision::default()
                }
            }
            Err(Failure::Fatal(message)) => Decision {
                settled: lot.give_up(&message),
                end: Some(End::Failed(message)),
                ..Decision::default()
            },
            Err(Failure::Broken(message)) => broken(lot, &message),
        }
    }

    fn answered(&mut self, lot: Lot, outcomes: Vec<Outcome>, now: Instant) -> Decision {
        let mut settled = Vec::new();
        let mut again = lot.emptied();
        let mut after: Option<Duration> = None;
        let mut why: Option<String> = None;
        let mut attempted = false;
        for (mut item, outcome) in lot.into_items().zip(outcomes) {
            attempted |= outcome != Outcome::NotAttempted;
            settled.push(match outcome {
                Outcome::Accepted { id } => {
                    self.accepted_any = true;
                    item.settle(Settled::Accepted(id))
                }
                Outcome::Rejected(rejection) => item.refuse(rejection),
                Outcome::NoMatch => item.settle(Settled::Other(State::NoMatch)),
                Outcome::Retry { after: wait, reason } => {
                    why = why.or(reason);
                    after = after.max(wait);
                    again.push(item);
                    continue;
                }
                Outcome::NotAttempted => {
                    again.push(item);
                    continue;
                }
                Outcome::Unknown { reason } if self.repeatable(item.operation.kind) => {
                    why.get_or_insert_with(|| reason.clone());
                    item.doubt(reason);
                    again.push(item);
                    continue;
                }
                Outcome::Unknown { reason } => item.settle(Settled::unknown(reason)),
            });
        }
        if !settled.is_empty() {
            self.given_up_in_a_row = 0;
        }
        let mut decision = if again.is_empty() {
            Decision::default()
        } else if attempted && after.is_none() && settled.len() > again.len() {
            // Most got through, so the rest only waited for its turn.
            Decision {
                again: vec![(again, now)],
                ..Decision::default()
            }
        } else {
            let why = why.unwrap_or_else(|| "the destination asked to try again".to_owned());
            self.try_again(again, after, &why, now)
        };
        decision.settled.append(&mut settled);
        decision
    }

    /// Another attempt after a pause, unless all are spent; then these operations are given up.
    fn try_again(&mut self, mut lot: Lot, after: Option<Duration>, why: &str, now: Instant) -> Decision {
        lot.spent += 1;
        if lot.spent >= self.budgets.attempts {
            return self.give_up(lot, why);
        }
        if let Some(after) = after.filter(|after| *after > self.budgets.wait_max) {
            return self.waits_too_long(lot, after, why);
        }
        let pause = self.backoff(lot.spent).max(after.unwrap_or_default());
        Decision {
            again: vec![(lot, now + pause)],
            ..Decision::default()
        }
    }

    /// The others go on, for it may be one record that always fails, unless nothing gets through any more. Nor do they
    /// after a removal without an outcome: no write leaves before all removals have theirs (rule 24).
    fn give_up(&mut self, lot: Lot, why: &str) -> Decision {
        let why = format!("given up after {} attempts: {why}", self.budgets.attempts);
        self.given_up_in_a_row += 1;
        let removals = lot.operations().iter().any(|operation| operation.kind.is_removal());
        let stop = removals || self.given_up_in_a_row >= self.budgets.given_up_in_a_row;
        self.given_up.get_or_insert_with(|| why.clone());
        Decision {
            settled: lot.give_up(&why),
            end: stop.then_some(End::Interrupted(why)),
            ..Decision::default()
        }
    }

    /// A pause with full jitter.
    fn backoff(&self, spent: u32) -> Duration {
        let longest = self
            .budgets
            .backoff_base
            .saturating_mul(2u32.saturating_pow(spent.saturating_sub(1)));
        longest
            .min(self.budgets.backoff_max)
            .mul_f64(rand::rng().random_range(0.0..=1.0))
    }

    /// Whether an operation may be sent again although an attempt may have been applied.
    const fn repeatable(&self, kind: Kind) -> bool {
        self.idempotent || !matches!(kind, Kind::Insert)
    }

    fn uncertain(&mut self, lot: Lot, message: &str, now: Instant) -> Decision {
        let mut repeat = lot.emptied();
        let mut settled = Vec::new();
        for item in lot.into_items() {
            if self.repeatable(item.operation.kind) {
                repeat.push(item);
            } else {
                settled.push(item.settle(Settled::unknown(message.to_owned())));
            }
        }
        let mut decision = if repeat.is_empty() {
            Decision::default()
        } else {
            self.try_again(repeat.doubted(message), None, message, now)
        };
        if !settled.is_empty() {
            decision.end = decision.end.or(self.left_uncertain(message));
        }
        decision.settled.append(&mut settled);
        decision
    }

    /// Operations stay unknown, as they must not be repeated. Many in a row end the run: what can be repeated has its
    /// attempts to wait with, these have not.
    fn left_uncertain(&mut self, message: &str) -> Option<End> {
        self.uncertain_in_a_row += 1;
        let times = self.uncertain_in_a_row;
        (times >= self.budgets.uncertain_in_a_row)
            .then(|| End::Interrupted(format!("{times} batches in a row without a readable answer: {message}")))
    }

    /// The wait holds everything, and spends no attempt.
    fn rate_limited(&mut self, lot: Lot, wait: Option<Duration>, message: &str, now: Instant) -> Decision {
        // Batches that were in flight together are told the same; that is one wait.
        let held_until = self.held_until.map_or(now, |until| until.max(now));
        if held_until == now {
            self.limited_in_a_row += 1;
        }
        // "Again in 0 seconds" must not become a loop without a pause.
        let wait = match wait {
            Some(wait) if wait >= self.budgets.backoff_base => wait,
            wait => self.backoff(self.limited_in_a_row + 1).max(wait.unwrap_or_default()),
        };
        if wait > self.budgets.wait_max {
            return self.waits_too_long(lot, wait, message);
        }
        let until = now + wait;
        self.waited += until.saturating_duration_since(held_until);
        if self.waited > self.budgets.waits_total {
            return self.waits_too_long(lot, wait, message);
        }
        self.held_until = Some(until.max(held_until));
        Decision {
            again: vec![(lot, until)],
            hold: Some((until, format!("rate limited: {message}"))),
            ..Decision::default()
        }
    }

    fn waits_too_long(&self, lot: Lot, wait: Duration, message: &str) -> Decision {
        let wait = wait.as_secs();
        let why = if wait > self.budgets.wait_max.as_secs() {
            let longest = self.budgets.wait_max.as_secs();
            format!("the destination asks to wait {wait} s, and a run waits {longest} s at most: {message}")
        } else {
            let total = self.budgets.waits_total.as_secs();
            format!("the destination asks to wait {wait} s more, and a run waits {total} s in all: {message}")
        };
        Decision {
            settled: lot.give_up(&why),
            end: Some(End::Interrupted(why)),
            ..Decision::default()
        }
    }

    /// Splits a refused batch until the records at fault are alone.
    fn refused(&mut self, lot: Lot, rejection: &Rejection, now: Instant) -> Decision {
        if lot.len() > 1 {
            return self.bisect(lot, &rejection.message, now);
        }
        let (bisecting, code) = (lot.bisecting, rejection.code.clone());
        let message = rejection.message.clone();
        let settled = lot.into_refused(rejection);
        Decision {
            settled,
            end: self.one_cause(bisecting, code, &message),
            ..Decision::default()
        }
    }

    fn trapped(&mut self, lot: Lot, message: String, sent: bool, now: Instant) -> Decision {
        let lot = if sent { lot.doubted(&message) } else { lot };
        if lot.len() > 1 {
            let mut operations = lot.operations().iter();
            let repeatable = operations.all(|operation| self.repeatable(operation.kind));
            if sent && !repeatable {
                return Decision {
                    settled: lot.give_up("it is not repeated"),
                    end: self.left_uncertain(&message),
                    ..Decision::default()
                };
            }
            return self.bisect(lot, &message, now);
        }
        let end = self.one_cause(true, "plugin_failed".into(), &message);
        let rejection = Rejection {
            code: "plugin_failed".into(),
            message,
            field: None,
        };
        let settled = lot.into_refused(&rejection);
        Decision {
            settled,
            end,
            ..Decision::default()
        }
    }

    fn bisect(&mut self, mut lot: Lot, message: &str, now: Instant) -> Decision {
        lot.bisecting = true;
        self.bisect_requests += 2;
        if self.bisect_requests > self.budgets.bisect_requests {
            let requests = self.budgets.bisect_requests;
            let why = format!("more than {requests} requests went into finding what makes batches fail: {message}");
            return Decision {
                settled: lot.give_up(&why),
                end: Some(End::Failed(why)),
                ..Decision::default()
            };
        }
        let probes = if self.accepted_any || self.probed {
            Vec::new()
        } else {
            self.probed = true;
            lot.probes(self.budgets.one_cause_records as usize)
        };
        let parts = lot.halves().into_iter().filter(|half| !half.is_empty());
        Decision {
            again: probes.into_iter().chain(parts).map(|part| (part, now)).collect(),
            ..Decision::default()
        }
    }

    /// The batch shrinks for the rest of the run; a record that is too large alone is refused.
    fn too_large(&mut self, lot: Lot, message: String, now: Instant) -> Decision {
        if lot.len() > 1 {
            let bytes: usize = lot.operations().iter().map(Operation::bytes).sum();
            return Decision {
                again: lot.halves().map(|half| (half, now)).into(),
                bytes_max: Some(bytes.div_ceil(2)),
                ..Decision::default()
            };
        }
        let end = self.one_cause(true, "too_large".into(), &message);
        let rejection = Rejection {
            code: "too_large".into(),
            message,
            field: None,
        };
        Decision {
            settled: lot.into_refused(&rejection),
            end,
            ..Decision::default()
        }
    }

    /// Whether everything fails for one cause: then it is not the records.
    fn one_cause(&mut self, bisecting: bool, code: String, message: &str) -> Option<End> {
        if !bisecting || self.accepted_any {
            return None;
        }
        self.alone.push_back(code);
        let enough = self.alone.len() >= self.budgets.one_cause_records as usize;
        let same = self.alone.iter().all(|code| Some(code) == self.alone.front());
        (enough && same).then(|| {
            End::Failed(format!(
                "every record fails for one cause, so the rest was not sent: {message}"
            ))
        })
    }
}

/// The plugin cannot be believed: whether something was applied is not known.
fn broken(lot: Lot, message: &str) -> Decision {
    Decision {
        settled: lot.into_unknown(message),
        end: Some(End::Failed(message.to_owned())),
        ..Decision::default()
    }
}
