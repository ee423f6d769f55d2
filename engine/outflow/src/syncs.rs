//! Which syncs there are, and when they run next.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use outflow_core::project::Project;
use outflow_core::project::sync::{ScheduleConfig, Sync};
use outflow_core::schedule::{Cron, Schedule};

use crate::catalog::{Catalog, Run};
use crate::{Engine, Error};

/// A sync, as the project and the catalog tell of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The sync.
    pub sync: String,
    /// Whether it is switched on. Not known where its file has a mistake or is gone.
    pub enabled: Option<bool>,
    /// Whether the project has a file of it. Where it has none, the state is what is left.
    pub in_project: bool,
    /// When and by whom it was made: the first `run` or `serve` that saw it. None before that.
    pub created: Option<(DateTime<Utc>, String)>,
    /// Its newest run.
    pub last_run: Option<Run>,
    /// When it runs next, if it is served.
    pub next_run_at: Option<DateTime<Utc>>,
    /// Whether the next run is a full resync that was asked for.
    pub full_resync_queued: bool,
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
    /// The syncs of the project, those whose files have mistakes included, and those of which only the state is left, by
    /// name.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn syncs(&self, now: DateTime<Utc>) -> Result<Vec<Listed>, Error> {
        let syncs = &self.project().syncs;
        let mut all = list(self.catalog(), Project::sync_files(&self.project().root))?;
        let ticks = self.schedule(1, now)?;
        for listed in &mut all {
            listed.enabled = syncs.get(&listed.sync).map(|sync| !sync.disabled);
            let tick = ticks.iter().find(|tick| tick.sync == listed.sync);
            listed.next_run_at = tick.and_then(|tick| tick.at.first().copied());
        }
        Ok(all)
    }

    /// The next times of every scheduled sync, at most so many of each.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn schedule(&self, at_most: usize, now: DateTime<Utc>) -> Result<Vec<Tick>, Error> {
        let mut ticks = Vec::new();
        for sync in self.project().syncs.values().filter(|sync| !sync.disabled) {
            let Some(schedule) = self.schedule_of(sync) else {
                continue;
            };
            let row = self.catalog().find_sync(&sync.slug)?;
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
                let zone = zone.unwrap_or(self.project().settings.timezone);
                // It was read when the project was loaded.
                Cron::parse(expression, zone).ok().map(Schedule::Cron)
            }
        }
    }
}

fn list(catalog: &Catalog, names: impl IntoIterator<Item = String>) -> Result<Vec<Listed>, Error> {
    let mut all = BTreeMap::new();
    for sync in names {
        all.insert(sync.clone(), Listed::new(sync, true));
    }
    for row in catalog.syncs()? {
        let listed = all
            .entry(row.slug.clone())
            .or_insert_with(|| Listed::new(row.slug, false));
        listed.created = Some((row.created_at, row.created_by));
        listed.last_run = catalog.runs(row.id, 1)?.into_iter().next();
        listed.full_resync_queued = catalog.orders(row.id)?.iter().any(|taken| taken.order.full_resync);
    }
    Ok(all.into_values().collect())
}

impl Listed {
    const fn new(sync: String, in_project: bool) -> Self {
        Self {
            sync,
            enabled: None,
            in_project,
            created: None,
            last_run: None,
            next_run_at: None,
            full_resync_queued: false,
        }
    }
}
