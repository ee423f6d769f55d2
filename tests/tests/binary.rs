//! The binary as its user meets it: what a plan shows, wrong input, sources, signals.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Stdio;
use std::time::Duration;

use outflow_tests::project::{Project, SYNC, TOKEN, text};
use outflow_tests::receiver::{Fault, Receiver};
use serde_json::{Value, json};

const PEOPLE: [(&str, &str); 2] = [("id", "BIGINT"), ("name", "VARCHAR")];
const MIRROR: &str = "mode: mirror\nmappings: [{from: name, to: name}]";

async fn fixture(sync: &str, rows: &str) -> (Receiver, Project) {
    let receiver = Receiver::start().await.unwrap();
    let project = Project::new(&receiver.origin(), &PEOPLE, "id", sync).unwrap();
    project.rows(&format!("id,name\n{rows}")).unwrap();
    (receiver, project)
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_31_a_plan_shows_the_bytes_that_the_receiver_gets() {
    let (receiver, project) = fixture(MIRROR, "1,Ann\n2,Bob\n").await;
    project.run(&[]).unwrap();
    project.rows("id,name\n2,Bo\n3,\"Cid \"\"x\"\" é\"\n").unwrap();
    let _ = receiver.take_received();
    let plan = project
        .outflow(&["plan", SYNC, "--requests", "--output", "json"])
        .unwrap();
    assert!(receiver.take_received().is_empty(), "a plan sends nothing");
    let plan: Value = serde_json::from_slice(&plan.stdout).unwrap();
    let shown: Vec<(String, String)> = plan["requests"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|kind| kind[1].as_array().unwrap())
        .map(|effect| {
            (
                effect["url"].as_str().unwrap().to_owned(),
                effect["body"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    project.run(&[]).unwrap();
    let received: Vec<(String, String)> = receiver
        .take_received()
        .into_iter()
        .map(|request| (format!("{}/{}", receiver.origin(), request.kind), request.body))
        .collect();
    assert_eq!(shown, received);
    assert_eq!(shown.len(), 2, "a delete and an upsert");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_38_a_secret_reaches_the_receiver_and_is_shown_to_nobody() {
    let (receiver, project) = fixture(MIRROR, "1,Ann\n").await;
    receiver.faults([Fault::Echo]);
    let plan = project.outflow(&["plan", SYNC, "--requests"]).unwrap();
    assert!(text(&plan).contains("Bearer {secret.token}"), "{}", text(&plan));
    let run = project.outflow(&["run", SYNC, "-vv"]).unwrap();
    let rejected = project.outflow(&["rejected", SYNC]).unwrap();
    assert_eq!(
        receiver.take_received()[0].headers["authorization"],
        format!("Bearer {TOKEN}")
    );
    assert!(
        text(&rejected).contains("{secret.token}"),
        "the receiver echoes it: {}",
        text(&rejected)
    );
    for output in [&plan, &run, &rejected] {
        assert!(!text(output).contains(TOKEN), "{}", text(output));
    }
    for file in files(project.path()) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(
            !bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes()),
            "{}",
            file.display()
        );
    }
}

fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

/// Every wrong input: what is changed, and what the message says. Nothing is sent, and the next run does all the work.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_input_is_told_by_its_place_and_changes_nothing() {
    let cases: [(&str, &str, &str, i32); 16] = [
        (
            "destinations/receiver.yml",
            "plugin: htttp\nconfig: {}\n",
            "destinations/receiver.yml:1:9: plugin: there is no plugin named `htttp`",
            2,
        ),
        (
            "plugins/http.wasm",
            "this is text",
            "plugin: the plugin `http` cannot be loaded: it is no WebAssembly",
            2,
        ),
        (
            "plugins/http.wasm",
            "\0asm\u{1}\0\0\0",
            "it is a core WebAssembly module",
            2,
        ),
        (
            "models/people.sql",
            "SELECT id, nam FROM people",
            "models/people.sql:1:12: Referenced column \"nam\" not found",
            2,
        ),
        (
            "models/people.sql",
            "SELECT 1 AS id; SELECT 2",
            "one SELECT is allowed, and these are 2 statements",
            2,
        ),
        (
            "models/people.sql",
            "COPY people TO 'x.csv'",
            "only one SELECT is allowed",
            2,
        ),
        (
            "models/people.sql",
            "SELECT * FROM ledger.main.entries",
            "the model cannot read `ledger",
            2,
        ),
        (
            "models/people.sql",
            "SELECT * FROM read_csv('/etc/passwd')",
            "`read_csv` is not allowed",
            2,
        ),
        (
            "destinations/receiver.yml",
            "plugin: http\nconfig: {bas_url: x}\n",
            "config.bas_url: there is no such field; did you mean `base_url`?",
            2,
        ),
        (
            "syncs/people-to-receiver.yml",
            "model: people\ndestination: receiver\nmappings: [{from: nam, to: name}]\n",
            "mappings[0].from: there is no column `nam`",
            2,
        ),
        (
            "syncs/people-to-receiver.yml",
            "model: people\ndestination: receiver\nmappings: [{from: name, to: name}]\nschedule: {cron: \"0 0 30 2 *\"}\n",
            "never fires",
            2,
        ),
        (
            "syncs/people-to-receiver.yml",
            "model: people\ndestination: receiver\nmappings: [{template: x, to: name}]\n",
            "there is no such field",
            2,
        ),
        (
            "destinations/receiver.yml",
            "plugin: http\nconfig: {base_url: \"http://127.0.0.1:1\", upsert: {method: POST, path: /x}, delete: {method: DELETE, path: /x}}\nallow: [\"https://elsewhere.example.com\"]\n",
            "destinations/receiver.yml:3:8: allow: http://127.0.0.1:1 is not granted",
            2,
        ),
        (
            "destinations/receiver.yml",
            "plugin: http\nconfig: {base_url: \"http://127.0.0.1:1\", upsert: {method: POST, path: /x}, delete: {method: DELETE, path: /x}}\nsecrets: {token: {env: OUTFLOW_TEST_NOT_SET}}\nallow: [\"http://127.0.0.1:1\"]\n",
            "destinations/receiver.yml:3:18: secrets.token: the secret `token` has no value: the environment variable `OUTFLOW_TEST_NOT_SET` is not set",
            2,
        ),
        (
            "destinations/receiver.yml",
            "plugin: file\nconfig: {mode: changes, format: csv, path: \"{run}.csv\"}\n",
            "destinations/receiver.yml:1:1: folder: the plugin `file` writes files and needs a folder",
            2,
        ),
        (
            "syncs/people-to-receiver.yml",
            "model: people\ndestination: receiver\nobject: people\nmappings: [{from: name, to: name}]\n",
            "syncs/people-to-receiver.yml:3:9: object: the plugin `http` has no objects",
            2,
        ),
    ];
    for (file, wrong, message, exit) in cases {
        let (receiver, project) = fixture(MIRROR, "1,Ann\n").await;
        let right = std::fs::read_to_string(project.path().join(file)).ok();
        project.write(file, wrong).unwrap();
        let output = project.outflow(&["run", SYNC]).unwrap();
        assert!(
            text(&output).contains(message),
            "{file}: `{message}` is not in\n{}",
            text(&output)
        );
        assert_eq!(output.status.code(), Some(exit), "{file}: {message}");
        assert!(receiver.take_received().is_empty(), "{file}: {message}");
        match right {
            Some(right) => project.write(file, &right).unwrap(),
            None => std::fs::remove_file(project.path().join(file)).unwrap(),
        }
        let (report, _) = project.run(&[]).unwrap();
        assert_eq!(
            (report.status.as_str(), report.counts.succeeded.added),
            ("success", 1),
            "{file}: {message}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_and_an_unknown_sync_are_told() {
    let (_receiver, project) = fixture(MIRROR, "1,Ann\n").await;
    let output = project
        .command(&["run", SYNC])
        .unwrap()
        .env_remove("RECEIVER_TOKEN")
        .output()
        .unwrap();
    assert!(
        text(&output).contains("the environment variable `RECEIVER_TOKEN` is not set"),
        "{}",
        text(&output)
    );
    assert_eq!(output.status.code(), Some(2));
    let output = project.outflow(&["run", "people"]).unwrap();
    assert!(
        text(&output).contains("there is no sync `people`; the project has people-to-receiver"),
        "{}",
        text(&output)
    );
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_07_records_at_another_service_are_not_taken_for_those_that_were_sent() {
    let (receiver, project) = fixture(MIRROR, "1,Ann\n2,Bob\n").await;
    project.run(&[]).unwrap();
    let other = Receiver::start().await.unwrap();
    other.edit(&json!(2), Some(json!({"name": "not ours"})));
    project.point_to(&other.origin()).unwrap();
    project.rows("id,name\n1,Ann\n").unwrap();
    let (report, exit) = project.run(&[]).unwrap();
    let message = report.message.unwrap();
    for part in [
        &receiver.origin(),
        &other.origin(),
        "outflow run people-to-receiver --same-target",
    ] {
        assert!(message.contains(part), "`{part}` is not in `{message}`");
    }
    assert_eq!((exit, other.received()), (1, 0));
    let plan = project.outflow(&["plan", SYNC]).unwrap();
    assert!(text(&plan).contains("--same-target"), "{}", text(&plan));
    // A person says that these are the same records under a new address: what was pending is sent there.
    let plan = project.outflow(&["plan", SYNC, "--same-target"]).unwrap();
    assert_eq!(plan.status.code(), Some(0), "{}", text(&plan));
    let (report, _) = project.run(&["--same-target"]).unwrap();
    assert_eq!(report.counts.succeeded.removed, 1, "{report:?}");
    assert!(report.notes[0].contains(&other.origin()), "{report:?}");
    assert!(other.records().is_empty());
    let (report, _) = project.run(&[]).unwrap();
    assert_eq!(report.status.as_str(), "success", "{report:?}");
    project.point_to(&receiver.origin()).unwrap();
    assert_eq!(project.run(&[]).unwrap().1, 1, "it is bound to the new address");
    // Or that the records there are as the model says.
    let _ = receiver.take_received();
    let output = project.outflow(&["rebaseline", SYNC]).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let (report, exit) = project.run(&[]).unwrap();
    assert_eq!((report.counts.changes.total(), exit), (0, 0), "{report:?}");
    assert!(receiver.take_received().is_empty());
}

const FILE: &str = "plugin: file\nfolder: out\nconfig: {mode: mirror, format: csv, path: people.csv}\n";

#[tokio::test(flavor = "multi_thread")]
async fn rule_07_another_path_or_folder_is_another_place() {
    let (_receiver, project) = fixture("mappings: [{from: name, to: name}]", "1,Ann\n").await;
    project.write("destinations/receiver.yml", FILE).unwrap();
    assert_eq!(project.run(&[]).unwrap().1, 0);
    for (was, is, place) in [
        ("people.csv", "others.csv", "out/others.csv"),
        ("folder: out", "folder: away", "away/people.csv"),
    ] {
        project
            .write("destinations/receiver.yml", &FILE.replace(was, is))
            .unwrap();
        let (report, exit) = project.run(&[]).unwrap();
        let message = report.message.unwrap();
        assert!(
            message.contains("`out/people.csv`") && message.contains(place),
            "{message}"
        );
        assert_eq!(exit, 1);
        assert!(!project.path().join(place).exists());
    }
    project.write("destinations/receiver.yml", FILE).unwrap();
    assert_eq!(project.run(&[]).unwrap().1, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_syncs_that_would_replace_each_others_file_are_refused() {
    let sync = "model: people\ndestination: receiver\nmappings: [{from: name, to: name}]\n";
    let (_receiver, project) = fixture("mappings: [{from: name, to: name}]", "1,Ann\n").await;
    for (path, shared) in [("people.csv", true), ("{sync}.csv", false)] {
        project
            .write(
                "destinations/receiver.yml",
                &FILE.replace("people.csv", &format!("\"{path}\"")),
            )
            .unwrap();
        project.write("syncs/again.yml", sync).unwrap();
        let output = project.outflow(&["validate"]).unwrap();
        let told = text(&output);
        assert_eq!(output.status.code(), Some(if shared { 2 } else { 0 }), "{told}");
        if shared {
            for part in [
                "syncs/again.yml:2:14: destination: the sync `people-to-receiver` writes to `out/people.csv` as well",
                "the sync `again` writes to `out/people.csv` as well",
            ] {
                assert!(told.contains(part), "`{part}` is not in\n{told}");
            }
            // Whoever comes first has it.
            assert_eq!(project.outflow(&["run", "again"]).unwrap().status.code(), Some(0));
            for command in ["plan", "run", "rebaseline"] {
                let output = project.outflow(&[command, SYNC]).unwrap();
                assert_eq!(output.status.code(), Some(2), "{command}: {}", text(&output));
                assert!(text(&output).contains("the sync `again` writes to `out/people.csv` as well"));
            }
            project
                .write("syncs/again.yml", &format!("{sync}disabled: true\n"))
                .unwrap();
            assert_eq!(project.outflow(&["validate"]).unwrap().status.code(), Some(0));
            assert_eq!(project.run(&[]).unwrap().1, 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_log_is_not_replaced_by_a_run_that_lost_its_state() {
    let (_receiver, project) = fixture("mappings: [{from: name, to: name}]", "1,Ann\n").await;
    let log = "plugin: file\nfolder: out\nconfig: {mode: changes, format: jsonl, path: \"1.jsonl\"}\n";
    project
        .write("destinations/receiver.yml", &log.replace("1.jsonl", "{run}.jsonl"))
        .unwrap();
    project.run(&[]).unwrap();
    let file = project.path().join("out/1.jsonl");
    let before = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_dir_all(project.path().join(".outflow")).unwrap();
    project.rows("id,name\n2,Bob\n").unwrap();
    // Wherever the numbers begin again, the file that is there stays.
    let (report, _) = project.run(&[]).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    if report.number == 1 {
        let message = report.message.unwrap();
        assert!(
            message.contains("`1.jsonl`") && message.contains("never replaced"),
            "{message}"
        );
        assert_eq!(report.status.as_str(), "failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugins_example_is_valid() {
    let (_receiver, project) = fixture("mappings: [{from: name, to: name}]", "1,Ann\n").await;
    for plugin in ["http", "file"] {
        let output = project
            .outflow(&["plugin", "inspect", plugin, "--output", "json"])
            .unwrap();
        let description: Value = serde_json::from_slice(&output.stdout).unwrap();
        project
            .write("destinations/receiver.yml", description["example"].as_str().unwrap())
            .unwrap();
        let mut validate = project.command(&["validate"]).unwrap();
        let output = validate.env("CRM_TOKEN", TOKEN).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{plugin}: {}", text(&output));
        let shown = text(&project.outflow(&["plugin", "inspect", plugin]).unwrap());
        for part in ["mirror (upsert, delete)", "clear (clear)", "an example:", "plugin: "] {
            assert!(shown.contains(part), "`{part}` is not in\n{shown}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_08_a_ledger_of_a_newer_format_is_refused() {
    let (receiver, project) = fixture(MIRROR, "1,Ann\n").await;
    project.run(&[]).unwrap();
    let path = project.path().join(".outflow/syncs").join(SYNC).join("ledger.duckdb");
    let connection = duckdb::Connection::open(&path).unwrap();
    connection
        .execute_batch("UPDATE meta SET state = json_merge_patch(state, '{\"format\": 99}'); CHECKPOINT")
        .unwrap();
    drop(connection);
    let _ = receiver.take_received();
    let (report, exit) = project.run(&[]).unwrap();
    assert!(report.message.unwrap().contains("has format 99"));
    assert_eq!((exit, receiver.take_received().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_are_csv_json_parquet_duckdb_and_sqlite_files() {
    let (receiver, project) = fixture(MIRROR, "").await;
    let path = |name: &str| project.path().join(name);
    let connection = duckdb::Connection::open(path("people.duckdb")).unwrap();
    connection
        .execute_batch(&format!(
            "CREATE TABLE people AS SELECT 1 AS id, 'Ann' AS name; COPY people TO '{}' (FORMAT parquet)",
            path("people.parquet").display()
        ))
        .unwrap();
    drop(connection);
    std::fs::write(path("people.json"), "{\"id\": 1, \"name\": \"Ann\"}\n").unwrap();
    let sqlite = rusqlite::Connection::open(path("people.sqlite")).unwrap();
    sqlite
        .execute_batch("CREATE TABLE people (id INTEGER, name TEXT); INSERT INTO people VALUES (1, 'Ann')")
        .unwrap();
    drop(sqlite);
    project.rows("id,name\n1,Ann\n").unwrap();
    for (source, from) in [
        ("type: csv\npath: people.csv\n", "people"),
        ("type: json\npath: people.json\n", "people"),
        ("type: parquet\npath: people.parquet\n", "people"),
        ("type: duckdb\npath: people.duckdb\n", "people.people"),
        ("type: sqlite\npath: people.sqlite\n", "people.people"),
    ] {
        project.write("sources/people.yml", source).unwrap();
        project
            .write(
                "models/people.sql",
                &format!("SELECT id::BIGINT AS id, name FROM {from}\n"),
            )
            .unwrap();
        let (report, _) = project.run(&[]).unwrap();
        assert_eq!(report.status.as_str(), "success", "{source}: {report:?}");
        assert_eq!(
            receiver.records(),
            [("1".to_owned(), json!({"name": "Ann"}))].into(),
            "{source}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_23_a_file_that_mirrors_is_replaced_whole_or_not_at_all() {
    let (_receiver, project) = fixture(MIRROR, "1,Ann\n2,Bob\n").await;
    project
        .write(
            "destinations/receiver.yml",
            "plugin: file\nfolder: out\nconfig: {mode: mirror, format: csv, path: people.csv}\n",
        )
        .unwrap();
    project
        .sync("mode: upsert\nmappings: [{from: id, to: id}, {from: name, to: name}]")
        .unwrap();
    std::fs::create_dir(project.path().join("out")).unwrap();
    let file = project.path().join("out/people.csv");
    let (report, _) = project.run(&[]).unwrap();
    assert_eq!(report.counts.succeeded.added, 2, "{report:?}");
    let before = std::fs::read_to_string(&file).unwrap();
    assert_eq!(before, "id,name\n1,Ann\n2,Bob\n");
    // One row changed: the file has every row again.
    project.rows("id,name\n1,Ann\n2,Bo\n3,Cid\n").unwrap();
    project.run(&[]).unwrap();
    let whole = std::fs::read_to_string(&file).unwrap();
    assert_eq!(whole, "id,name\n1,Ann\n2,Bo\n3,Cid\n");
    // Killed at any moment, the file is the one from before or the new one.
    let rows = |name: &str| {
        let rows = (0..50_000).map(|id| format!("{id},{name}\n"));
        format!("id,name\n{}", rows.collect::<String>())
    };
    let mut before = whole;
    for (name, delay_ms) in [("Dan", 150), ("Eve", 300), ("Fay", 450), ("Gus", 600), ("Hal", 3_000)] {
        project.rows(&rows(name)).unwrap();
        let mut run = project.start().unwrap();
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        let _ = run.kill();
        run.wait().unwrap();
        let now = std::fs::read_to_string(&file).unwrap();
        assert!(now == before || now == rows(name), "{name}: {} bytes", now.len());
        before = now;
    }
    let (report, _) = project.run(&[]).unwrap();
    assert_eq!(report.status.as_str(), "success", "{report:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), rows("Hal"));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn rule_34_a_signal_cancels_the_run_and_keeps_what_was_answered() {
    use rustix::process::Signal;
    for stop in [Signal::INT, Signal::TERM] {
        stopped_by(stop).await;
    }
}

#[cfg(unix)]
async fn stopped_by(stop: rustix::process::Signal) {
    let rows: String = (0..500).map(|id| format!("{id},Ann\n")).collect();
    let (receiver, project) = fixture(MIRROR, &rows).await;
    receiver.faults([Fault::StallMs(600), Fault::StallMs(600)]);
    let mut command = project.command(&["run", SYNC, "--output", "json"]).unwrap();
    let run = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    while receiver.received() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    signal(run.id(), stop);
    let output = tokio::task::block_in_place(|| run.wait_with_output()).unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    let reports: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reports[0]["status"], "cancelled", "{reports}");
    let accepted = receiver.records().len();
    assert_eq!(reports[0]["counts"]["succeeded"]["added"], accepted, "{reports}");
    assert_eq!(reports[0]["counts"]["aborted"]["added"], 500 - accepted, "{reports}");
    let (report, _) = project.run(&[]).unwrap();
    assert_eq!(report.counts.succeeded.added, 500 - accepted as u64);
    assert_eq!(receiver.records().len(), 500);
}

#[cfg(unix)]
fn signal(process: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_server_records_what_was_in_flight() {
    let (receiver, project) = fixture(&format!("{MIRROR}\nschedule: {{every: 1s}}"), "1,Ann\n").await;
    receiver.faults([Fault::StallMs(1_500)]);
    let mut serve = project.command(&["serve"]).unwrap();
    let mut serve = serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while receiver.received() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    signal(serve.id(), rustix::process::Signal::TERM);
    let status = tokio::task::block_in_place(|| serve.wait()).unwrap();
    assert_eq!(status.code(), Some(0));
    let runs = project.outflow(&["runs", SYNC, "--output", "json"]).unwrap();
    let runs: Value = serde_json::from_slice(&runs.stdout).unwrap();
    assert_eq!(
        (&runs[0]["counts"]["succeeded"]["added"], &runs[0]["trigger"]),
        (&json!(1), &json!("schedule")),
        "{runs}"
    );
    assert_eq!(project.run(&[]).unwrap().0.counts.changes.total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_project_runs_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let (_receiver, project) = fixture(MIRROR, "").await;
    let first = folder.path().join("first").display().to_string();
    assert!(project.outflow(&["init", &first]).unwrap().status.success());
    for arguments in [&["-C", &first, "validate"][..], &["-C", &first, "run"]] {
        let output = project.outflow(arguments).unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    }
    let again = project.outflow(&["init", &first]).unwrap();
    assert_eq!(again.status.code(), Some(2), "no file is overwritten: {}", text(&again));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_comes_too_late_for_one_sync_keeps_the_next_from_starting() {
    let (receiver, project) = fixture(MIRROR, "1,Ann\n").await;
    let sync = std::fs::read_to_string(project.path().join(format!("syncs/{SYNC}.yml"))).unwrap();
    project.write("syncs/the-next.yml", &sync).unwrap();
    receiver.faults([Fault::StallMs(600)]);
    let mut command = project.command(&["run", SYNC, "the-next", "--output", "json"]).unwrap();
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while receiver.received() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    signal(run.id(), rustix::process::Signal::INT);
    let output = tokio::task::block_in_place(|| run.wait_with_output()).unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    let reports: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reports.as_array().unwrap().len(), 1, "{reports}");
    assert!(text(&output).contains("stopped before the-next"), "{}", text(&output));
    assert_eq!(
        project.outflow(&["run", SYNC, "nobody"]).unwrap().status.code(),
        Some(2)
    );
    let runs = project.outflow(&["runs", SYNC, "--output", "json"]).unwrap();
    let runs: Value = serde_json::from_slice(&runs.stdout).unwrap();
    assert_eq!(
        runs.as_array().unwrap().len(),
        1,
        "nothing is run where a name is wrong: {runs}"
    );
}
