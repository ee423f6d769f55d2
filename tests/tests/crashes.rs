//! Crashes at every step that touches disk or wire: the process is killed, the power is cut, the disk is full, or the
//! process is suspended and loses its place. Whatever it was, the next run leaves receiver and ledger as the model says.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use outflow_core::fault::POINTS;
use outflow_core::report::Status;
use outflow_tests::project::SYNC;
use outflow_tests::trial::Trial;
use rustix::process::{Pid, Signal, kill_process};

/// Rows of a model: a few batches.
const ROWS: u64 = 60;
/// Trials at a time.
const AT_ONCE: usize = 3;

/// The point that only a run comes by that finds no entries.
const ONLY_AT_FIRST: &str = "rows-staged";

/// When a step comes: before anything has left, while batches leave, or once every outcome is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Before,
    During,
    After,
}

/// Every point, at first and where it comes again.
fn steps() -> Vec<(&'static str, u64, Phase)> {
    let mut phase = Phase::Before;
    let mut steps = Vec::new();
    for point in POINTS {
        match point {
            // First for the journal's header, then for attempts and outcomes.
            "entries-written" | "entries-durable" => {
                steps.extend([
                    (point, 1, Phase::Before),
                    (point, 2, Phase::During),
                    (point, 3, Phase::During),
                ]);
                continue;
            }
            "attempt-journaled" => phase = Phase::During,
            "fold-written" => phase = Phase::After,
            _ => {}
        }
        steps.push((point, 1, phase));
        if phase == Phase::During {
            steps.push((point, 2, phase));
        }
    }
    steps
}

/// What is done to the process, and what of its state is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    Kill,
    CutPower,
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_04_a_kill_at_any_step_loses_nothing_and_repeats_nothing() {
    at_every_step(Harm::Kill).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_04_a_cut_of_power_at_any_step_loses_nothing_and_repeats_nothing() {
    at_every_step(Harm::CutPower).await.unwrap();
}

async fn at_every_step(harm: Harm) -> Result<()> {
    let cases = steps().into_iter().enumerate().flat_map(|(index, step)| {
        // The first run of a sync, and a later one; a cut of power is tried with one of them.
        let firsts = [true, false].into_iter();
        firsts
            .filter(move |first| *first || step.0 != ONLY_AT_FIRST)
            .filter(move |first| harm == Harm::Kill || step.0 == ONLY_AT_FIRST || *first == (index % 2 == 0))
            .map(move |first| (step, first))
    });
    let trials = cases.map(|((point, nth, phase), first)| async move {
        let trial = Trial::new(ROWS, nth).await?;
        let case = format!("{harm:?} at {point}:{nth}, first run: {first}");
        tokio::task::spawn_blocking(move || crash(trial, harm, (point, nth, phase), first))
            .await?
            .context(case)
    });
    let done: Vec<()> = futures::stream::iter(trials)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    println!("{} trials", done.len());
    Ok(())
}

fn crash(mut trial: Trial, harm: Harm, (point, nth, phase): (&str, u64, Phase), first: bool) -> Result<()> {
    if !first {
        trial.judge()?;
        trial.change()?;
    }
    let before = trial.receiver.received();
    let status = trial.start(&format!("{point}:kill:{nth}"))?.wait()?;
    ensure!(is_killed(status), "the point was not reached: {status}");
    if harm == Harm::CutPower {
        trial.cut_power()?;
    }
    let sent = trial.receiver.received();
    ensure!(phase != Phase::Before || sent == before, "something was sent already");
    trial.judge()?;
    ensure!(
        phase != Phase::After || trial.receiver.received() == sent,
        "something was sent again"
    );
    Ok(())
}

fn is_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw())
}

/// Every process that waits for the sync gets it in turn, and none does the work of another again.
#[tokio::test(flavor = "multi_thread")]
async fn rule_30_processes_that_race_for_a_sync_do_its_work_once() {
    let mut trial = Trial::new(ROWS, 1).await.unwrap();
    for _ in 0..3 {
        let racers: Vec<Child> = (0..4).map(|_| trial.project.start().unwrap()).collect();
        for mut racer in racers {
            assert!(racer.wait().unwrap().success());
        }
        trial.compare().unwrap();
        trial.change().unwrap();
    }
    let accepted = trial.receiver.accepted();
    assert!(accepted.values().all(|times| *times == 1), "{accepted:?}");
}

/// The state folder is replaced by a copy while the process sleeps: its lock keeps nobody out any more.
#[tokio::test(flavor = "multi_thread")]
async fn rule_30_a_suspended_process_that_lost_its_place_sends_and_records_nothing_more() {
    for point in ["plan-noted:stop:1", "attempt-journaled:stop:1", "batch-answered:stop:1"] {
        let mut trial = Trial::new(ROWS, 2).await.unwrap();
        trial.judge().unwrap();
        trial.change().unwrap();
        let mut sleeper = trial.start(point).unwrap();
        until_stopped(&sleeper);
        let refused = trial.project.outflow(&["run", SYNC, "--no-wait"]).unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains("is being run"), "it has its place still: {point}: {said}");
        // As a restored backup does.
        let (folder, copy) = (trial.folder(), trial.project.path().join("copy"));
        copy_folder(&folder, &copy).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::rename(&copy, &folder).unwrap();
        trial.judge().unwrap_or_else(|error| panic!("{point}: {error:#}"));
        let sent = trial.receiver.received();
        kill_process(pid(&sleeper), Signal::CONT).unwrap();
        let status = sleeper.wait().unwrap();
        assert_eq!(status.code(), Some(1), "{point}: {status}");
        assert_eq!(trial.receiver.received(), sent, "{point}: it has sent more");
        trial.compare().unwrap_or_else(|error| panic!("{point}: {error:#}"));
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

/// Waits until the process is suspended.
fn until_stopped(child: &Child) {
    let begun = Instant::now();
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        match stat.rsplit(") ").next().unwrap().chars().next() {
            Some('T') => return,
            Some('Z') => panic!("it ended before it was suspended"),
            _ => assert!(
                begun.elapsed() < Duration::from_secs(30),
                "it was not suspended: {stat}"
            ),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// The steps that write, each as on a disk that is full from then on.
#[tokio::test(flavor = "multi_thread")]
async fn rule_04_a_step_that_finds_the_disk_full_ends_the_run_and_the_next_one_goes_on() {
    let steps = [
        "plan-written:full:1",
        "entries-written:full:1",
        "entries-written:full:2",
        "entries-written:full:3",
        "fold-written:full:1",
        "record-written:full:1",
    ];
    for step in steps {
        let mut trial = Trial::new(ROWS, 3).await.unwrap();
        trial.judge().unwrap();
        trial.change().unwrap();
        let status = trial.start(step).unwrap().wait().unwrap();
        assert_eq!(status.code(), Some(1), "{step}: {status}");
        trial.judge().unwrap_or_else(|error| panic!("{step}: {error:#}"));
    }
}

/// A real limit, on the size of files: DuckDB, SQLite and the journal meet it where they happen to.
#[tokio::test(flavor = "multi_thread")]
async fn rule_04_files_that_cannot_grow_end_the_run_and_the_next_one_goes_on() {
    let mut failed = 0;
    // In blocks of 512 bytes; less than what the catalog has already, up to more than is needed.
    for blocks in [16, 64, 160, 256, 600, 1_200, 3_000] {
        let mut trial = Trial::new(3_000, blocks).await.unwrap();
        trial.judge().unwrap();
        trial.change().unwrap();
        let mut run = Command::new("sh");
        let plain = trial.project.command(&["run", SYNC]).unwrap();
        run.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""), "sh"])
            .arg(plain.get_program())
            .args(plain.get_args())
            .current_dir(trial.project.path())
            .envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .stdin(Stdio::null());
        let output = run.output().unwrap();
        failed += u32::from(!output.status.success());
        assert!(output.status.code().is_some(), "{blocks}: it died: {output:?}");
        trial.judge().unwrap_or_else(|error| {
            panic!(
                "{blocks}: {error:#}; the run before said {}",
                String::from_utf8_lossy(&output.stderr)
            )
        });
    }
    println!("{failed} runs failed");
    assert!(failed > 2, "the limits were not met");
}

/// What DuckDB has not moved into its file yet is in a log beside it. A killed process leaves one.
#[tokio::test(flavor = "multi_thread")]
async fn rule_07_a_ledgers_log_that_was_cut_or_has_a_byte_that_flipped_is_noticed_or_means_nothing() {
    let mut stopped = 0;
    for point in ["plan-noted:kill:1", "fold-noted:kill:1"] {
        let mut trial = Trial::new(ROWS, 4).await.unwrap();
        trial.judge().unwrap();
        trial.change().unwrap();
        assert!(is_killed(trial.start(point).unwrap().wait().unwrap()));
        let state = trial.project.path().join(".outflow");
        let copy = trial.project.path().join("copy");
        copy_folder(&state, &copy).unwrap();
        let log = trial.folder().join("ledger.duckdb.wal");
        let sound = std::fs::read(&log).unwrap();
        for part in 0..12 {
            let at = sound.len() * (part / 2) / 6;
            let mut harmed = sound.clone();
            if part % 2 == 0 {
                harmed.truncate(at);
            } else {
                harmed[at] ^= 0x04;
            }
            std::fs::write(&log, harmed).unwrap();
            let sent = trial.receiver.received();
            let (report, _) = trial.project.run(&[]).unwrap();
            if report.status == Status::Success {
                trial
                    .compare()
                    .unwrap_or_else(|error| panic!("{point}, {part}: {error:#}"));
            } else {
                let message = report.message.unwrap();
                assert!(message.contains("rebaseline"), "{point}, {part}: {message}");
                assert_eq!(trial.receiver.received(), sent, "{point}, {part}: {message}");
                stopped += 1;
            }
            std::fs::remove_dir_all(&state).unwrap();
            copy_folder(&copy, &state).unwrap();
        }
        trial.judge().unwrap();
    }
    println!("{stopped} runs were stopped");
    assert!(stopped > 4, "hardly anything was noticed: {stopped}");
}
