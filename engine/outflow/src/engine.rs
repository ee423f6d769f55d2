//! The engine: a project with its state, and what can be asked of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use outflow_core::delivery::budgets::Budgets;
use outflow_core::destination::Plugins;
use outflow_core::project::sync::Sync;
use outflow_core::project::{Diagnostics, Project};
use outflow_core::record::{Record, Records};
use outflow_core::report::Control;
use outflow_core::run::lock::{Asked, SyncLock};
use outflow_core::run::{self, RunRequest};

use crate::catalog::{Catalog, Run, SyncRow};
use crate::{Error, RunOptions};

/// What a stopping server gives its runs besides the time for what is in flight: to record what came of it.
const STOP_BEYOND_GRACE: Duration = Duration::from_secs(15);

/// A project with its state. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    project: Arc<Project>,
    /// What is wrong in its files; then it is only looked at.
    faults: Diagnostics,
    plugins: Arc<dyn Plugins>,
    state: PathBuf,
    catalog: Catalog,
    user: String,
    extensions: Vec<PathBuf>,
    stop_within: Duration,
}

/// How an engine is opened.
pub struct EngineBuilder {
    project: PathBuf,
    plugins: Arc<dyn Plugins>,
    state: Option<PathBuf>,
    user: Option<String>,
    extensions: Vec<PathBuf>,
    stop_within: Option<Duration>,
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

    /// How long [`Engine::serve`] waits for its runs when it is told to stop; by default 45 seconds, of which what is in
    /// flight may take 30. A run that takes longer is dropped as if the process had died: the next one goes on from there.
    #[must_use]
    pub const fn stop_within(mut self, time: Duration) -> Self {
        self.stop_within = Some(time);
        self
    }

    /// Opens the project and its catalog.
    ///
    /// # Errors
    /// Everything that is wrong in the project's files, or the catalog.
    pub fn build(self) -> Result<Engine, Error> {
        let project = Project::load(&self.project)?;
        self.open(project, Diagnostics::default())
    }

    /// Opens the project to look at what is known of it, whatever is wrong in its files: that is given besides. Where
    /// anything is, [`Engine`] lists and shows, and does nothing else.
    ///
    /// # Errors
    /// When the catalog cannot be used.
    pub fn build_to_look(self) -> Result<(Engine, Diagnostics), Error> {
        let (project, faults) = Project::read(&self.project);
        Ok((self.open(project, faults.clone())?, faults))
    }

    fn open(self, project: Project, faults: Diagnostics) -> Result<Engine, Error> {
        let state = self.state.unwrap_or_else(|| project.root.join(".outflow"));
        let catalog = Catalog::open(&state)?;
        let user = self
            .user
            .or_else(|| whoami::username().ok())
            .unwrap_or_else(|| "unknown".to_owned());
        let inner = Inner {
            project: Arc::new(project),
            faults,
            plugins: self.plugins,
            state,
            catalog,
            user,
            extensions: self.extensions,
            stop_within: self
                .stop_within
                .unwrap_or_else(|| Budgets::default().grace + STOP_BEYOND_GRACE),
        };
        Ok(Engine { inner: Arc::new(inner) })
    }
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
            stop_within: None,
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

    /// A sync's runs, newest first; also of one that is no longer in the project.
    ///
    /// # Errors
    /// When the sync is unknown or the catalog cannot be read.
    pub fn runs(&self, sync: &str, at_most: u64) -> Result<Vec<Run>, Error> {
        match self.known(sync)? {
            Some(row) => Ok(self.inner.catalog.runs(row.id, at_most)?),
            None => Ok(Vec::new()),
        }
    }

    /// The rows that did not get through, as the newest run that came as far as a plan left them; with that run's number.
    /// Reads without a lock; also of a sync that is no longer in the project.
    ///
    /// # Errors
    /// When the sync is unknown, or the record or the catalog cannot be read.
    pub fn rejected(&self, sync: &str) -> Result<Option<(u64, Record)>, Error> {
        self.known(sync)?;
        let records = self.records(sync);
        let Some(run) = records.runs()?.pop() else {
            return Ok(None);
        };
        Ok(Record::read(&records.of_run(run))?.map(|record| (run, record)))
    }

    pub(crate) fn records(&self, sync: &str) -> Records {
        Records::of(&run::lock::folder(&self.inner.state, sync))
    }

    pub(crate) fn user(&self) -> &str {
        &self.inner.user
    }

    pub(crate) fn extensions(&self) -> &[PathBuf] {
        &self.inner.extensions
    }

    pub(crate) fn stop_within(&self) -> Duration {
        self.inner.stop_within
    }

    /// A sync to work with, of a project without mistakes.
    pub(crate) fn sync(&self, slug: &str) -> Result<&Sync, Error> {
        self.whole()?;
        self.inner.project.syncs.get(slug).ok_or_else(|| Error::NoSuchSync {
            wanted: slug.to_owned(),
            known: self.inner.project.syncs.keys().cloned().collect(),
        })
    }

    /// What the catalog has of a sync to look at, which the project has a file of, or had; nothing before its first run.
    fn known(&self, sync: &str) -> Result<Option<SyncRow>, Error> {
        let row = self.inner.catalog.find_sync(sync)?;
        let mut known = Project::sync_files(&self.inner.project.root);
        if row.is_some() || known.iter().any(|name| name == sync) {
            return Ok(row);
        }
        known.extend(self.inner.catalog.syncs()?.into_iter().map(|row| row.slug));
        known.sort();
        known.dedup();
        Err(Error::NoSuchSync {
            wanted: sync.to_owned(),
            known,
        })
    }

    /// Refuses to work with a project that was opened to look at it.
    pub(crate) fn whole(&self) -> Result<(), Error> {
        if self.inner.faults.0.is_empty() {
            return Ok(());
        }
        Err(self.inner.faults.clone().into())
    }

    /// The sync's lock, or who has it.
    pub(crate) fn lock(&self, sync: &str) -> Result<Result<SyncLock, Option<run::lock::Holder>>, Error> {
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

    pub(crate) fn request(
        &self,
        sync: &str,
        lock: impl Into<Arc<SyncLock>>,
        number: u64,
        note: Option<outflow_core::ledger::Note>,
        options: RunOptions,
        control: Control,
    ) -> RunRequest {
        RunRequest {
            project: Arc::clone(&self.inner.project),
            sync: sync.to_owned(),
            plugins: Arc::clone(&self.inner.plugins),
            lock: lock.into(),
            number,
            started: SystemTime::now(),
            options: run::RunOptions {
                full_resync: options.full_resync,
                orders: Vec::new(),
                force: options.force,
                allow: options.allow,
                same_target: options.same_target,
                plan: options.plan,
            },
            note,
            notes: Arc::new(self.clone()),
            claims: Arc::new(self.clone()),
            control,
            extensions: self.inner.extensions.clone(),
        }
    }

    /// The folder that the state is kept in.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.inner.state
    }
}
