//! What waits for a run, and what becomes of it (rules 30 and 34).

use outflow::catalog::{Cause, Order, Trigger};
use outflow::{Report, RunHandle};

use super::*;

fn full() -> RunOptions {
    RunOptions {
        full_resync: true,
        ..RunOptions::default()
    }
}

/// As a waiter leaves it whose process was killed.
fn leave(engine: &Engine, full_resync: bool) -> i64 {
    let order = Order {
        trigger: Trigger::Manual,
        by: "bob".into(),
        full_resync,
        force: false,
        created_at: Utc::now(),
    };
    let id = engine.catalog().sync(SYNC, "ann", Utc::now()).unwrap().id;
    engine.catalog().enqueue(id, &order).unwrap();
    id
}

/// Two rows at the destination, and a run that is stopped in the middle of its only batch.
async fn under_way(fixture: &Fixture, engine: &Engine) -> RunHandle {
    run(engine).await;
    fixture.write("people.csv", "id,name\n1,Anna\n2,Bob\n");
    let before = fixture.memory.batches();
    fixture.memory.hold();
    let first = engine.run(SYNC, RunOptions::default());
    while fixture.memory.batches() == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    first
}

async fn queued(engine: &Engine, id: i64, orders: usize) {
    while engine.catalog().orders(id).unwrap().len() < orders {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until that many of the sync's runs have begun and the last has ended, and a second longer, in which a further one
/// would begin.
pub async fn ended(engine: &Engine, count: usize) {
    let waits = 3_000;
    for _ in 0..waits {
        let runs = engine.runs(SYNC, 10).unwrap();
        if runs.len() >= count && runs[0].ended.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
}

fn notes_of(report: &Report) -> String {
    report.notes.join("\n")
}

#[tokio::test]
async fn rule_30_a_cancel_names_its_run() {
    let fixture = Fixture::new("");
    let engine = fixture.engine();
    let first = under_way(&fixture, &engine).await;
    let id = engine.catalog().find_sync(SYNC).unwrap().unwrap().id;
    let given_up = engine.run(SYNC, full());
    queued(&engine, id, 2).await;
    let patient = engine.run(SYNC, RunOptions::default());
    queued(&engine, id, 3).await;
    given_up.control().cancel();
    let error = given_up.wait().await.unwrap_err();
    assert!(matches!(error, Error::Cancelled { .. }), "{error}");
    fixture.memory.release();
    assert_eq!(first.wait().await.unwrap().status, Status::Success);
    let report = patient.wait().await.unwrap();
    assert_eq!((report.number, report.counts.changes.total()), (3, 0), "{report:?}");
    assert!(!engine.runs(SYNC, 1).unwrap()[0].full_resync);
    assert!(engine.catalog().orders(id).unwrap().is_empty());
}

#[tokio::test]
async fn rule_30_a_waiter_is_answered_by_the_run_that_took_its_order() {
    let fixture = Fixture::new("");
    let engine = fixture.engine();
    let first = under_way(&fixture, &engine).await;
    let id = engine.catalog().find_sync(SYNC).unwrap().unwrap().id;
    let plain = engine.run(SYNC, RunOptions::default());
    queued(&engine, id, 2).await;
    let resync = engine.run(SYNC, full());
    queued(&engine, id, 3).await;
    fixture.memory.release();
    first.wait().await.unwrap();
    for waiter in [plain, resync] {
        let report = waiter.wait().await.unwrap();
        assert_eq!((report.number, report.counts.succeeded.added), (3, 2), "{report:?}");
    }
    assert_eq!(engine.runs(SYNC, 10).unwrap().len(), 3);
}

#[tokio::test]
async fn rule_30_a_cancelled_run_gives_others_back_what_it_took_from_them() {
    let fixture = Fixture::new("");
    let engine = fixture.engine();
    run(&engine).await;
    let id = leave(&engine, true);
    fixture.memory.mute(true);
    let cancelled = engine.run(SYNC, RunOptions::default());
    queued(&engine, id, 2).await;
    cancelled.control().cancel();
    fixture.memory.mute(false);
    assert_eq!(cancelled.wait().await.unwrap().status, Status::Cancelled);
    assert_eq!(engine.catalog().queued().unwrap(), [id]);
    let report = run(&engine).await;
    assert_eq!(report.counts.succeeded.added, 2, "{report:?}");
    assert!(
        notes_of(&report).contains("the full resync that bob asked for"),
        "{report:?}"
    );
    assert!(engine.catalog().orders(id).unwrap().is_empty());
}

#[tokio::test]
async fn rule_30_a_server_runs_what_a_process_that_died_had_taken() {
    let fixture = Fixture::new("");
    let engine = fixture.engine();
    run(&engine).await;
    let id = leave(&engine, true);
    // It dies after its run has begun.
    let begun = Utc::now() - TimeDelta::seconds(61);
    let begun = engine.catalog().begin_run(id, "bob", Cause::Waiting, begun);
    begun.unwrap().unwrap();
    engine.serve(ended(&engine, 3)).await.unwrap();
    let runs = engine.runs(SYNC, 10).unwrap();
    let ended = runs[0].ended.as_ref().unwrap();
    assert_eq!(
        (runs.len(), ended.status, ended.counts.succeeded.added),
        (3, Status::Success, 2)
    );
    assert!(
        ended.notes[0].contains("run 2 left of the full resync that bob"),
        "{:?}",
        ended.notes
    );
}

#[tokio::test]
async fn rule_30_a_server_does_not_at_once_repeat_what_a_process_died_of() {
    let fixture = Fixture::new("");
    let engine = fixture.engine();
    run(&engine).await;
    let id = leave(&engine, false);
    let begun = engine.catalog().begin_run(id, "bob", Cause::Waiting, Utc::now());
    begun.unwrap().unwrap();
    engine.serve(tokio::time::sleep(Duration::from_secs(2))).await.unwrap();
    assert_eq!(engine.runs(SYNC, 10).unwrap().len(), 2, "it waits a while");
    assert_eq!(engine.catalog().queued().unwrap(), [id]);
    // Who asks for it by hand need not wait.
    assert_eq!(run(&engine).await.number, 3);
}

#[tokio::test]
async fn rule_34_a_server_does_not_insist_on_what_was_interrupted() {
    let fixture = Fixture::new("");
    let engine = fixture.engine();
    run(&engine).await;
    let id = leave(&engine, true);
    std::fs::remove_file(fixture.folder.path().join("people.csv")).unwrap();
    engine.serve(ended(&engine, 2)).await.unwrap();
    let runs = engine.runs(SYNC, 10).unwrap();
    assert_eq!(runs.len(), 2, "one attempt, not one after the other");
    assert_eq!(runs[0].ended.as_ref().unwrap().status, Status::Interrupted);
    fixture.write("people.csv", "id,name\n1,Ann\n2,Bob\n");
    let report = run(&engine).await;
    assert_eq!(report.counts.succeeded.added, 2, "{report:?}");
    assert!(engine.catalog().orders(id).unwrap().is_empty());
}

#[tokio::test]
async fn rule_30_a_full_resync_that_fails_is_over_and_says_so() {
    let fixture = Fixture::new("on_removed: delete");
    let engine = fixture.engine();
    run(&engine).await;
    let refused = engine.run(SYNC, full()).wait().await.unwrap();
    assert_eq!((refused.status, refused.configuration), (Status::Failed, true));
    assert!(notes_of(&refused).contains("ask for it again"), "{refused:?}");
    assert_eq!(run(&engine).await.status, Status::Success);
}

#[tokio::test]
async fn rule_30_what_a_stopping_server_cancels_waits_for_the_next() {
    let fixture = Fixture::new("");
    let engine = fixture.engine();
    run(&engine).await;
    leave(&engine, true);
    fixture.memory.mute(true);
    let memory = fixture.memory.clone();
    let shutdown = async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            memory.mute(false);
        });
    };
    engine.serve(shutdown).await.unwrap();
    assert_eq!(
        engine.runs(SYNC, 1).unwrap()[0].ended.as_ref().unwrap().status,
        Status::Cancelled
    );
    engine.serve(ended(&engine, 3)).await.unwrap();
    let runs = engine.runs(SYNC, 10).unwrap();
    assert_eq!(
        (runs.len(), runs[0].ended.as_ref().unwrap().counts.succeeded.added),
        (3, 2)
    );
}

#[tokio::test]
async fn rule_30_a_server_stops_within_its_time() {
    let fixture = Fixture::new("");
    let engine = fixture
        .builder()
        .stop_within(Duration::from_millis(500))
        .build()
        .unwrap();
    leave(&engine, false);
    // The destination never answers, and what is in flight has longer than that.
    fixture.memory.hold();
    let served = engine.serve(tokio::time::sleep(Duration::from_secs(1)));
    tokio::time::timeout(Duration::from_secs(10), served)
        .await
        .unwrap()
        .unwrap();
    fixture.memory.release();
    assert_eq!(
        engine.runs(SYNC, 1).unwrap()[0].ended,
        None,
        "as if the process had died"
    );
    // Its lock is free, and the next run does its work.
    let report = engine.run(
        SYNC,
        RunOptions {
            no_wait: true,
            ..RunOptions::default()
        },
    );
    assert_eq!(report.wait().await.unwrap().counts.succeeded.added, 2);
}
