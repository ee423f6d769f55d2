//! The catalog's tables and how an older catalog becomes a newer one.

use rusqlite::{Connection, TransactionBehavior};

/// The newest format.
pub const FORMAT: i64 = 4;

/// What takes a catalog from each format to the next.
pub(super) const STEPS: [&str; FORMAT as usize] = [
    "
    CREATE TABLE syncs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        slug TEXT NOT NULL UNIQUE,
        created_at TEXT NOT NULL,
        created_by TEXT NOT NULL,
        -- The ledger as it was last committed.
        ledger_incarnation TEXT,
        ledger_sequence INTEGER,
        ledger_rows INTEGER,
        -- When the schedule last fired.
        ticked_at TEXT
    ) STRICT;
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        sync INTEGER NOT NULL REFERENCES syncs,
        -- Within the sync, from 1.
        number INTEGER NOT NULL,
        trigger TEXT NOT NULL,
        by TEXT NOT NULL,
        full_resync INTEGER NOT NULL,
        created_at TEXT NOT NULL,
        started_at TEXT NOT NULL,
        finished_at TEXT,
        status TEXT,
        message TEXT,
        counts TEXT NOT NULL DEFAULT '{}',
        notes TEXT NOT NULL DEFAULT '[]',
        UNIQUE (sync, number)
    ) STRICT;
    -- At most one follow-up per sync waits.
    CREATE TABLE queue (
        sync INTEGER PRIMARY KEY REFERENCES syncs,
        trigger TEXT NOT NULL,
        by TEXT NOT NULL,
        full_resync INTEGER NOT NULL,
        force INTEGER NOT NULL,
        created_at TEXT NOT NULL
    ) STRICT;
",
    "
    -- The place that the sync writes to, where no other may.
    ALTER TABLE syncs ADD COLUMN place TEXT;
",
    "
    ALTER TABLE queue RENAME TO old_queue;
    -- Orders for runs, until they are done.
    CREATE TABLE queue (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        sync INTEGER NOT NULL REFERENCES syncs,
        -- By which the ledger knows it.
        token TEXT NOT NULL,
        trigger TEXT NOT NULL,
        by TEXT NOT NULL,
        full_resync INTEGER NOT NULL,
        force INTEGER NOT NULL,
        created_at TEXT NOT NULL,
        -- The run that took it last.
        run INTEGER REFERENCES runs,
        -- Whether it sets a run off.
        waiting INTEGER NOT NULL DEFAULT 1
    ) STRICT;
    INSERT INTO queue (sync, token, trigger, by, full_resync, force, created_at)
        SELECT sync, lower(hex(randomblob(16))), trigger, by, full_resync, force, created_at
        FROM old_queue ORDER BY created_at;
    DROP TABLE old_queue;
",
    "
    -- Since when the project has had no file of it, as far as a run or server has seen.
    ALTER TABLE syncs ADD COLUMN gone_at TEXT;
",
];

/// Brings the catalog up to date. Gives its format, which is beyond [`FORMAT`] where a newer version wrote it; then
/// nothing was changed.
pub fn migrate(connection: &mut Connection) -> rusqlite::Result<i64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut format: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    while let Some(step) = usize::try_from(format).ok().and_then(|done| STEPS.get(done)) {
        transaction.execute_batch(step)?;
        format += 1;
        transaction.pragma_update(None, "user_version", format)?;
    }
    transaction.commit()?;
    Ok(format)
}
