//! The scenarios in `tests/scenarios`: readable files, run through the binary, real components and a real server.
//!
//! A file says what the sync is, then step by step what changes and what the run does. See `rule_01_…` for the form.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use outflow_tests::project::{Project, SYNC};
use outflow_tests::receiver::{Fault, Receiver};
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// What it shows.
    #[allow(dead_code, reason = "for people")]
    title: String,
    /// Columns and types of the model, in order.
    columns: Vec<(String, String)>,
    /// The model's key.
    key: String,
    /// The sync's file, but for model and destination.
    sync: String,
    steps: Vec<Step>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Step {
    /// What the source has from now on, under a line of column names that is left out.
    rows: Option<String>,
    /// What the sync's file says from now on.
    sync: Option<String>,
    /// The ledger's file is gone.
    lose_ledger: bool,
    /// Match values that the receiver refuses from now on.
    refuse: Option<Vec<Value>>,
    /// Whether one of them makes it refuse the whole request.
    refuse_whole: bool,
    /// What the receiver does with the next requests.
    faults: Vec<Fault>,
    /// A record at the receiver that somebody else removed.
    edit_away: Option<Value>,
    /// Arguments of `outflow run`.
    run: Option<Vec<String>>,
    /// Whether to rebaseline.
    rebaseline: bool,
    /// How the run ends; success if left out.
    status: Option<String>,
    /// The exit code, where it is not the status's own.
    exit: Option<i32>,
    /// A part of the run's message.
    message: Option<String>,
    /// Operations as the receiver got them, in any order: kind, match value, record.
    sent: Option<Vec<String>>,
    /// Counts that the report has, as `succeeded.added`.
    counts: BTreeMap<String, u64>,
    /// All that the receiver has, by match value.
    records: Option<BTreeMap<String, Value>>,
    /// How many entries the ledger has.
    entries: Option<usize>,
    /// A part of what `outflow rejected` prints.
    rejected: Option<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn scenarios() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let wanted = std::env::var("OUTFLOW_SCENARIO").unwrap_or_default();
    let mut count = 0;
    let mut failed = Vec::new();
    for file in files.iter().filter(|file| file.to_string_lossy().contains(&wanted)) {
        let name = file.file_stem().unwrap().to_string_lossy();
        let text = std::fs::read_to_string(file).unwrap();
        let scenario: Scenario = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        count += 1;
        let name = name.into_owned();
        // In a task of its own: all that fail are told, each by its panic.
        if tokio::spawn(play(name.clone(), scenario)).await.is_err() {
            failed.push(name);
        }
    }
    assert!(count > 0, "there is no scenario named `{wanted}`");
    assert!(failed.is_empty(), "failed: {failed:?}");
    println!("{count} scenarios");
}

async fn play(name: String, scenario: Scenario) {
    let receiver = Receiver::start().await.unwrap();
    let columns: Vec<(&str, &str)> = scenario
        .columns
        .iter()
        .map(|(name, kind)| (name.as_str(), kind.as_str()))
        .collect();
    let heading = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(",");
    let project = Project::new(&receiver.origin(), &columns, &scenario.key, &scenario.sync).unwrap();
    project.rows(&format!("{heading}\n")).unwrap();
    for (number, step) in scenario.steps.into_iter().enumerate() {
        let at = format!("{name}, step {}", number + 1);
        // The binary is waited for, while the receiver answers it.
        tokio::task::block_in_place(|| take(&at, &project, &receiver, &heading, &step));
    }
}

fn take(at: &str, project: &Project, receiver: &Receiver, heading: &str, step: &Step) {
    prepare(project, receiver, heading, step);
    if step.rebaseline {
        let output = project.outflow(&["rebaseline", SYNC]).unwrap();
        assert!(output.status.success(), "{at}: {output:?}");
    }
    if let Some(arguments) = &step.run {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        check_run(at, project, &arguments, step);
    }
    check_receiver(at, receiver, step);
    if let Some(entries) = step.entries {
        assert_eq!(project.ledger().unwrap().len(), entries, "{at}: entries");
    }
    if let Some(part) = &step.rejected {
        let output = project.outflow(&["rejected", SYNC]).unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(part), "{at}: `{part}` is not in\n{text}");
    }
}

fn prepare(project: &Project, receiver: &Receiver, heading: &str, step: &Step) {
    if let Some(rows) = &step.rows {
        project.rows(&format!("{heading}\n{}\n", rows.trim_end())).unwrap();
    }
    if let Some(sync) = &step.sync {
        project.sync(sync).unwrap();
    }
    if step.lose_ledger {
        std::fs::remove_file(project.path().join(".outflow/syncs").join(SYNC).join("ledger.duckdb")).unwrap();
    }
    if let Some(refuse) = &step.refuse {
        receiver.refuse(refuse.clone());
        receiver.refuse_whole(step.refuse_whole);
    }
    if let Some(place) = &step.edit_away {
        receiver.edit(place, None);
    }
    receiver.faults(step.faults.iter().cloned());
}

fn check_run(at: &str, project: &Project, arguments: &[&str], step: &Step) {
    let (report, exit) = project.run(arguments).unwrap();
    let status = step.status.as_deref().unwrap_or("success");
    assert_eq!(report.status.as_str(), status, "{at}: {report:?}");
    let codes = BTreeMap::from([
        ("success", 0),
        ("failed", 1),
        ("warning", 3),
        ("cancelled", 4),
        ("interrupted", 4),
    ]);
    assert_eq!(exit, step.exit.unwrap_or(codes[status]), "{at}: exit code; {report:?}");
    if let Some(part) = &step.message {
        let message = report.message.clone().unwrap_or_default();
        assert!(message.contains(part), "{at}: `{part}` is not in `{message}`");
    }
    let counts = serde_json::to_value(report.counts).unwrap();
    for (path, expected) in &step.counts {
        let found = counts.pointer(&format!("/{}", path.replace('.', "/")));
        assert_eq!(found, Some(&Value::from(*expected)), "{at}: {path}; {counts}");
    }
}

fn check_receiver(at: &str, receiver: &Receiver, step: &Step) {
    let mut sent: Vec<String> = receiver
        .take_sent()
        .into_iter()
        .map(|sent| format!("{} {} {}", sent.kind, sent.match_value, sent.fields))
        .collect();
    if let Some(expected) = &step.sent {
        let mut expected = expected.clone();
        expected.sort();
        sent.sort();
        assert_eq!(sent, expected, "{at}: sent");
    }
    if let Some(records) = &step.records {
        assert_eq!(&receiver.records(), records, "{at}: records");
    }
}
