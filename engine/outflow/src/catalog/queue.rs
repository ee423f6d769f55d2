//! The queue: a trigger during a run makes one follow-up, durable before it is answered (rule 30).

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::runs::word;
use super::{Catalog, CatalogError, time, written};

/// What sets a run off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// A person or program.
    Manual,
    /// The sync's schedule.
    Schedule,
}

impl Trigger {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Schedule => "schedule",
        }
    }

    /// The trigger of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Manual, Self::Schedule]
            .into_iter()
            .find(|trigger| trigger.as_str() == word)
    }
}

/// A run that waits for the present one to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowUp {
    /// What set it off first.
    pub trigger: Trigger,
    /// The user.
    pub by: String,
    /// Whether every row is to be sent again: as soon as one of the triggers asked for it.
    pub full_resync: bool,
    /// Whether that was forced.
    pub force: bool,
    /// When it was set off first.
    pub created_at: DateTime<Utc>,
}

/// What became of a trigger during a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// It is the follow-up.
    New,
    /// A follow-up waited already, and serves it too.
    Joined,
}

impl Catalog {
    /// Queues a follow-up, or joins the one that waits. A full resync is never swallowed by a normal run: the one that
    /// waits becomes one.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn enqueue(&self, sync: i64, wanted: &FollowUp) -> Result<Queued, CatalogError> {
        self.write(|tx| put(tx, sync, wanted))
    }

    /// Takes the follow-up that waits, if there is one. Call it with the sync's lock held: then it is run, or queued
    /// again.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn dequeue(&self, sync: i64) -> Result<Option<FollowUp>, CatalogError> {
        self.write(|tx| {
            tx.query_row("DELETE FROM queue WHERE sync = ? RETURNING *", [sync], read)
                .optional()
        })
    }

    /// The syncs for which a follow-up waits, by id, the longest waiting first.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn queued(&self) -> Result<Vec<i64>, CatalogError> {
        self.read(|db| {
            db.prepare("SELECT sync FROM queue ORDER BY created_at")?
                .query_map([], |row| row.get(0))?
                .collect()
        })
    }
}

pub(super) fn put(tx: &Transaction<'_>, sync: i64, wanted: &FollowUp) -> rusqlite::Result<Queued> {
    let waited = tx
        .query_row("SELECT 1 FROM queue WHERE sync = ?", [sync], |_| Ok(()))
        .optional()?
        .is_some();
    tx.execute(
        "INSERT INTO queue (sync, trigger, by, full_resync, force, created_at) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (sync) DO UPDATE SET
             force = force OR excluded.force,
             full_resync = full_resync OR excluded.full_resync",
        params![
            sync,
            wanted.trigger.as_str(),
            wanted.by,
            wanted.full_resync,
            wanted.force,
            written(wanted.created_at)
        ],
    )?;
    Ok(if waited { Queued::Joined } else { Queued::New })
}

fn read(row: &Row<'_>) -> rusqlite::Result<FollowUp> {
    Ok(FollowUp {
        trigger: word(row, "trigger", Trigger::parse)?,
        by: row.get("by")?,
        full_resync: row.get("full_resync")?,
        force: row.get("force")?,
        created_at: time(row, "created_at")?,
    })
}
