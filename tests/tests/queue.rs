//! Runs that wait for another, and full resyncs that are stopped before they begin: nothing that was asked for is lost,
//! and nothing that was taken back is done.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::{Child, Stdio};
use std::time::Duration;

use outflow_core::report::{Report, Status};
use outflow_tests::project::{Project, SYNC};
use outflow_tests::receiver::{Fault, Receiver};
use rustix::process::{Pid, Signal, kill_process};

const PEOPLE: [(&str, &str); 2] = [("id", "BIGINT"), ("name", "VARCHAR")];
const UPSERT: &str = "mode: upsert\nmappings: [{from: name, to: name}]";
const MIRROR: &str = "mode: mirror\nmappings: [{from: name, to: name}]";
const FULL: [&str; 3] = ["run", SYNC, "--full-resync"];

/// Two rows that the receiver has.
async fn fixture(sync: &str) -> (Receiver, Project) {
    let receiver = Receiver::start().await.unwrap();
    let project = Project::new(&receiver.origin(), &PEOPLE, "id", sync).unwrap();
    project.rows("id,name\n1,Ann\n2,Bob\n").unwrap();
    assert_eq!(project.run(&[]).unwrap().0.status, Status::Success);
    (receiver, project)
}

fn start(project: &Project, arguments: &[&str]) -> Child {
    let mut command = project.command(arguments).unwrap();
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn end(mut child: Child) -> i32 {
    tokio::task::block_in_place(|| child.wait())
        .unwrap()
        .code()
        .unwrap_or(-1)
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
}

/// A run that is in the middle of its delivery.
async fn under_way(receiver: &Receiver, project: &Project) -> Child {
    project.rows("id,name\n1,Anna\n2,Bob\n").unwrap();
    receiver.faults([Fault::StallMs(3_000)]);
    let before = receiver.received();
    let run = start(project, &["run", SYNC]);
    while receiver.received() == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    run
}

/// A full resync that waits for that run.
async fn waiting(project: &Project) -> Child {
    let waiter = start(project, &FULL);
    tokio::time::sleep(Duration::from_millis(700)).await;
    waiter
}

fn says_full_resync(report: &Report) -> bool {
    report.notes.iter().any(|note| note.contains("full resync"))
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_30_a_cancelled_waiter_takes_back_its_full_resync() {
    let (receiver, project) = fixture(UPSERT).await;
    let run = under_way(&receiver, &project).await;
    let waiter = waiting(&project).await;
    signal(&waiter, Signal::INT);
    assert_eq!(end(waiter), 4);
    assert_eq!(end(run), 0);
    let (report, _) = project.run(&[]).unwrap();
    assert_eq!(report.counts.changes.total(), 0, "{report:?}");
    assert!(!says_full_resync(&report), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_30_a_killed_waiters_full_resync_is_done_by_the_next_run_which_says_so() {
    let (receiver, project) = fixture(UPSERT).await;
    let run = under_way(&receiver, &project).await;
    let waiter = waiting(&project).await;
    signal(&waiter, Signal::KILL);
    end(waiter);
    assert_eq!(end(run), 0);
    let (report, _) = project.run(&[]).unwrap();
    assert_eq!(report.counts.succeeded.added, 2, "{report:?}");
    assert!(says_full_resync(&report), "{report:?}");
    assert_eq!(project.run(&[]).unwrap().0.counts.changes.total(), 0, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_34_a_full_resync_that_finds_no_source_is_done_by_the_next_run() {
    let (_receiver, project) = fixture(UPSERT).await;
    let (file, away) = (project.path().join("people.csv"), project.path().join("away.csv"));
    std::fs::rename(&file, &away).unwrap();
    let (report, code) = project.run(&["--full-resync"]).unwrap();
    assert_eq!((report.status, code), (Status::Interrupted, 4), "{report:?}");
    std::fs::rename(&away, &file).unwrap();
    let (report, _) = project.run(&[]).unwrap();
    assert_eq!(report.counts.succeeded.added, 2, "{report:?}");
    assert!(says_full_resync(&report), "{report:?}");
    assert_eq!(project.run(&[]).unwrap().0.counts.changes.total(), 0, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_30_a_refused_full_resync_is_over() {
    let (_receiver, project) = fixture(MIRROR).await;
    let (report, code) = project.run(&["--full-resync"]).unwrap();
    assert_eq!((report.status, code), (Status::Failed, 2), "{report:?}");
    let (report, _) = project.run(&[]).unwrap();
    assert_eq!(
        (report.status, report.counts.changes.total()),
        (Status::Success, 0),
        "{report:?}"
    );
}

/// The process dies at some instant from its start to its first request.
#[tokio::test(flavor = "multi_thread")]
async fn rule_30_a_full_resync_whose_process_dies_is_done_once() {
    let (receiver, project) = fixture(UPSERT).await;
    for delay_ms in [0, 20, 60, 100, 150, 200, 300, 400, 600] {
        let _ = receiver.take_received();
        receiver.faults([Fault::StallMs(700)]);
        let run = start(&project, &FULL);
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        let begun = runs(&project).first().is_some_and(|run| run["status"] == "running");
        signal(&run, Signal::KILL);
        end(run);
        receiver.faults([]);
        let (report, _) = project.run(&[]).unwrap();
        if begun {
            // What had left already may be there, and is sent as a change.
            assert_eq!(report.counts.succeeded.total(), 2, "{delay_ms}: {report:?}");
        }
        assert_eq!(
            project.run(&[]).unwrap().0.counts.changes.total(),
            0,
            "{delay_ms}: once"
        );
    }
}

fn runs(project: &Project) -> Vec<serde_json::Value> {
    let runs = project.outflow(&["runs", SYNC, "--output", "json"]).unwrap();
    serde_json::from_slice(&runs.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_30_validate_and_plan_leave_a_run_alone_and_it_them() {
    let (receiver, project) = fixture(UPSERT).await;
    let run = under_way(&receiver, &project).await;
    let validate = project.outflow(&["validate"]).unwrap();
    assert!(validate.status.success(), "{validate:?}");
    let plan = project.outflow(&["plan", SYNC]).unwrap();
    let told = String::from_utf8_lossy(&plan.stderr).into_owned();
    assert_eq!(plan.status.code(), Some(1), "{told}");
    assert!(told.contains("is being run by") && told.contains("--wait"), "{told}");
    let plan = project.outflow(&["plan", SYNC, "--wait", "--output", "json"]).unwrap();
    assert_eq!(plan.status.code(), Some(0), "{plan:?}");
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).unwrap();
    assert_eq!(plan["counts"]["unchanged"], 2, "{plan}");
    assert_eq!(end(run), 0);
}

/// CPU seconds of a process so far.
#[cfg(target_os = "linux")]
fn cpu(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let ticks = |index: usize| {
        after_name
            .split_whitespace()
            .nth(index)
            .unwrap()
            .parse::<u32>()
            .unwrap()
    };
    f64::from(ticks(11) + ticks(12)) / 100.0
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn rule_30_a_server_waits_for_another_process_without_haste() {
    let (receiver, project) = fixture(&format!("{UPSERT}\nschedule: {{every: 1s}}")).await;
    let run = under_way(&receiver, &project).await;
    let serve = start(&project, &["serve"]);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let used = cpu(serve.id());
    signal(&serve, Signal::TERM);
    assert_eq!((end(run), end(serve)), (0, 0));
    assert!(used < 0.8, "{used} CPU seconds in 2.5 seconds of waiting");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_run_a_sync_says_so_without_end_of_lines() {
    let (receiver, project) = fixture(&format!("{UPSERT}\nschedule: {{every: 1s}}")).await;
    let before = receiver.received();
    // Nobody can lock it.
    let state = project.path().join(".outflow/syncs").join(SYNC);
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::write(&state, "").unwrap();
    let mut command = project.command(&["serve"]).unwrap();
    let serve = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    signal(&serve, Signal::TERM);
    let output = tokio::task::block_in_place(|| serve.wait_with_output()).unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = told.lines().filter(|line| line.contains(SYNC)).count();
    assert!(
        (1..=3).contains(&lines),
        "{lines} lines: {}",
        told.lines().next().unwrap_or_default()
    );
    assert_eq!(receiver.received(), before);
}
