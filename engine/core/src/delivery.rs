//! Delivery: operations leave in batches, and each gets exactly one state (rules 24 to 27).
//!
//! The decisions are made without IO: [`batch`] says which operations go together, [`attempt`] what follows from a
//! batch's result, [`pace`] when something may leave. The loop in here only moves them: it reads the plan on a thread
//! of its own through a short channel, keeps a bounded number of batches in flight, and journals every attempt before
//! it leaves and every outcome before it is told. It never holds more operations than are in flight or waiting.

pub mod attempt;
pub mod batch;
pub mod budgets;
pub mod pace;
mod progress;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::error::Error;
use std::pin::Pin;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::destination::{Counting, Destination};
use crate::journal::{Entry, Journal, JournalError, Span, State};
use crate::operation::{Change, Operation};
use crate::outcome::{Failure, Outcome};
use crate::project::sync::Threshold;
use crate::report::{Control, Counts, Split};

use attempt::{Decision, Judge, Lot};
use batch::{Filled, Filler};
use budgets::Budgets;
use pace::Pace;
use progress::Progress;

/// Operations that one read of the plan takes.
const READ_RECORDS: usize = 1_000;
/// Reads that wait for delivery at most.
const READS_WAITING: usize = 2;

/// An operation with the difference that it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The difference.
    pub change: Change,
    /// What is to be done.
    pub operation: Operation,
}

/// Where a plan's operations are read from, in the order of their ordinals: removals, then writes, each run of one
/// kind together. Read on a thread that may block.
pub trait OperationSource: Send + 'static {
    /// The next operations, at most so many; none at the end.
    ///
    /// # Errors
    /// When the plan cannot be read.
    fn read(&mut self, at_most: usize) -> Result<Vec<Planned>, Box<dyn Error + Send + Sync>>;
}

/// What is delivered, and within which bounds.
pub struct Delivery<'a> {
    /// The destination.
    pub destination: &'a dyn Destination,
    /// The run's journal.
    pub journal: &'a Journal,
    /// How it is watched and stopped.
    pub control: &'a Control,
    /// Attempts, waits and concurrency.
    pub budgets: Budgets,
    /// How many operations the plan has.
    pub planned: Split,
    /// Refused operations past this stop the run.
    pub rejected_max: Option<Threshold>,
}

/// How delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Every operation has its outcome.
    Done,
    /// Somebody cancelled.
    Cancelled,
    /// A passing fault outlasted the budgets.
    Interrupted(String),
    /// A fault that waiting does not mend.
    Failed(String),
}

/// What delivery did. Of [`Counts`] it fills attempted, aborted, succeeded, rejected, unmatched and unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// How it ended.
    pub end: End,
    /// The counts.
    pub counts: Counts,
}

/// Delivers a plan.
///
/// Whatever happens is in the result: what could not be sent is counted as aborted.
pub async fn deliver(source: impl OperationSource, delivery: Delivery<'_>) -> Delivered {
    let mut course = Course::new(&delivery);
    let mut end = course.run(read(source)).await;
    let mut counts = course.counts;
    if delivery.destination.target().finish {
        end = conclude(&delivery, end, &mut counts).await;
    } else if delivery.destination.target().counting == Counting::Finish {
        end = mark_finished(&delivery, end, &mut counts).await;
    }
    counts.aborted = minus(delivery.planned, counts.attempted);
    Delivered { end, counts }
}

/// Lets the destination finish, or leave nothing half done; where records count only then, they do now.
async fn conclude(delivery: &Delivery<'_>, end: End, counts: &mut Counts) -> End {
    // A file that mirrors is replaced whole or not at all (rule 23); rows that it refuses are left out of it.
    let incomplete = delivery.destination.target().whole && counts.unknown.total() > 0;
    if end != End::Done || incomplete {
        delivery.destination.abort().await;
        forget_accepted(delivery, counts);
        return if end == End::Done {
            End::Interrupted("not every record could be written, so nothing was replaced".into())
        } else {
            end
        };
    }
    match delivery.destination.finish().await {
        Ok(()) => mark_finished(delivery, end, counts).await,
        Err(failure) => {
            forget_accepted(delivery, counts);
            match failure {
                Failure::Transient(_) | Failure::Uncertain(_) | Failure::RateLimited { .. } => {
                    End::Interrupted(format!("the destination could not finish: {failure}"))
                }
                failure => End::Failed(format!("the destination could not finish: {failure}")),
            }
        }
    }
}

async fn mark_finished(delivery: &Delivery<'_>, end: End, counts: &mut Counts) -> End {
    match delivery.journal.append(Entry::Finished).await {
        Ok(()) => end,
        Err(error) => {
            forget_accepted(delivery, counts);
            End::Failed(error.to_string())
        }
    }
}

/// Where records count at the end, and the end did not come, what was accepted is unknown (rule 6).
fn forget_accepted(delivery: &Delivery<'_>, counts: &mut Counts) {
    if delivery.destination.target().counting == Counting::Finish {
        counts.unknown += std::mem::take(&mut counts.succeeded);
    }
}

fn minus(all: Split, some: Split) -> Split {
    Split {
        added: all.added.saturating_sub(some.added),
        changed: all.changed.saturating_sub(some.changed),
        removed: all.removed.saturating_sub(some.removed),
    }
}

type Read = Result<Vec<Planned>, String>;

/// Reads the plan on a thread of its own, a little ahead of delivery.
fn read(mut source: impl OperationSource) -> mpsc::Receiver<Read> {
    let (sender, receiver) = mpsc::channel(READS_WAITING);
    tokio::task::spawn_blocking(move || {
        loop {
            let read = source.read(READ_RECORDS).map_err(|error| error.to_string());
            let last = !matches!(&read, Ok(operations) if !operations.is_empty());
            // Nobody receiving means that delivery has stopped.
            if sender.blocking_send(read).is_err() || last {
                return;
            }
        }
    });
    receiver
}

/// Something that was under way and is done.
enum Landed {
    /// A batch has its result; it was given to the destination unless its attempt could not be journaled.
    Written {
        flight: u64,
        result: Result<Result<Vec<Outcome>, Failure>, JournalError>,
    },
    /// Outcomes are durable, or could not be made so.
    Journaled {
        settled: Vec<(Planned, Settled)>,
        result: Result<(), JournalError>,
    },
}

/// The last word about an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Accepted, with the destination's id where it told one.
    Accepted(Option<String>),
    /// Certainly not applied, and refused by nobody.
    Aborted,
    /// Anything else.
    Other(State),
}

type Flight<'a> = Pin<Box<dyn Future<Output = Landed> + Send + 'a>>;

/// One delivery under way.
struct Course<'a> {
    delivery: &'a Delivery<'a>,
    filler: Filler,
    judge: Judge,
    pace: Pace,
    progress: Progress,
    flights: FuturesUnordered<Flight<'a>>,
    in_flight: BTreeMap<u64, Lot>,
    next_flight: u64,
    counts: Counts,
    end: Option<End>,
}

impl<'a> Course<'a> {
    fn new(delivery: &'a Delivery<'a>) -> Self {
        let target = delivery.destination.target();
        Self {
            delivery,
            filler: Filler::new(target.limits),
            judge: Judge::new(delivery.budgets.clone(), target.idempotent),
            pace: Pace::default(),
            progress: Progress::new(delivery.planned.total()),
            flights: FuturesUnordered::new(),
            in_flight: BTreeMap::new(),
            next_flight: 0,
            counts: Counts::default(),
            end: None,
        }
    }

    async fn run(&mut self, mut reads: mpsc::Receiver<Read>) -> End {
        let mut cancelled = std::pin::pin!(self.delivery.control.cancelled());
        loop {
            self.launch();
            if self.end.is_some() || (self.filler.is_exhausted() && self.flights.is_empty() && self.pace.is_idle()) {
                break;
            }
            let wake = self.pace.wakes_at().filter(|_| self.has_room());
            tokio::select! {
                Some(landed) = self.flights.next(), if !self.flights.is_empty() => self.land(landed),
                read = reads.recv(), if self.filler.wants_more() => match read {
                    Some(Ok(operations)) if operations.is_empty() => self.filler.no_more(),
                    Some(Ok(operations)) => self.filler.push(operations),
                    Some(Err(message)) => self.stop(End::Failed(format!("the plan cannot be read: {message}"))),
                    None => self.filler.no_more(),
                },
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                () = &mut cancelled => self.stop(End::Cancelled),
            }
        }
        self.drain().await;
        self.progress.tell(self.delivery.control, &self.counts, true);
        self.end.take().unwrap_or(End::Done)
    }

    fn has_room(&self) -> bool {
        let limit = self
            .delivery
            .budgets
            .in_flight
            .min(self.delivery.destination.target().limits.concurrency.max(1));
        self.in_flight.len() < limit as usize
    }

    /// Sends off what may leave now.
    fn launch(&mut self) {
        while self.end.is_none() && self.has_room() && !self.pace.is_held(Instant::now()) {
            let lot = match self.pace.take_due(Instant::now()) {
                Some(lot) => lot,
                // All removals have their outcome before the first write leaves (rule 24).
                None => match self.filler.fill(self.in_flight.is_empty() && self.pace.is_idle()) {
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
        let operations: Vec<Operation> = lot.operations().cloned().collect();
        let Delivery {
            destination, journal, ..
        } = *self.delivery;
        self.in_flight.insert(flight, lot);
        self.flights.push(Box::pin(async move {
            let spans = Span::gather(operations.iter().map(|operation| operation.ordinal));
            let result = match journal.append(Entry::Attempt { spans }).await {
                Ok(()) => Ok(destination.write(&operations).await),
                Err(error) => Err(error),
            };
            Landed::Written { flight, result }
        }));
    }

    fn land(&mut self, landed: Landed) {
        match landed {
            Landed::Written { flight, result } => {
                let Some(lot) = self.in_flight.remove(&flight) else {
                    return;
                };
                match result {
                    Ok(result) => {
                        let decision = self.judge.judge(lot, result, Instant::now());
                        self.follow(decision);
                    }
                    // Not sent: nothing of it happened.
                    Err(error) => self.stop(End::Failed(error.to_string())),
                }
            }
            Landed::Journaled {
                settled,
                result: Ok(()),
            } => {
                for (planned, settled) in settled {
                    self.count(planned.change, &settled);
                }
                self.progress.tell(self.delivery.control, &self.counts, false);
                self.check_rejections();
            }
            Landed::Journaled {
                settled,
                result: Err(error),
            } => {
                // Sent, but what came of it is not durable: unknown, as recovery will find it.
                for (planned, settled) in settled {
                    if settled != Settled::Aborted {
                        let unknown = State::Unknown {
                            reason: error.to_string(),
                        };
                        self.count(planned.change, &Settled::Other(unknown));
                    }
                }
                self.stop(End::Failed(error.to_string()));
            }
        }
    }

    fn follow(&mut self, decision: Decision) {
        if let Some(limit) = decision.records_max {
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
    fn settle(&mut self, settled: Vec<(Planned, Settled)>) {
        if settled.is_empty() {
            return;
        }
        let journal = self.delivery.journal;
        self.flights.push(Box::pin(async move {
            let result = journal.append(outcomes(&settled)).await;
            Landed::Journaled { settled, result }
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
        let waiting: Vec<Lot> = self.pace.take_all();
        self.settle(
            waiting
                .into_iter()
                .flat_map(|lot| lot.give_up("the run stopped before another attempt"))
                .collect(),
        );
        let grace_ends = Instant::now() + self.delivery.budgets.grace;
        while let Ok(Some(landed)) = timeout_at(grace_ends, self.flights.next()).await {
            self.land(landed);
            let waiting = self.pace.take_all();
            self.settle(
                waiting
                    .into_iter()
                    .flat_map(|lot| lot.give_up("the run stopped before another attempt"))
                    .collect(),
            );
        }
        // Left in flight past the grace time: dropped here, unknown in the journal, as their attempts have no outcome.
        self.flights.clear();
        for lot in std::mem::take(&mut self.in_flight).into_values() {
            for (planned, _) in lot.into_unknown("the run stopped waiting for its answer") {
                let unknown = State::Unknown { reason: String::new() };
                self.count(planned.change, &Settled::Other(unknown));
            }
        }
    }
}

/// The journal's form of what was settled.
fn outcomes(settled: &[(Planned, Settled)]) -> Entry {
    let ordinals = |wanted: &Settled| {
        Span::gather(
            settled
                .iter()
                .filter(|(_, is)| is == wanted)
                .map(|(planned, _)| planned.operation.ordinal),
        )
    };
    Entry::Outcomes {
        accepted: ordinals(&Settled::Accepted(None)),
        aborted: ordinals(&Settled::Aborted),
        others: settled
            .iter()
            .filter_map(|(planned, settled)| {
                let state = match settled {
                    Settled::Accepted(None) | Settled::Aborted => return None,
                    Settled::Accepted(Some(id)) => State::Accepted { id: id.clone() },
                    Settled::Other(state) => state.clone(),
                };
                Some((planned.operation.ordinal, state))
            })
            .collect(),
    }
}
