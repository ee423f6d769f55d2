//! Runs by hand: begun at once, or as the follow-up of the one that has the sync (rule 30).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use chrono::{SecondsFormat, Utc};
use outflow_core::fault;
use outflow_core::plan::file::PlanFile;
use outflow_core::record::Records;
use outflow_core::report::{Control, Counts, Event, Report, Status};
use outflow_core::run::lock::{Holder, SyncLock};
use outflow_core::run::{self, Finished, RunError, RunRequest};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use crate::catalog::{Begun, Cause, Order, Settle, Taken, Trigger};
use crate::{Engine, Error, renamed};

/// Between two looks whether a running sync has come to its end.
pub(crate) const LOCK_POLL: Duration = Duration::from_millis(200);

/// What is asked of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// Send every row again; nothing is removed (rule 22). Where the run ends as interrupted before it has a plan, the
    /// next one is the full resync, whoever begins it; where it fails, it has to be asked for again.
    pub full_resync: bool,
    /// Do so in spite of what speaks against it.
    pub force: bool,
    /// The approvals of stopped runs (rule 35).
    pub allow: Vec<String>,
    /// Whether another target than before is the same place under a new address (rule 7).
    pub same_target: bool,
    /// Whether a sync without a ledger is a new one, though others are gone from the project that it may have been; and
    /// whether one whose ledger is of a sync that was gone is a new one under its name.
    pub new: bool,
    /// Whether a sync that was gone from the project for a while is still the same (rule 7).
    pub same_sync: bool,
    /// Fail instead of waiting where the sync is being run.
    pub no_wait: bool,
    /// The file of the plan that the run is held to, as [`Engine::apply`] sets it.
    pub plan: Option<PathBuf>,
}

/// A run under way.
pub struct RunHandle {
    control: Control,
    /// Watched since before it began: the first event may be who must be waited for.
    first: Option<broadcast::Receiver<Event>>,
    task: JoinHandle<Result<Report, Error>>,
}

impl RunHandle {
    /// Its progress, from its beginning where this is called first, else from now on. No event says that the run is
    /// over; [`wait`](Self::wait) does.
    #[must_use]
    pub fn events(&mut self) -> broadcast::Receiver<Event> {
        self.first.take().unwrap_or_else(|| self.control.watch())
    }

    /// What stops it: nothing more is sent, what is in flight is waited for and recorded.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Its report, once it is over.
    ///
    /// # Errors
    /// Why it was not begun.
    pub async fn wait(self) -> Result<Report, Error> {
        self.task.await.map_err(|error| Error::Broken(error.to_string()))?
    }
}

/// What a run does once it has the sync's lock.
#[derive(Clone, Copy)]
enum Job {
    Run,
    Rebaseline,
}

/// Who may cancel a run, and so what becomes of the orders that it took.
#[derive(Clone, Copy)]
enum Canceller<'a> {
    /// Whoever asked for it, whose order is taken back with it.
    Asker,
    /// A server: when it stops, orders wait for the next one.
    Server { stopping: &'a AtomicBool },
}

impl Engine {
    /// Begins a run, by hand. Where the sync is being run, it waits as the follow-up. Cancelled while it waits, it takes
    /// back what it asked for; of a process that dies, the next run of the sync does it.
    #[must_use]
    pub fn run(&self, sync: &str, options: RunOptions) -> RunHandle {
        let control = Control::default();
        let first = Some(control.watch());
        let (engine, slug, watched) = (self.clone(), sync.to_owned(), control.clone());
        let task = tokio::spawn(async move { engine.run_to_end(&slug, options, watched).await });
        RunHandle { control, first, task }
    }

    /// Begins a run that does exactly what a plan's file says, or nothing. It never waits for another run, as that would
    /// move the ledger, and leaves alone what waits in the queue.
    ///
    /// # Errors
    /// When the file is no plan, was cut or edited, or is of another sync.
    pub fn apply(&self, plan: &Path) -> Result<RunHandle, Error> {
        let header = PlanFile::open(plan).map_err(RunError::from)?.header;
        let options = RunOptions {
            full_resync: header.full_resync,
            force: header.force,
            allow: header.allow,
            same_target: header.same_target,
            // Whoever made the plan was told.
            new: true,
            same_sync: true,
            no_wait: true,
            plan: Some(plan.to_owned()),
        };
        self.sync(&header.basis.sync)?;
        Ok(self.run(&header.basis.sync, options))
    }

    /// Takes the model's present state as what the destination has. Nothing is sent. Where that would forget more records
    /// than the sync's guards let a run remove, it stops; `allow` has the approvals of such stops.
    ///
    /// # Errors
    /// When the sync is unknown or being run.
    pub async fn rebaseline(&self, sync: &str, allow: Vec<String>) -> Result<Report, Error> {
        self.sync(sync)?;
        let id = self.catalog().sync(sync, self.user(), Utc::now())?.id;
        let lock = self.lock(sync)?.map_err(|holder| Error::Running {
            sync: sync.to_owned(),
            holder,
        })?;
        let options = RunOptions {
            allow,
            ..RunOptions::default()
        };
        let begun = self.begin(id, Cause::Apart(&self.order(&options)))?;
        let run = Underway {
            slug: sync,
            lock,
            begun,
            job: Job::Rebaseline,
            canceller: Canceller::Asker,
        };
        self.record(run, options, Control::default()).await
    }

    async fn run_to_end(&self, slug: &str, options: RunOptions, control: Control) -> Result<Report, Error> {
        self.sync(slug)?;
        let order = self.order(&options);
        let id = self.catalog().sync(slug, self.user(), order.created_at)?.id;
        let (lock, begun) = match self.lock(slug)? {
            Ok(lock) if options.plan.is_some() => (lock, self.begin(id, Cause::Apart(&order))?),
            Ok(lock) => (lock, self.begin(id, Cause::Now(&order))?),
            Err(holder) if options.no_wait => {
                return Err(Error::Running {
                    sync: slug.to_owned(),
                    holder,
                });
            }
            Err(holder) => {
                let ticket = self.catalog().enqueue(id, &order)?;
                tell_waiting(&control, holder);
                let Some(lock) = self.wait_for_lock(slug, &control).await? else {
                    self.catalog().withdraw(ticket.id)?;
                    return Err(Error::Cancelled { sync: slug.to_owned() });
                };
                let cause = Cause::Queued(ticket.id);
                match self.catalog().begin_run(id, self.user(), cause, Utc::now())? {
                    Some(begun) => (lock, begun),
                    None => {
                        // Another's run has taken the order, except that it had none of its approvals.
                        if options.allow.is_empty()
                            && !options.same_target
                            && let Some(report) = self.served(id, slug, ticket.after)?
                        {
                            return Ok(report);
                        }
                        (lock, self.begin(id, Cause::Now(&order))?)
                    }
                }
            }
        };
        let run = Underway {
            slug,
            lock,
            begun,
            job: Job::Run,
            canceller: Canceller::Asker,
        };
        self.record(run, options, control).await
    }

    /// Runs what waits for a sync, for a server that is or is not `stopping`. None where the sync is being run, or nothing
    /// waits any more: another process has run it.
    pub(crate) async fn run_queued(
        &self,
        slug: &str,
        control: Control,
        stopping: &AtomicBool,
    ) -> Result<Option<Report>, Error> {
        let id = self.catalog().sync(slug, self.user(), Utc::now())?.id;
        let Ok(lock) = self.lock(slug)? else {
            return Ok(None);
        };
        let begun = self.catalog().begin_run(id, self.user(), Cause::Waiting, Utc::now())?;
        let Some(begun) = begun else {
            return Ok(None);
        };
        let run = Underway {
            slug,
            lock,
            begun,
            job: Job::Run,
            canceller: Canceller::Server { stopping },
        };
        self.record(run, RunOptions::default(), control).await.map(Some)
    }

    fn order(&self, options: &RunOptions) -> Order {
        Order {
            trigger: Trigger::Manual,
            by: self.user().to_owned(),
            full_resync: options.full_resync,
            force: options.force,
            created_at: Utc::now(),
        }
    }

    /// Begins a run for a reason that does not go away.
    fn begin(&self, id: i64, cause: Cause<'_>) -> Result<Begun, Error> {
        let begun = self.catalog().begin_run(id, self.user(), cause, Utc::now())?;
        begun.ok_or_else(|| Error::Broken("its order is gone".to_owned()))
    }

    /// The report of the newest run, if it is later than this one. By number, as a clock may be set back.
    fn served(&self, id: i64, slug: &str, after: u64) -> Result<Option<Report>, Error> {
        let newest = self.catalog().runs(id, 1)?.into_iter().next();
        Ok(newest.filter(|run| run.number > after).and_then(|run| {
            let ended = run.ended?;
            Some(Report {
                sync: slug.to_owned(),
                number: run.number,
                status: ended.status,
                message: ended.message,
                counts: ended.counts,
                configuration: false,
                diagnostics: Vec::new(),
                stopped: Vec::new(),
                notes: ended.notes,
            })
        }))
    }

    /// Takes along what a renamed sync had, and refuses one of which it is not known whether it was renamed, or is the one
    /// that had its name before (rule 7).
    fn identify(&self, slug: &str, lock: &SyncLock, is_new: bool, is_same: bool) -> Result<(), Error> {
        let (sync, catalog) = (self.sync(slug)?, self.catalog());
        catalog.note_gone(self.project().syncs.keys(), Utc::now())?;
        match renamed::was_gone(self.state(), catalog, sync)? {
            Some(since) if !is_same && !is_new => {
                let sync = slug.to_owned();
                return Err(Error::WasGone { sync, since });
            }
            Some(_) if !is_same => renamed::begin_anew(catalog, sync, lock)?,
            // Also where it has no ledger yet: the one that it is about to get is its own.
            _ => catalog.note_back(slug, true)?,
        }
        renamed::take_over(self.state(), self.catalog(), sync, lock, self.user())?;
        let gone = renamed::candidates(self.state(), self.catalog(), self.project(), sync)?;
        if gone.is_empty() || is_new {
            return Ok(());
        }
        Err(Error::MaybeRenamed {
            sync: slug.to_owned(),
            gone,
        })
    }

    /// Waits until the lock is free; none where somebody cancelled.
    async fn wait_for_lock(&self, slug: &str, control: &Control) -> Result<Option<SyncLock>, Error> {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOCK_POLL) => {}
                () = control.cancelled() => return Ok(None),
            }
            if let Ok(lock) = self.lock(slug)? {
                return Ok(Some(lock));
            }
        }
    }

    /// A step is done; a test may want it to have failed.
    fn reach(&self, sync: &str, step: &str) -> Result<(), Error> {
        fault::point(step).map_err(|source| Error::Io {
            path: run::lock::folder(self.state(), sync),
            source,
        })
    }

    /// Runs with the lock held, from the catalog's first word of it to its last.
    async fn record(&self, run: Underway<'_>, options: RunOptions, control: Control) -> Result<Report, Error> {
        let catalog = self.catalog();
        let Underway {
            slug,
            lock,
            begun,
            job,
            canceller,
        } = run;
        self.reach(slug, "run-listed")?;
        let declares = matches!(job, Job::Rebaseline);
        let renamed = self.identify(slug, &lock, declares || options.new, declares || options.same_sync);
        let note = catalog.find_sync(slug)?.and_then(|row| row.ledger);
        let mut request = self.request(slug, lock, begun.run.number, note, options, control);
        // Its own order says it by a token, with which the ledger knows whether it was begun.
        request.options.full_resync &= begun.orders.is_empty();
        take(&mut request, &begun.orders);
        let finished = match (&renamed, job) {
            (Err(error), _) => refused(slug, request.number, error),
            (Ok(()), Job::Run) => run::run(request.clone()).await,
            (Ok(()), Job::Rebaseline) => run::rebaseline(request.clone()).await,
        };
        if let Some(folded) = &finished.recovered {
            catalog.count_run(slug, folded.run, &folded.counts)?;
        }
        if finished.report.number != begun.run.number {
            // The catalog was lost or restored; the ledger knows better how many runs there were.
            catalog.renumber_run(begun.run.id, finished.report.number)?;
        }
        let settle = settle(&finished, &begun, canceller);
        let Finished {
            mut report, planned, ..
        } = finished;
        report.notes.splice(0..0, told(&begun));
        report.notes.extend(left(&report, planned, &begun));
        report.notes.extend(self.sweep_records(&request).await?);
        self.reach(slug, "record-written")?;
        catalog.end_run(begun.run.id, &report, settle, Utc::now())?;
        self.reach(slug, "run-ended")?;
        // The lock is let go last.
        drop(request);
        Ok(report)
    }
}

impl Engine {
    /// Removes records that are older than they are kept. What came of the run does not depend on that: it gives what went
    /// wrong.
    async fn sweep_records(&self, request: &RunRequest) -> Result<Option<String>, Error> {
        let (records, keep) = (Records::of(request.lock.folder()), self.project().settings.keep_records);
        let swept = tokio::task::spawn_blocking(move || records.sweep(keep, SystemTime::now()))
            .await
            .map_err(|error| Error::Broken(error.to_string()))?;
        let failed = swept.err();
        Ok(failed.map(|error| format!("old records of runs could not be removed: {error}")))
    }
}

/// A run that ended before it was asked what to do.
fn refused(sync: &str, number: u64, error: &Error) -> Finished {
    Finished {
        report: Report {
            sync: sync.to_owned(),
            number,
            status: Status::Failed,
            message: Some(error.to_string()),
            counts: Counts::default(),
            configuration: error.is_configuration(),
            diagnostics: error.diagnostics().to_vec(),
            stopped: Vec::new(),
            notes: Vec::new(),
        },
        planned: false,
        recovered: None,
    }
}

/// A run that has begun.
struct Underway<'a> {
    slug: &'a str,
    lock: SyncLock,
    begun: Begun,
    job: Job,
    canceller: Canceller<'a>,
}

/// Adds what orders ask for to what a run is asked.
pub(crate) fn take(request: &mut RunRequest, orders: &[Taken]) {
    for taken in orders.iter().filter(|taken| taken.order.full_resync) {
        request.options.orders.push(taken.token.clone());
        request.options.force |= taken.order.force;
    }
}

/// Says whose full resyncs a run does besides what it was itself asked.
fn told(begun: &Begun) -> Vec<String> {
    let others = begun.orders.iter().filter(|taken| Some(taken.id) != begun.own);
    others.filter_map(resync_note).collect()
}

/// Says that a full resync that was asked for before is done.
pub(crate) fn resync_note(taken: &Taken) -> Option<String> {
    let Taken { order, before, .. } = taken;
    let asked = format!(
        "the full resync that {} asked for at {}",
        order.by,
        order.created_at.to_rfc3339_opts(SecondsFormat::Secs, true)
    );
    order.full_resync.then(|| match before {
        None => format!("this run is {asked}"),
        Some(run) => format!("this run does what run {run} left of {asked}"),
    })
}

/// Says what becomes of a full resync that did not come to a plan.
fn left(report: &Report, planned: bool, begun: &Begun) -> Option<String> {
    let left = match report.status {
        Status::Interrupted => "the full resync did not come to a plan; the next run does it",
        Status::Failed => {
            "the full resync did not come to a plan, and is not kept: ask for it again once that is mended"
        }
        _ => return None,
    };
    let is_resync = begun.orders.iter().any(|taken| taken.order.full_resync);
    (is_resync && !planned).then(|| left.to_owned())
}

/// What becomes of the orders. What interrupts a run is mended without us, so that a full resync need not be asked for
/// again; what fails one is mended by somebody, who would not expect that all rows are sent at the next tick.
fn settle(finished: &Finished, begun: &Begun, canceller: Canceller<'_>) -> Settle {
    match finished.report.status {
        Status::Success | Status::Warning | Status::Failed => Settle::Done,
        Status::Interrupted if finished.planned => Settle::Done,
        Status::Interrupted => Settle::Owe,
        Status::Cancelled => match canceller {
            Canceller::Asker => Settle::Return(begun.own),
            Canceller::Server { stopping } if stopping.load(Ordering::SeqCst) => Settle::Return(None),
            Canceller::Server { .. } => Settle::Done,
        },
    }
}

fn tell_waiting(control: &Control, holder: Option<Holder>) {
    let by = holder.map_or_else(String::new, |holder| format!(" by {holder}"));
    control.tell(Event::Waiting {
        reason: format!("the sync is being run{by}; this run follows it"),
        ms: 0,
    });
}
