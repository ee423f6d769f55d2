//! The ledger at work: what a stopped run left is taken in before a run, and what was delivered after it.

use std::path::Path;

use super::work::blocking;
use super::{RunError, RunRequest, compile, lock};
use crate::durable;
use crate::fault;
use crate::ledger::{Accept, Binding, Folded, Ledger, LedgerError, Note, TargetName};
use crate::mapping::Layout;
use crate::warehouse::Connection;

/// What the project's other processes are told of ledgers, so that a ledger that was lost or restored is noticed (rule 7).
pub trait Notes: Send + Sync {
    /// Keeps what a sync's ledger has just committed, in place of what was kept of it before.
    ///
    /// # Errors
    /// Why it cannot be kept.
    fn committed(&self, sync: &str, note: &Note) -> Result<(), String>;
}

/// A ledger with its connection, as blocking work hands them on.
pub struct Desk {
    pub ledger: Ledger,
    pub connection: Connection,
}

/// What a person said of the ledger's target.
pub fn accepted(request: &RunRequest) -> Accept {
    if request.options.same_target {
        Accept::SameTarget
    } else {
        Accept::Nothing
    }
}

/// Checks that the ledger, in which no run is open, is this sync's. Gives notes.
pub fn bound(
    request: &RunRequest,
    desk: &mut Desk,
    target: TargetName,
    layout: &Layout,
    accept: Accept,
) -> Result<Vec<String>, RunError> {
    let mut notes = Vec::new();
    let before = desk.ledger.meta().map(|meta| meta.target.clone());
    bind(request, &mut desk.ledger, &mut desk.connection, target, layout, accept)?;
    if let (Some(before), Some(meta)) = (before, desk.ledger.meta())
        && accept != Accept::Nothing
        && before != meta.target
    {
        notes.push(format!(
            "the ledger was about {before}, and is about {} now",
            meta.target
        ));
    }
    reach(request, "ledger-bound")?;
    fault::ledger_durable(request.lock.folder());
    Ok(notes)
}

/// Takes in what a stopped run left, for good. Gives what that was, and notes.
pub fn take_in(
    request: &RunRequest,
    desk: &mut Desk,
    accept: Accept,
) -> Result<(Option<Folded>, Vec<String>), RunError> {
    let taken = recover(request, desk, accept)?;
    committed(request, desk)?;
    remove(&request.lock.journal())?;
    Ok(taken)
}

/// Takes what a stopped run left into the ledger, or into a copy of it. Gives what that was, and notes.
pub fn recover(
    request: &RunRequest,
    desk: &mut Desk,
    accept: Accept,
) -> Result<(Option<Folded>, Vec<String>), RunError> {
    let journal = request.lock.journal();
    let mut notes = Vec::new();
    let recovered = match desk.ledger.recover(&mut desk.connection, &journal) {
        Err(error) if is_answered(&error, request, accept) => {
            // Closed before the journal goes, so that the next run never finds a plan without the one or the other.
            let doubted = desk.ledger.doubt(&mut desk.connection)?;
            if journal.exists() {
                let aside = lock::set_aside(&journal).map_err(|source| RunError::Io {
                    path: journal.clone(),
                    source,
                })?;
                notes.push(format!(
                    "the journal of a stopped run does not go with this ledger, or cannot be read; it was set aside as {}",
                    aside.display()
                ));
            }
            notes.extend(doubted.map(|folded| {
                format!(
                    "what run {} sent is not known any more: each of its {} operations may have been done",
                    folded.run,
                    folded.counts.planned.total()
                )
            }));
            None
        }
        recovered => recovered?,
    };
    if let Some(folded) = &recovered {
        notes.push(format!(
            "run {} had been stopped; what it delivered was taken in first",
            folded.run
        ));
        notes.extend(folded.notes.iter().cloned());
    }
    Ok((recovered, notes))
}

/// Whether the choices that the error offers have been made: everything is declared anew, or sent again.
fn is_answered(error: &LedgerError, request: &RunRequest, accept: Accept) -> bool {
    let goes_with_another = matches!(error, LedgerError::ForeignJournal { .. } | LedgerError::Older { .. });
    match accept {
        Accept::Anew => goes_with_another || error.is_outcomes_lost(),
        _ => request.options.full_resync && error.is_outcomes_lost(),
    }
}

/// Checks that the ledger is this sync's, and about this target.
pub fn bind(
    request: &RunRequest,
    ledger: &mut Ledger,
    connection: &mut Connection,
    target: TargetName,
    layout: &Layout,
    accept: Accept,
) -> Result<(), RunError> {
    let sync = compile::sync(&request.project, &request.sync)?;
    let binding = Binding {
        sync: &sync.slug,
        renamed_from: sync.renamed_from.as_deref(),
        target,
        accept,
    };
    Ok(ledger.bind(connection, &binding, layout)?)
}

/// Folds the journal into the ledger, and removes it.
pub async fn commit(request: &RunRequest, mut desk: Desk) -> Result<Option<Folded>, RunError> {
    let job = request.clone();
    blocking(move || {
        let path = job.lock.journal();
        job.lock.check().map_err(|source| RunError::Io {
            path: path.clone(),
            source,
        })?;
        let folded = desk.ledger.recover(&mut desk.connection, &path)?;
        committed(&job, &desk)?;
        reach(&job, "fold-noted")?;
        remove(&path)?;
        reach(&job, "journal-removed")?;
        Ok(folded)
    })
    .await
}

/// After a commit, and before anybody goes by it: the ledger's files are durable by name, and what it committed is noted.
pub fn committed(request: &RunRequest, desk: &Desk) -> Result<(), RunError> {
    let Some(note) = desk.ledger.note().filter(|note| request.note.as_ref() != Some(note)) else {
        return Ok(()); // Nothing was committed.
    };
    let folder = request.lock.folder();
    durable::names(folder).map_err(|source| RunError::Io {
        path: folder.to_owned(),
        source,
    })?;
    fault::ledger_durable(folder);
    request.notes.committed(&request.sync, &note).map_err(RunError::Notes)
}

/// A step is done; a test may want it to have failed.
pub fn reach(request: &RunRequest, step: &str) -> Result<(), RunError> {
    fault::point(step).map_err(|source| RunError::Io {
        path: request.lock.folder().to_owned(),
        source,
    })
}

pub fn remove(path: &Path) -> Result<(), RunError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(RunError::Io {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}
