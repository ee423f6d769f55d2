//! Keeping schedules: one run per sync at a time, several syncs side by side within a bound, a missed tick once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use outflow_core::project::sync::Sync;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::catalog::Trigger;
use crate::engine::{Engine, RunOptions};
use crate::{Control, Error};

/// Between two looks at the clock and the queue. Short, because a clock may be set and another process may queue.
const LOOK: Duration = Duration::from_millis(500);

impl Engine {
    /// Keeps the schedules and runs what is queued, until `shutdown` comes. Then runs under way are cancelled (nothing more
    /// is sent, what is in flight is recorded) and waited for.
    ///
    /// # Errors
    /// When the catalog cannot be used.
    pub async fn serve(&self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let mut serving = Serving {
            engine: self,
            slots: Arc::new(Semaphore::new(self.project().settings.concurrency.max(1))),
            running: BTreeMap::new(),
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
    running: BTreeMap<String, Control>,
    tasks: JoinSet<String>,
}

impl Serving<'_> {
    /// Starts every enabled sync whose time has come, or for which a follow-up waits.
    fn start_due(&mut self) -> Result<(), Error> {
        let queued = self.engine.catalog().queued()?;
        let syncs: Vec<&Sync> = self
            .engine
            .project()
            .syncs
            .values()
            .filter(|sync| !sync.disabled)
            .collect();
        for sync in syncs {
            let row = self.engine.catalog().sync(&sync.slug, self.engine.user(), Utc::now())?;
            if self.running.contains_key(&sync.slug) {
                continue;
            }
            if queued.contains(&row.id) {
                self.start(&sync.slug, Trigger::Manual);
                continue;
            }
            let Some(schedule) = self.engine.schedule_of(sync) else {
                continue;
            };
            let now = Utc::now();
            let due = schedule
                .next_after(row.ticked_at.unwrap_or(row.created_at))
                .is_some_and(|at| at <= now);
            // Marked before it runs, with now: ticks that were missed are one, and another process's is not ours.
            if due && self.engine.catalog().mark_tick(row.id, row.ticked_at, now)? {
                self.start(&sync.slug, Trigger::Schedule);
            }
        }
        Ok(())
    }

    fn start(&mut self, slug: &str, trigger: Trigger) {
        let (engine, slots, slug) = (self.engine.clone(), Arc::clone(&self.slots), slug.to_owned());
        let control = Control::default();
        self.running.insert(slug.clone(), control.clone());
        self.tasks.spawn(async move {
            let permit = tokio::select! {
                permit = slots.acquire() => permit,
                () = control.cancelled() => return slug,
            };
            let run = engine.begin(&slug, RunOptions::default(), trigger);
            let running = run.control();
            let mut wait = std::pin::pin!(run.wait());
            let result = tokio::select! {
                result = &mut wait => result,
                () = control.cancelled() => {
                    running.cancel();
                    wait.await
                }
            };
            drop(permit);
            match result {
                Ok(report) => tracing::info!(sync = slug, status = report.status.as_str(), "run ended"),
                Err(error) => tracing::error!(sync = slug, "{error}"),
            }
            slug
        });
    }

    fn ended(&mut self, ended: Result<String, tokio::task::JoinError>) {
        match ended {
            Ok(slug) => {
                self.running.remove(&slug);
            }
            Err(error) => tracing::error!("a run broke off: {error}"),
        }
    }

    async fn stop(mut self) {
        for control in self.running.values() {
            control.cancel();
        }
        while self.tasks.join_next().await.is_some() {}
    }
}
