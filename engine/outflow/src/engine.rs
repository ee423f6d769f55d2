//! The engine: a project with its state, and what can be asked of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use outflow_core::destination::Plugins;
use outflow_core::plan::file::PlanFile;
use outflow_core::project::Project;
use outflow_core::project::sync::{ScheduleConfig, Sync};
use outflow_core::record::{self, Record};
use outflow_core::report::{Control, Event, Report};
use outflow_core::run::lock::{Asked, SyncLock};
use outflow_core::run::{self, Claims, Finished, Preview, PreviewOptions, RunError, RunRequest};
use outflow_core::schedule::{Cron, Schedule};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use crate::Error;
use crate::catalog::{Catalog, FollowUp, Run, Trigger};

/// Between two looks whether a running sync has come to its end.
const LOCK_POLL: Duration = Duration::from_millis(200);

/// A project with its state. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    project: Arc<Project>,
    plugins: Arc<dyn Plugins>,
    state: PathBuf,
    catalog: Catalog,
    user: String,
    extensions: Vec<PathBuf>,
}

/// How an engine is opened.
pub struct EngineBuilder {
    project: PathBuf,
    plugins: Arc<dyn Plugins>,
    state: Option<PathBuf>,
    user: Option<String>,
    extensions: Vec<PathBuf>,
}

impl EngineBuilder {
    /// Where the state is kept; by default the project's `.outflow/`.
    #[must_use]
    pub fn state(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state = Some(folder.into());
        self
    }

    /// Who runs; by default the user of the process.
    #[must_use]
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.user = Some(name.into());
        self
    }

    /// A folder with DuckDB's extensions, looked into before DuckDB's own.
    #[must_use]
    pub fn extensions(mut self, folder: impl Into<PathBuf>) -> Self {
        self.extensions.push(folder.into());
        self
    }

    /// Opens the project and its catalog.
    ///
    /// # Errors
    /// Everything that is wrong in the project's files, or the catalog.
    pub fn build(self) -> Result<Engine, Error> {
        let project = Project::load(&self.project)?;
        let state = self.state.unwrap_or_else(|| project.root.join(".outflow"));
        let catalog = Catalog::open(&state)?;
        let user = self
            .user
            .or_else(|| whoami::username().ok())
            .unwrap_or_else(|| "unknown".to_owned());
        let inner = Inner {
            project: Arc::new(project),
            plugins: self.plugins,
            state,
            catalog,
            user,
            extensions: self.extensions,
        };
        Ok(Engine { inner: Arc::new(inner) })
    }
}

/// What is asked of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// Send every row again; nothing is removed (rule 22).
    pub full_resync: bool,
    /// Do so in spite of what speaks against it.
    pub force: bool,
    /// The approvals of stopped runs (rule 35).
    pub allow: Vec<String>,
    /// Whether another target than before is the same place under a new address (rule 7).
    pub same_target: bool,
    /// Fail instead of waiting where the sync is being run.
    pub no_wait: bool,
    /// The file of the plan that the run is held to, as [`Engine::apply`] sets it.
    pub plan: Option<PathBuf>,
}

/// What is asked of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanOptions {
    /// As the run would be asked.
    pub run: RunOptions,
    /// Rows of each change to show.
    pub sample: usize,
    /// Whether to show the first requests.
    pub requests: bool,
    /// A file that the whole plan is written to, for [`Engine::apply`].
    pub file: Option<PathBuf>,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            run: RunOptions::default(),
            sample: 5,
            requests: false,
            file: None,
        }
    }
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

/// The next times of a scheduled sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    /// The sync.
    pub sync: String,
    /// When it will run, if it is served.
    pub at: Vec<DateTime<Utc>>,
}

impl Engine {
    /// Opens a project with these plugins.
    pub fn builder(project: impl Into<PathBuf>, plugins: Arc<dyn Plugins>) -> EngineBuilder {
        EngineBuilder {
            project: project.into(),
            plugins,
            state: None,
            user: None,
            extensions: Vec::new(),
        }
    }

    /// The project as it was opened.
    #[must_use]
    pub fn project(&self) -> &Project {
        &self.inner.project
    }

    /// The catalog, for whoever lists.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.inner.catalog
    }

    /// Begins a run, by hand. Where the sync is being run, it waits as the follow-up.
    #[must_use]
    pub fn run(&self, sync: &str, options: RunOptions) -> RunHandle {
        let control = Control::default();
        let first = Some(control.watch());
        let (engine, slug, watched) = (self.clone(), sync.to_owned(), control.clone());
        let task = tokio::spawn(async move { engine.run_to_end(&slug, options, watched).await });
        RunHandle { control, first, task }
    }

    /// Begins a run that does exactly what a plan's file says, or nothing. It never waits for another run, as that would
    /// move the ledger.
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
        let id = self.inner.catalog.sync(sync, &self.inner.user, Utc::now())?.id;
        let lock = self.lock(sync)?.map_err(|holder| Error::Running {
            sync: sync.to_owned(),
            holder,
        })?;
        let options = RunOptions {
            allow,
            ..RunOptions::default()
        };
        self.record(
            id,
            sync,
            lock,
            options,
            (Trigger::Manual, Utc::now()),
            Control::default(),
            true,
        )
        .await
    }

    /// What a run would do. Changes and sends nothing.
    ///
    /// # Errors
    /// Why the run would send nothing, a guard that stops it included.
    pub async fn plan(&self, sync: &str, options: PlanOptions) -> Result<Preview, Error> {
        self.sync(sync)?;
        let lock = self.lock(sync)?.map_err(|holder| Error::Running {
            sync: sync.to_owned(),
            holder,
        })?;
        let row = self.inner.catalog.find_sync(sync)?;
        let last = match &row {
            Some(row) => self.inner.catalog.runs(row.id, 1)?.first().map_or(0, |run| run.number),
            None => 0,
        };
        let note = row.and_then(|row| row.ledger);
        let request = self.request(sync, lock, last + 1, note, options.run, Control::default());
        Ok(run::preview(
            request,
            PreviewOptions {
                sample: options.sample,
                requests: options.requests,
            },
            options.file,
        )
        .await?)
    }

    /// A sync's runs, newest first.
    ///
    /// # Errors
    /// When the sync is unknown or the catalog cannot be read.
    pub fn runs(&self, sync: &str, at_most: u64) -> Result<Vec<Run>, Error> {
        self.sync(sync)?;
        match self.inner.catalog.find_sync(sync)? {
            Some(row) => Ok(self.inner.catalog.runs(row.id, at_most)?),
            None => Ok(Vec::new()),
        }
    }

    /// The rows that did not get through, as the newest run that came as far as a plan left them; with that run's number.
    /// Reads without a lock.
    ///
    /// # Errors
    /// When the sync is unknown, or the record or the catalog cannot be read.
    pub fn rejected(&self, sync: &str) -> Result<Option<(u64, Record)>, Error> {
        let folder = run::lock::folder(&self.inner.state, sync);
        for run in self.runs(sync, u64::MAX)? {
            if let Some(record) = Record::read(&record::folder(&folder, run.number))? {
                return Ok(Some((run.number, record)));
            }
        }
        Ok(None)
    }

    /// Checks a sync beyond its files: the model's SQL, the mappings, the destination's configuration, secrets and
    /// abilities. Sends nothing.
    ///
    /// # Errors
    /// What is wrong, or that the sync is being run.
    pub async fn check(&self, sync: &str) -> Result<(), Error> {
        self.place(sync).await.map(drop)
    }

    /// Checks every sync, as [`check`](Self::check) does one, and that no two write to one place.
    pub async fn check_all(&self) -> Vec<(String, Result<(), Error>)> {
        let project = &self.inner.project;
        let mut checked = Vec::new();
        for sync in project.syncs.values() {
            checked.push((sync, self.place(&sync.slug).await));
        }
        let rival = |sync: &Sync, place: &str| {
            let shares = |(other, checked): &&(&Sync, Result<Option<String>, Error>)| {
                let enabled = !sync.disabled && !other.disabled;
                enabled && other.slug != sync.slug && matches!(checked, Ok(Some(theirs)) if theirs == place)
            };
            checked.iter().find(shares).map(|(other, _)| other.slug.clone())
        };
        let rivals: Vec<_> = checked
            .iter()
            .map(|(sync, checked)| match checked {
                Ok(Some(place)) => rival(sync, place).map(|other| run::shared(project, &sync.slug, &other, place)),
                _ => None,
            })
            .collect();
        let told = checked.into_iter().zip(rivals).map(|((sync, checked), shared)| {
            let result = match shared {
                Some(error) => Err(error.into()),
                None => checked.map(drop),
            };
            (sync.slug.clone(), result)
        });
        told.collect()
    }

    /// Checks a sync, and gives the place that no other may write to.
    async fn place(&self, sync: &str) -> Result<Option<String>, Error> {
        self.sync(sync)?;
        let lock = self.lock(sync)?.map_err(|holder| Error::Running {
            sync: sync.to_owned(),
            holder,
        })?;
        let request = self.request(sync, lock, 0, None, RunOptions::default(), Control::default());
        Ok(run::check(&request).await?)
    }

    /// The next times of every scheduled sync, at most so many of each.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn schedule(&self, at_most: usize, now: DateTime<Utc>) -> Result<Vec<Tick>, Error> {
        let mut ticks = Vec::new();
        for sync in self.inner.project.syncs.values().filter(|sync| !sync.disabled) {
            let Some(schedule) = self.schedule_of(sync) else {
                continue;
            };
            let row = self.inner.catalog.find_sync(&sync.slug)?;
            let mut last = row.map_or(now, |row| row.ticked_at.unwrap_or(row.created_at));
            let mut at = Vec::new();
            while let Some(next) = schedule.next_after(last).filter(|_| at.len() < at_most) {
                // A tick that was missed comes at once, and once.
                last = next.max(now);
                at.push(last);
            }
            ticks.push(Tick {
                sync: sync.slug.clone(),
                at,
            });
        }
        Ok(ticks)
    }

    /// The schedule of a sync that has one.
    pub(crate) fn schedule_of(&self, sync: &Sync) -> Option<Schedule> {
        match sync.schedule.as_ref()? {
            ScheduleConfig::Interval(every) => Some(Schedule::Interval(*every)),
            ScheduleConfig::Cron { expression, zone } => {
                let zone = zone.unwrap_or(self.inner.project.settings.timezone);
                // It was read when the project was loaded.
                Cron::parse(expression, zone).ok().map(Schedule::Cron)
            }
        }
    }

    pub(crate) fn user(&self) -> &str {
        &self.inner.user
    }

    fn sync(&self, slug: &str) -> Result<&Sync, Error> {
        self.inner.project.syncs.get(slug).ok_or_else(|| Error::NoSuchSync {
            wanted: slug.to_owned(),
            known: self.inner.project.syncs.keys().cloned().collect(),
        })
    }

    /// The sync's lock, or who has it.
    fn lock(&self, sync: &str) -> Result<Result<SyncLock, Option<run::lock::Holder>>, Error> {
        let state = &self.inner.state;
        match SyncLock::ask(state, sync, &self.inner.user) {
            Ok(Asked::Held(lock)) => Ok(Ok(lock)),
            Ok(Asked::Taken(holder)) => Ok(Err(holder)),
            Err(source) => Err(Error::Io {
                path: state.clone(),
                source,
            }),
        }
    }

    async fn run_to_end(&self, slug: &str, mut options: RunOptions, control: Control) -> Result<Report, Error> {
        let trigger = Trigger::Manual;
        self.sync(slug)?;
        let catalog = &self.inner.catalog;
        let created = Utc::now();
        let id = catalog.sync(slug, &self.inner.user, created)?.id;
        let mut set_off = (trigger, created);
        let lock = match self.lock(slug)? {
            Ok(lock) => lock,
            Err(holder) if options.no_wait => {
                return Err(Error::Running {
                    sync: slug.to_owned(),
                    holder,
                });
            }
            Err(holder) => {
                let wanted = FollowUp {
                    trigger,
                    by: self.inner.user.clone(),
                    full_resync: options.full_resync,
                    force: options.force,
                    created_at: created,
                };
                catalog.enqueue(id, &wanted)?;
                tell_waiting(&control, holder);
                let lock = self.wait_for_lock(slug, &control).await?;
                lock.ok_or_else(|| Error::Cancelled { sync: slug.to_owned() })?
            }
        };
        if options.plan.is_some() {
            // What waits was asked for apart from it, and goes on waiting.
            return self.record(id, slug, lock, options, set_off, control, false).await;
        }
        // Whatever waits is served by this run, which begins after it was asked for.
        match catalog.dequeue(id)? {
            Some(waiting) => {
                options.full_resync |= waiting.full_resync;
                options.force |= waiting.force;
                set_off = (waiting.trigger, waiting.created_at.min(created));
            }
            // Another's run, begun after this was asked for, has served it, except that it had none of its approvals.
            None if options.allow.is_empty() && !options.same_target => {
                if let Some(report) = self.served(id, slug, created)? {
                    return Ok(report);
                }
            }
            None => {}
        }
        self.record(id, slug, lock, options, set_off, control, false).await
    }

    /// Runs the follow-up that waits. None where none does any more once the sync is free: another process has run it.
    pub(crate) async fn run_queued(&self, slug: &str, control: Control) -> Result<Option<Report>, Error> {
        let catalog = &self.inner.catalog;
        let id = catalog.sync(slug, &self.inner.user, Utc::now())?.id;
        let lock = match self.lock(slug)? {
            Ok(lock) => lock,
            Err(_) => match self.wait_for_lock(slug, &control).await? {
                Some(lock) => lock,
                None => return Ok(None),
            },
        };
        let Some(waiting) = catalog.dequeue(id)? else {
            return Ok(None);
        };
        let options = RunOptions {
            full_resync: waiting.full_resync,
            force: waiting.force,
            ..RunOptions::default()
        };
        let set_off = (waiting.trigger, waiting.created_at);
        self.record(id, slug, lock, options, set_off, control, false)
            .await
            .map(Some)
    }

    /// The report of a run that began after this instant, if one has.
    fn served(&self, id: i64, slug: &str, since: DateTime<Utc>) -> Result<Option<Report>, Error> {
        let newest = self
            .inner
            .catalog
            .runs(id, 1)?
            .into_iter()
            .next()
            .filter(|run| run.started_at > since);
        Ok(newest.and_then(|run| {
            let ended = run.ended?;
            Some(Report {
                sync: slug.to_owned(),
                number: run.number,
                status: ended.status,
                message: ended.message,
                counts: ended.counts,
                configuration: false,
                notes: ended.notes,
            })
        }))
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

    /// Runs with the lock held, from the catalog's first word of it to its last.
    #[expect(clippy::too_many_arguments, reason = "one caller for each of the two ways to run")]
    async fn record(
        &self,
        id: i64,
        slug: &str,
        lock: SyncLock,
        options: RunOptions,
        (trigger, created): (Trigger, DateTime<Utc>),
        control: Control,
        rebaseline: bool,
    ) -> Result<Report, Error> {
        let catalog = &self.inner.catalog;
        let now = Utc::now();
        catalog.repair_runs(id, now)?;
        let begun = catalog.begin_run(id, trigger, &self.inner.user, options.full_resync, created, now)?;
        let note = catalog.find_sync(slug)?.and_then(|row| row.ledger);
        let mut request = self.request(slug, lock, begun.number, note, options, control);
        let Finished {
            report, note, record, ..
        } = loop {
            let finished = if rebaseline {
                run::rebaseline(request.clone()).await
            } else {
                run::run(request.clone()).await
            };
            // The catalog was lost or restored; the ledger knows better how many runs there were.
            let Some(last) = finished.number_taken else {
                break finished;
            };
            catalog.renumber_run(begun.id, last + 1)?;
            request.number = last + 1;
        };
        if let Some(note) = note {
            catalog.note_ledger(id, &note)?;
        }
        if let Some(record) = record {
            let folder = record::folder(request.lock.folder(), request.number);
            tokio::task::spawn_blocking(move || record.write(&folder))
                .await
                .map_err(|error| Error::Broken(error.to_string()))??;
        }
        catalog.end_run(begun.id, &report, Utc::now())?;
        // The lock is let go last.
        drop(request);
        Ok(report)
    }

    fn request(
        &self,
        sync: &str,
        lock: SyncLock,
        number: u64,
        note: Option<outflow_core::ledger::Note>,
        options: RunOptions,
        control: Control,
    ) -> RunRequest {
        RunRequest {
            project: Arc::clone(&self.inner.project),
            sync: sync.to_owned(),
            plugins: Arc::clone(&self.inner.plugins),
            lock: Arc::new(lock),
            number,
            started: SystemTime::now(),
            options: run::RunOptions {
                full_resync: options.full_resync,
                force: options.force,
                allow: options.allow,
                same_target: options.same_target,
                plan: options.plan,
            },
            note,
            claims: Arc::new(self.clone()),
            control,
            extensions: self.inner.extensions.clone(),
        }
    }

    /// The syncs that run by themselves.
    fn enabled(&self) -> Vec<&str> {
        let syncs = self.inner.project.syncs.values();
        syncs
            .filter(|sync| !sync.disabled)
            .map(|sync| sync.slug.as_str())
            .collect()
    }

    /// The folder that the state is kept in.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.inner.state
    }
}

impl Claims for Engine {
    fn holder(&self, sync: &str, place: &str) -> Result<Option<String>, String> {
        let held = self.inner.catalog.holder(sync, place, &self.enabled());
        held.map_err(|error| error.to_string())
    }

    fn claim(&self, sync: &str, place: Option<&str>) -> Result<Option<String>, String> {
        let claimed = self.inner.catalog.claim(sync, place, &self.enabled());
        claimed.map_err(|error| error.to_string())
    }
}

fn tell_waiting(control: &Control, holder: Option<run::lock::Holder>) {
    let by = holder.map_or_else(String::new, |holder| format!(" by {holder}"));
    control.tell(Event::Waiting {
        reason: format!("the sync is being run{by}; this run follows it"),
        ms: 0,
    });
}
