//! Why a row is where it is, and what a person may say of it: history, diff, explain, resolve, forget, through the binary.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use outflow_tests::project::{Project, SYNC, text};
use outflow_tests::receiver::{Fault, Receiver};
use serde_json::{Value, json};

const PEOPLE: [(&str, &str); 3] = [("id", "BIGINT"), ("name", "VARCHAR"), ("email", "VARCHAR")];
const MIRROR: &str = "mode: mirror\nmappings: [{from: name, to: name}, {from: email, to: email}]";
const INSERT: &str = "mode: insert\non_unknown: hold\nmappings: [{from: name, to: name}]";

async fn fixture(sync: &str, rows: &str) -> (Receiver, Project) {
    let receiver = Receiver::start().await.unwrap();
    let project = Project::new(&receiver.origin(), &PEOPLE, "id", sync).unwrap();
    rewrite(&project, rows);
    (receiver, project)
}

fn rewrite(project: &Project, rows: &str) {
    project.rows(&format!("id,name,email\n{rows}")).unwrap();
}

/// A command's JSON document and exit code.
fn asked(project: &Project, arguments: &[&str]) -> (Value, i32) {
    let output = project.outflow(&[arguments, &["--output", "json"]].concat()).unwrap();
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
    (document, output.status.code().unwrap())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

/// The files of the state that have these bytes.
fn having(project: &Project, bytes: &str) -> Vec<PathBuf> {
    let has = |file: &PathBuf| {
        let content = std::fs::read(file).unwrap();
        bytes.is_empty() || content.windows(bytes.len()).any(|window| window == bytes.as_bytes())
    };
    files(&project.path().join(".outflow"))
        .into_iter()
        .filter(has)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn history_lists_runs_and_diff_says_what_differs_between_two() {
    let (receiver, project) = fixture(MIRROR, "1,Ann,a@x\n2,Bob,b@x\n3,Cid,c@x\n").await;
    project.run(&[]).unwrap();
    receiver.refuse(vec![json!(2)]);
    rewrite(&project, "1,Anna,a@x\n2,Bo,b@x\n4,Dan,d@x\n");
    project.run(&[]).unwrap();
    project.run(&[]).unwrap();
    let (history, exit) = asked(&project, &["history", SYNC]);
    let shown: Vec<_> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|run| {
            (
                run["number"].as_u64(),
                run["recorded"].as_bool(),
                run["status"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (Some(3), Some(true), Some("warning")),
            (Some(2), Some(true), Some("warning")),
            (Some(1), Some(true), Some("success")),
        ]
    );
    assert_eq!(exit, 0);

    let (diff, _) = asked(&project, &["diff", SYNC, "1", "3"]);
    assert_eq!(diff["counts"], json!({"added": 1, "changed": 1, "removed": 1}));
    let shown: Vec<_> = diff["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["key"].as_str().unwrap(),
                row["change"].as_str().unwrap(),
                &row["fields"],
            )
        })
        .collect();
    let name = json!([{"field": "name", "before": "\"Ann\"", "after": "\"Anna\""}]);
    assert_eq!(
        shown,
        [
            ("{\"id\":1}", "changed", &name),
            ("{\"id\":3}", "removed", &json!([])),
            ("{\"id\":4}", "added", &json!([])),
        ],
        "the refused change is no difference at the destination"
    );
    let (same, _) = asked(&project, &["diff", SYNC, "2", "3"]);
    assert_eq!(same["rows"], json!([]));
    for (arguments, part) in [
        (["diff", SYNC, "3", "1"], "run 3 is not before run 1"),
        (["diff", SYNC, "1", "9"], "has no run 9"),
    ] {
        let output = project.outflow(&arguments).unwrap();
        assert!(text(&output).contains(part), "{}", text(&output));
        assert_eq!(output.status.code(), Some(2));
    }
    // Records are kept as long as the project says, and what is gone is said to be gone.
    project
        .write("outflow.yml", "version: 1\nname: test\nrecords: {keep: 0s}\n")
        .unwrap();
    project.run(&[]).unwrap();
    let output = project.outflow(&["diff", SYNC, "1", "3"]).unwrap();
    assert!(text(&output).contains("is not kept any more"), "{}", text(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_what_became_of_a_row_and_why_it_is_in_the_next_plan() {
    let (receiver, project) = fixture(MIRROR, "1,Ann,a@x\n2,Bob,b@x\n").await;
    project.run(&[]).unwrap();
    receiver.refuse(vec![json!(1)]);
    rewrite(&project, "1,Anna,a@x\n2,Bob,b@x\n2,Bob,b@y\n");
    project.run(&[]).unwrap();
    let _ = receiver.take_received();
    let before = having(&project, "");
    let (explained, exit) = asked(&project, &["explain", SYNC, "1"]);
    assert_eq!(exit, 0);
    let history: Vec<_> = explained["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            (
                event["run"].as_u64().unwrap(),
                event["outcome"].as_str().unwrap(),
                &event["fields"],
            )
        })
        .collect();
    assert_eq!(
        history,
        [(1, "accepted", &json!([])), (2, "rejected", &json!(["name"]))]
    );
    assert_eq!(
        explained["ledger"]["entries"][0]["record"],
        json!("{\"name\":\"Ann\",\"email\":\"a@x\"}")
    );
    assert_eq!(explained["ledger"]["unsettled"][0]["times"], json!(1));
    let step = &explained["next"]["steps"][0];
    assert_eq!(
        (&step["operation"], &step["reason"], &step["fields"], &step["after"]),
        (
            &json!("upsert"),
            &json!("values"),
            &json!(["name"]),
            &json!("{\"name\":\"Anna\",\"email\":\"a@x\"}")
        )
    );
    let shown = text(&project.outflow(&["explain", SYNC, "1"]).unwrap());
    assert!(shown.contains("name: \"Ann\" -> \"Anna\""), "{shown}");
    let (invalid, _) = asked(&project, &["explain", SYNC, "{\"id\": 2}"]);
    assert_eq!(invalid["next"]["faults"], json!(["repeated key", "repeated key"]));
    assert_eq!(invalid["next"]["steps"], json!([]));
    assert!(receiver.take_received().is_empty(), "nothing is sent");
    assert_eq!(having(&project, ""), before, "no file comes or goes");

    let unknown = project.outflow(&["explain", SYNC, "77"]).unwrap();
    assert!(text(&unknown).contains("no such row"), "{}", text(&unknown));
    assert_eq!(unknown.status.code(), Some(1));
    let wrong = project.outflow(&["explain", SYNC, "Ann"]).unwrap();
    assert!(
        text(&wrong).contains("`Ann` is no key of this model"),
        "{}",
        text(&wrong)
    );
    assert_eq!(wrong.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_30_explain_and_diff_wait_for_no_run() {
    let (receiver, project) = fixture(MIRROR, "1,Ann,a@x\n").await;
    project.run(&[]).unwrap();
    rewrite(&project, "1,Anna,a@x\n");
    receiver.faults([Fault::StallMs(60_000)]);
    let seen = receiver.received();
    let mut run = project.start().unwrap();
    while receiver.received() == seen {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let (explained, exit) = asked(&project, &["explain", SYNC, "1"]);
    assert_eq!(exit, 0);
    assert_eq!(
        explained["ledger"]["entries"][0]["record"],
        json!("{\"name\":\"Ann\",\"email\":\"a@x\"}")
    );
    assert_eq!(explained["next"], Value::Null);
    assert!(explained["next_unknown"].as_str().unwrap().contains("is being run by"));
    let (diff, _) = asked(&project, &["diff", SYNC, "0", "1"]);
    assert_eq!(diff["counts"]["added"], json!(1));
    assert!(run.try_wait().unwrap().is_none(), "the run was still going on");
    run.kill().unwrap();
    run.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_03_an_insert_without_an_answer_is_held_until_a_person_resolves_it() {
    let (receiver, project) = fixture(INSERT, "1,Ann,a@x\n").await;
    receiver.faults([Fault::Garble]);
    let (report, _) = project.run(&[]).unwrap();
    assert_eq!(report.counts.unknown.added, 1, "{report:?}");
    rewrite(&project, "1,Ann,a@x\n2,Bob,b@x\n");
    let (report, exit) = project.run(&[]).unwrap();
    assert_eq!(
        (report.counts.succeeded.added, report.counts.withheld.added, exit),
        (1, 1, 3),
        "{report:?}"
    );
    assert!(report.notes[0].contains("outflow resolve"), "{report:?}");
    let (explained, _) = asked(&project, &["explain", SYNC, "1"]);
    assert_eq!(explained["next"]["steps"][0]["reason"], json!("doubt"));
    assert_eq!(receiver.inserts()["1"], 1);

    let both = project.outflow(&["resolve", SYNC, "1"]).unwrap();
    assert_eq!(both.status.code(), Some(2), "it has arrived or not: {}", text(&both));
    let (resolved, exit) = asked(&project, &["resolve", SYNC, "1", "2", "--delivered"]);
    assert_eq!(
        (&resolved[0]["settled"], &resolved[1]["settled"], exit),
        (&json!(true), &json!(false), 3)
    );
    let (report, exit) = project.run(&[]).unwrap();
    assert_eq!((report.counts.changes.total(), exit), (0, 0), "{report:?}");
    assert_eq!(receiver.inserts()["1"], 1);

    receiver.faults([Fault::Garble]);
    rewrite(&project, "1,Ann,a@x\n2,Bob,b@x\n3,Cid,c@x\n");
    project.run(&[]).unwrap();
    project.outflow(&["resolve", SYNC, "3", "--not-delivered"]).unwrap();
    let (report, _) = project.run(&[]).unwrap();
    assert_eq!(report.counts.succeeded.added, 1, "it is inserted as new: {report:?}");
}

/// Rows of records and of the ledger's tables that have a text, however the files are compressed.
fn rows_having(project: &Project, text: &str) -> u64 {
    let connection = duckdb::Connection::open_in_memory().unwrap();
    let sync = project.path().join(".outflow/syncs").join(SYNC);
    let ledger = sync.join("ledger.duckdb");
    connection
        .execute_batch(&format!("ATTACH '{}' AS ledger (READ_ONLY)", ledger.display()))
        .unwrap();
    let mut tables = connection
        .prepare("SELECT 'ledger.main.' || table_name FROM duckdb_tables() WHERE database_name = 'ledger'")
        .unwrap();
    let tables = tables
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap()
        .map(Result::unwrap);
    let records = files(&sync.join("runs"))
        .into_iter()
        .filter(|file| file.extension() == Some("parquet".as_ref()));
    let records = records.map(|file| format!("read_parquet('{}')", file.display()));
    tables
        .chain(records)
        .map(|table| {
            let sql = format!("SELECT count(*) FROM {table} AS t WHERE t::VARCHAR LIKE '%{text}%'");
            connection.query_row(&sql, [], |row| row.get::<_, u64>(0)).unwrap()
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_39_a_forgotten_row_leaves_no_value_in_the_state() {
    const VALUE: &str = "Maximiliane-Unmistakable";
    let many: String = (2..3_000).map(|id| format!("{id},P{id},p{id}@x\n")).collect();
    let (receiver, project) = fixture(MIRROR, &format!("1,{VALUE},m@x\n{many}")).await;
    project.run(&[]).unwrap();
    rewrite(&project, &format!("1,{VALUE}-2,m@x\n{many}"));
    receiver.refuse(vec![json!(1)]);
    project.run(&[]).unwrap();
    assert_eq!(
        rows_having(&project, VALUE),
        2,
        "the entry, and what the second run sent"
    );
    assert!(!having(&project, "Maximiliane").is_empty());

    let refused = project.outflow(&["forget", SYNC, "1"]).unwrap();
    assert!(text(&refused).contains("the model of"), "{}", text(&refused));
    assert_eq!(refused.status.code(), Some(2));
    let (explained, _) = asked(&project, &["explain", SYNC, "1"]);
    assert_eq!(
        explained["history"].as_array().unwrap().len(),
        2,
        "nothing is forgotten yet"
    );

    rewrite(&project, &many);
    let (forgotten, exit) = asked(&project, &["forget", SYNC, "1"]);
    assert_eq!(exit, 0, "{forgotten}");
    assert_eq!(
        (&forgotten["entries"], &forgotten["recorded"], &forgotten["in_model"]),
        (&json!(1), &json!(3), &json!([])),
        "an entry, two operations, and that one is not through"
    );
    assert_eq!(having(&project, "Maximiliane"), Vec::<PathBuf>::new());
    assert_eq!(rows_having(&project, VALUE), 0);
    let _ = receiver.take_sent();
    let (report, exit) = project.run(&[]).unwrap();
    assert_eq!(
        (report.counts.changes.total(), report.counts.unchanged, exit),
        (0, 2_998, 0),
        "{report:?}"
    );
    assert!(receiver.take_sent().is_empty());
    assert!(receiver.records().contains_key("1"), "the destination keeps it");
    let (explained, exit) = asked(&project, &["explain", SYNC, "1"]);
    assert_eq!((&explained["known"], exit), (&json!(false), 1));

    // A key that the model has is forgotten only where that is meant, and sent as new then.
    let (forgotten, _) = asked(&project, &["forget", SYNC, "2", "--still-in-model"]);
    assert_eq!(forgotten["in_model"], json!(["{\"id\":2}"]));
    let (report, _) = project.run(&[]).unwrap();
    assert_eq!(report.counts.succeeded.added, 1, "{report:?}");
}
