//! `outflow run` and `outflow rebaseline`.

use std::path::Path;

use outflow::{Engine, Report, RunOptions, Status};

use super::engine;
use crate::arguments::{Arguments, Output, Run};
use crate::exit::{Exit, Usage};
use crate::output::{self, say};
use crate::progress;

/// Runs the syncs that were named, or all; one after the other, so that what is printed can be read.
pub async fn execute(arguments: &Arguments, run: &Run) -> anyhow::Result<Exit> {
    let engine = engine(arguments)?;
    let syncs = named(&engine, run)?;
    let options = RunOptions {
        full_resync: run.full_resync,
        force: run.force,
        allow: run.allow.clone(),
        same_target: run.same_target,
        new: run.new,
        no_wait: run.no_wait,
        ..RunOptions::default()
    };
    let mut exit = Exit::Success;
    let mut reports = Vec::new();
    for sync in syncs {
        let report = progress::follow(engine.run(&sync, options.clone()), &sync).await?;
        exit = exit.worse(Exit::of_report(&report));
        if arguments.output == Output::Text {
            show(&report);
        }
        let stopped = report.status == Status::Cancelled;
        reports.push(report);
        if stopped {
            break;
        }
    }
    if arguments.output == Output::Json {
        output::json(&reports)?;
    }
    Ok(exit)
}

/// Does what a plan says, or nothing.
pub async fn apply(arguments: &Arguments, file: &Path) -> anyhow::Result<Exit> {
    let run = engine(arguments)?.apply(file)?;
    let report = progress::follow(run, &file.display().to_string()).await?;
    match arguments.output {
        Output::Json => output::json(&report)?,
        Output::Text => show(&report),
    }
    Ok(Exit::of_report(&report))
}

fn named(engine: &Engine, run: &Run) -> anyhow::Result<Vec<String>> {
    for (given, option) in [(!run.allow.is_empty(), "--allow"), (run.same_target, "--same-target")] {
        if given && run.syncs.len() != 1 {
            return Err(Usage(format!("{option} is about one sync: name it")).into());
        }
    }
    if !run.syncs.is_empty() {
        return Ok(run.syncs.clone());
    }
    let syncs = engine.project().syncs.values().filter(|sync| !sync.disabled);
    Ok(syncs.map(|sync| sync.slug.clone()).collect())
}

/// Takes the present state as delivered.
pub async fn rebaseline(arguments: &Arguments, sync: &str, allow: &[String]) -> anyhow::Result<Exit> {
    let report = engine(arguments)?.rebaseline(sync, allow.to_vec()).await?;
    match arguments.output {
        Output::Json => output::json(&report)?,
        Output::Text if report.status == Status::Success => {
            say!(
                "{sync}: {} rows are taken as what the destination has; nothing was sent",
                report.counts.unchanged
            );
        }
        Output::Text => show(&report),
    }
    Ok(Exit::of_report(&report))
}

/// A line for the end, and what needs a look.
fn show(report: &Report) {
    let counts = &report.counts;
    let mut parts = Vec::new();
    let sent = counts.succeeded;
    for (count, word) in [
        (sent.added, "added"),
        (sent.changed, "changed"),
        (sent.removed, "removed"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    for (count, word) in [
        (counts.rejected.total(), "refused"),
        (counts.unmatched.total(), "without a record"),
        (counts.unknown.total(), "of unknown outcome"),
        (counts.aborted.total(), "not sent"),
        (counts.invalid, "that cannot be sent"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    let (sync, number, status) = (&report.sync, report.number, report.status.as_str());
    let did = match parts[..] {
        [] if report.message.is_some() => String::new(),
        [] => ": nothing to do".to_owned(),
        _ => format!(": {}", parts.join(", ")),
    };
    let rows = if counts.queried > 0 {
        format!(" ({} rows)", counts.queried)
    } else {
        String::new()
    };
    say!("{sync}: run {number} {status}{did}{rows}");
    if let Some(message) = &report.message {
        say!("  {message}");
    }
    for note in &report.notes {
        say!("  note: {note}");
    }
    if counts.rejected.total() + counts.unmatched.total() + counts.unknown.total() + counts.invalid > 0 {
        say!("  see: outflow rejected {sync}");
    }
}
