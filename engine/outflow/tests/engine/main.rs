//! The engine over a project in a folder and a destination in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod ahead;
mod memory;
mod queue;
mod renamed;
mod state;

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use outflow::{Engine, EngineBuilder, Error, PlanOptions, RunOptions, Status};

use memory::Memory;

struct Fixture {
    folder: tempfile::TempDir,
    memory: Memory,
}

const SYNC: &str = "people-to-memory";

impl Fixture {
    fn new(schedule: &str) -> Self {
        let fixture = Self {
            folder: tempfile::tempdir().unwrap(),
            memory: Memory::default(),
        };
        for (path, text) in [
            ("outflow.yml", "version: 1\nname: test\nwait_for_sources: 0s\n"),
            (
                "sources/people.yml",
                "type: csv\npath: people.csv\ncolumns: {id: BIGINT, name: VARCHAR}\n",
            ),
            ("models/people.sql", "SELECT id, name FROM people\n"),
            ("models/people.yml", "source: people\nkey: id\n"),
            ("destinations/memory.yml", "plugin: memory\nconfig: {}\n"),
        ] {
            fixture.write(path, text);
        }
        let sync = "model: people\ndestination: memory\nmode: upsert\nmappings: [{from: name, to: name}]\n";
        fixture.write(&format!("syncs/{SYNC}.yml"), &format!("{sync}{schedule}\n"));
        fixture.write("people.csv", "id,name\n1,Ann\n2,Bob\n");
        fixture
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn engine(&self) -> Engine {
        self.builder().build().unwrap()
    }

    fn builder(&self) -> EngineBuilder {
        Engine::builder(self.folder.path(), Arc::new(self.memory.clone())).user("ann")
    }
}

async fn run(engine: &Engine) -> outflow::Report {
    engine.run(SYNC, RunOptions::default()).wait().await.unwrap()
}

#[tokio::test]
async fn runs_are_numbered_counted_and_listed() {
    let fixture = Fixture::new("");
    let engine = fixture.engine();
    assert_eq!(run(&engine).await.counts.succeeded.added, 2);
    assert_eq!(run(&engine).await.counts.changes.total(), 0);
    // Another process knows the same.
    let engine = fixture.engine();
    let runs = engine.runs(SYNC, 10).unwrap();
    assert_eq!(runs.iter().map(|run| run.number).collect::<Vec<_>>(), [2, 1]);
    assert!(
        runs.iter()
            .all(|run| run.ended.as_ref().unwrap().status == Status::Success && run.by == "ann")
    );
    assert_eq!(engine.catalog().find_sync(SYNC).unwrap().unwrap().created_by, "ann");
    assert_eq!(fixture.memory.batches(), 1);
}

#[tokio::test]
async fn rule_27_after_a_lost_catalog_numbers_go_on_from_the_ledger() {
    let fixture = Fixture::new("");
    assert_eq!(run(&fixture.engine()).await.number, 1);
    for name in ["catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-shm"] {
        let _ = std::fs::remove_file(fixture.folder.path().join(".outflow").join(name));
    }
    fixture.write("people.csv", "id,name\n1,Ann\n2,Bo\n");
    let engine = fixture.engine();
    let report = run(&engine).await;
    assert_eq!((report.number, report.counts.succeeded.changed), (2, 1));
    assert_eq!(engine.runs(SYNC, 9).unwrap()[0].number, 2);
}

#[tokio::test]
async fn an_unknown_sync_is_told_with_those_that_there_are() {
    let engine = Fixture::new("").engine();
    let error = engine.run("people", RunOptions::default()).wait().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no sync `people`; the project has people-to-memory"
    );
    assert!(error.is_configuration());
}

#[tokio::test]
async fn rule_31_a_plan_leaves_no_trace() {
    let fixture = Fixture::new("");
    let engine = fixture.engine();
    let preview = engine.plan(SYNC, PlanOptions::default()).await.unwrap();
    assert_eq!(preview.counts.planned.added, 2);
    assert_eq!(preview.sample.len(), 2);
    assert!(engine.runs(SYNC, 10).unwrap().is_empty());
    assert_eq!(engine.catalog().find_sync(SYNC).unwrap(), None, "nobody has run it yet");
    assert_eq!(fixture.memory.batches(), 0);
}

#[tokio::test]
async fn rule_30_a_second_run_waits_and_is_one_follow_up() {
    let fixture = Fixture::new("");
    fixture.memory.hold();
    let engine = fixture.engine();
    let first = engine.run(SYNC, RunOptions::default());
    fixture.memory.wait_for_batch().await;

    let refused = engine
        .run(
            SYNC,
            RunOptions {
                no_wait: true,
                ..RunOptions::default()
            },
        )
        .wait()
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, Error::Running { holder: Some(holder), .. } if holder.by == "ann"),
        "{refused}"
    );

    let others = [
        engine.run(SYNC, RunOptions::default()),
        engine.run(SYNC, RunOptions::default()),
    ];
    tokio::time::sleep(Duration::from_millis(100)).await;
    fixture.memory.release();
    assert_eq!(first.wait().await.unwrap().number, 1);
    for other in others {
        assert_eq!(other.wait().await.unwrap().number, 2);
    }
    assert_eq!(engine.runs(SYNC, 10).unwrap().len(), 2);
}

#[tokio::test]
async fn rule_07_the_catalog_notices_a_lost_ledger() {
    let fixture = Fixture::new("");
    let engine = fixture.engine();
    run(&engine).await;
    std::fs::remove_file(engine.state().join("syncs").join(SYNC).join("ledger.duckdb")).unwrap();
    let lost = run(&engine).await;
    assert_eq!(lost.status, Status::Failed);
    assert!(lost.message.unwrap().contains("is gone"));
}

#[tokio::test]
async fn rule_37_serve_runs_what_is_due_once_and_stops_when_told() {
    let fixture = Fixture::new("schedule: {every: 1h}");
    let engine = fixture.engine();
    // It was due many times while nothing ran.
    let then = Utc::now() - TimeDelta::days(2);
    engine.catalog().sync(SYNC, "ann", then).unwrap();
    engine.serve(queue::ended(&engine, 1)).await.unwrap();
    let runs = engine.runs(SYNC, 10).unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].trigger, outflow::catalog::Trigger::Schedule);
    assert_eq!(runs[0].ended.as_ref().unwrap().status, Status::Success);
}

#[tokio::test]
async fn serve_cancels_what_is_under_way_and_waits_for_it() {
    let fixture = Fixture::new("schedule: {every: 1h}");
    let engine = fixture.engine();
    engine
        .catalog()
        .sync(SYNC, "ann", Utc::now() - TimeDelta::days(2))
        .unwrap();
    fixture.memory.hold();
    let memory = fixture.memory.clone();
    let shutdown = async {
        memory.wait_for_batch().await;
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            memory.release();
        });
    };
    engine.serve(shutdown).await.unwrap();
    let ended = engine.runs(SYNC, 1).unwrap()[0].ended.clone().unwrap();
    // The one batch was in flight, and is waited for.
    assert_eq!((ended.status, ended.counts.succeeded.added), (Status::Cancelled, 2));
}

#[test]
fn the_next_ticks_are_listed() {
    let fixture = Fixture::new("schedule: {cron: \"0 6 * * 1-5\", timezone: Europe/Berlin}");
    let now = "2026-11-25T12:00:00Z".parse().unwrap();
    let ticks = fixture.engine().schedule(3, now).unwrap();
    let at: Vec<String> = ticks[0].at.iter().map(chrono::DateTime::to_rfc3339).collect();
    assert_eq!(ticks[0].sync, SYNC);
    assert_eq!(
        at,
        [
            "2026-11-26T05:00:00+00:00",
            "2026-11-27T05:00:00+00:00",
            "2026-11-30T05:00:00+00:00"
        ]
    );
}
