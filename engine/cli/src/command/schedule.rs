//! `outflow schedule`: when syncs will run.

use chrono::{SecondsFormat, Utc};
use serde_json::json;

use super::engine;
use crate::arguments::{Arguments, Output};
use crate::exit::Exit;
use crate::output::{self, say};

/// Lists the next times.
pub fn execute(arguments: &Arguments, next: usize) -> anyhow::Result<Exit> {
    let engine = engine(arguments)?;
    let ticks = engine.schedule(next, Utc::now())?;
    match arguments.output {
        Output::Json => {
            let ticks: Vec<_> = ticks
                .iter()
                .map(|tick| json!({"sync": tick.sync, "at": tick.at}))
                .collect();
            output::json(&ticks)?;
        }
        Output::Text if ticks.is_empty() => say!("no sync has a schedule"),
        Output::Text => {
            let zone = engine.project().settings.timezone;
            let mut table = output::table(&["sync", "next runs"]);
            for tick in ticks {
                let at = tick
                    .at
                    .iter()
                    .map(|at| at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, true));
                table.add_row([tick.sync, at.collect::<Vec<_>>().join("\n")]);
            }
            say!("{table}");
        }
    }
    Ok(Exit::Success)
}
