//! `outflow rejected`: rows that did not get through, and why.

use serde_json::json;

use super::engine;
use crate::arguments::{Arguments, Output};
use crate::exit::Exit;
use crate::output::{self, say};

/// Lists them as the newest run left them.
pub fn execute(arguments: &Arguments, sync: &str) -> anyhow::Result<Exit> {
    let found = engine(arguments)?.rejected(sync)?;
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
                let mut table = output::table(&[
                    "key",
                    "operation",
                    "state",
                    "code",
                    "message",
                    "field",
                    "times",
                    "since run",
                ]);
                for row in record.unsettled {
                    table.add_row([
                        row.key,
                        row.kind,
                        row.state,
                        row.code.unwrap_or_default(),
                        row.message.unwrap_or_default(),
                        row.field.unwrap_or_default(),
                        row.times.to_string(),
                        row.since.to_string(),
                    ]);
                }
                say!("{table}");
            }
            if !record.invalid.is_empty() {
                let mut table = output::table(&["key", "cannot be sent because"]);
                for row in record.invalid {
                    table.add_row([row.key, row.reason]);
                }
                say!("{table}");
            }
        }
    }
    Ok(Exit::Success)
}
