//! The queue: orders for runs. An order is durable before it is answered, and is there until a run has done it (rule 30).
//!
//! A run that begins takes every order of its sync with the same stroke, so that triggers during a run make one
//! follow-up, and a full resync is swallowed by none. What was taken is gone only once the run is over, so a process that
//! dies in between loses nothing; whether a full resync had been begun by then is known to the ledger, by the order's
//! token. Whoever gives up waiting takes its own order back, and no other.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::runs::word;
use super::syncs::restored;
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

/// An order for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What set it off.
    pub trigger: Trigger,
    /// The user.
    pub by: String,
    /// Whether every row is to be sent again.
    pub full_resync: bool,
    /// Whether that was forced.
    pub force: bool,
    /// When it was given.
    pub created_at: DateTime<Utc>,
}

/// An order that waits in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The order.
    pub id: i64,
    /// The sync's newest run when the order was given: a later one has taken it.
    pub after: u64,
}

/// An order as a run takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its number in the queue.
    pub id: i64,
    /// The order.
    pub order: Order,
    /// By which the ledger knows it.
    pub token: String,
    /// The run that had taken it before, and did not do it.
    pub before: Option<u64>,
    /// Whether it sets a run off. If not, it is owed by whatever run comes next.
    pub waiting: bool,
}

/// Why a run begins, and so which orders it takes.
#[derive(Clone, Copy, Debug)]
pub enum Cause<'a> {
    /// Of this order, which is written down with the same stroke. It takes all others.
    Now(&'a Order),
    /// Of this order, if it waits still. It takes all others.
    Queued(i64),
    /// Of whatever waits.
    Waiting,
    /// Of this order, apart from the queue, which it leaves alone.
    Apart(&'a Order),
}

/// What becomes of the orders that a run had taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// They are done.
    Done,
    /// Full resyncs are owed: by the next run, whatever sets that off. The others are done.
    Owe,
    /// All but this one, if any, wait again.
    Return(Option<i64>),
}

impl Catalog {
    /// Queues an order.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn enqueue(&self, sync: i64, order: &Order) -> Result<Ticket, CatalogError> {
        self.write(|tx| {
            let after = tx.query_row(
                "SELECT coalesce(max(number), 0) FROM runs WHERE sync = ?",
                [sync],
                |row| row.get(0),
            )?;
            Ok(Ticket {
                id: put(tx, sync, order)?,
                after: restored(after),
            })
        })
    }

    /// Takes an order back. A run that has taken it already is not touched by that.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn withdraw(&self, order: i64) -> Result<(), CatalogError> {
        self.write(|tx| tx.execute("DELETE FROM queue WHERE id = ?", [order]))
            .map(drop)
    }

    /// The syncs for which an order waits that sets a run off, by id, the longest waiting first.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn queued(&self) -> Result<Vec<i64>, CatalogError> {
        self.read(|db| {
            db.prepare("SELECT sync FROM queue WHERE waiting GROUP BY sync ORDER BY min(id)")?
                .query_map([], |row| row.get(0))?
                .collect()
        })
    }

    /// The orders that the next run of a sync takes.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn orders(&self, sync: i64) -> Result<Vec<Taken>, CatalogError> {
        self.read(|db| orders(db, sync))
    }
}

pub(super) fn put(tx: &Transaction<'_>, sync: i64, order: &Order) -> rusqlite::Result<i64> {
    tx.execute(
        "INSERT INTO queue (sync, token, trigger, by, full_resync, force, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        params![
            sync,
            format!("{:032x}", rand::random::<u128>()),
            order.trigger.as_str(),
            order.by,
            order.full_resync,
            order.force,
            written(order.created_at)
        ],
    )?;
    Ok(tx.last_insert_rowid())
}

/// Queues the tick of a schedule, unless one waits that no run has taken yet.
pub(super) fn put_tick(tx: &Transaction<'_>, sync: i64, tick: &Order) -> rusqlite::Result<()> {
    let waits = tx
        .query_row(
            "SELECT 1 FROM queue WHERE sync = ? AND trigger = ? AND run IS NULL",
            params![sync, tick.trigger.as_str()],
            |_| Ok(()),
        )
        .optional()?
        .is_some();
    if !waits {
        put(tx, sync, tick)?;
    }
    Ok(())
}

pub(super) fn orders(db: &rusqlite::Connection, sync: i64) -> rusqlite::Result<Vec<Taken>> {
    db.prepare(
        "SELECT queue.*, runs.number AS before FROM queue LEFT JOIN runs ON runs.id = queue.run
         WHERE queue.sync = ? ORDER BY queue.id",
    )?
    .query_map([sync], read)?
    .collect()
}

/// The orders that a run takes for this reason; none where the reason has gone.
pub(super) fn due(tx: &Transaction<'_>, sync: i64, cause: Cause<'_>) -> rusqlite::Result<Option<Due>> {
    let own = match cause {
        Cause::Now(order) => Some(put(tx, sync, order)?),
        Cause::Queued(id) => Some(id),
        Cause::Waiting => None,
        Cause::Apart(_) => {
            return Ok(Some(Due {
                own: None,
                orders: Vec::new(),
            }));
        }
    };
    let orders = orders(tx, sync)?;
    let is_cause = |taken: &Taken| taken.waiting && own.is_none_or(|own| taken.id == own);
    Ok(orders.iter().any(is_cause).then_some(Due { own, orders }))
}

pub(super) struct Due {
    pub own: Option<i64>,
    pub orders: Vec<Taken>,
}

/// Marks the orders of a sync as taken by a run.
pub(super) fn take(tx: &Transaction<'_>, sync: i64, run: i64) -> rusqlite::Result<()> {
    tx.execute("UPDATE queue SET run = ? WHERE sync = ?", [run, sync])?;
    Ok(())
}

/// Settles what a run had taken.
pub(super) fn settle(tx: &Transaction<'_>, run: i64, settle: Settle) -> rusqlite::Result<()> {
    match settle {
        Settle::Done => tx.execute("DELETE FROM queue WHERE run = ?", [run])?,
        Settle::Owe => {
            tx.execute("DELETE FROM queue WHERE run = ? AND NOT full_resync", [run])?;
            tx.execute("UPDATE queue SET waiting = 0 WHERE run = ?", [run])?
        }
        Settle::Return(own) => tx.execute("DELETE FROM queue WHERE run = ? AND id = ?", params![run, own])?,
    };
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Taken> {
    let before: Option<i64> = row.get("before")?;
    Ok(Taken {
        id: row.get("id")?,
        order: Order {
            trigger: word(row, "trigger", Trigger::parse)?,
            by: row.get("by")?,
            full_resync: row.get("full_resync")?,
            force: row.get("force")?,
            created_at: time(row, "created_at")?,
        },
        token: row.get("token")?,
        before: before.map(restored),
        waiting: row.get("waiting")?,
    })
}
