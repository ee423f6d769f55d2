//! `outflow plan`: what a run would do.

use outflow::destination::Effect;
use outflow::{Counts, PlanOptions, Preview, RunOptions, Split, Stopped};
use serde_json::Value;

use super::engine;
use crate::arguments::{Arguments, Output, Plan};
use crate::exit::Exit;
use crate::output::{self, say};
use crate::terminal::line;

/// Plans, and shows it.
pub async fn execute(arguments: &Arguments, plan: &Plan) -> anyhow::Result<Exit> {
    let options = PlanOptions {
        run: RunOptions {
            full_resync: plan.full_resync,
            force: plan.force,
            allow: plan.allow.clone(),
            same_target: plan.same_target,
            ..RunOptions::default()
        },
        sample: plan.sample,
        requests: plan.requests,
        file: plan.out.clone(),
        wait: plan.wait,
    };
    let preview = engine(arguments)?.plan(&plan.sync, options).await?;
    match arguments.output {
        Output::Json => output::json(&preview)?,
        Output::Text => show(&plan.sync, &preview),
    }
    if let (Output::Text, Some(file), Some(digest)) = (arguments.output, &plan.out, &preview.digest) {
        let file = file.display();
        say!("\nwritten to {file}; its digest is {digest}\nto do exactly this: outflow apply {file}");
    }
    // As the run would.
    Ok(if preview.stopped.is_empty() {
        Exit::Success
    } else {
        Exit::Failed
    })
}

fn show(sync: &str, preview: &Preview) {
    say!("{}", counts(&preview.counts));
    stopped(sync, &preview.stopped);
    for note in &preview.notes {
        say!("note: {}", output::indented(note));
    }
    if !preview.sample.is_empty() {
        let mut table = output::Table::new(&["change", "operation", "key", "field", "before", "after"]);
        for sample in &preview.sample {
            let mut first = [sample.change.clone(), sample.kind.clone(), sample.key.clone()];
            for (field, before, after) in fields(sample.before.as_deref(), sample.after.as_deref()) {
                let [change, kind, key] = std::mem::take(&mut first);
                table.row([change, kind, key, field, before, after]);
            }
        }
        say!("{table}");
    }
    for invalid in &preview.invalid {
        say!("cannot be sent: {}: {}", line(&invalid.key), line(&invalid.reason));
    }
    for (kind, effects) in &preview.requests {
        say!("\nthe first {kind}:");
        effects.iter().for_each(request);
    }
}

/// The guards that would stop a run, and how it is allowed.
pub(super) fn stopped(sync: &str, stops: &[Stopped]) {
    if stops.is_empty() {
        return;
    }
    for stop in stops {
        say!("a run would be stopped: {}", output::indented(&stop.reason));
    }
    let allow: Vec<_> = stops.iter().map(|stop| format!("--allow {}", stop.allow)).collect();
    say!(
        "and would send nothing; if all this is right: outflow run {sync} {}",
        allow.join(" ")
    );
}

/// What the plan counts.
fn counts(counts: &Counts) -> String {
    let mut table = output::Table::new(&["", "#added", "#changed", "#removed"]);
    let mut row = |name: &str, split: Split| {
        table.row([
            name.to_owned(),
            split.added.to_string(),
            split.changed.to_string(),
            split.removed.to_string(),
        ]);
    };
    row("to send", counts.planned);
    if counts.withheld.total() > 0 {
        row("not sent", counts.withheld);
    }
    format!(
        "{} queried, {} as they were, {} that cannot be sent\n{table}",
        output::counted(counts.queried, "row"),
        counts.unchanged,
        counts.invalid
    )
}

/// Fields that differ, side by side.
pub(super) fn fields(before: Option<&str>, after: Option<&str>) -> Vec<(String, String, String)> {
    let object = |text: Option<&str>| match text.map(serde_json::from_str) {
        Some(Ok(Value::Object(object))) => object,
        _ => serde_json::Map::new(),
    };
    let (before, after) = (object(before), object(after));
    let value = |value: Option<&Value>| value.map_or(String::new(), Value::to_string);
    let names = after
        .keys()
        .chain(before.keys().filter(|name| !after.contains_key(*name)));
    let mut rows: Vec<_> = names
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| (name.clone(), value(before.get(name)), value(after.get(name))))
        .collect();
    if rows.is_empty() {
        // Sent again as it was.
        rows.push(<_>::default());
    }
    rows
}

fn request(effect: &Effect) {
    match effect {
        Effect::Http {
            method,
            url,
            headers,
            body,
        } => {
            say!("{} {}", line(method), line(url));
            for (name, value) in headers {
                say!("{}: {}", line(name), line(value));
            }
            say!("\n{body}");
        }
        Effect::Append { path, preamble, data } => say!("append to {}\n{preamble}{data}", line(path)),
        Effect::Rename {
            from,
            to,
            replace: true,
        } => say!("rename {} to {}, replacing what is there", line(from), line(to)),
        Effect::Rename {
            from,
            to,
            replace: false,
        } => say!("rename {} to {}", line(from), line(to)),
        Effect::Remove { path } => say!("remove {}", line(path)),
        Effect::Wait { ms } => say!("wait {ms} ms"),
    }
}
