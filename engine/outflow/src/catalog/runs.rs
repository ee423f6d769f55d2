//! Runs: begun, ended, listed, and repaired where their process died.

use chrono::{DateTime, Utc};
use outflow_core::report::{Counts, Report, Status};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::queue::{self, Cause, Settle, Taken, Trigger};
use super::syncs::{restored, stored};
use super::{Catalog, CatalogError, time, time_if_any, written};

/// A run as the catalog knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its number in the project.
    pub id: i64,
    /// Its number within the sync, from 1.
    pub number: u64,
    /// What set it off.
    pub trigger: Trigger,
    /// The user.
    pub by: String,
    /// Whether every row was to be sent again.
    pub full_resync: bool,
    /// When it was set off.
    pub created_at: DateTime<Utc>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// Its end, or none while it runs.
    pub ended: Option<Ended>,
}

/// A run that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The run.
    pub run: Run,
    /// The order that set it off, where that was one.
    pub own: Option<i64>,
    /// The orders that it took, the oldest first.
    pub orders: Vec<Taken>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When.
    pub at: DateTime<Utc>,
    /// How.
    pub status: Status,
    /// Why, for people.
    pub message: Option<String>,
    /// What it counted.
    pub counts: Counts,
    /// What a person should know besides.
    pub notes: Vec<String>,
}

/// What stands in place of a message or note that was forgotten.
const FORGOTTEN: &str = "(forgotten)";

impl Catalog {
    /// Begins a run: with one stroke, runs that have no end are ended as interrupted, the new one is listed, and the orders
    /// that it takes are its. Nothing where nothing is to be done: the order that was to set it off waits no more, as
    /// another run has taken it. Call it with the sync's lock held.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn begin_run(
        &self,
        sync: i64,
        by: &str,
        cause: Cause<'_>,
        now: DateTime<Utc>,
    ) -> Result<Option<Begun>, CatalogError> {
        self.write(|tx| {
            repair(tx, sync, now)?;
            let Some(due) = queue::due(tx, sync, cause)? else {
                return Ok(None);
            };
            let mut first = due.orders.iter().filter(|taken| taken.waiting);
            let first = match cause {
                Cause::Apart(order) => Some(order),
                _ => first.next().map(|taken| &taken.order),
            };
            let Some(first) = first else {
                return Ok(None);
            };
            let full_resync = first.full_resync || due.orders.iter().any(|taken| taken.order.full_resync);
            tx.execute(
                "INSERT INTO runs (sync, number, trigger, by, full_resync, created_at, started_at)
                 SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM runs WHERE sync = ?1",
                params![
                    sync,
                    first.trigger.as_str(),
                    by,
                    full_resync,
                    written(first.created_at),
                    written(now)
                ],
            )?;
            let run = tx.query_row("SELECT * FROM runs WHERE id = ?", [tx.last_insert_rowid()], read)?;
            if !matches!(cause, Cause::Apart(_)) {
                queue::take(tx, sync, run.id)?;
            }
            Ok(Some(Begun {
                run,
                own: due.own,
                orders: due.orders,
            }))
        })
    }

    /// Gives a run another number, past those that its ledger knows of.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn renumber_run(&self, run: i64, number: u64) -> Result<(), CatalogError> {
        self.write(|tx| tx.execute("UPDATE runs SET number = ? WHERE id = ?", params![stored(number), run]))
            .map(drop)
    }

    /// Ends a run with its report, and settles the orders that it took. A run that has an end keeps it: whoever lost its
    /// place records nothing (rule 30).
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn end_run(&self, run: i64, report: &Report, settle: Settle, now: DateTime<Utc>) -> Result<(), CatalogError> {
        self.write(|tx| {
            let ended = tx.execute(
                "UPDATE runs SET finished_at = ?, status = ?, message = ?, counts = ?, notes = ?
                 WHERE id = ? AND finished_at IS NULL",
                params![
                    written(now),
                    report.status.as_str(),
                    report.message,
                    json_text(&report.counts)?,
                    json_text(&report.notes)?,
                    run
                ],
            )?;
            if ended > 0 {
                queue::settle(tx, run, settle)?;
            }
            Ok(())
        })
    }

    /// Takes messages and notes of a sync's runs away that have one of these texts, also from what the file has no more use
    /// for (rule 39). Gives how many runs those were.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn forget(&self, sync: i64, texts: &[String]) -> Result<u64, CatalogError> {
        let has =
            |column: &str| format!("instr(coalesce({column}, ''), ?2) > 0 OR instr(coalesce({column}, ''), ?3) > 0");
        let sql = format!(
            "UPDATE runs SET message = iif(message IS NULL, NULL, '{FORGOTTEN}'), notes = '[\"{FORGOTTEN}\"]'
             WHERE sync = ?1 AND ({} OR {})",
            has("message"),
            has("notes")
        );
        let forgotten = self.write(|tx| {
            tx.pragma_update(None, "secure_delete", true)?;
            let mut forgotten = 0;
            for text in texts {
                // Notes are a JSON list of texts.
                let quoted = serde_json::Value::from(text.as_str()).to_string();
                forgotten += tx.execute(&sql, params![sync, text, quoted.trim_matches('"')])?;
            }
            Ok(forgotten)
        })?;
        if forgotten > 0 {
            self.read(|db| db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())))?;
        }
        Ok(forgotten as u64)
    }

    /// Ends the runs of a sync that have no end, as interrupted. Call it with the sync's lock held, which proves that
    /// their processes are gone. Gives how many there were.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn repair_runs(&self, sync: i64, now: DateTime<Utc>) -> Result<usize, CatalogError> {
        self.write(|tx| repair(tx, sync, now))
    }

    /// Notes what a run counted whose process died, and of which that was not known.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn count_run(&self, sync: &str, number: u64, counts: &Counts) -> Result<(), CatalogError> {
        self.write(|tx| {
            tx.execute(
                "UPDATE runs SET counts = ?
                 WHERE sync = (SELECT id FROM syncs WHERE slug = ?) AND number = ? AND counts = '{}'",
                params![json_text(counts)?, sync, stored(number)],
            )
        })
        .map(drop)
    }

    /// A sync's runs, newest first, at most so many.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn runs(&self, sync: i64, at_most: u64) -> Result<Vec<Run>, CatalogError> {
        self.read(|db| {
            db.prepare("SELECT * FROM runs WHERE sync = ? ORDER BY number DESC LIMIT ?")?
                .query_map(params![sync, stored(at_most)], read)?
                .collect()
        })
    }

    /// A run by its number within the sync.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn run(&self, sync: i64, number: u64) -> Result<Option<Run>, CatalogError> {
        self.read(|db| {
            db.query_row(
                "SELECT * FROM runs WHERE sync = ? AND number = ?",
                params![sync, stored(number)],
                read,
            )
            .optional()
        })
    }
}

fn repair(tx: &Transaction<'_>, sync: i64, now: DateTime<Utc>) -> rusqlite::Result<usize> {
    tx.execute(
        "UPDATE runs SET finished_at = ?, status = ?, message = 'its process ended before the run did'
         WHERE sync = ? AND finished_at IS NULL",
        params![written(now), Status::Interrupted.as_str(), sync],
    )
}

fn read(row: &Row<'_>) -> rusqlite::Result<Run> {
    let ended = match time_if_any(row, "finished_at")? {
        Some(at) => Some(Ended {
            at,
            status: word(row, "status", Status::parse)?,
            message: row.get("message")?,
            counts: json(row, "counts")?,
            notes: json(row, "notes")?,
        }),
        None => None,
    };
    Ok(Run {
        id: row.get("id")?,
        number: restored(row.get("number")?),
        trigger: word(row, "trigger", Trigger::parse)?,
        by: row.get("by")?,
        full_resync: row.get("full_resync")?,
        created_at: time(row, "created_at")?,
        started_at: time(row, "started_at")?,
        ended,
    })
}

/// A word of a closed set.
pub(super) fn word<T>(row: &Row<'_>, column: &str, parse: impl Fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| unreadable(format!("`{text}` is no {column}").into()))
}

fn json_text(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn json<T: serde::de::DeserializeOwned + Default>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    // A run whose process died has counted nothing, until the next one takes in what it left.
    if text == "{}" {
        return Ok(T::default());
    }
    serde_json::from_str(&text).map_err(|error| unreadable(error.into()))
}

fn unreadable(error: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error)
}
