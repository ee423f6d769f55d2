//! `outflow explain`: what became of a row, and why it is, or is not, what the next run does.

use outflow::record::{Event, meaning};
use outflow::{Explanation, Held, Next, Step};

use super::engine;
use super::plan::{fields, stopped};
use crate::arguments::{Arguments, Output};
use crate::exit::Exit;
use crate::output::{self, Table, indented, say};
use crate::terminal::line;

/// Explains a key. Failure is a key that nobody knows.
pub async fn execute(arguments: &Arguments, sync: &str, key: &str) -> anyhow::Result<Exit> {
    let explanation = engine(arguments)?.explain(sync, key).await?;
    let known = explanation.is_known();
    match arguments.output {
        Output::Json => {
            let mut document = serde_json::to_value(&explanation)?;
            document["known"] = known.into();
            output::json(&document)?;
        }
        Output::Text if known => show(sync, &explanation),
        Output::Text => {
            say!(
                "{sync} {}: no such row in records, ledger or model",
                line(&explanation.key)
            );
            if let Some(why) = &explanation.next_unknown {
                say!("what the next run would do is not known: {}", indented(why));
            }
        }
    }
    Ok(if known { Exit::Success } else { Exit::Failed })
}

fn show(sync: &str, explanation: &Explanation) {
    say!("{sync} {}", line(&explanation.key));
    if explanation.history.is_empty() {
        say!("\nno record of a run that is kept has it");
    } else {
        let headings = ["#run", "change", "operation", "outcome", "why", "record that was sent"];
        let mut table = Table::new(&headings);
        if !output::is_wide() {
            table.ruled();
        }
        for event in &explanation.history {
            table.row(row(event));
        }
        say!("\n{table}");
    }
    say!("");
    held(explanation.ledger.as_ref());
    say!("");
    match (&explanation.next, &explanation.next_unknown) {
        (Some(next), _) => plan(sync, next, explanation.ledger.as_ref()),
        (None, Some(why)) => say!("next run: not known: {}", indented(why)),
        (None, None) => {}
    }
}

fn row(event: &Event) -> [String; 6] {
    let said = [&event.code, &event.message, &event.field];
    let said: Vec<_> = said.into_iter().flatten().map(String::as_str).collect();
    let outcome = match said.as_slice() {
        [] => event.outcome.clone(),
        said => format!("{}: {}", event.outcome, said.join(", ")),
    };
    [
        event.run.to_string(),
        event.change.clone().unwrap_or_default(),
        event.operation.clone().unwrap_or_default(),
        outcome,
        why(event.reason.as_deref().unwrap_or_default(), &event.fields),
        event.sent.clone().unwrap_or_default(),
    ]
}

/// A reason in words.
fn why(reason: &str, fields: &[String]) -> String {
    if reason == "values" && !fields.is_empty() {
        return format!("{} changed", fields.join(", "));
    }
    meaning(reason).unwrap_or(reason).to_owned()
}

fn held(held: Option<&Held>) {
    let Some(held) = held.filter(|held| !held.entries.is_empty() || !held.unsettled.is_empty()) else {
        say!("ledger: the destination has no such record, as far as it told");
        return;
    };
    for entry in &held.entries {
        let record = entry.record.as_ref().or(entry.attempted.as_ref());
        let mut marks = vec![format!("run {}", entry.run)];
        let flags = [
            (entry.record.is_none(), "never acknowledged"),
            (entry.assumed, "declared, not acknowledged"),
            (entry.uncertain, "uncertain: the destination may have another record"),
            (entry.memory, "only remembered: the row left the model"),
        ];
        marks.extend(flags.into_iter().filter(|(is, _)| *is).map(|(_, mark)| mark.to_owned()));
        marks.extend(entry.place.as_ref().map(|place| format!("at {place}")));
        marks.extend(entry.id.as_ref().map(|id| format!("the destination's id is {id}")));
        let record = record.map_or("", String::as_str);
        say!("ledger: {} ({})", line(record), line(&marks.join("; ")));
    }
    for row in &held.unsettled {
        let message = row.message.as_deref().unwrap_or("no reason was given");
        say!(
            "not through: {} {}, {} since run {}: {}",
            row.kind,
            row.state,
            output::counted(row.times, "time"),
            row.since,
            line(message)
        );
    }
}

fn plan(sync: &str, next: &Next, ledger: Option<&Held>) {
    for fault in &next.faults {
        say!("next run: the row cannot be sent: {}", line(fault));
    }
    stopped(sync, &next.stopped);
    let run = if next.stopped.is_empty() {
        "next run"
    } else {
        "if that is allowed"
    };
    for step in &next.steps {
        say!("{run}: {}", line(&told(step)));
        for (field, before, after) in fields(step.before.as_deref(), step.after.as_deref()) {
            if step.operation.is_some() && !field.is_empty() {
                say!("  {}: {} -> {}", line(&field), line(&before), line(&after));
            }
        }
    }
    if next.steps.is_empty() && next.faults.is_empty() {
        let held = ledger.is_some_and(|held| !held.entries.is_empty());
        say!(
            "{run}: nothing: {}",
            match (next.in_model, held) {
                (true, _) => "the destination has the row as the model has it",
                (false, true) => "the model has no such row, and what the ledger has of it needs nothing",
                (false, false) => "the model has no such row",
            }
        );
    }
    for note in &next.notes {
        say!("note: {}", indented(note));
    }
}

fn told(step: &Step) -> String {
    let why = why(&step.reason, &step.fields);
    match &step.operation {
        Some(operation) => format!("{operation} ({}): {why}", step.change),
        None => format!("nothing is sent for what is {}: {why}", step.change),
    }
}
