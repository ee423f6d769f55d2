//! Preview: what a run would do, by the code of the run, with nothing changed and nothing sent (rule 31).

use crate::delivery;
use crate::delivery::batch::{Filled, Filler};
use crate::destination::{Effect, Limits};
use crate::operation::{Kind, Operation};
use crate::plan::{self, Invalid, Sample};
use crate::report::Counts;
use crate::warehouse::Connection;

use super::compile::{self, Access, Compiled};
use super::{RunError, RunRequest, compiled, interruptible, open, run_info};

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
    /// What a person should know, and what cannot be known before.
    pub notes: Vec<String>,
}

/// Plans a run without changing or sending anything.
///
/// # Errors
/// Why the run would not come to send anything, a guard that stops it included.
pub async fn preview(request: RunRequest, options: PreviewOptions) -> Result<Preview, RunError> {
    let Compiled {
        opened,
        connection,
        projection,
        pinned,
    } = compiled(&request, Access::Read).await?;
    let interrupter = opened.warehouse.interrupter();
    let (destination, projection) = open(&request, projection, Some(run_info(&request))).await?;
    let target = destination.target().clone();
    let job = request.clone();
    let (mut preview, batches) = interruptible(&request, &interrupter, move || {
        let mut connection = connection;
        let planned = plan::preview(
            &mut connection,
            &opened.ledger,
            &plan::Request {
                projection: &projection,
                sync: compile::sync(&job.project, &job.sync)?,
                target: &target,
                run: job.number,
                full_resync: job.options.full_resync,
                force: job.options.force,
                allow: &job.options.allow,
                pinned: &pinned,
            },
        )?;
        let sample = planned.sample(&connection, options.sample)?;
        let invalid = if planned.shortcut {
            Vec::new()
        } else {
            planned.invalid(&connection, options.sample)?
        };
        let batches = if options.requests {
            first_batches(&planned, connection, target.limits)?
        } else {
            Vec::new()
        };
        let preview = Preview {
            counts: planned.counts,
            sample,
            invalid,
            requests: Vec::new(),
            notes: planned.notes.clone(),
        };
        Ok((preview, batches))
    })
    .await?;
    for batch in batches {
        let Some(kind) = batch.first().map(|operation| operation.kind) else {
            continue;
        };
        let effects = destination.preview(&batch).await.map_err(RunError::Check)?;
        preview.requests.push((kind, effects));
    }
    Ok(preview)
}

/// The first batch of each kind of operation, filled as a run fills it.
fn first_batches(
    planned: &plan::Planned,
    connection: Connection,
    limits: Limits,
) -> Result<Vec<Vec<Operation>>, RunError> {
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
    Ok(filled.collect())
}
