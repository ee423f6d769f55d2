//! Kills at random instants: whatever a process was doing, the next run leaves receiver and ledger as the model says, with
//! nothing lost, and sends nothing again that the ledger knows to be accepted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use outflow_core::report::Status;
use outflow_tests::project::Project;
use outflow_tests::receiver::Receiver;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Runs that are killed. More with `OUTFLOW_KILLS=n`.
const KILLS: usize = 100;
/// Rows of the model, about.
const ROWS: u64 = 400;

/// The model's rows: id and name.
type Rows = BTreeMap<u64, String>;

#[tokio::test(flavor = "multi_thread")]
async fn rule_04_a_kill_at_any_instant_loses_nothing() {
    let kills = std::env::var("OUTFLOW_KILLS")
        .ok()
        .and_then(|kills| kills.parse().ok())
        .unwrap_or(KILLS);
    let seed: u64 = std::env::var("OUTFLOW_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(rand::random);
    println!("OUTFLOW_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let receiver = Receiver::start().await.unwrap();
    let project = Project::new(
        &receiver.origin(),
        &[("id", "BIGINT"), ("name", "VARCHAR")],
        "id",
        "mode: mirror\nmatch: {from: id, to: id}\nmappings: [{from: name, to: name}]\nguards: {max_removed: {share: 1.0, rows: 100000}}",
    )
    .unwrap();
    let mut rows = Rows::new();
    let mut landed = 0;
    let mut whole = Duration::from_millis(400);
    for kill in 0..kills {
        change(&mut rows, &mut random);
        project.rows(&csv(&rows)).unwrap();
        let mut process = project.start().unwrap();
        tokio::time::sleep(whole.mul_f64(random.random_range(0.0..1.0))).await;
        process.kill().unwrap();
        let status = process.wait().unwrap();
        landed += usize::from(status.code().is_none());

        if random.random_bool(0.3) {
            change(&mut rows, &mut random);
            project.rows(&csv(&rows)).unwrap();
        }
        let begun = Instant::now();
        let (report, _) = project.run(&[]).unwrap();
        whole = (whole + begun.elapsed()) / 2;
        assert_eq!(report.status, Status::Success, "kill {kill}, seed {seed}: {report:?}");
        assert_eq!(receiver.records(), expected(&rows), "kill {kill}, seed {seed}");
        let ledger: Vec<u64> = project
            .ledger()
            .unwrap()
            .iter()
            .map(|entry| entry["k0"].as_u64().unwrap())
            .collect();
        assert_eq!(ledger.len(), rows.len(), "kill {kill}, seed {seed}");

        if kill % 10 == 0 {
            let _ = receiver.take_sent();
            let (report, _) = project.run(&[]).unwrap();
            assert_eq!(report.counts.changes.total(), 0, "kill {kill}, seed {seed}");
            assert!(receiver.take_sent().is_empty(), "kill {kill}, seed {seed}");
        }
    }
    println!("{landed} of {kills} kills hit a running process");
    assert!(
        landed * 2 > kills,
        "only {landed} of {kills} kills hit a running process"
    );
}

/// Adds, changes and removes some rows; at first many.
fn change(rows: &mut Rows, random: &mut StdRng) {
    let count = if rows.is_empty() {
        ROWS
    } else {
        random.random_range(1..ROWS / 4)
    };
    for _ in 0..count {
        let id = random.random_range(0..ROWS * 2);
        if random.random_bool(0.3) && rows.len() > 10 {
            rows.remove(&id);
        } else {
            rows.insert(id, format!("name {}", random.random_range(0..1_000_000)));
        }
    }
}

fn csv(rows: &Rows) -> String {
    let lines: Vec<String> = rows.iter().map(|(id, name)| format!("{id},{name}\n")).collect();
    format!("id,name\n{}", lines.concat())
}

fn expected(rows: &Rows) -> BTreeMap<String, Value> {
    rows.iter()
        .map(|(id, name)| (id.to_string(), json!({"name": name})))
        .collect()
}
