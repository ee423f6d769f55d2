//! `outflow runs`: a sync's runs.

use std::fmt::Display;

use chrono::TimeZone;
use outflow::Split;
use outflow::catalog::Run;
use serde_json::json;

use super::engine_to_look;
use crate::arguments::{Arguments, Output};
use crate::exit::Exit;
use crate::output::{self, Table, say};
use crate::terminal::line;

/// Lists them, newest first.
pub fn execute(arguments: &Arguments, sync: &str, limit: u32) -> anyhow::Result<Exit> {
    let (engine, _) = engine_to_look(arguments)?;
    let runs = engine.runs(sync, limit.into())?;
    let created = engine.catalog().find_sync(sync)?;
    let zone = engine.project().settings.timezone;
    match arguments.output {
        Output::Json => output::json(&runs.iter().map(as_json).collect::<Vec<_>>())?,
        Output::Text if runs.is_empty() => say!("{sync} has not been run yet"),
        Output::Text => {
            if let Some(row) = created {
                let (by, at) = (row.created_by, output::at(row.created_at, &zone));
                say!("{}", line(&format!("{sync}: created by {by} at {at}; times in {zone}")));
            }
            say!("{}", table(&runs, &zone));
            for run in &runs {
                let message = run.ended.as_ref().and_then(|ended| ended.message.as_deref());
                if let Some(message) = message {
                    say!("run {}: {}", run.number, output::indented(message));
                }
            }
        }
    }
    Ok(Exit::Success)
}

/// The runs: on a narrow terminal without who asked for each.
fn table<Z: TimeZone<Offset: Display>>(runs: &[Run], zone: &Z) -> Table {
    let mut headings = vec!["#run", "status", "started", "#took", "#rows", "accepted", "#refused"];
    let is_wide = output::is_wide();
    if is_wide {
        headings.push("by");
    }
    let mut table = Table::new(&headings);
    for run in runs {
        let counts = run.ended.as_ref().map(|ended| ended.counts).unwrap_or_default();
        let mut cells = vec![
            run.number.to_string(),
            run.ended
                .as_ref()
                .map_or("running", |ended| ended.status.as_str())
                .to_owned(),
            output::at(run.started_at, zone),
            took(run),
            counts.queried.to_string(),
            split(counts.succeeded),
            counts.rejected.total().to_string(),
        ];
        if is_wide {
            cells.push(format!("{} ({})", run.by, run.trigger.as_str()));
        }
        table.row(cells);
    }
    table
}

fn took(run: &Run) -> String {
    let Some(ended) = &run.ended else {
        return String::new();
    };
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let seconds = (ended.at - run.started_at).num_milliseconds() as f64 / 1000.0;
    format!("{seconds:.1} s")
}

/// What was added, changed and removed, as `+3 ~1 -2`.
fn split(counts: Split) -> String {
    let parts = [('+', counts.added), ('~', counts.changed), ('-', counts.removed)];
    let parts = parts.iter().filter(|(_, count)| *count > 0);
    let parts: Vec<_> = parts.map(|(sign, count)| format!("{sign}{count}")).collect();
    if parts.is_empty() {
        "0".to_owned()
    } else {
        parts.join(" ")
    }
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
