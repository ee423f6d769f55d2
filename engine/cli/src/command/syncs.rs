//! `outflow syncs`: which syncs there are.

use std::fmt::Display;

use chrono::{TimeZone, Utc};
use outflow::Listed;
use serde_json::json;

use super::engine_to_look;
use crate::arguments::{Arguments, Output};
use crate::exit::Exit;
use crate::output::{self, Table, say};

/// Lists them. A mistake in a project file is told besides, and hides none.
pub fn execute(arguments: &Arguments) -> anyhow::Result<Exit> {
    let (engine, faults) = engine_to_look(arguments)?;
    let syncs = engine.syncs(Utc::now())?;
    match arguments.output {
        Output::Json => output::json(&json!({
            "syncs": syncs.iter().map(as_json).collect::<Vec<_>>(),
            "diagnostics": faults,
        }))?,
        Output::Text if syncs.is_empty() => say!("there is no sync"),
        Output::Text => {
            let zone = engine.project().settings.timezone;
            say!("times in {zone}\n{}", table(&syncs, &zone));
        }
    }
    Ok(Exit::of_faults(&faults))
}

/// The syncs: on a narrow terminal without who made each.
fn table<Z: TimeZone<Offset: Display>>(syncs: &[Listed], zone: &Z) -> Table {
    let mut headings = vec!["sync", "last run", "next run"];
    let is_wide = output::is_wide();
    if is_wide {
        headings.push("created");
    }
    let mut table = Table::new(&headings);
    for listed in syncs {
        let mut cells = vec![listed.sync.clone(), last(listed, zone), next(listed, zone)];
        if is_wide {
            cells.push(match &listed.created {
                Some((at, by)) => format!("{}, {by}", output::at(*at, zone)),
                None => String::new(),
            });
        }
        table.row(cells);
    }
    table
}

fn last<Z: TimeZone<Offset: Display>>(listed: &Listed, zone: &Z) -> String {
    listed.last_run.as_ref().map_or("never".to_owned(), |run| {
        let status = run.ended.as_ref().map_or("running", |ended| ended.status.as_str());
        format!("{} {status}, {}", run.number, output::at(run.started_at, zone))
    })
}

fn next<Z: TimeZone<Offset: Display>>(listed: &Listed, zone: &Z) -> String {
    let next = match (listed.enabled, listed.next_run_at) {
        _ if !listed.in_project => "never: its file is gone".to_owned(),
        (Some(false), _) => "never: it is disabled".to_owned(),
        (_, Some(at)) => output::at(at, zone),
        (Some(true), None) => "by hand".to_owned(),
        (None, None) => String::new(),
    };
    if listed.full_resync_queued {
        format!("{next} (full resync)")
    } else {
        next
    }
}

fn as_json(listed: &Listed) -> serde_json::Value {
    let last = listed.last_run.as_ref().map(|run| {
        json!({
            "number": run.number,
            "status": run.ended.as_ref().map_or("running", |ended| ended.status.as_str()),
            "started_at": run.started_at,
            "finished_at": run.ended.as_ref().map(|ended| ended.at),
        })
    });
    json!({
        "sync": listed.sync,
        "in_project": listed.in_project,
        "enabled": listed.enabled,
        "created_at": listed.created.as_ref().map(|(at, _)| at),
        "created_by": listed.created.as_ref().map(|(_, by)| by),
        "last_run": last,
        "next_run_at": listed.next_run_at,
        "full_resync_queued": listed.full_resync_queued,
    })
}
