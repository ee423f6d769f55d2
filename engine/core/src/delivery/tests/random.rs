//! Whatever a destination answers, every operation ends in exactly one state, and none is sent after it was accepted.

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

fn answer(random: &mut StdRng, batch: &[Operation]) -> Result<Vec<Outcome>, Failure> {
    match random.random_range(0..20) {
        0 => Err(Failure::Transient("down".into())),
        1 => Err(Failure::Uncertain("cut".into())),
        2 => Err(Failure::RateLimited {
            wait: None,
            message: "slow".into(),
        }),
        3 => Err(Failure::TooLarge("large".into())),
        4 => Err(refused()),
        5 => Err(Failure::Trapped {
            message: "trap".into(),
            sent: random.random(),
        }),
        6 if random.random_range(0..20) == 0 => Err(Failure::Fatal("no".into())),
        _ => Ok(batch
            .iter()
            .map(|_| match random.random_range(0..12) {
                0 => one_rejected(),
                1 => Outcome::NoMatch,
                2 => Outcome::Retry {
                    after: None,
                    reason: None,
                },
                3 => Outcome::NotAttempted,
                4 => Outcome::Unknown { reason: "?".into() },
                _ => Outcome::Accepted {
                    id: random.random_bool(0.5).then(|| "id".into()),
                },
            })
            .collect()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rule_25_every_operation_ends_in_exactly_one_state(
        seed in any::<u64>(),
        removals in 0usize..40,
        inserts in 0usize..40,
        upserts in 0usize..120,
        idempotent in any::<bool>(),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut random = StdRng::seed_from_u64(seed);
            let mut accepted_before = std::collections::BTreeSet::new();
            let mut destination = Scripted::new(move |batch| {
                assert!(batch.iter().all(|operation| !accepted_before.contains(&operation.ordinal)));
                let result = answer(&mut random, batch);
                for (operation, outcome) in batch.iter().zip(result.iter().flatten()) {
                    if matches!(outcome, Outcome::Accepted { .. }) {
                        accepted_before.insert(operation.ordinal);
                    }
                }
                result
            });
            destination.target.idempotent = idempotent;
            let kinds = [vec![Kind::Delete; removals], vec![Kind::Insert; inserts], vec![Kind::Upsert; upserts]].concat();
            // `run` checks the sums, and the counts against the journal.
            let outcomes = run(&destination, plan(kinds)).await;
            if outcomes.delivered.end == End::Done {
                assert_eq!(outcomes.delivered.counts.aborted.total(), 0);
            }
        });
    }
}
