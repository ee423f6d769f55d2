//! What people and programs are told: whatever a terminal would obey is spelled out, times are in the project's zone, a plan
//! knows what a killed run and a guard mean for it, and mistakes are data.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Output;
use std::time::Duration;

use outflow_tests::project::{Project, SYNC, text};
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
async fn who_made_a_sync_is_told_and_a_mistake_elsewhere_hides_no_sync() {
    let (_receiver, project) = fixture(MIRROR, "1,Ann\n").await;
    project.run(&[]).unwrap();
    let runs = project.outflow(&["runs", SYNC]).unwrap();
    assert!(text(&runs).contains(&format!("{SYNC}: created by ")), "{}", text(&runs));
    let syncs = project.outflow(&["syncs", "--output", "json"]).unwrap();
    let listed: Value = serde_json::from_slice(&syncs.stdout).unwrap();
    let (sync, last) = (&listed["syncs"][0], &listed["syncs"][0]["last_run"]);
    assert_eq!(
        (&sync["sync"], &last["status"]),
        (&json!(SYNC), &json!("success")),
        "{listed}"
    );
    assert!(
        sync["created_by"].is_string() && sync["created_at"].is_string(),
        "{listed}"
    );
    assert_eq!(listed["diagnostics"], json!([]));
    project.write("syncs/other.yml", "modle: people\n").unwrap();
    let syncs = project.outflow(&["syncs"]).unwrap();
    assert_eq!(syncs.status.code(), Some(2), "{}", text(&syncs));
    let told = text(&syncs);
    for word in [SYNC, "other", "1 success", "syncs/other.yml", "modle"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    for (command, exit) in [(&["runs", SYNC][..], 0), (&["rejected", SYNC], 0), (&["schedule"], 2)] {
        let output = project.outflow(command).unwrap();
        assert_eq!(output.status.code(), Some(exit), "{}", text(&output));
        assert!(!output.stdout.is_empty(), "{command:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("syncs/other.yml"),
            "{}",
            text(&output)
        );
    }
}

/// What a terminal would obey, from a row, a service and a file.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_moves_no_terminal() {
    const ESCAPE: &str = "\u{1b}[2J\u{9b}31m\u{202e}";
    let (receiver, project) = fixture(MIRROR, &format!("1,\"Ann{ESCAPE}\r\nrun 9 success\"\n")).await;
    project.write("syncs/other.yml", &format!("\"{ESCAPE}\": 1\n")).unwrap();
    let broken = project.outflow(&["run"]).unwrap();
    std::fs::remove_file(project.path().join("syncs/other.yml")).unwrap();
    let plan = project.outflow(&["plan", SYNC, "--requests"]).unwrap();
    receiver.faults([Fault::Say(format!("no{ESCAPE}\nrun 9 success"))]);
    let run = project.outflow(&["run", SYNC]).unwrap();
    let rejected = project.outflow(&["rejected", SYNC]).unwrap();
    let written = project.outflow(&["rejected", SYNC, "--output", "json"]).unwrap();
    let key = project.outflow(&["run", &format!("x{ESCAPE}")]).unwrap();
    let explain = project.outflow(&["explain", SYNC, "1"]).unwrap();
    let history = project.outflow(&["history", SYNC]).unwrap();
    receiver.faults([]);
    project.run(&[]).unwrap();
    project.rows(&format!("id,name\n1,\"Bob{ESCAPE}\"\n")).unwrap();
    project.run(&[]).unwrap();
    let diff = project.outflow(&["diff", SYNC, "2", "3"]).unwrap();
    for (name, output) in [
        ("broken", &broken),
        ("plan", &plan),
        ("run", &run),
        ("rejected", &rejected),
        ("json", &written),
        ("key", &key),
        ("explain", &explain),
        ("history", &history),
        ("diff", &diff),
    ] {
        let told = text(output);
        let obeyed = |character: &char| (character.is_control() && *character != '\n') || *character == '\u{202e}';
        assert_eq!(told.chars().find(obeyed), None, "{name}: {told}");
        assert!(!told.lines().any(|line| line.starts_with("run 9")), "{name}: {told}");
    }
    assert!(
        text(&rejected).contains("no\\u001b[2J\\u009b31m\\u202e\\nrun 9 success"),
        "{}",
        text(&rejected)
    );
    for output in [&plan, &explain, &diff] {
        assert!(text(output).contains("\\u001b"), "{}", text(output));
    }
    let rows: Value = serde_json::from_slice(&written.stdout).unwrap();
    let message = rows["rows"]["unsettled"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("31m\u{202e}"),
        "a program gets what was said: {message:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_shown_in_the_projects_zone_and_what_went_wrong_is_told_with_the_runs() {
    let (_receiver, project) = fixture(MIRROR, "1,Ann\n").await;
    project
        .write("outflow.yml", "version: 1\nname: test\ntimezone: Asia/Kathmandu\n")
        .unwrap();
    project.run(&[]).unwrap();
    project.rows("id,name\n").unwrap();
    project.run(&[]).unwrap();
    let listed = project.outflow(&["runs", SYNC, "--output", "json"]).unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let started: chrono::DateTime<chrono::Utc> = listed[1]["started_at"].as_str().unwrap().parse().unwrap();
    let started = (started + chrono::TimeDelta::minutes(345))
        .format("%Y-%m-%d %H:%M:%S")
        .to_string();
    for command in [&["runs", SYNC][..], &["history", SYNC], &["syncs"]] {
        let told = text(&project.outflow(command).unwrap());
        assert!(told.contains("Asia/Kathmandu"), "{told}");
        assert!(command == ["syncs"] || told.contains(&started), "{started}: {told}");
    }
    let told = text(&project.outflow(&["runs", SYNC]).unwrap());
    assert!(told.contains("run 2: the model returned no rows"), "{told}");
}

/// 60 rows in batches of 20; the process dies while the second batch is on its way.
async fn killed() -> (Receiver, Project) {
    let rows: String = (0..60).map(|id| format!("{id},Ann\n")).collect();
    let (receiver, project) = fixture(MIRROR, &rows).await;
    project
        .write(
            "destinations/receiver.yml",
            &std::fs::read_to_string(project.path().join("destinations/receiver.yml"))
                .unwrap()
                .replace("config:\n", "config:\n  concurrency: 1\n"),
        )
        .unwrap();
    receiver.faults([Fault::StallMs(0), Fault::StallMs(20_000)]);
    let mut run = project.start().unwrap();
    while receiver.received() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    run.kill().unwrap();
    run.wait().unwrap();
    receiver.faults([]);
    (receiver, project)
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_31_a_plan_knows_what_a_run_had_delivered_whose_process_died() {
    let (receiver, project) = killed().await;
    let journal = project.path().join(".outflow/syncs").join(SYNC).join("journal");
    let left = std::fs::read(&journal).unwrap();
    let plan = project
        .outflow(&["plan", SYNC, "--requests", "--output", "json"])
        .unwrap();
    let plan: Value = serde_json::from_slice(&plan.stdout).unwrap();
    // One batch of three was answered.
    let counts = (&plan["counts"]["unchanged"], &plan["counts"]["planned"]["added"]);
    assert_eq!(counts, (&json!(20), &json!(40)), "{plan}");
    assert!(
        plan["notes"][0].as_str().unwrap().contains("run 1 had been stopped"),
        "{plan}"
    );
    // And so does what is told of a row.
    let explained = |key: &str| -> Value {
        let output = project.outflow(&["explain", SYNC, key, "--output", "json"]).unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let (answered, unsent) = (explained("0"), explained("59"));
    assert_eq!(answered["ledger"]["entries"][0]["record"], json!("{\"name\":\"Ann\"}"));
    assert_eq!(answered["next"]["steps"], json!([]), "{answered}");
    assert_eq!(answered["next"]["notes"][0], plan["notes"][0], "{answered}");
    assert_eq!(unsent["next"]["steps"][0]["operation"], "upsert", "{unsent}");
    assert_eq!(std::fs::read(&journal).unwrap(), left, "nothing is taken in by looking");
    let _ = receiver.take_received();
    let (report, _) = project.run(&[]).unwrap();
    assert_eq!(json!(report.counts.planned), plan["counts"]["planned"]);
    let shown = plan["requests"][0][1][0]["body"].as_str().unwrap();
    assert_eq!(
        receiver.take_received()[0].body,
        shown,
        "what was shown is what is sent"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_33_a_run_whose_process_died_has_its_counts_as_soon_as_they_are_known() {
    for taken_in_by in [&["run", SYNC][..], &["resolve", SYNC, "59", "--delivered"]] {
        let (_receiver, project) = killed().await;
        project.outflow(taken_in_by).unwrap();
        let runs = project.outflow(&["runs", SYNC, "--output", "json"]).unwrap();
        let runs: Value = serde_json::from_slice(&runs.stdout).unwrap();
        let killed = runs.as_array().unwrap().last().unwrap();
        assert_eq!(killed["status"], "interrupted", "{runs}");
        counted(&killed["counts"]);
    }
}

/// What [`killed`] did is counted.
fn counted(counts: &Value) {
    let total = |count: &str| counts[count]["added"].as_u64().unwrap();
    assert_eq!(
        (
            counts["queried"].as_u64(),
            total("changes"),
            total("planned"),
            total("succeeded")
        ),
        (Some(60), 60, 60, 20),
        "{counts}"
    );
    assert_eq!(
        (total("unknown"), total("aborted"), total("attempted")),
        (20, 20, 40),
        "{counts}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_35_a_plan_shows_what_a_stopped_run_would_have_done_and_how_to_allow_it() {
    let rows: String = (0..20).map(|id| format!("{id},Ann\n")).collect();
    let (receiver, project) = fixture(MIRROR, &rows).await;
    project.run(&[]).unwrap();
    let _ = receiver.take_received();
    let rows: String = (10..21).map(|id| format!("{id},Bob\n")).collect();
    project.rows(&format!("id,name\n{rows}")).unwrap();
    let plan = project.outflow(&["plan", SYNC]).unwrap();
    let told = text(&plan);
    assert_eq!(plan.status.code(), Some(1), "{told}");
    for part in [
        "a run would be stopped: 10 of 20 records would be removed",
        "--allow removals-",
        "\"Bob\"",
        "delete",
    ] {
        assert!(told.contains(part), "`{part}` is not in\n{told}");
    }
    let shown = project
        .outflow(&["plan", SYNC, "--requests", "--output", "json"])
        .unwrap();
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(
        shown["counts"]["planned"],
        json!({"added": 1, "changed": 10, "removed": 10}),
        "{shown}"
    );
    // And of a row.
    let explain = text(&project.outflow(&["explain", SYNC, "3"]).unwrap());
    for part in [
        "would be stopped: 10 of 20",
        "--allow removals-",
        "if that is allowed: delete",
    ] {
        assert!(explain.contains(part), "`{part}` is not in\n{explain}");
    }
    let to_file = project.outflow(&["plan", SYNC, "--out", "plan.json"]).unwrap();
    assert!(text(&to_file).contains("--allow removals-"), "{}", text(&to_file));
    assert!(!project.path().join("plan.json").exists());
    // A run says the same, sends nothing, and goes on when it is allowed.
    let (report, exit) = project.run(&[]).unwrap();
    assert_eq!((report.stopped.len(), exit), (1, 1), "{report:?}");
    assert_eq!(json!(report.stopped), shown["stopped"], "{report:?}");
    assert_eq!(report.counts.planned.removed, 10, "{report:?}");
    assert!(receiver.take_received().is_empty());
    let (report, _) = project.run(&["--allow", &report.stopped[0].allow]).unwrap();
    assert_eq!(json!(report.counts.planned), shown["counts"]["planned"], "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_told_what_is_wrong_as_data() {
    let (_receiver, project) = fixture(MIRROR, "1,Ann\n").await;
    let sync = format!("syncs/{SYNC}.yml");
    let right = std::fs::read_to_string(project.path().join(&sync)).unwrap();
    let document = |output: &Output| -> Value {
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
    };
    project.write(&sync, &right.replace("mode:", "mood:")).unwrap();
    for command in [&["run", SYNC][..], &["plan", SYNC], &["validate"]] {
        let output = project.outflow(&[command, &["--output", "json"]].concat()).unwrap();
        let document = document(&output);
        let error = &document["error"];
        assert_eq!(
            (&error["exit"], output.status.code()),
            (&json!(2), Some(2)),
            "{document}"
        );
        let found = &error["diagnostics"][0];
        let place = (&found["file"], &found["line"], &found["field"]);
        assert_eq!(place, (&json!(sync), &json!(3), &json!("mood")), "{document}");
        assert!(found["message"].is_string() && found["help"].is_string(), "{document}");
    }
    // What only the database or the plugin can tell.
    project.write(&sync, &right.replace("from: name", "from: nam")).unwrap();
    let (report, _) = project.run(&[]).unwrap();
    assert_eq!(
        report.diagnostics[0].field.as_deref(),
        Some("mappings[0].from"),
        "{report:?}"
    );
    let checked = project.outflow(&["validate", "--output", "json"]).unwrap();
    let checked = document(&checked);
    assert_eq!(checked[0]["diagnostics"][0]["field"], "mappings[0].from", "{checked}");
    assert!(checked[0]["error"].is_string(), "{checked}");
    // What was asked wrongly.
    for wrong in [
        &["run", "--no-such-option"][..],
        &["frobnicate"],
        &["run", "--allow", "x"],
        &["schema", "x"],
    ] {
        let output = project.outflow(&[wrong, &["--output", "json"]].concat()).unwrap();
        let document = document(&output);
        assert_eq!(
            (&document["error"]["exit"], output.status.code()),
            (&json!(2), Some(2)),
            "{document}"
        );
        assert!(document["error"]["message"].is_string(), "{document}");
    }
}
