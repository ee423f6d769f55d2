//! Syncs: their numeric ids, who made them when, their ledgers' last commits and their schedules' last ticks.

use chrono::{DateTime, Utc};
use outflow_core::ledger::Note;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::queue::{self, Order, Trigger};
use super::{Catalog, CatalogError, time, time_if_any, written};

/// A sync as the catalog knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncRow {
    /// Its number in the project.
    pub id: i64,
    /// Its slug.
    pub slug: String,
    /// When the first `run` or `serve` saw it.
    pub created_at: DateTime<Utc>,
    /// The user of that.
    pub created_by: String,
    /// Its ledger's last commit.
    pub ledger: Option<Note>,
    /// When its schedule last fired.
    pub ticked_at: Option<DateTime<Utc>>,
    /// When a run or a server first saw that the project has no file of it; it stays when the file is back.
    pub gone_at: Option<DateTime<Utc>>,
}

impl Catalog {
    /// The sync of that slug; where the catalog has none yet, this user makes it now.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn sync(&self, slug: &str, user: &str, now: DateTime<Utc>) -> Result<SyncRow, CatalogError> {
        if let Some(sync) = self.find_sync(slug)? {
            return Ok(sync);
        }
        self.write(|tx| {
            tx.execute(
                "INSERT INTO syncs (slug, created_at, created_by) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                params![slug, written(now), user],
            )?;
            tx.query_row("SELECT * FROM syncs WHERE slug = ?", [slug], read)
        })
    }

    /// The sync of that slug, if any run or server has seen it.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn find_sync(&self, slug: &str) -> Result<Option<SyncRow>, CatalogError> {
        self.read(|db| {
            db.query_row("SELECT * FROM syncs WHERE slug = ?", [slug], read)
                .optional()
        })
    }

    /// All syncs, by slug.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn syncs(&self) -> Result<Vec<SyncRow>, CatalogError> {
        self.read(|db| {
            db.prepare("SELECT * FROM syncs ORDER BY slug")?
                .query_map([], read)?
                .collect()
        })
    }

    /// Notes a ledger's commit.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn note_ledger(&self, sync: &str, note: &Note) -> Result<(), CatalogError> {
        self.write(|tx| {
            tx.execute(
                "UPDATE syncs SET ledger_incarnation = ?, ledger_sequence = ?, ledger_rows = ? WHERE slug = ?",
                params![note.incarnation, stored(note.sequence), stored(note.rows), sync],
            )
        })
        .map(drop)
    }

    /// Moves what is noted of a ledger from one sync to another.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn move_note(&self, from: &str, to: &str) -> Result<(), CatalogError> {
        self.write(|tx| {
            tx.execute(
                "UPDATE syncs SET (ledger_incarnation, ledger_sequence, ledger_rows) =
                   (SELECT ledger_incarnation, ledger_sequence, ledger_rows FROM syncs WHERE slug = ?1) WHERE slug = ?2",
                params![from, to],
            )?;
            tx.execute(
                "UPDATE syncs SET ledger_incarnation = NULL, ledger_sequence = NULL, ledger_rows = NULL, place = NULL
                 WHERE slug = ?",
                [from],
            )
        })
        .map(drop)
    }

    /// Notes which syncs are gone from the project: all but these.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn note_gone<'a>(
        &self,
        present: impl IntoIterator<Item = &'a String>,
        now: DateTime<Utc>,
    ) -> Result<(), CatalogError> {
        let present: Vec<_> = present.into_iter().map(String::as_str).collect();
        let gone: Vec<_> = self
            .syncs()?
            .into_iter()
            .filter(|row| row.gone_at.is_none() && !present.contains(&row.slug.as_str()))
            .collect();
        if gone.is_empty() {
            return Ok(()); // As ever.
        }
        self.write(|tx| {
            for row in &gone {
                tx.execute(
                    "UPDATE syncs SET gone_at = ? WHERE id = ? AND gone_at IS NULL",
                    params![written(now), row.id],
                )?;
            }
            Ok(())
        })
    }

    /// Notes that a sync is in the project, with the ledger that it had or without it.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn note_back(&self, slug: &str, keeps_ledger: bool) -> Result<(), CatalogError> {
        self.write(|tx| {
            tx.execute("UPDATE syncs SET gone_at = NULL WHERE slug = ?", [slug])?;
            if !keeps_ledger {
                tx.execute(
                    "UPDATE syncs SET ledger_incarnation = NULL, ledger_sequence = NULL, ledger_rows = NULL WHERE slug = ?",
                    [slug],
                )?;
            }
            Ok(())
        })
    }

    /// One of the `rivals` that has that place.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn holder(&self, sync: &str, place: &str, rivals: &[&str]) -> Result<Option<String>, CatalogError> {
        self.read(|db| holder(db, sync, Some(place), rivals))
    }

    /// Takes a place for a sync, in whose stead it lets go of the one that it had. Gives one of the `rivals` that has it;
    /// then nothing changed.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn claim(&self, sync: &str, place: Option<&str>, rivals: &[&str]) -> Result<Option<String>, CatalogError> {
        self.write(|tx| {
            let rival = holder(tx, sync, place, rivals)?;
            if rival.is_none() {
                tx.execute("UPDATE syncs SET place = ? WHERE slug = ?", params![place, sync])?;
            }
            Ok(rival)
        })
    }

    /// Marks that a sync's schedule fired, where `seen` is still its last mark, and queues its run with the same stroke:
    /// whatever dies now, the tick is neither lost nor run twice. False where another process was faster: then the tick
    /// is not ours (rule 37).
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub fn tick(
        &self,
        sync: i64,
        seen: Option<DateTime<Utc>>,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, CatalogError> {
        let order = Order {
            trigger: Trigger::Schedule,
            by: by.to_owned(),
            full_resync: false,
            force: false,
            created_at: now,
        };
        self.write(|tx| {
            let marked = tx.execute(
                "UPDATE syncs SET ticked_at = ?3 WHERE id = ?1 AND ticked_at IS ?2",
                params![sync, seen.map(written), written(now)],
            )?;
            if marked == 0 {
                return Ok(false);
            }
            queue::put_tick(tx, sync, &order)?;
            Ok(true)
        })
    }
}

fn holder(db: &Connection, sync: &str, place: Option<&str>, rivals: &[&str]) -> rusqlite::Result<Option<String>> {
    let holders: Vec<String> = db
        .prepare("SELECT slug FROM syncs WHERE place = ? AND slug <> ? ORDER BY slug")?
        .query_map(params![place, sync], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(holders.into_iter().find(|holder| rivals.contains(&holder.as_str())))
}

fn read(row: &Row<'_>) -> rusqlite::Result<SyncRow> {
    let incarnation: Option<String> = row.get("ledger_incarnation")?;
    let number = |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map_or(0, restored));
    Ok(SyncRow {
        id: row.get("id")?,
        slug: row.get("slug")?,
        created_at: time(row, "created_at")?,
        created_by: row.get("created_by")?,
        ledger: match incarnation {
            Some(incarnation) => Some(Note {
                incarnation,
                sequence: number("ledger_sequence")?,
                rows: number("ledger_rows")?,
            }),
            None => None,
        },
        ticked_at: time_if_any(row, "ticked_at")?,
        gone_at: time_if_any(row, "gone_at")?,
    })
}

/// SQLite's integers are signed; counts of rows and commits stay far below their end.
pub(super) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn restored(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
