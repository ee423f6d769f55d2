//! Sources in object storage, against a server that checks signatures.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outflow_core::report::Status;
use outflow_tests::project::Project;
use outflow_tests::receiver::Receiver;
use outflow_tests::secrets::{self, Ended};
use outflow_tests::storage::{self, KEY, Storage};
use serde_json::Value;

const MODEL: &str = "SELECT id, name FROM people";

/// A project whose model reads the source `people`, and that sends to a receiver.
async fn project(source: &str, model: &str) -> (Project, Receiver) {
    let receiver = Receiver::start().await.unwrap();
    let sync = "mode: mirror\nmatch: {from: id, to: id}\nmappings: [{from: name, to: name}]";
    let project = Project::new(&receiver.origin(), &[("id", "INTEGER")], "id", sync).unwrap();
    project.write("sources/people.yml", source).unwrap();
    project.write("models/people.sql", model).unwrap();
    (project, receiver)
}

fn run(project: &Project) -> Ended {
    secrets::run(project, KEY).unwrap()
}

#[track_caller]
fn succeeds(project: &Project) {
    let ended = run(project);
    assert_eq!((ended.status, ended.message.as_str()), (Status::Success, ""));
}

/// Runs the sync, which must end so, with a message that has these words.
#[track_caller]
fn ends(project: &Project, status: Status, words: &[&str]) {
    let ended = run(project);
    let code = if status == Status::Failed { 2 } else { 4 };
    assert_eq!((ended.status, ended.code), (status, code), "{}", ended.message);
    for word in words {
        assert!(ended.message.contains(word), "no `{word}`: {}", ended.message);
    }
}

fn names(receiver: &Receiver) -> Vec<Value> {
    let records = receiver.records();
    records.into_values().map(|record| record["name"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_38_objects_are_read_in_every_format_and_nothing_shows_the_key() {
    let Some(storage) = Storage::start().await.unwrap() else {
        return;
    };
    storage.parquet("people/1.parquet", "(1, 'Ada')").unwrap();
    storage.parquet("people/2.parquet", "(2, 'Bob'), (3, 'Eve')").unwrap();
    storage.parquet("people/deep/3.parquet", "(4, 'Fay')").unwrap();
    storage.parquet("odd names/ä=b.parquet", "(5, 'Gil')").unwrap();
    // Not below a glob: the server writes such characters otherwise than Amazon's in a list.
    storage.parquet("odd+name's.parquet", "(6, 'Hal')").unwrap();
    let write = |key: &str, text: &str| std::fs::write(storage.object(key).unwrap(), text).unwrap();
    write("one.csv", "id,name\n1,Ada\n2,Cid\n");
    write("parts/1.csv", "id;name\n1;Ada\n");
    write("parts/2.csv", "name,id\nBob,2\n");
    write("lines/a.json", "{\"id\":1,\"name\":\"Dan\"}\n");
    for (kind, key, wanted) in [
        ("parquet", "people/*.parquet", &["Ada", "Bob", "Eve"][..]),
        ("parquet", "people/**/*.parquet", &["Ada", "Bob", "Eve", "Fay"]),
        ("parquet", "people/2.parquet", &["Bob", "Eve"]),
        ("parquet", "odd+name's.parquet", &["Hal"]),
        ("parquet", "odd names/ä=b.parquet", &["Gil"]),
        ("parquet", "odd names/*.parquet", &["Gil"]),
        ("csv", "one.csv", &["Ada", "Cid"]),
        ("csv", "parts/[12].csv", &["Ada", "Bob"]),
        ("json", "lines/*.json", &["Dan"]),
        ("json", "lines/a.json", &["Dan"]),
    ] {
        let (project, receiver) = project(&storage.source(kind, key), MODEL).await;
        let ended = run(&project);
        assert_eq!(ended.status, Status::Success, "{kind} {key}: {}", ended.message);
        assert_eq!(names(&receiver), wanted, "{kind} {key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_16_storage_that_is_away_or_refuses_removes_nothing() {
    let Some(mut storage) = Storage::start().await.unwrap() else {
        return;
    };
    storage.parquet("people/1.parquet", "(1, 'Ada')").unwrap();
    let source = storage.source("parquet", "people/*.parquet");
    let (project, receiver) = project(&source, MODEL).await;
    succeeds(&project);

    let becomes = |source: &str| project.write("sources/people.yml", source).unwrap();
    project.write("wrong", "another").unwrap();
    for part in ["env: LAKE_SECRET", "env: LAKE_KEY_ID"] {
        becomes(&source.replace(part, "file: wrong"));
        ends(
            &project,
            Status::Failed,
            &["sources/people.yml:", "s3.secrets", "HTTP 403"],
        );
    }
    becomes(&source.replace("env: LAKE_SECRET", "env: NOT_SET"));
    ends(
        &project,
        Status::Failed,
        &["sources/people.yml:", "s3.secrets.secret", "`NOT_SET` is not set"],
    );
    becomes(source.split("  secrets").next().unwrap());
    ends(
        &project,
        Status::Failed,
        &["sources/people.yml:", "say in `s3.secrets` which key"],
    );

    // What is not there may come.
    for (part, by) in [
        ("people/*", "peolpe/*"),
        ("people/*", "people/7"),
        ("s3://lake", "s3://laek"),
    ] {
        becomes(&source.replace(part, by));
        ends(
            &project,
            Status::Interrupted,
            &["source `people`", "there is no file s3://"],
        );
    }
    becomes(&source);
    storage.before(|_, _| Some(503));
    ends(
        &project,
        Status::Interrupted,
        &["source `people`: the server is away", "503"],
    );
    storage.before(|_, _| None);
    storage.stop().await;
    let away = ["source `people`: the server is away", "Could not connect to server"];
    ends(&project, Status::Interrupted, &away);
    assert_eq!(names(&receiver), ["Ada"]);

    // It is waited for.
    project
        .write("outflow.yml", "version: 1\nname: test\nwait_for_sources: 2m\n")
        .unwrap();
    let waiting = secrets::start(&project, KEY).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    storage.parquet("people/2.parquet", "(2, 'Bob')").unwrap();
    storage.restart().await.unwrap();
    let ended = secrets::ended(&project, KEY, waiting).unwrap();
    assert_eq!(ended.status, Status::Success, "{}", ended.message);
    assert_eq!(names(&receiver), ["Ada", "Bob"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_05_objects_that_are_replaced_between_two_readings_are_recorded_as_they_were_sent() {
    let Some(storage) = Storage::start().await.unwrap() else {
        return;
    };
    let rows = |version: u64| format!("(1, 'Ada {version}'), (2, 'Bob {version}')");
    storage.parquet("people/1.parquet", &rows(0)).unwrap();
    let (project, receiver) = project(&storage.source("parquet", "people/*.parquet"), MODEL).await;
    succeeds(&project);
    assert_eq!(names(&receiver), ["Ada 0", "Bob 0"]);
    // No two queries see the same.
    let object = storage.object("people/1.parquet").unwrap();
    let version = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&version);
    storage.before(move |_, path| {
        if path.trim_end_matches('/') == "/lake" {
            let next = object.with_extension("next");
            storage::parquet(&next, &rows(counted.fetch_add(1, Ordering::SeqCst) + 1)).unwrap();
            std::fs::rename(next, &object).unwrap();
        }
        None
    });
    succeeds(&project);
    let (sent, last) = (names(&receiver), version.load(Ordering::SeqCst));
    assert!(last > 2 && sent[0] != "Ada 0", "{last} {sent:?}");
    assert_eq!(sent[0].as_str().unwrap()[4..], sent[1].as_str().unwrap()[4..]);
    let kept: Vec<Value> = project
        .ledger()
        .unwrap()
        .iter()
        .map(|entry| entry["i0"].clone())
        .collect();
    assert_eq!(kept, sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_16_an_object_that_is_replaced_while_it_is_read_plans_nothing() {
    let Some(storage) = Storage::start().await.unwrap() else {
        return;
    };
    storage.parquet("people.parquet", "(1, 'Ada 0')").unwrap();
    let (project, receiver) = project(&storage.source("parquet", "people.parquet"), MODEL).await;
    succeeds(&project);
    let object = storage.object("people.parquet").unwrap();
    let mut version = 0;
    storage.before(move |method, _| {
        if method == "GET" {
            version += 1;
            let next = object.with_extension("next");
            storage::parquet(&next, &format!("(1, 'Ada {version}')")).unwrap();
            std::fs::rename(next, &object).unwrap();
        }
        None
    });
    ends(
        &project,
        Status::Interrupted,
        &["source `people`", "the remote file has changed"],
    );
    assert_eq!(names(&receiver), ["Ada 0"]);
    storage.before(|_, _| None);
    succeeds(&project);
    assert_ne!(names(&receiver), ["Ada 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_reaches_the_objects_that_its_source_names_and_no_others() {
    let Some(storage) = Storage::start().await.unwrap() else {
        return;
    };
    storage.parquet("people/1.parquet", "(1, 'Ada')").unwrap();
    storage.parquet("secret/1.parquet", "(7, 'Zoe')").unwrap();
    let source = storage.source("parquet", "people/*.parquet");
    let origin = storage.origin();
    let asked = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&asked);
    storage.before(move |_, path| {
        counted.fetch_add(u64::from(path.contains("secret")), Ordering::SeqCst);
        None
    });
    for model in [
        "SELECT id, name FROM read_parquet('s3://lake/secret/1.parquet')".to_owned(),
        "SELECT id, name FROM 's3://lake/secret/1.parquet'".into(),
        "SELECT id, name FROM \"s3://lake/people/1.parquet\"".into(),
        "SELECT id, name FROM parquet_scan('s3://lake/people/1.parquet')".into(),
        format!("SELECT id, name FROM read_parquet('{origin}/lake/secret/1.parquet')"),
        format!("SELECT id, name FROM '{origin}/lake/secret/1.parquet'"),
        "SELECT file AS id, file AS name FROM glob('s3://lake/*')".into(),
        "SELECT 1 AS id, content AS name FROM read_text('s3://lake/secret/1.parquet')".into(),
        "SELECT name AS id, secret_string AS name FROM duckdb_secrets()".into(),
        "SELECT 1 AS id, name FROM which_secret('s3://lake/people/1.parquet', 's3')".into(),
        "SELECT 1 AS id, current_setting('s3_secret_access_key') AS name".into(),
        "SELECT 1 AS id, value AS name FROM duckdb_settings()".into(),
    ] {
        let (project, receiver) = project(&source, &model).await;
        ends(&project, Status::Failed, &["models/people.sql"]);
        assert!(receiver.records().is_empty());
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_38_keys_of_the_machine_count_for_nothing() {
    let Some(storage) = Storage::start().await.unwrap() else {
        return;
    };
    storage.parquet("people.parquet", "(1, 'Ada')").unwrap();
    let source = storage.source("parquet", "people.parquet");
    let (project, _receiver) = project(&source, MODEL).await;
    let run = |variables: &[(&str, &str)]| {
        let mut command = project
            .command(&["run", "people-to-receiver", "--output", "json"])
            .unwrap();
        command.envs(variables.iter().copied());
        tokio::task::block_in_place(|| command.output().unwrap().status.code().unwrap())
    };
    let [(_, key_id), (_, secret)] = KEY else { panic!("two") };
    // They are another's.
    let machine = [
        ("AWS_REGION", "mars-1"),
        ("AWS_SESSION_TOKEN", "of another"),
        ("DUCKDB_S3_ENDPOINT", "127.0.0.1:1"),
        ("DUCKDB_S3_USE_SSL", "true"),
        ("DUCKDB_S3_REQUESTER_PAYS", "true"),
    ];
    assert_eq!(run(&[&machine, KEY].concat()), 0);
    // They would be right.
    project
        .write("sources/people.yml", source.split("  secrets").next().unwrap())
        .unwrap();
    let machine = [("AWS_ACCESS_KEY_ID", *key_id), ("AWS_SECRET_ACCESS_KEY", *secret)];
    assert_eq!(run(&machine), 2);
}
