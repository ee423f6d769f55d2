//! Preview: what a run would do, by the code of the run, with nothing changed and nothing sent (rule 31).

use std::path::PathBuf;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::delivery;
use crate::delivery::batch::{Filled, Filler};
use crate::destination::{Effect, Limits};
use crate::operation::{Kind, Operation};
use crate::plan::basis::Basis;
use crate::plan::file::Header;
use crate::plan::{self, PlanError, Sample};
use crate::record::Invalid;
use crate::report::{Counts, Stopped};
use crate::warehouse::Connection;

use super::ahead::ahead;
use super::work::{blocking, interruptible};
use super::{RunError, RunRequest, compile};

/// What a preview shows besides counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviewOptions {
    /// Rows of each change.
    pub sample: usize,
    /// Whether the requests of the first batch of each kind of operation.
    pub requests: bool,
}

/// What a run would do.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Preview {
    /// The counts up to `withheld`.
    pub counts: Counts,
    /// The first rows of each change.
    pub sample: Vec<Sample>,
    /// Rows that cannot be sent, as many.
    pub invalid: Vec<Invalid>,
    /// The first effects of each kind of operation.
    pub requests: Vec<(Kind, Vec<Effect>)>,
    /// The guards that would stop the run: it would do nothing of all this, unless it is allowed.
    pub stopped: Vec<Stopped>,
    /// What a person should know, and what cannot be known before.
    pub notes: Vec<String>,
    /// The digest of the plan's file, where one was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// Plans a run without changing or sending anything, and writes the plan to `file`, if one is named: with the digest that
/// the preview then has. What guards would stop is shown as if it were allowed, but not written to a file.
///
/// # Errors
/// Why the run would not come to send anything.
pub async fn preview(request: RunRequest, options: PreviewOptions, file: Option<PathBuf>) -> Result<Preview, RunError> {
    let (mut ahead, destination) = ahead(&request).await?;
    let (request, writes) = (ahead.request.clone(), file.is_some());
    let configuration = compile::configuration(&request, &ahead.projection.layout, &ahead.plugin)?;
    let interrupter = ahead.opened.warehouse.interrupter();
    let (mut preview, batches, planned, basis) = interruptible(&request, &interrupter, move || {
        let planned = ahead.plan()?;
        if let (true, Some(stop)) = (writes, planned.stops.first()) {
            // A file is for a run that does what it says.
            return Err(PlanError::Stopped(Box::new(stop.clone())).into());
        }
        let connection = ahead.connection;
        let (ledger, fingerprint) = plan::basis_of(&connection, &ahead.opened.ledger, &planned)?;
        let basis = Basis {
            sync: ahead.request.sync,
            run: ahead.request.number,
            configuration,
            ledger,
            operations: planned.counts.planned,
            fingerprint,
        };
        let sample = planned.sample(&connection, options.sample)?;
        let invalid = if planned.shortcut {
            Vec::new()
        } else {
            planned.invalid(&connection, options.sample)?
        };
        // A preview's tables are this connection's alone, so it is handed on.
        let (batches, connection) = if options.requests {
            first_batches(&planned, connection, ahead.target.limits)?
        } else {
            (Vec::new(), connection)
        };
        let unknown_ids = (options.requests && basis.ledger.is_none()).then(|| {
            "the idempotency keys of a first run are others than shown here: the ledger has no name yet".to_owned()
        });
        let notes = ahead.notes.into_iter().chain(planned.notes.iter().cloned());
        let preview = Preview {
            counts: planned.counts,
            sample,
            invalid,
            requests: Vec::new(),
            stopped: planned.stops.iter().map(Stopped::from).collect(),
            notes: notes.chain(unknown_ids).collect(),
            digest: None,
        };
        Ok((preview, batches, (planned, connection), basis))
    })
    .await?;
    for batch in batches {
        let Some(kind) = batch.first().map(|operation| operation.kind) else {
            continue;
        };
        let effects = destination.preview(&batch).await.map_err(RunError::Check)?;
        preview.requests.push((kind, effects));
    }
    if let Some(path) = file {
        let header = header(&request, &preview, basis);
        let (planned, connection) = planned;
        let operations = planned.with_previous().operations(connection);
        let digest = blocking(move || Ok(plan::file::write(&path, &header, operations)?)).await?;
        preview.digest = Some(digest);
    }
    Ok(preview)
}

fn header(request: &RunRequest, preview: &Preview, basis: Basis) -> Header {
    let options = &request.options;
    Header {
        outflow_plan: plan::file::FORMAT,
        project: request.project.settings.name.clone(),
        made_at: DateTime::<Utc>::from(request.started).to_rfc3339_opts(SecondsFormat::Secs, true),
        basis,
        full_resync: options.full_resync,
        force: options.force,
        allow: options.allow.clone(),
        same_target: options.same_target,
        counts: preview.counts,
        notes: preview.notes.clone(),
        invalid: preview.invalid.clone(),
        requests: preview.requests.clone(),
    }
}

/// The first batch of each kind of operation, filled as a run fills it.
fn first_batches(
    planned: &plan::Planned,
    connection: Connection,
    limits: Limits,
) -> Result<(Vec<Vec<Operation>>, Connection), RunError> {
    let mut firsts: Vec<Vec<delivery::Planned>> = Vec::new();
    let mut operations = planned.operations(connection);
    loop {
        let read = operations.next(1_000)?;
        if read.is_empty() {
            break;
        }
        for planned in read {
            let kind = planned.operation.kind;
            match firsts.last_mut() {
                Some(first) if first.first().is_some_and(|planned| planned.operation.kind == kind) => {
                    if first.len() < limits.records as usize {
                        first.push(planned);
                    }
                }
                _ => firsts.push(vec![planned]),
            }
        }
    }
    let filled = firsts.into_iter().filter_map(|first| {
        let mut filler = Filler::new(limits);
        filler.push(first);
        filler.no_more();
        match filler.fill(true) {
            Filled::Batch(batch) => Some(batch.into_iter().map(|planned| planned.operation).collect()),
            Filled::Wait => None,
        }
    });
    Ok((filled.collect(), operations.into_connection()))
}
