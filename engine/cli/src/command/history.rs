//! `outflow history` and `outflow diff`: runs, and what differs between two of them.

use std::fmt::Display;

use chrono::TimeZone;
use outflow::Past;
use outflow::record::Difference;
use serde_json::json;

use super::engine_to_look;
use crate::arguments::{Arguments, Output};
use crate::exit::Exit;
use crate::output::{self, Table, say};

/// Lists the runs that can be compared, newest first.
pub fn execute(arguments: &Arguments, sync: &str, limit: u32) -> anyhow::Result<Exit> {
    let (engine, _) = engine_to_look(arguments)?;
    let past = engine.history(sync, limit.into())?;
    match arguments.output {
        Output::Json => {
            let runs: Vec<_> = past.iter().map(as_json).collect();
            output::json(&runs)?;
        }
        Output::Text if past.is_empty() => say!("{sync} has not been run yet"),
        Output::Text => {
            let zone = engine.project().settings.timezone;
            let mut table = Table::new(&[
                "#run",
                "started",
                "status",
                "#added",
                "#changed",
                "#removed",
                "#not through",
                "record",
            ]);
            for past in &past {
                table.row(row(past, &zone));
            }
            say!("times in {zone}\n{table}");
            say!("what differs between two: outflow diff {sync} RUN RUN");
        }
    }
    Ok(Exit::Success)
}

fn row<Z: TimeZone<Offset: Display>>(past: &Past, zone: &Z) -> [String; 8] {
    let run = &past.run;
    let ended = run.ended.as_ref();
    let counts = ended.map(|ended| ended.counts).unwrap_or_default();
    let failed = counts.rejected.total() + counts.unmatched.total() + counts.unknown.total() + counts.invalid;
    [
        run.number.to_string(),
        output::at(run.started_at, zone),
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
    let differences = engine_to_look(arguments)?.0.diff(sync, from, to, limit).await?;
    match arguments.output {
        Output::Json => output::json(&differences)?,
        Output::Text => {
            let counts = differences.counts;
            say!(
                "{sync}, from run {from} to run {to}: {} more, {} with other values, {} less",
                output::counted(counts.added, "record"),
                counts.changed,
                counts.removed
            );
            if !differences.rows.is_empty() {
                let heading = |run| format!("after run {run}");
                let mut table = Table::new(&["change", "key", "field", &heading(from), &heading(to)]);
                for difference in &differences.rows {
                    for row in rows(difference) {
                        table.row(row);
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

/// A row for each field that differs; one for a record that is on one side only.
fn rows(difference: &Difference) -> Vec<[String; 5]> {
    let mark = if difference.uncertain { " (uncertain)" } else { "" };
    let mut first = [format!("{}{mark}", difference.change), difference.key.clone()];
    let mut row = |field: &str, before: &Option<String>, after: &Option<String>| {
        let [change, key] = std::mem::take(&mut first);
        let side = |side: &Option<String>| side.clone().unwrap_or_default();
        [change, key, field.to_owned(), side(before), side(after)]
    };
    if difference.fields.is_empty() {
        return vec![row("", &difference.before, &difference.after)];
    }
    let fields = difference.fields.iter();
    fields
        .map(|field| row(&field.field, &field.before, &field.after))
        .collect()
}
