//! Random sources, outcomes and crashes against a destination that is simulated: in the end both agree.

use std::collections::BTreeMap;

use super::*;

/// Numbers from a seed (SplitMix64), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

/// A destination: records by match value.
type Records = BTreeMap<String, String>;

fn act(random: &mut Random, records: &mut Records, operation: &Operation) -> Answer {
    let place = plain(&operation.match_value);
    let apply = |records: &mut Records| match operation.kind {
        Kind::Delete => records.remove(&place).is_some(),
        _ => {
            records.insert(place.clone(), operation.fields.clone());
            true
        }
    };
    match random.below(8) {
        0 => Answer::Reject,
        1 => Answer::NotSent,
        2 => {
            apply(records);
            Answer::Unknown
        }
        3 => Answer::Unknown,
        4 => {
            apply(records);
            Answer::Silence
        }
        _ if apply(records) => Answer::Accept,
        _ => Answer::NoMatch,
    }
}

/// Four keys over four places, some rows twice, some without a place.
fn rows(random: &mut Random) -> String {
    let mut rows = Vec::new();
    for id in 1..=4 {
        if random.below(4) > 0 {
            let email = ["'a'", "'b'", "'c'", "'d'", "NULL::VARCHAR"][usize::try_from(random.below(5)).unwrap()];
            rows.push(format!("({id}, {email}, {})", random.below(2)));
        }
    }
    rows.join(", ")
}

#[test]
fn rule_12_whatever_happened_a_calm_destination_ends_with_exactly_the_model() {
    let seeds = std::env::var("OUTFLOW_SEEDS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(6);
    for seed in 1..=seeds {
        let mut random = Random(seed);
        let mut world = World::matched();
        let mut records = Records::new();
        for _ in 0..7 {
            let rows = rows(&mut random);
            world.rows(&rows);
            world.allow = vec!["empty-model".into()];
            let state = RefCell::new((&mut random, &mut records));
            let fold = state.borrow_mut().0.below(4) > 0;
            let answer = |operation: &Operation| {
                let (random, records) = &mut *state.borrow_mut();
                act(random, records, operation)
            };
            match world.run_until(answer, fold) {
                // An empty model is stopped and shows nothing here.
                Ok(_) | Err(PlanError::Stopped(_)) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        world.rows("(1, 'b', 7), (2, 'c', 8), (4, 'a', 9)");
        for _ in 0..3 {
            let state = RefCell::new(&mut records);
            world
                .run_with(|operation| {
                    let place = plain(&operation.match_value);
                    let mut records = state.borrow_mut();
                    match operation.kind {
                        Kind::Delete if records.remove(&place).is_none() => Answer::NoMatch,
                        Kind::Delete => Answer::Accept,
                        _ => {
                            records.insert(place, operation.fields.clone());
                            Answer::Accept
                        }
                    }
                })
                .unwrap();
        }
        let wanted: Records = [("a", 9), ("b", 7), ("c", 8)]
            .map(|(place, n)| (place.into(), format!("{{\"n\":{n}}}")))
            .into();
        assert_eq!(records, wanted, "seed {seed}");
        assert_eq!(world.entries().len(), 3, "seed {seed}");
        assert!(world.run().planned.shortcut, "seed {seed}");
    }
}
