//! Progress of a run: a line that moves on a terminal, and silence elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use outflow::{Event, Report, RunHandle, Stage};

use crate::output::tell;
use crate::stop::Stop;
use crate::terminal;

/// Follows a run to its end. Ctrl-C and SIGTERM cancel it in good order; a second one changes nothing about that.
pub async fn follow(mut run: RunHandle, sync: &str, stop: &mut Stop) -> Result<Report, outflow::Error> {
    let (mut events, control) = (run.events(), run.control());
    let shown = std::io::stderr().is_terminal();
    let bar = if shown {
        ProgressBar::new_spinner()
    } else {
        ProgressBar::hidden()
    };
    // Cut to the terminal's width: a line that wraps would not be overwritten.
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    let mut ended = std::pin::pin!(run.wait());
    let mut interrupted = false;
    let report = loop {
        tokio::select! {
            report = &mut ended => break report,
            event = events.recv() => if let Ok(event) = event {
                if let (false, Event::Waiting { reason, .. }) = (shown, &event) {
                    tell!("{}", terminal::line(&format!("{sync}: {reason}")));
                }
                if let Some(message) = message(&event) {
                    bar.set_message(terminal::line(&format!("{sync}: {message}")).into_owned());
                }
            },
            () = stop.told(), if !interrupted => {
                interrupted = true;
                bar.set_message(format!("{sync}: stopping, what is in flight is waited for"));
                control.cancel();
            }
        }
    };
    bar.finish_and_clear();
    report
}

fn message(event: &Event) -> Option<String> {
    Some(match event {
        Event::Stage { stage: Stage::Querying } => "reading the project".to_owned(),
        Event::Stage { stage: Stage::Planning } => "comparing the model with the ledger".to_owned(),
        Event::Stage {
            stage: Stage::Delivering,
        } => "sending".to_owned(),
        Event::Stage {
            stage: Stage::Committing,
        } => "writing the ledger".to_owned(),
        Event::Query { share } => format!("querying, {:.0} %", share * 100.0),
        Event::Planned { counts } => format!("{} of {} rows to send", counts.planned.total(), counts.queried),
        Event::Delivered {
            attempted,
            rejected: 0,
            planned,
        } => format!("{attempted} of {planned} sent"),
        Event::Delivered {
            attempted,
            rejected,
            planned,
        } => format!("{attempted} of {planned} sent, {rejected} refused"),
        Event::Waiting { reason, ms: 0 } => reason.clone(),
        Event::Waiting { reason, ms } => format!("{reason}; waiting {:.1} s", Duration::from_millis(*ms).as_secs_f64()),
    })
}
