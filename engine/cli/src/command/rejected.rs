//! `outflow rejected`: rows that did not get through, and why.

use outflow::record::Unsettled;
use serde_json::json;

use super::engine_to_look;
use crate::arguments::{Arguments, Output};
use crate::exit::Exit;
use crate::output::{self, say};

/// Lists them as the newest run left them.
pub fn execute(arguments: &Arguments, sync: &str) -> anyhow::Result<Exit> {
    let (engine, _) = engine_to_look(arguments)?;
    let found = engine.rejected(sync)?;
    match (arguments.output, found) {
        (Output::Json, found) => {
            let (run, record) = found.map_or((None, None), |(run, record)| (Some(run), Some(record)));
            output::json(&json!({"run": run, "rows": record}))?;
        }
        (Output::Text, None) => say!("{sync} has not been run yet"),
        (Output::Text, Some((run, record))) => {
            if record.unsettled.is_empty() && record.invalid.is_empty() {
                say!("{sync}: no row is refused or invalid, as of run {run}");
            }
            if !record.unsettled.is_empty() {
                let mut table = output::Table::new(&["key", "operation", "why", "#times", "#since run"]);
                table.ruled();
                table.narrow(0, 30);
                for row in record.unsettled {
                    let why = why(&row);
                    table.row([row.key, row.kind, why, row.times.to_string(), row.since.to_string()]);
                }
                say!("{table}");
            }
            if !record.invalid.is_empty() {
                let mut table = output::Table::new(&["key", "cannot be sent because"]);
                for row in record.invalid {
                    table.row([row.key, row.reason]);
                }
                say!("{table}");
            }
        }
    }
    Ok(Exit::Success)
}

/// What the destination said, and of which field.
fn why(row: &Unsettled) -> String {
    let mut why = row.state.clone();
    if let Some(code) = &row.code {
        why = format!("{why} {code}");
    }
    if let Some(message) = &row.message {
        why = format!("{why}: {message}");
    }
    if let Some(field) = &row.field {
        why = format!("{why} (field {field})");
    }
    why
}
