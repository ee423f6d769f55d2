//! The ledger at work: what a stopped run left is taken in before a run, and what was delivered after it.

use std::path::Path;

use super::work::blocking;
use super::{RunError, RunRequest, compile, lock};
use crate::journal::Reader;
use crate::ledger::{Accept, Binding, Folded, Ledger, LedgerError, TargetName};
use crate::mapping::Layout;
use crate::plan::Invalid;
use crate::record::Record;
use crate::warehouse::Connection;

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

/// Takes in what a stopped run left, and checks that the ledger is this sync's. Gives notes.
pub fn prepare_ledger(
    request: &RunRequest,
    desk: &mut Desk,
    target: TargetName,
    layout: &Layout,
    accept: Accept,
) -> Result<Vec<String>, RunError> {
    let journal = request.lock.journal();
    let mut notes = Vec::new();
    let recovered = match desk.ledger.recover(&mut desk.connection, &journal) {
        // What it says of another ledger, or cannot say any more, is declared anew.
        Err(LedgerError::ForeignJournal { .. } | LedgerError::Older { .. } | LedgerError::Journal(_))
            if accept == Accept::Anew =>
        {
            let aside = lock::set_aside(&journal).map_err(|source| RunError::Io {
                path: journal.clone(),
                source,
            })?;
            notes.push(format!(
                "the journal of a stopped run does not go with this ledger; it was set aside as {}",
                aside.display()
            ));
            None
        }
        recovered => recovered?,
    };
    if let Some(folded) = recovered {
        notes.push(format!(
            "run {} had been stopped; what it delivered was taken in first",
            folded.run
        ));
        notes.extend(folded.notes);
    }
    remove(&journal)?;
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
    match desk.ledger.meta().map(|meta| meta.run) {
        // Operations' ids have the run's number (rule 27).
        Some(last) if last >= request.number => Err(RunError::NumberTaken { last }),
        _ => Ok(notes),
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
pub async fn commit(request: &RunRequest, mut desk: Desk) -> Result<(Desk, Option<Folded>), RunError> {
    let path = request.lock.journal();
    blocking(move || {
        let folded = match Reader::open(&path)? {
            Some(reader) => Some(desk.ledger.fold(&mut desk.connection, Some(reader))?),
            None => None,
        };
        remove(&path)?;
        Ok((desk, folded))
    })
    .await
}

/// What did not get through, as of now.
pub async fn record(desk: Desk, invalid: Vec<Invalid>) -> Result<Record, RunError> {
    blocking(move || {
        let unsettled = desk.ledger.unsettled(&desk.connection)?;
        Ok(Record { unsettled, invalid })
    })
    .await
}

fn remove(path: &Path) -> Result<(), RunError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(RunError::Io {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}
