//! Keeping schedules: one run per sync at a time, several syncs side by side within a bound, a missed tick once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};

use crate::engine::Engine;
use crate::{Control, Error, Report, Status};

/// Between two looks at the clock and the queue. Short, because a clock may be set and another process may queue.
const LOOK: Duration = Duration::from_millis(500);
/// Before a sync that could not be run is tried again.
const AFTER_ERROR: Duration = Duration::from_secs(60);
/// Between the beginning of a run whose process died and another try: what killed it would kill the next one too.
const AFTER_CRASH: TimeDelta = TimeDelta::seconds(60);
/// How long a run that is dropped may take to let go of its lock.
const DROP: Duration = Duration::from_secs(1);

impl Engine {
    /// Keeps the schedules and runs what is queued, until `shutdown` comes. Then runs under way are cancelled (nothing more
    /// is sent, what is in flight is recorded) and waited for, within [`EngineBuilder::stop_within`]. What they were asked
    /// for waits in the queue for the next server or run.
    ///
    /// [`EngineBuilder::stop_within`]: crate::EngineBuilder::stop_within
    ///
    /// # Errors
    /// When the catalog cannot be used.
    pub async fn serve(&self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        self.whole()?;
        self.catalog().note_gone(self.project().syncs.keys(), Utc::now())?;
        let mut serving = Serving {
            engine: self,
            slots: Arc::new(Semaphore::new(self.project().settings.concurrency.max(1))),
            running: BTreeMap::new(),
            stopping: Arc::default(),
            tasks: JoinSet::new(),
        };
        let mut shutdown = std::pin::pin!(shutdown);
        let served = loop {
            if let Err(error) = serving.start_due() {
                break Err(error);
            }
            tokio::select! {
                () = &mut shutdown => break Ok(()),
                () = tokio::time::sleep(LOOK) => {}
                Some(ended) = serving.tasks.join_next(), if !serving.tasks.is_empty() => serving.ended(ended),
            }
        };
        serving.stop().await;
        served
    }
}

struct Serving<'a> {
    engine: &'a Engine,
    slots: Arc<Semaphore>,
    running: BTreeMap<String, Running>,
    stopping: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

struct Running {
    control: Control,
    task: AbortHandle,
}

impl Serving<'_> {
    /// Queues every enabled sync whose time has come, and starts what is queued.
    fn start_due(&mut self) -> Result<(), Error> {
        let (catalog, user) = (self.engine.catalog(), self.engine.user());
        let mut served = BTreeMap::new();
        for sync in self.engine.project().syncs.values().filter(|sync| !sync.disabled) {
            let now = Utc::now();
            let row = catalog.sync(&sync.slug, user, now)?;
            let last = row.ticked_at.unwrap_or(row.created_at);
            let next = self
                .engine
                .schedule_of(sync)
                .and_then(|schedule| schedule.next_after(last));
            // Marked with now: ticks that were missed are one.
            if next.is_some_and(|at| at <= now) {
                catalog.tick(row.id, row.ticked_at, user, now)?;
            }
            served.insert(row.id, &sync.slug);
        }
        for id in catalog.queued()? {
            let Some(slug) = served.get(&id).filter(|slug| !self.running.contains_key(**slug)) else {
                continue;
            };
            if !self.is_recovering(id)? {
                self.start(slug);
            }
        }
        Ok(())
    }

    /// Whether the newest run of a sync began a moment ago and has no end: its process died, or another runs it still.
    fn is_recovering(&self, sync: i64) -> Result<bool, Error> {
        let newest = self.engine.catalog().runs(sync, 1)?.into_iter().next();
        Ok(newest.is_some_and(|run| {
            let since = Utc::now() - run.started_at;
            // A clock that was set back is no reason to wait.
            run.ended.is_none() && since >= TimeDelta::zero() && since < AFTER_CRASH
        }))
    }

    fn start(&mut self, slug: &str) {
        let (engine, slots, owned) = (self.engine.clone(), Arc::clone(&self.slots), slug.to_owned());
        let (control, stopping) = (Control::default(), Arc::clone(&self.stopping));
        let watched = control.clone();
        let task = self.tasks.spawn(async move {
            let slot = tokio::select! {
                slot = slots.acquire() => slot,
                () = watched.cancelled() => return,
            };
            let ran = engine.run_queued(&owned, watched.clone(), &stopping).await;
            drop(slot);
            let pause = match ran {
                Ok(Some(report)) => return tell(&report),
                // Another process has it.
                Ok(None) => LOOK,
                Err(error) => {
                    tracing::error!(sync = owned, "{error}");
                    AFTER_ERROR
                }
            };
            // What waits for this sync still waits, and would be taken up at once.
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = watched.cancelled() => {}
            }
        });
        self.running.insert(slug.to_owned(), Running { control, task });
    }

    fn ended(&mut self, ended: Result<(), JoinError>) {
        if let Err(error) = ended {
            tracing::error!("a run broke off: {error}");
        }
        self.running.retain(|_, running| !running.task.is_finished());
    }

    async fn stop(mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        for running in self.running.values() {
            running.control.cancel();
        }
        let ends = Instant::now() + self.engine.stop_within();
        while let Ok(Some(_)) = timeout_at(ends, self.tasks.join_next()).await {}
        self.running.retain(|_, running| !running.task.is_finished());
        for sync in self.running.keys() {
            tracing::warn!(
                sync,
                "the run did not stop in time and is dropped; the next one goes on from there"
            );
        }
        self.tasks.abort_all();
        let ends = Instant::now() + DROP;
        while let Ok(Some(_)) = timeout_at(ends, self.tasks.join_next()).await {}
    }
}

/// What an operator sees of a run without asking: one that went well is told only where everything is.
fn tell(report: &Report) {
    let (sync, run, status) = (&report.sync, report.number, report.status.as_str());
    let message = report.message.as_deref().unwrap_or_default();
    match report.status {
        Status::Success | Status::Cancelled => tracing::info!(sync, run, status, "run ended"),
        Status::Warning => tracing::warn!(sync, run, status, "run ended; see `outflow rejected {sync}`"),
        Status::Failed | Status::Interrupted => tracing::error!(sync, run, status, "run ended: {message}"),
    }
}
