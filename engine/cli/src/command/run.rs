//! `outflow run` and `outflow rebaseline`.

use std::path::Path;

use outflow::{Counts, Engine, Report, RunOptions, Status};

use super::engine;
use crate::arguments::{Arguments, Output, Run};
use crate::exit::{Exit, Usage};
use crate::output::{self, say, tell};
use crate::progress;
use crate::stop::Stop;

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
        same_sync: run.same_sync,
        no_wait: run.no_wait,
        ..RunOptions::default()
    };
    let (mut exit, mut reports) = (Exit::Success, Vec::new());
    // From here on, so that no signal between two runs is lost.
    let mut stop = Stop::listen()?;
    let mut waiting = syncs.into_iter();
    while let Some(sync) = waiting.next() {
        let report = match progress::follow(engine.run(&sync, options.clone()), &sync, &mut stop).await {
            Ok(report) => report,
            // With others before it, what those did is told all the same.
            Err(error) if reports.is_empty() && waiting.len() == 0 => return Err(error.into()),
            Err(error) => not_begun(sync, &error),
        };
        exit = exit.worse(Exit::of_report(&report));
        if arguments.output == Output::Text {
            show(&report);
        }
        reports.push(report);
        if waiting.len() > 0 && stop.is_told().await {
            exit = exit.worse(Exit::Interrupted);
            let left: Vec<_> = waiting.collect();
            tell!("stopped before {}", left.join(", "));
            break;
        }
    }
    if arguments.output == Output::Json {
        output::json(&reports)?;
    }
    Ok(exit)
}

/// The report of a run that could not begin.
fn not_begun(sync: String, error: &outflow::Error) -> Report {
    Report {
        sync,
        number: 0,
        status: match error {
            outflow::Error::Cancelled { .. } => Status::Cancelled,
            _ => Status::Failed,
        },
        message: Some(error.to_string()),
        counts: Counts::default(),
        configuration: error.is_configuration(),
        diagnostics: error.diagnostics().to_vec(),
        stopped: Vec::new(),
        notes: Vec::new(),
    }
}

/// Does what a plan says, or nothing.
pub async fn apply(arguments: &Arguments, file: &Path) -> anyhow::Result<Exit> {
    let mut stop = Stop::listen()?;
    let run = engine(arguments)?.apply(file)?;
    let report = progress::follow(run, &file.display().to_string(), &mut stop).await?;
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
    let known = &engine.project().syncs;
    if let Some(wanted) = run.syncs.iter().find(|sync| !known.contains_key(*sync)) {
        // Before the first is run.
        return Err(outflow::Error::NoSuchSync {
            wanted: wanted.clone(),
            known: known.keys().cloned().collect(),
        }
        .into());
    }
    if !run.syncs.is_empty() {
        return Ok(run.syncs.clone());
    }
    let syncs = known.values().filter(|sync| !sync.disabled);
    Ok(syncs.map(|sync| sync.slug.clone()).collect())
}

/// Takes the present state as delivered.
pub async fn rebaseline(arguments: &Arguments, sync: &str, allow: &[String]) -> anyhow::Result<Exit> {
    let report = engine(arguments)?.rebaseline(sync, allow.to_vec()).await?;
    match arguments.output {
        Output::Json => output::json(&report)?,
        Output::Text if report.status == Status::Success => {
            say!(
                "{sync}: {} taken as what the destination has; nothing was sent",
                match report.counts.unchanged {
                    1 => "1 row is".to_owned(),
                    rows => format!("{rows} rows are"),
                }
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
        format!(" ({})", output::counted(counts.queried, "row"))
    } else {
        String::new()
    };
    let run = if number > 0 {
        format!("run {number} ")
    } else {
        String::new()
    };
    say!("{sync}: {run}{status}{did}{rows}");
    if let Some(message) = &report.message {
        say!("  {}", output::indented(message));
    }
    for note in &report.notes {
        say!("  note: {}", output::indented(note));
    }
    if counts.rejected.total() + counts.unmatched.total() + counts.unknown.total() + counts.invalid > 0 {
        say!("  see: outflow rejected {sync}");
    }
}
