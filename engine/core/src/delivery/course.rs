//! The loop that moves operations from the plan to the destination and their outcomes to the journal.

use std::collections::BTreeMap;
use std::pin::Pin;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::destination::Destination;
use crate::fault;
use crate::journal::{Entry, Journal, JournalError, Span, State};
use crate::operation::Change;
use crate::outcome::{Failure, Outcome};
use crate::project::sync::Threshold;
use crate::report::{Counts, Split};

use super::attempt::{Decision, Judge};
use super::batch::{Filled, Filler};
use super::lot::Lot;
use super::pace::Pace;
use super::progress::Progress;
use super::{Delivery, End, Read, Settled, Verdict};

/// A batch has its result; it was given to the destination unless its attempt could not be journaled.
struct Written {
    flight: u64,
    lot: Lot,
    result: Result<Result<Vec<Outcome>, Failure>, JournalError>,
}

/// Outcomes are durable, or could not be made so.
struct Journaled {
    verdicts: Vec<Verdict>,
    result: Result<(), JournalError>,
}

type Flight<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One delivery under way.
pub struct Course<'a> {
    delivery: &'a Delivery<'a>,
    filler: Filler,
    judge: Judge,
    pace: Pace,
    progress: Progress,
    /// Batches that were sent and have no result yet; each holds its lot.
    flights: FuturesUnordered<Flight<'a, Written>>,
    /// What those batches come from.
    in_flight: BTreeMap<u64, Split>,
    /// Outcomes on their way to the disk.
    journaling: FuturesUnordered<Flight<'a, Journaled>>,
    next_flight: u64,
    /// Operations that came from the plan.
    read: u64,
    /// What became of operations so far.
    pub counts: Counts,
    end: Option<End>,
}

impl<'a> Course<'a> {
    /// Before anything was read.
    pub fn new(delivery: &'a Delivery<'a>) -> Self {
        let target = delivery.destination.target();
        Self {
            delivery,
            filler: Filler::new(target.limits),
            judge: Judge::new(delivery.budgets.clone(), target.idempotent),
            pace: Pace::default(),
            progress: Progress::new(delivery.planned.total()),
            flights: FuturesUnordered::new(),
            in_flight: BTreeMap::new(),
            journaling: FuturesUnordered::new(),
            next_flight: 0,
            read: 0,
            counts: Counts::default(),
            end: None,
        }
    }

    /// Delivers what is read, and says how that ended.
    pub async fn run(&mut self, mut reads: mpsc::Receiver<Read>) -> End {
        let mut cancelled = std::pin::pin!(self.delivery.control.cancelled());
        loop {
            if self.delivery.control.is_cancelled() {
                self.stop(End::Cancelled);
            }
            self.launch();
            let idle = self.flights.is_empty() && self.journaling.is_empty() && self.pace.is_empty();
            if self.end.is_some() || (self.filler.is_exhausted() && idle) {
                break;
            }
            let wake = self.pace.wakes_at().filter(|_| self.has_room());
            tokio::select! {
                Some(written) = self.flights.next() => self.land(written),
                Some(journaled) = self.journaling.next() => self.counted(journaled),
                read = reads.recv(), if self.filler.wants_more() => self.take(read),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                () = &mut cancelled => self.stop(End::Cancelled),
            }
        }
        self.drain().await;
        self.progress.tell(self.delivery.control, &self.counts, true);
        self.end.take().unwrap_or_else(|| self.judge.end())
    }

    /// Operations come from the plan, or its end.
    fn take(&mut self, read: Option<Read>) {
        let planned = self.delivery.planned.total();
        match read {
            Some(Ok(operations)) if !operations.is_empty() => {
                self.read += operations.len() as u64;
                self.filler.push(operations);
            }
            // Never taken for the whole plan: a file that mirrors would lose the rest.
            Some(Ok(_)) if self.read != planned => self.stop(End::Failed(format!(
                "the plan has {planned} operations, but {} were read",
                self.read
            ))),
            Some(Ok(_)) => self.filler.no_more(),
            Some(Err(message)) => self.stop(End::Failed(format!("the plan cannot be read: {message}"))),
            None => self.stop(End::Failed("the plan cannot be read: its reader ended early".into())),
        }
    }

    fn has_room(&self) -> bool {
        self.in_flight.len() < self.lots_max()
    }

    /// Batches in flight at most.
    fn lots_max(&self) -> usize {
        let concurrency = self.delivery.destination.target().limits.concurrency;
        self.delivery.budgets.in_flight.min(concurrency).max(1) as usize
    }

    /// Sends off what may leave now.
    fn launch(&mut self) {
        while self.end.is_none() && self.has_room() && !self.pace.is_held(Instant::now()) {
            let lot = match self.pace.take_due(Instant::now()) {
                Some(lot) => lot,
                // What waits for another attempt keeps its place, so that no more of the plan is held than may be in
                // flight, and a destination that is down is not asked ever more often.
                None if self.in_flight.len() + self.pace.len() >= self.lots_max() => return,
                // All removals have their outcome before the first write leaves (rule 24).
                None => match self.filler.fill(self.in_flight.is_empty() && self.pace.is_empty()) {
                    Filled::Batch(operations) => Lot::new(operations),
                    Filled::Wait => return,
                },
            };
            self.send(lot);
        }
    }

    fn send(&mut self, lot: Lot) {
        let flight = self.next_flight;
        self.next_flight += 1;
        let Delivery {
            destination, journal, ..
        } = *self.delivery;
        self.in_flight.insert(flight, lot.split());
        self.flights.push(Box::pin(async move {
            let spans = Span::gather(lot.operations().iter().map(|operation| operation.ordinal));
            let result = match attempt(journal, spans).await {
                Ok(()) => Ok(write(destination, &lot).await),
                Err(error) => Err(error),
            };
            Written { flight, lot, result }
        }));
    }

    fn land(&mut self, Written { flight, lot, result }: Written) {
        self.in_flight.remove(&flight);
        match result {
            Ok(result) => {
                let decision = self.judge.judge(lot, result, Instant::now());
                self.follow(decision);
            }
            // Not sent: nothing of it happened.
            Err(error) => self.stop(End::Failed(error.to_string())),
        }
    }

    fn counted(&mut self, Journaled { verdicts, result }: Journaled) {
        match result {
            Ok(()) => {
                for verdict in verdicts {
                    self.count(verdict.change, &verdict.settled);
                }
                self.progress.tell(self.delivery.control, &self.counts, false);
                self.check_rejections();
            }
            Err(error) => {
                // Attempted, but what came of it is not durable: unknown, as recovery will find it.
                for verdict in verdicts {
                    *self.counts.unknown.of(verdict.change) += 1;
                    *self.counts.attempted.of(verdict.change) += 1;
                }
                self.stop(End::Failed(error.to_string()));
            }
        }
    }

    fn follow(&mut self, decision: Decision) {
        if let Some(limit) = decision.bytes_max {
            self.filler.shrink(limit);
        }
        if let Some((until, reason)) = decision.hold {
            self.pace.hold(until);
            self.progress.waiting(self.delivery.control, until, reason);
        }
        for (lot, due) in decision.again {
            self.pace.put(lot, due);
        }
        self.settle(decision.settled);
        if let Some(end) = decision.end {
            self.stop(end);
        }
    }

    /// Makes outcomes durable; they are counted once they are.
    fn settle(&mut self, verdicts: Vec<Verdict>) {
        if verdicts.is_empty() {
            return;
        }
        let journal = self.delivery.journal;
        self.journaling.push(Box::pin(async move {
            let result = journal.append(outcomes(&verdicts)).await.and_then(|()| {
                fault::point("outcomes-journaled").map_err(|error| JournalError::Closed(error.to_string()))
            });
            Journaled { verdicts, result }
        }));
    }

    fn count(&mut self, change: Change, settled: &Settled) {
        let counts = &mut self.counts;
        let split = match settled {
            Settled::Aborted => return,
            Settled::Accepted(_) => &mut counts.succeeded,
            Settled::Other(State::Accepted { .. }) => &mut counts.succeeded,
            Settled::Other(State::Rejected(_)) => &mut counts.rejected,
            // Already gone is what a removal wanted (rule 20).
            Settled::Other(State::NoMatch) if change == Change::Removed => &mut counts.succeeded,
            Settled::Other(State::NoMatch) => &mut counts.unmatched,
            Settled::Other(State::Unknown { .. }) => &mut counts.unknown,
        };
        *split.of(change) += 1;
        *counts.attempted.of(change) += 1;
    }

    fn check_rejections(&mut self) {
        let Some(Threshold { share, rows }) = self.delivery.rejected_max else {
            return;
        };
        let (rejected, attempted) = (self.counts.rejected.total(), self.counts.attempted.total());
        #[expect(clippy::cast_precision_loss, reason = "a share of row counts")]
        if rejected > rows && rejected as f64 > share * attempted as f64 {
            self.stop(End::Failed(format!(
                "the destination refused {rejected} of {attempted} records, more than guards.max_rejected allows"
            )));
        }
    }

    /// Nothing more leaves. The first reason stands.
    fn stop(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    /// Waits for what is in flight, within the grace time; gives up what waits for another attempt.
    async fn drain(&mut self) {
        self.give_up_waiting();
        let grace_ends = Instant::now() + self.delivery.budgets.grace;
        while let Ok(Some(written)) = timeout_at(grace_ends, self.flights.next()).await {
            self.land(written);
            self.give_up_waiting();
        }
        // Left in flight past the grace time: dropped here, unknown in the journal, as their attempts have no outcome.
        self.flights.clear();
        for split in std::mem::take(&mut self.in_flight).into_values() {
            self.counts.unknown += split;
            self.counts.attempted += split;
        }
        while let Some(journaled) = self.journaling.next().await {
            self.counted(journaled);
        }
    }

    fn give_up_waiting(&mut self) {
        for lot in self.pace.take_all() {
            self.settle(lot.give_up("the run stopped before another attempt"));
        }
    }
}

/// Makes an attempt durable. A process that was suspended meanwhile may have lost its place (rule 30).
async fn attempt(journal: &Journal, spans: Vec<Span>) -> Result<(), JournalError> {
    journal.append(Entry::Attempt { spans }).await?;
    fault::point("attempt-journaled")
        .and_then(|()| journal.check_place())
        .map_err(|error| JournalError::Closed(error.to_string()))
}

async fn write(destination: &dyn Destination, lot: &Lot) -> Result<Vec<Outcome>, Failure> {
    let answer = destination.write(lot.operations()).await;
    fault::point("batch-answered").map_err(|error| Failure::Uncertain(error.to_string()))?;
    answer
}

/// The journal's form of what was settled.
fn outcomes(verdicts: &[Verdict]) -> Entry {
    let ordinals = |wanted: &Settled| {
        let those = verdicts.iter().filter(|verdict| verdict.settled == *wanted);
        Span::gather(those.map(|verdict| verdict.ordinal))
    };
    let other = |verdict: &Verdict| {
        let state = match &verdict.settled {
            Settled::Accepted(None) | Settled::Aborted => return None,
            Settled::Accepted(Some(id)) => State::Accepted { id: id.clone() },
            Settled::Other(state) => state.clone(),
        };
        Some((verdict.ordinal, state))
    };
    Entry::Outcomes {
        accepted: ordinals(&Settled::Accepted(None)),
        aborted: ordinals(&Settled::Aborted),
        others: verdicts.iter().filter_map(other).collect(),
    }
}
