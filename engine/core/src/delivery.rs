//! Delivery: operations leave in batches, and each gets exactly one state (rules 24 to 27).
//!
//! The decisions are made without IO: [`batch`] says which operations go together, [`attempt`] what follows from a
//! batch's result, [`pace`] when something may leave. The loop in `course` only moves them: it keeps a bounded number of
//! batches in flight, and journals every attempt before it leaves and every outcome before it is told. The plan is read
//! on a thread of its own through a short channel, so that no more operations are held than are in flight or waiting.

pub mod attempt;
pub mod batch;
pub mod budgets;
mod course;
pub mod lot;
pub mod pace;
mod progress;
#[cfg(test)]
mod tests;

use std::error::Error;

use tokio::sync::mpsc;

use crate::destination::{Counting, Destination};
use crate::journal::{Entry, Journal, State};
use crate::operation::{Change, Operation};
use crate::outcome::{Failure, Rejection};
use crate::project::sync::Threshold;
use crate::report::{Control, Counts, Split};

use budgets::Budgets;
use course::Course;

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
        if end == End::Done {
            end = mark_finished(&delivery, end, &mut counts).await;
        } else {
            forget_accepted(&delivery, &mut counts);
        }
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

impl Settled {
    const fn unknown(reason: String) -> Self {
        Self::Other(State::Unknown { reason })
    }

    const fn rejected(rejection: Rejection) -> Self {
        Self::Other(State::Rejected(rejection))
    }
}

/// An operation's last word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The operation's place in the plan.
    pub ordinal: u64,
    /// The difference that it comes from.
    pub change: Change,
    /// What became of it.
    pub settled: Settled,
}
