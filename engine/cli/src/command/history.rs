//! `outflow history` and `outflow diff`: runs, and what differs between two of them.

use chrono::SecondsFormat;
use outflow::Past;
use serde_json::json;

use super::engine;
use crate::arguments::{Arguments, Output};
use crate::exit::Exit;
use crate::output::{self, say};

/// Lists the runs that can be compared, newest first.
pub fn execute(arguments: &Arguments, sync: &str, limit: u32) -> anyhow::Result<Exit> {
    let past = engine(arguments)?.history(sync, limit.into())?;
    match arguments.output {
        Output::Json => {
            let runs: Vec<_> = past.iter().map(as_json).collect();
            output::json(&runs)?;
        }
        Output::Text if past.is_empty() => say!("{sync} has not been run yet"),
        Output::Text => {
            let headings = [
                "run",
                "started",
                "status",
                "added",
                "changed",
                "removed",
                "did not get through",
                "record",
            ];
            let mut table = output::table(&headings);
            for past in &past {
                table.add_row(row(past));
            }
            say!("{table}");
            say!("what differs between two: outflow diff {sync} RUN RUN");
        }
    }
    Ok(Exit::Success)
}

fn row(past: &Past) -> [String; 8] {
    let run = &past.run;
    let ended = run.ended.as_ref();
    let counts = ended.map(|ended| ended.counts).unwrap_or_default();
    let failed = counts.rejected.total() + counts.unmatched.total() + counts.unknown.total() + counts.invalid;
    [
        run.number.to_string(),
        run.started_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        ended.map_or("running", |ended| ended.status.as_str()).to_owned(),
        counts.succeeded.added.to_string(),
        counts.succeeded.changed.to_string(),
        counts.succeeded.removed.to_string(),
        failed.to_string(),
        if past.recorded { "kept" } else { "" }.to_owned(),
    ]
}

fn as_json(past: &Past) -> serde_json::Value {
    let ended = past.run.ended.as_ref();
    json!({
        "number": past.run.number,
        "started_at": past.run.started_at,
        "finished_at": ended.map(|ended| ended.at),
        "status": ended.map_or("running", |ended| ended.status.as_str()),
        "counts": ended.map(|ended| ended.counts),
        "recorded": past.recorded,
    })
}

/// Shows what the destination had acknowledged otherwise after one run than after another.
pub async fn diff(arguments: &Arguments, sync: &str, from: u64, to: u64, limit: usize) -> anyhow::Result<Exit> {
    let differences = engine(arguments)?.diff(sync, from, to, limit).await?;
    match arguments.output {
        Output::Json => output::json(&differences)?,
        Output::Text => {
            let counts = differences.counts;
            say!(
                "{sync}, from run {from} to run {to}: {} records more, {} with other values, {} less",
                counts.added,
                counts.changed,
                counts.removed
            );
            if !differences.rows.is_empty() {
                let heading = |run| format!("after run {run}");
                let mut table = output::table(&["change", "key", "field", &heading(from), &heading(to)]);
                for row in &differences.rows {
                    let mark = if row.uncertain { " (uncertain)" } else { "" };
                    let mut first = [format!("{}{mark}", row.change), row.key.clone()];
                    if row.fields.is_empty() {
                        let [change, key] = std::mem::take(&mut first);
                        let side = |side: &Option<String>| side.clone().unwrap_or_default();
                        table.add_row([change, key, String::new(), side(&row.before), side(&row.after)]);
                    }
                    for field in &row.fields {
                        let [change, key] = std::mem::take(&mut first);
                        let side = |side: &Option<String>| side.clone().unwrap_or_default();
                        table.add_row([
                            change,
                            key,
                            field.field.clone(),
                            side(&field.before),
                            side(&field.after),
                        ]);
                    }
                }
                say!("{table}");
            }
            let shown = differences.rows.len() as u64;
            if counts.total() > shown {
                say!("{} more are not shown; --limit shows more", counts.total() - shown);
            }
        }
    }
    Ok(Exit::Success)
}
