//! `outflow schedule`: when syncs will run.

use chrono::{SecondsFormat, Utc};
use serde_json::json;

use super::engine_to_look;
use crate::arguments::{Arguments, Output};
use crate::exit::Exit;
use crate::output::{self, say};

/// Lists the next times, of syncs in whose files nothing is wrong.
pub fn execute(arguments: &Arguments, next: usize) -> anyhow::Result<Exit> {
    let (engine, faults) = engine_to_look(arguments)?;
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
            let mut table = output::Table::new(&["sync", "next runs"]);
            for tick in ticks {
                let mut sync = tick.sync;
                for at in tick.at {
                    let at = at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, true);
                    table.row([std::mem::take(&mut sync), at]);
                }
            }
            say!("{table}");
        }
    }
    Ok(Exit::of_faults(&faults))
}
