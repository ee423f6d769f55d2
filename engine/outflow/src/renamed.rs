//! A sync under a new name takes along what is known of its destination, and a new sync under an old name does not (rule 7).

use std::fs;
use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};
use outflow_core::project::Project;
use outflow_core::project::sync::Sync;
use outflow_core::run::lock::{self, Asked, SyncLock};

use crate::Error;
use crate::catalog::Catalog;

/// What moves, in that order: the ledger last, so that none is opened without what belongs to it, and a move that was cut
/// short is carried on.
const FILES: [&str; 4] = ["journal", "runs", "ledger.duckdb.wal", LEDGER];
/// What says nothing of a new sync under the old name.
const OF_THE_OLD: [&str; 3] = ["journal", "runs", LEDGER];
const LEDGER: &str = "ledger.duckdb";

/// The name that a sync had before, where its ledger is still to come along.
///
/// # Errors
/// When no sync of that name is known, though others are: a slip, after which every row would be sent as new.
pub fn pending<'a>(state: &Path, catalog: &Catalog, sync: &'a Sync) -> Result<Option<&'a str>, Error> {
    let Some(from) = sync.renamed_from.as_deref() else {
        return Ok(None);
    };
    if has_ledger(state, catalog, sync)? {
        return Ok(None);
    }
    let noted = |slug: &str| Ok::<_, Error>(catalog.find_sync(slug)?.and_then(|row| row.ledger));
    if lock::folder(state, from).join(LEDGER).exists() || noted(from)?.is_some() {
        return Ok(Some(from));
    }
    let others = catalog.syncs()?.into_iter().filter(|row| row.ledger.is_some());
    let known: Vec<_> = others.map(|row| row.slug).collect();
    if known.is_empty() || catalog.find_sync(from)?.is_some() {
        return Ok(None);
    }
    Err(Error::NoSuchLedger {
        sync: sync.slug.clone(),
        from: from.to_owned(),
        known,
    })
}

/// The syncs that have a ledger and are no longer in the project, where one of them may be what this sync was before.
///
/// # Errors
/// When the catalog cannot be read.
pub fn candidates(state: &Path, catalog: &Catalog, project: &Project, sync: &Sync) -> Result<Vec<String>, Error> {
    if sync.renamed_from.is_some() || has_ledger(state, catalog, sync)? {
        return Ok(Vec::new());
    }
    let rows = catalog.syncs()?.into_iter();
    let left = rows.filter(|row| row.ledger.as_ref().is_some_and(|note| note.rows > 0));
    let gone = left.filter(|row| !project.syncs.contains_key(&row.slug));
    Ok(gone.map(|row| row.slug).collect())
}

/// Since when a sync was gone from the project that is in it again, and has a ledger of then.
///
/// # Errors
/// When the catalog cannot be read.
pub fn was_gone(state: &Path, catalog: &Catalog, sync: &Sync) -> Result<Option<DateTime<Utc>>, Error> {
    let Some(since) = catalog.find_sync(&sync.slug)?.and_then(|row| row.gone_at) else {
        return Ok(None);
    };
    Ok(has_ledger(state, catalog, sync)?.then_some(since))
}

/// Begins anew under an old name: what is known of the sync that had it is set aside, with the lock held. Its records too,
/// as one record is read as what came after the other.
///
/// # Errors
/// When a file cannot be moved.
pub fn begin_anew(catalog: &Catalog, sync: &Sync, held: &SyncLock) -> Result<(), Error> {
    for name in OF_THE_OLD {
        let file = held.folder().join(name);
        if file.exists() {
            lock::set_aside(&file).map_err(|source| Error::Io { path: file, source })?;
        }
    }
    Ok(catalog.note_back(&sync.slug, false)?)
}

/// Whether the sync has a ledger of its own, or had one.
fn has_ledger(state: &Path, catalog: &Catalog, sync: &Sync) -> Result<bool, Error> {
    let noted = catalog.find_sync(&sync.slug)?.is_some_and(|row| row.ledger.is_some());
    Ok(noted || lock::folder(state, &sync.slug).join(LEDGER).exists())
}

/// Moves ledger, journal and records of the sync that this one was, with both locks held, and what the catalog noted.
///
/// # Errors
/// As [`pending`]; when another process has the old name's lock, or a file cannot be moved.
pub fn take_over(state: &Path, catalog: &Catalog, sync: &Sync, held: &SyncLock, by: &str) -> Result<(), Error> {
    let Some(from) = pending(state, catalog, sync)? else {
        return Ok(());
    };
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| Error::Io { path, source }
    };
    let old = match SyncLock::ask(state, from, by).map_err(at(state))? {
        Asked::Held(old) => old,
        Asked::Taken(holder) => {
            return Err(Error::Running {
                sync: from.to_owned(),
                holder,
            });
        }
    };
    for name in FILES {
        let (before, now) = (old.folder().join(name), held.folder().join(name));
        // Records of runs under the new name, which came to no ledger, stay.
        if before.exists() && !now.exists() {
            fs::rename(&before, &now).map_err(at(&before))?;
        }
    }
    fs::File::open(held.folder())
        .and_then(|folder| folder.sync_all())
        .map_err(at(held.folder()))?;
    catalog.move_note(from, &sync.slug)?;
    Ok(())
}
