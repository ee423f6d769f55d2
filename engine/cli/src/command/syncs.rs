//! `outflow syncs`: which syncs there are.

use chrono::{DateTime, SecondsFormat, Utc};
use outflow::{Error, Listed};
use serde_json::json;

use super::{engine, project};
use crate::arguments::{Arguments, Output};
use crate::exit::Exit;
use crate::output::{self, say};

/// Lists them. A mistake in a project file is told besides, and hides none.
pub fn execute(arguments: &Arguments) -> anyhow::Result<Exit> {
    let folder = project(arguments)?;
    let (syncs, mistakes) = match engine(arguments) {
        Ok(engine) => (engine.syncs(Utc::now())?, None),
        Err(error) => match error.downcast::<Error>()? {
            Error::Project(mistakes) => {
                let beside = folder.join(".outflow");
                let state = arguments.state.as_deref().unwrap_or(&beside);
                (outflow::listed(folder, state)?, Some(mistakes))
            }
            error => return Err(error.into()),
        },
    };
    match arguments.output {
        Output::Json => output::json(&json!({
            "syncs": syncs.iter().map(as_json).collect::<Vec<_>>(),
            "mistakes": mistakes.as_ref().map(ToString::to_string),
        }))?,
        Output::Text if syncs.is_empty() => say!("there is no sync"),
        Output::Text => {
            let mut table = output::table(&["sync", "created", "last run", "next run"]);
            for listed in &syncs {
                table.add_row(row(listed));
            }
            say!("{table}");
        }
    }
    match mistakes {
        None => Ok(Exit::Success),
        Some(mistakes) => {
            if arguments.output == Output::Text {
                eprintln!("error: {mistakes}");
            }
            Ok(Exit::Configuration)
        }
    }
}

fn row(listed: &Listed) -> [String; 4] {
    let created = match &listed.created {
        Some((at, by)) => format!("{by}, {}", written(*at)),
        None => String::new(),
    };
    let last = listed.last_run.as_ref().map_or("never".to_owned(), |run| {
        let status = run.ended.as_ref().map_or("running", |ended| ended.status.as_str());
        format!("{} {status}, {}", run.number, written(run.started_at))
    });
    let next = match (listed.enabled, listed.next_run_at) {
        _ if !listed.in_project => "never: its file is gone".to_owned(),
        (Some(false), _) => "never: it is disabled".to_owned(),
        (_, Some(at)) => written(at),
        (Some(true), None) => "by hand".to_owned(),
        (None, None) => String::new(),
    };
    let next = if listed.full_resync_queued {
        format!("{next} (full resync)")
    } else {
        next
    };
    [listed.sync.clone(), created, last, next]
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

fn written(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
