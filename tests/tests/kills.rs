//! Kills at random instants: whatever a process was doing, the next run leaves receiver and ledger as the model says, with
//! nothing lost, and sends nothing again that the ledger knows to be accepted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::{Duration, Instant};

use outflow_tests::trial::Trial;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Runs that are killed. More with `OUTFLOW_KILLS=n`.
const KILLS: usize = 100;
/// Rows of the model, about.
const ROWS: u64 = 400;

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
    let mut trial = Trial::new(ROWS, seed).await.unwrap();
    let mut landed = 0;
    let mut whole = Duration::from_millis(400);
    for kill in 0..kills {
        let mut process = trial.project.start().unwrap();
        tokio::time::sleep(whole.mul_f64(random.random_range(0.0..1.0))).await;
        process.kill().unwrap();
        landed += usize::from(process.wait().unwrap().code().is_none());
        if random.random_bool(0.3) {
            trial.change().unwrap();
        }
        let begun = Instant::now();
        let judged = tokio::task::block_in_place(|| trial.judge());
        judged.unwrap_or_else(|error| panic!("kill {kill}, seed {seed}: {error:#}"));
        // Two runs and a look into the ledger.
        whole = (whole + begun.elapsed() / 2) / 2;
        trial.change().unwrap();
    }
    println!("{landed} of {kills} kills hit a running process");
    assert!(
        landed * 2 > kills,
        "only {landed} of {kills} kills hit a running process"
    );
}
