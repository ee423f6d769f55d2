//! Looking ahead: what a run would do, and whether it could. Neither takes the sync's lock, so that nobody waits for a
//! reader (rule 30).

use std::path::PathBuf;

use outflow_core::ledger::Note;
use outflow_core::project::sync::Sync;
use outflow_core::report::Control;
use outflow_core::run::lock::{Holder, SyncLock};
use outflow_core::run::scratch::Scratch;
use outflow_core::run::snapshot::Snapshot;
use outflow_core::run::{self, Preview, PreviewOptions, lock};

use crate::catalog::Taken;
use crate::run::{LOCK_POLL, resync_note, take};
use crate::{Engine, Error, RunOptions, renamed};

/// What is asked of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanOptions {
    /// As the run would be asked. `no_wait` has no meaning here.
    pub run: RunOptions,
    /// Rows of each change to show.
    pub sample: usize,
    /// Whether to show the first requests.
    pub requests: bool,
    /// A file that the whole plan is written to, for [`Engine::apply`].
    pub file: Option<PathBuf>,
    /// Wait while the sync is being run, instead of saying so.
    pub wait: bool,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            run: RunOptions::default(),
            sample: 5,
            requests: false,
            file: None,
            wait: false,
        }
    }
}

impl Engine {
    /// What a run would do. Changes and sends nothing, and keeps no run waiting: it works on a copy of the ledger. While
    /// the sync is being run, what the next run would do is not known, which is an error unless it is to be waited for.
    /// Where a guard would stop the run, the preview has what it would do if it were allowed, and the approvals for that.
    ///
    /// # Errors
    /// Why the run would send nothing; or who runs the sync. With a file also the guard that would stop the run.
    pub async fn plan(&self, sync: &str, options: PlanOptions) -> Result<Preview, Error> {
        self.taken_over(sync)?;
        let (snapshot, seen) = self.settled(sync, options.wait).await?;
        // A plan's file is done apart from what waits.
        let orders = match options.file {
            Some(_) => &[][..],
            None => &seen.orders,
        };
        let lock = std::sync::Arc::clone(&snapshot.lock);
        let control = Control::default();
        let mut request = self.request(sync, lock, seen.last_run + 1, seen.note, options.run, control);
        take(&mut request, orders);
        let shown = PreviewOptions {
            sample: options.sample,
            requests: options.requests,
        };
        let mut preview = run::preview(request, shown, options.file).await?;
        preview.notes.splice(0..0, orders.iter().filter_map(resync_note));
        if let Some(since) = renamed::was_gone(self.state(), self.catalog(), self.sync(sync)?)? {
            let sync = sync.to_owned();
            preview.notes.push(Error::WasGone { sync, since }.to_string());
        }
        let gone = renamed::candidates(self.state(), self.catalog(), self.project(), self.sync(sync)?)?;
        if !gone.is_empty() {
            let sync = sync.to_owned();
            preview.notes.push(Error::MaybeRenamed { sync, gone }.to_string());
        }
        Ok(preview)
    }

    /// Checks a sync beyond its files: the model's SQL, the mappings, the destination's configuration, secrets and
    /// abilities. Sends nothing, and has nothing to do with runs.
    ///
    /// # Errors
    /// What is wrong.
    pub async fn check(&self, sync: &str) -> Result<(), Error> {
        self.place(sync).await.map(drop)
    }

    /// Checks every sync, as [`check`](Self::check) does one, and that no two write to one place.
    pub async fn check_all(&self) -> Vec<(String, Result<(), Error>)> {
        let project = self.project();
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
        let scratch = Scratch::new(self.state(), sync).map_err(|source| self.io(sync, source))?;
        let lock = std::sync::Arc::clone(&scratch.lock);
        let request = self.request(sync, lock, 0, None, RunOptions::default(), Control::default());
        Ok(run::check(&request).await?)
    }

    /// The ledger between two runs, with what the catalog says of it.
    async fn settled(&self, sync: &str, wait: bool) -> Result<(Snapshot, Seen), Error> {
        loop {
            // Looked at first: a ledger is not copied in vain, again and again.
            if let Some(holder) = SyncLock::look(self.state(), sync).map_err(|source| self.io(sync, source))? {
                self.wait_or_tell(sync, wait, holder).await?;
                continue;
            }
            let seen = self.seen(sync)?;
            let (state, slug) = (self.state().to_owned(), sync.to_owned());
            let snapshot = tokio::task::spawn_blocking(move || Snapshot::take(&state, &slug))
                .await
                .map_err(|error| Error::Broken(error.to_string()))?
                .map_err(|source| self.io(sync, source))?;
            match &snapshot.under_way {
                Some(holder) => self.wait_or_tell(sync, wait, holder.clone()).await?,
                // A run that came and went meanwhile has changed both.
                None if seen == self.seen(sync)? => return Ok((snapshot, seen)),
                None => {}
            }
        }
    }

    async fn wait_or_tell(&self, sync: &str, wait: bool, holder: Option<Holder>) -> Result<(), Error> {
        if !wait {
            return Err(Error::Unsettled {
                sync: sync.to_owned(),
                holder,
            });
        }
        tokio::time::sleep(LOCK_POLL).await;
        Ok(())
    }

    pub(crate) fn seen(&self, sync: &str) -> Result<Seen, Error> {
        let Some(row) = self.catalog().find_sync(sync)? else {
            return Ok(Seen::default());
        };
        Ok(Seen {
            last_run: self.catalog().runs(row.id, 1)?.first().map_or(0, |run| run.number),
            orders: self.catalog().orders(row.id)?,
            note: row.ledger,
        })
    }

    fn io(&self, sync: &str, source: std::io::Error) -> Error {
        Error::Io {
            path: lock::folder(self.state(), sync),
            source,
        }
    }
}

/// What the catalog says of a sync.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) last_run: u64,
    pub(crate) note: Option<Note>,
    pub(crate) orders: Vec<Taken>,
}
