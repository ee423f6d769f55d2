//! A plan as a file: what `outflow plan --out` writes and `outflow apply` does, or refuses.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Output;

use outflow_tests::project::{Project, SYNC};
use outflow_tests::receiver::Receiver;
use serde_json::{Value, json};

const PEOPLE: [(&str, &str); 2] = [("id", "BIGINT"), ("name", "VARCHAR")];
const MIRROR: &str = "mode: mirror\nmappings: [{from: name, to: name}]";

struct Fixture {
    receiver: Receiver,
    project: Project,
}

impl Fixture {
    /// With Ann, Bob and Cid at the destination, and a plan that adds Dan, changes Bob and removes Cid.
    async fn planned() -> Self {
        let receiver = Receiver::start().await.unwrap();
        let project = Project::new(&receiver.origin(), &PEOPLE, "id", MIRROR).unwrap();
        project.rows("id,name\n1,Ann\n2,Bob\n3,Cid\n").unwrap();
        project.run(&[]).unwrap();
        project.rows("id,name\n1,Ann\n2,Bo\n4,Dan\n").unwrap();
        let fixture = Self { receiver, project };
        let output = fixture.outflow(&["plan", SYNC, "--out", "plan.jsonl", "--requests"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let _ = fixture.receiver.take_received();
        fixture
    }

    fn outflow(&self, arguments: &[&str]) -> Output {
        tokio::task::block_in_place(|| self.project.outflow(arguments)).unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.project.path().join("plan.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Applies it; the report or error, and the exit code.
    fn apply(&self) -> (Value, i32) {
        let output = self.outflow(&["apply", "plan.jsonl", "--output", "json"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
        (value, output.status.code().unwrap())
    }

    #[track_caller]
    fn refused(&self, exit: i32, parts: &[&str]) {
        let before = self.project.ledger().unwrap();
        let (value, code) = self.apply();
        let message = value["message"]
            .as_str()
            .or(value["error"]["message"].as_str())
            .unwrap();
        assert_eq!(code, exit, "{value}");
        for part in parts {
            assert!(message.contains(part), "`{part}` is not in `{message}`");
        }
        assert!(self.receiver.take_received().is_empty(), "nothing was sent");
        assert_eq!(self.project.ledger().unwrap(), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_everything_that_will_be_done_and_is_done() {
    let fixture = Fixture::planned().await;
    let lines = fixture.lines();
    assert_eq!(lines.len(), 5, "a header, three operations and a footer");
    assert_eq!(
        lines[0]["counts"]["planned"],
        json!({"added": 1, "changed": 1, "removed": 1})
    );
    assert_eq!(
        (&lines[1]["kind"], &lines[1]["key"], &lines[1]["record"]),
        (&json!("delete"), &json!({"id": 3}), &json!({"name": "Cid"}))
    );
    assert_eq!(lines[2]["differs"], json!({"name": ["Bob", "Bo"]}));
    assert_eq!(lines[3]["record"], json!({"name": "Dan"}));
    let (report, code) = fixture.apply();
    assert_eq!((code, &report["status"]), (0, &json!("success")), "{report}");
    // The requests are those that the plan showed, with the ids that it showed.
    let shown: Vec<String> = lines[0]["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|request| request[1][0]["body"].as_str().unwrap().to_owned())
        .collect();
    let received = fixture.receiver.take_received();
    let sent: Vec<String> = received.iter().map(|request| request.body.clone()).collect();
    assert_eq!(sent, shown);
    for line in &lines[1..4] {
        let id = line["idempotency_key"].as_str().unwrap();
        assert!(sent.iter().any(|body| body.contains(id)), "{id}");
    }
    // It is done, so it is no plan any more.
    fixture.refused(1, &["ledger has gone on"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moved_is_said_and_nothing_is_sent() {
    let fixture = Fixture::planned().await;
    let project = &fixture.project;
    project.rows("id,name\n1,Ann\n2,Bobby\n4,Dan\n").unwrap();
    fixture.refused(
        1,
        &[
            "rows are others",
            "upsert {\"id\":2} {\"name\":\"Bo\"}",
            "{\"name\":\"Bobby\"}",
        ],
    );
    project.rows("id,name\n1,Ann\n2,Bob\n3,Cid\n").unwrap();
    fixture.refused(1, &["plan of run 2, and this is run 3"]);

    let replan = || {
        project.rows("id,name\n1,Ann\n2,Bo\n4,Dan\n").unwrap();
        assert!(fixture.outflow(&["plan", SYNC, "--out", "plan.jsonl"]).status.success());
    };
    replan();
    project.rows("id,name\n1,Ann\n2,Bob\n3,Cid\n").unwrap();
    fixture.refused(1, &["nothing is to be done"]);
    replan();
    project
        .sync("mode: upsert\nmappings: [{from: name, to: name}]")
        .unwrap();
    fixture.refused(1, &["the sync is another"]);
    project
        .sync("mode: mirror\nmappings: [{from: name, to: label}]")
        .unwrap();
    replan();
    project.sync(MIRROR).unwrap();
    fixture.refused(1, &["the mapping is another"]);
    replan();
    project
        .write("models/people.sql", "SELECT * FROM people WHERE true\n")
        .unwrap();
    fixture.refused(1, &["the model is another"]);
    replan();
    project.run(&[]).unwrap();
    let _ = fixture.receiver.take_received();
    fixture.refused(1, &["ledger has gone on"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_whole_plan_is_refused() {
    let fixture = Fixture::planned().await;
    let path = fixture.project.path().join("plan.jsonl");
    let whole = std::fs::read_to_string(&path).unwrap();
    for (text, part) in [
        (whole.replace("Dan", "Eve"), "cut or edited"),
        (whole.lines().take(3).collect::<Vec<_>>().join("\n"), "cut or edited"),
        ("id,name\n".to_owned(), "it is no plan"),
        (String::new(), "cut or edited"),
        (
            whole.replacen("\"outflow_plan\":1", "\"outflow_plan\":9", 1),
            "newer version",
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        fixture.refused(2, &[part, "plan.jsonl"]);
    }
    std::fs::remove_file(&path).unwrap();
    fixture.refused(2, &["plan.jsonl"]);
    // And the plan itself is still good.
    std::fs::write(&path, whole).unwrap();
    assert_eq!(fixture.apply().1, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_run_can_be_planned_too() {
    let receiver = Receiver::start().await.unwrap();
    let project = Project::new(&receiver.origin(), &PEOPLE, "id", MIRROR).unwrap();
    project.rows("id,name\n1,Ann\n").unwrap();
    let fixture = Fixture { receiver, project };
    assert!(fixture.outflow(&["plan", SYNC, "--out", "plan.jsonl"]).status.success());
    assert_eq!(
        fixture.lines()[1]["idempotency_key"],
        Value::Null,
        "its ledger has no name yet"
    );
    let (report, code) = fixture.apply();
    assert_eq!(
        (code, &report["counts"]["succeeded"]["added"]),
        (0, &json!(1)),
        "{report}"
    );
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn rule_39_a_plan_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::planned().await;
    let path = fixture.project.path().join("plan.jsonl");
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o077, 0);
}
