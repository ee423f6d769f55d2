//! One run from start to report: compile, query, diff, plan, deliver, commit, report.
//!
//! Each stage is a call into the module of its name; what is decided here is only their order, and how an error of each
//! ends the run (rule 34). The ledger is touched by whoever holds the sync's [`lock`] and by nobody else.

mod ahead;
mod apart;
mod claims;
mod compile;
mod desk;
mod error;
mod expected;
pub mod explain;
pub mod forget;
pub mod lock;
mod preview;
pub mod release;
pub mod resolve;
pub mod scratch;
pub mod snapshot;
#[cfg(test)]
mod tests;
mod wait;
mod work;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::delivery::budgets::Budgets;
use crate::delivery::{Delivered, Delivery, End, deliver};
use crate::destination::{Destination, Plugins, RunInfo};
use crate::journal::Journal;
use crate::ledger::{Accept, Folded, Ledger, Note};
use crate::plan::basis::Expected;
use crate::plan::{self, Operations, PlanError, Planned};
use crate::project::Project;
use crate::report::{Control, Counts, Event, Report, Stage, Status, Stopped};

use claims::claim;
use compile::{Access, Compiled};
use desk::{Desk, accepted, bound, commit, committed, reach, take_in};
use lock::SyncLock;
use wait::Wait;
use work::{blocking, interruptible};

pub use apart::Edited;
pub use claims::{Claims, shared};
pub use desk::Notes;
pub use error::RunError;
pub use preview::{Preview, PreviewOptions, preview};

/// What is run.
#[derive(Clone)]
pub struct RunRequest {
    /// The project, as it is for the whole run (rule 31).
    pub project: Arc<Project>,
    /// The sync's slug.
    pub sync: String,
    /// Where plugins come from.
    pub plugins: Arc<dyn Plugins>,
    /// The sync's lock, held by the caller.
    pub lock: Arc<SyncLock>,
    /// The least that the run's number within the sync may be, from 1. It gets a higher one where the ledger knows of a run
    /// with this one, because the catalog was lost or restored: no number is given twice (rule 27).
    pub number: u64,
    /// When it started.
    pub started: SystemTime,
    /// What a person asked for.
    pub options: RunOptions,
    /// What the catalog remembers of the ledger (rule 7).
    pub note: Option<Note>,
    /// Where that is kept.
    pub notes: Arc<dyn Notes>,
    /// Who writes where, over all syncs.
    pub claims: Arc<dyn Claims>,
    /// How it is watched and stopped.
    pub control: Control,
    /// Folders with DuckDB's extensions.
    pub extensions: Vec<PathBuf>,
}

/// What a person asked of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// Send every row again (rule 22).
    pub full_resync: bool,
    /// The orders for a full resync that the run takes: it is one, unless the ledger knows that each was begun.
    pub orders: Vec<String>,
    /// Do so in spite of what speaks against it.
    pub force: bool,
    /// The approvals of stopped runs (rule 35).
    pub allow: Vec<String>,
    /// Whether another target than the ledger's is the same place under a new address (rule 7).
    pub same_target: bool,
    /// The file of the plan that the run is held to: exactly that is done, or nothing.
    pub plan: Option<PathBuf>,
}

/// A run that is over.
#[derive(Debug)]
pub struct Finished {
    /// What it did.
    pub report: Report,
    /// Whether its plan was made: what it had to do is in the ledger now, and not lost however it ended.
    pub planned: bool,
    /// What came of an earlier run whose process died, where its outcomes were taken in now.
    pub recovered: Option<Folded>,
}

/// Runs a sync. Whatever happens is in the report.
pub async fn run(request: RunRequest) -> Finished {
    let mut course = Course::new(&request);
    match course.run(&request).await {
        Ok(done) => finished(&request, course, done),
        Err(error) => failed(&request, course, &error),
    }
}

/// Checks everything that can be without the ledger, the sources' rows and the network: the model's SQL, what the sync reads
/// of it, the destination's configuration and secrets, and what the destination can do.
///
/// Gives the place that no other sync may write to, where it is one (see [`shared`]).
///
/// # Errors
/// What is wrong.
pub async fn check(request: &RunRequest) -> Result<Option<String>, RunError> {
    let Compiled { projection, .. } = compiled(request, Access::None).await?;
    let (destination, _) = open(request, projection, None).await?;
    Ok(destination.target().exclusive().map(str::to_owned))
}

/// Takes the model's present state as what the destination has (rule 15). Nothing is sent.
pub async fn rebaseline(request: RunRequest) -> Finished {
    let mut course = Course::new(&request);
    match course.rebaseline(&request).await {
        Ok(done) => finished(&request, course, done),
        Err(error) => failed(&request, course, &error),
    }
}

fn finished(request: &RunRequest, mut course: Course, done: Done) -> Finished {
    let warn = done.warn || {
        let counts = &course.counts;
        counts.rejected.total() + counts.unmatched.total() + counts.unknown.total() + counts.invalid > 0
    };
    let (status, message) = match done.end {
        End::Done if warn => (Status::Warning, None),
        End::Done => (Status::Success, None),
        End::Cancelled => (Status::Cancelled, None),
        End::Interrupted(why) => (Status::Interrupted, Some(why)),
        End::Failed(why) => (Status::Failed, Some(why)),
    };
    Finished {
        planned: course.planned,
        recovered: course.recovered.take(),
        report: course.report(request, status, message),
    }
}

fn failed(request: &RunRequest, mut course: Course, error: &RunError) -> Finished {
    let (status, message, planned) = (error.status(), Some(error.to_string()), course.planned);
    Finished {
        recovered: course.recovered.take(),
        report: Report {
            configuration: error.is_configuration(),
            diagnostics: error.diagnostics().to_vec(),
            stopped: error.stop().map(Stopped::from).into_iter().collect(),
            ..course.report(request, status, message)
        },
        planned,
    }
}

/// What is known so far, whatever comes.
struct Course {
    number: u64,
    planned: bool,
    counts: Counts,
    notes: Vec<String>,
    recovered: Option<Folded>,
}

/// A run that came to its end.
struct Done {
    end: End,
    warn: bool,
}

impl Course {
    fn new(request: &RunRequest) -> Self {
        Self {
            number: request.number,
            planned: false,
            counts: Counts::default(),
            notes: Vec::new(),
            recovered: None,
        }
    }

    fn report(self, request: &RunRequest, status: Status, message: Option<String>) -> Report {
        Report {
            sync: request.sync.clone(),
            number: self.number,
            status,
            message,
            counts: self.counts,
            configuration: false,
            diagnostics: Vec::new(),
            stopped: Vec::new(),
            notes: self.notes,
        }
    }

    async fn run(&mut self, request: &RunRequest) -> Result<Done, RunError> {
        request.control.tell(Event::Stage { stage: Stage::Querying });
        let Compiled {
            opened,
            connection,
            projection,
            pinned,
            ..
        } = compiled(request, Access::Write).await?;
        let request = &numbered(request, &opened.ledger);
        self.number = request.number;
        let interrupter = opened.warehouse.interrupter();
        let (destination, projection) = open(request, projection, Some(run_info(request))).await?;
        claim(request, destination.target().exclusive()).await?;
        let account = reached(request, destination.as_ref()).await?;

        request.control.tell(Event::Stage { stage: Stage::Planning });
        let desk = Desk {
            ledger: opened.ledger,
            connection,
        };
        let desk = self.take_in(request, desk, accepted(request)).await?;
        let job = request.clone();
        let target = destination.target().clone();
        let plugin = compile::plugin(request).await?;
        let (desk, planned, journal) = interruptible(request, &interrupter, move || {
            let mut desk = desk;
            let name = compile::target_name(&job, &target, account)?;
            let notes = bound(&job, &mut desk, name, &projection.layout, accepted(&job))?;
            let sync = compile::sync(&job.project, &job.sync)?;
            let mut file = expected::open(&job, &projection.layout, &plugin, &desk.ledger)?;
            let mut journal = None;
            let mut planned = plan::prepare(
                &mut desk.connection,
                &mut desk.ledger,
                &plan::Request {
                    projection: &projection,
                    sync,
                    target: &target,
                    run: job.number,
                    full_resync: job.options.full_resync,
                    orders: &job.options.orders,
                    force: job.options.force,
                    allow: &job.options.allow,
                    pinned: &pinned,
                    plugin: Some(&plugin),
                },
                file.as_mut().map(|file| file as &mut dyn Expected),
                &mut |header| {
                    let lock = Some(job.lock.held());
                    journal = Some(Journal::create_under(&job.lock.journal(), header, lock)?);
                    Ok(())
                },
            )?;
            committed(&job, &desk)?;
            reach(&job, "plan-noted")?;
            planned.notes.splice(0..0, notes);
            Ok((desk, planned, journal))
        })
        .await
        .inspect_err(|error| {
            if let RunError::Plan(PlanError::Stopped(stop)) = error {
                self.counts = stop.counts;
            }
        })?;
        self.planned = true;
        self.counts = planned.counts;
        self.notes.extend(planned.notes.iter().cloned());
        request.control.tell(Event::Planned {
            counts: Box::new(planned.counts),
        });
        let Some(journal) = journal else {
            return Ok(Done {
                end: End::Done,
                warn: planned.warn,
            });
        };

        request.control.tell(Event::Stage {
            stage: Stage::Delivering,
        });
        let operations = planned.operations(opened.warehouse.connect()?);
        let delivered = delivered(request, destination.as_ref(), &planned, operations, &journal).await?;
        journal.check_place().map_err(|source| RunError::Io {
            path: request.lock.journal(),
            source,
        })?;
        drop(journal);

        request.control.tell(Event::Stage {
            stage: Stage::Committing,
        });
        // A cancelled run's outcomes are kept like any other's.
        interrupter.reset();
        let folded = commit(request, desk).await?;
        self.take(&planned, folded.as_ref(), &delivered);
        let warn = planned.warn || folded.is_some_and(|folded| folded.all_missing);
        Ok(Done {
            end: delivered.end,
            warn,
        })
    }

    async fn rebaseline(&mut self, request: &RunRequest) -> Result<Done, RunError> {
        let Compiled {
            opened,
            connection,
            projection,
            pinned,
            set_aside,
        } = compiled(request, Access::Restate).await?;
        let request = &numbered(request, &opened.ledger);
        self.number = request.number;
        let interrupter = opened.warehouse.interrupter();
        let (destination, projection) = open(request, projection, Some(run_info(request))).await?;
        claim(request, destination.target().exclusive()).await?;
        let account = reached(request, destination.as_ref()).await?;
        let desk = Desk {
            ledger: opened.ledger,
            connection,
        };
        self.notes.extend(set_aside);
        let desk = self.take_in(request, desk, Accept::Anew).await?;
        let job = request.clone();
        let target = destination.target().clone();
        let (counts, notes) = interruptible(request, &interrupter, move || {
            let mut desk = desk;
            let name = compile::target_name(&job, &target, account)?;
            let notes = bound(&job, &mut desk, name, &projection.layout, Accept::Anew)?;
            let wanted = plan::Request {
                projection: &projection,
                sync: compile::sync(&job.project, &job.sync)?,
                target: &target,
                run: job.number,
                full_resync: false,
                orders: &[],
                force: false,
                allow: &job.options.allow,
                pinned: &pinned,
                plugin: None,
            };
            let counts = plan::rebaseline(&mut desk.connection, &mut desk.ledger, &wanted)?;
            committed(&job, &desk)?;
            Ok((counts, notes))
        })
        .await?;
        self.counts = counts;
        self.notes.extend(notes);
        Ok(Done {
            end: End::Done,
            warn: false,
        })
    }

    /// Takes in what a stopped run left.
    async fn take_in(&mut self, request: &RunRequest, mut desk: Desk, accept: Accept) -> Result<Desk, RunError> {
        let job = request.clone();
        let (desk, folded, notes) = blocking(move || {
            let (folded, notes) = take_in(&job, &mut desk, accept)?;
            Ok((desk, folded, notes))
        })
        .await?;
        self.recovered = folded;
        self.notes.extend(notes);
        Ok(desk)
    }

    /// The plan's counts with what came of it. The fold has the last word, for it is what later runs go by.
    fn take(&mut self, planned: &Planned, folded: Option<&Folded>, delivered: &Delivered) {
        self.counts = match folded {
            Some(folded) => folded.counts,
            None => Counts {
                queried: planned.counts.queried,
                invalid: planned.counts.invalid,
                unchanged: planned.counts.unchanged,
                changes: planned.counts.changes,
                planned: planned.counts.planned,
                withheld: planned.counts.withheld,
                ..delivered.counts
            },
        };
        self.notes
            .extend(folded.into_iter().flat_map(|folded| folded.notes.iter().cloned()));
    }
}

/// The request with the run's number: past all that the ledger knows of, as operations' ids have it (rule 27).
fn numbered(request: &RunRequest, ledger: &Ledger) -> RunRequest {
    let last = ledger.meta().map_or(0, |meta| meta.run);
    RunRequest {
        number: request.number.max(last + 1),
        ..request.clone()
    }
}

fn run_info(request: &RunRequest) -> RunInfo {
    let since = request.started.duration_since(UNIX_EPOCH).unwrap_or_default();
    RunInfo {
        number: request.number,
        started_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
    }
}

async fn compiled(request: &RunRequest, access: Access) -> Result<Compiled, RunError> {
    let secrets = compile::secrets(request).await?;
    // A person who asks what would happen is not kept waiting, and can ask again.
    let bound = match access {
        Access::None | Access::Read | Access::Copy => Duration::ZERO,
        Access::Write | Access::Restate => request.project.settings.wait_for_sources,
    };
    let mut wait = Wait::within(bound);
    loop {
        let (job, secrets) = (request.clone(), secrets.clone());
        match blocking(move || compile::compile(&job, access, secrets)).await {
            Err(RunError::Warehouse(error)) if error.is_transient() => wait.after(request, error).await?,
            done => return done,
        }
    }
}

/// Opens the destination and takes over how it compares.
async fn open(
    request: &RunRequest,
    projection: crate::mapping::Projection,
    info: Option<RunInfo>,
) -> Result<(Box<dyn Destination>, crate::mapping::Projection), RunError> {
    let destination = compile::open(request, &projection, info).await?;
    let target = destination.target();
    let projection = projection.toward(target.equality);
    plan::check_target(&projection, compile::sync(&request.project, &request.sync)?, target)?;
    Ok((destination, projection))
}

/// The account, as the destination tells it when it is asked whether it can be reached; until somebody cancels.
async fn reached(request: &RunRequest, destination: &dyn Destination) -> Result<Option<String>, RunError> {
    tokio::select! {
        account = destination.check() => account.map_err(RunError::Check),
        () = request.control.cancelled() => Err(RunError::Cancelled),
    }
}

async fn delivered(
    request: &RunRequest,
    destination: &dyn Destination,
    planned: &Planned,
    operations: Operations,
    journal: &Journal,
) -> Result<Delivered, RunError> {
    let sync = compile::sync(&request.project, &request.sync)?;
    let delivery = Delivery {
        destination,
        journal,
        control: &request.control,
        budgets: Budgets::default(),
        planned: planned.counts.planned,
        rejected_max: sync.guards.max_rejected,
    };
    Ok(deliver(operations, delivery).await)
}
