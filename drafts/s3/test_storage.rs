//! Sources in object storage, against a server that checks signatures.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use outflow_core::report::{Report, Status};
use outflow_tests::project::{Project, SYNC};
use outflow_tests::receiver::Receiver;
use outflow_tests::storage::{KEY_ID, SECRET, Storage};
use serde_json::Value;

/// Whether DuckDB's extension is there; else the test is to be skipped.
fn can_run() -> bool {
    let folder = Path::new(option_env!("DUCKDB_LIB_DIR").unwrap_or_default()).join("extensions");
    let there = folder.join("httpfs.duckdb_extension").exists();
    if !there {
        eprintln!("skipped: there is no httpfs in {}", folder.display());
    }
    there
}

async fn project(source: &str, model: &str) -> (Project, Receiver) {
    let receiver = Receiver::start().await.unwrap();
    let sync = "mode: mirror\nmatch: {from: id, to: id}\nmappings: [{from: name, to: name}]";
    let project = Project::new(&receiver.origin(), &[("id", "INTEGER")], "id", sync).unwrap();
    project.write("sources/people.yml", source).unwrap();
    project.write("models/people.sql", model).unwrap();
    (project, receiver)
}

/// Runs the sync; how it ended, its message, and the exit code. Nothing that it wrote has the secret.
fn run(project: &Project) -> (Status, String, i32) {
    let output = tokio::task::block_in_place(|| {
        let mut command = project.command(&["run", SYNC, "--output", "json"]).unwrap();
        command.env("LAKE_KEY_ID", KEY_ID).env("LAKE_SECRET", SECRET);
        command.output().unwrap()
    });
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(!format!("{out}{err}").contains("of-storage"), "{out}{err}");
    let leaks = project.files_with("of-storage").unwrap();
    assert!(leaks.is_empty(), "{leaks:?}");
    let Ok(reports) = serde_json::from_str::<Vec<Report>>(&out) else {
        panic!("{out}{err}")
    };
    let report = reports.into_iter().next().unwrap();
    (
        report.status,
        report.message.unwrap_or_default(),
        output.status.code().unwrap_or(-1),
    )
}

fn names(receiver: &Receiver) -> Vec<Value> {
    receiver
        .records()
        .into_values()
        .map(|record| record["name"].clone())
        .collect()
}

fn write_parquet(storage: &Storage, key: &str, rows: &str) {
    let path = storage.object(key).unwrap();
    let duckdb = duckdb::Connection::open_in_memory().unwrap();
    let copy = format!(
        "COPY (SELECT * FROM (VALUES {rows}) AS t(id, name)) TO '{}'",
        path.display()
    );
    duckdb.execute_batch(&copy).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_in_object_storage_are_read_in_every_format() {
    if !can_run() {
        return;
    }
    let storage = Storage::start().await.unwrap();
    write_parquet(&storage, "people/1.parquet", "(1, 'Ada')");
    write_parquet(&storage, "people/2.parquet", "(2, 'Bob'), (3, 'Eve')");
    std::fs::write(storage.object("one.csv").unwrap(), "id,name\n1,Ada\n2,Cid\n").unwrap();
    std::fs::write(
        storage.object("lines/a.json").unwrap(),
        "{\"id\":1,\"name\":\"Dan\"}\n",
    )
    .unwrap();
    for (kind, key, wanted) in [
        ("parquet", "people/*.parquet", &["Ada", "Bob", "Eve"][..]),
        ("parquet", "people/2.parquet", &["Bob", "Eve"]),
        ("csv", "one.csv", &["Ada", "Cid"]),
        ("json", "lines/*.json", &["Dan"]),
    ] {
        let (project, receiver) = project(&storage.source(kind, key), "SELECT id, name FROM people").await;
        let (status, message, _) = run(&project);
        assert_eq!(status, Status::Success, "{kind} {key}: {message}");
        assert_eq!(names(&receiver), wanted, "{kind} {key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_16_storage_that_is_away_or_refuses_removes_nothing() {
    if !can_run() {
        return;
    }
    let storage = Storage::start().await.unwrap();
    write_parquet(&storage, "people/1.parquet", "(1, 'Ada')");
    let source = storage.source("parquet", "people/*.parquet");
    let (project, receiver) = project(&source, "SELECT id, name FROM people").await;
    assert_eq!(run(&project), (Status::Success, String::new(), 0));

    // Wrong secrets are said with file and field.
    for (part, by) in [("env: LAKE_SECRET", "file: wrong"), ("env: LAKE_KEY_ID", "file: wrong")] {
        project.write("wrong", "another").unwrap();
        project.write("sources/people.yml", &source.replace(part, by)).unwrap();
        let (status, message, code) = run(&project);
        assert_eq!((status, code), (Status::Failed, 2), "{message}");
        assert!(
            message.contains("sources/people.yml") && message.contains("s3.secrets"),
            "{message}"
        );
    }
    // No object, no storage.
    project
        .write("sources/people.yml", &source.replace("people/*", "peolpe/*"))
        .unwrap();
    let (status, message, code) = run(&project);
    assert_eq!((status, code), (Status::Interrupted, 4), "{message}");
    assert!(message.contains("there is no file s3://lake/peolpe/*.parquet"), "{message}");
    project
        .write("sources/people.yml", &source.replace("people/*", "peolpe/1"))
        .unwrap();
    let (status, message, _) = run(&project);
    assert_eq!(status, Status::Interrupted, "{message}");
    project.write("sources/people.yml", &source).unwrap();
    storage.stop();
    let (status, message, code) = run(&project);
    assert_eq!((status, code), (Status::Interrupted, 4), "{message}");
    assert!(message.contains("source `people`: the server is away"), "{message}");
    assert_eq!(names(&receiver), ["Ada"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_reaches_the_objects_that_its_source_names_and_no_others() {
    if !can_run() {
        return;
    }
    let storage = Storage::start().await.unwrap();
    write_parquet(&storage, "people/1.parquet", "(1, 'Ada')");
    write_parquet(&storage, "secret/1.parquet", "(7, 'Zoe')");
    let source = storage.source("parquet", "people/*.parquet");
    for model in [
        "SELECT id, name FROM read_parquet('s3://lake/secret/1.parquet')".to_owned(),
        "SELECT id, name FROM 's3://lake/secret/1.parquet'".into(),
        "SELECT id, name FROM read_parquet('s3://lake/people/1.parquet')".into(),
        format!("SELECT id, name FROM read_parquet('{}/lake/secret/1.parquet')", storage.origin),
        "SELECT file AS id, file AS name FROM glob('s3://lake/*')".into(),
        "SELECT name AS id, secret_string AS name FROM duckdb_secrets()".into(),
    ] {
        let (project, receiver) = project(&source, &model).await;
        let (status, message, code) = run(&project);
        assert_eq!((status, code), (Status::Failed, 2), "{model}: {message}");
        assert!(message.contains("models/people.sql"), "{model}: {message}");
        assert!(receiver.records().is_empty());
    }
}
