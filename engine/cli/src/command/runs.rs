//! `outflow runs`: a sync's runs.

use chrono::SecondsFormat;
use outflow::Split;
use outflow::catalog::Run;
use serde_json::json;

use super::engine;
use crate::arguments::{Arguments, Output};
use crate::exit::Exit;
use crate::output::{self, say};

/// Lists them, newest first.
pub fn execute(arguments: &Arguments, sync: &str, limit: u32) -> anyhow::Result<Exit> {
    let engine = engine(arguments)?;
    let runs = engine.runs(sync, limit.into())?;
    let created = engine.catalog().find_sync(sync)?;
    match arguments.output {
        Output::Json => output::json(&runs.iter().map(as_json).collect::<Vec<_>>())?,
        Output::Text if runs.is_empty() => say!("{sync} has not been run yet"),
        Output::Text => {
            if let Some(row) = created {
                let at = row.created_at.to_rfc3339_opts(SecondsFormat::Secs, true);
                say!("{sync}: created by {} at {at}", row.created_by);
            }
            let headings = [
                "run", "status", "by", "started", "took", "rows", "added", "changed", "removed", "accepted", "refused",
            ];
            let mut table = output::table(&headings);
            for run in &runs {
                table.add_row(row(run));
            }
            say!("{table}");
        }
    }
    Ok(Exit::Success)
}

fn row(run: &Run) -> [String; 11] {
    let started = run.started_at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let counts = run.ended.as_ref().map(|ended| ended.counts).unwrap_or_default();
    let status = run.ended.as_ref().map_or("running", |ended| ended.status.as_str());
    let took = run.ended.as_ref().map_or(String::new(), |ended| {
        #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
        let seconds = (ended.at - run.started_at).num_milliseconds() as f64 / 1000.0;
        format!("{seconds:.1} s")
    });
    let Split {
        added,
        changed,
        removed,
    } = counts.changes;
    [
        run.number.to_string(),
        status.to_owned(),
        format!("{} ({})", run.by, run.trigger.as_str()),
        started,
        took,
        counts.queried.to_string(),
        added.to_string(),
        changed.to_string(),
        removed.to_string(),
        counts.succeeded.total().to_string(),
        counts.rejected.total().to_string(),
    ]
}

fn as_json(run: &Run) -> serde_json::Value {
    json!({
        "number": run.number,
        "trigger": run.trigger,
        "by": run.by,
        "full_resync": run.full_resync,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.ended.as_ref().map(|ended| ended.at),
        "status": run.ended.as_ref().map_or("running", |ended| ended.status.as_str()),
        "message": run.ended.as_ref().and_then(|ended| ended.message.clone()),
        "counts": run.ended.as_ref().map(|ended| ended.counts),
        "notes": run.ended.as_ref().map(|ended| ended.notes.clone()),
    })
}
