//! Random sources, outcomes and crashes against a destination that is simulated: in the end both agree.

use std::collections::BTreeMap;

use super::*;

/// Numbers from a seed (SplitMix64), so that a failure can be repeated.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn index(&mut self, bound: u64) -> usize {
        usize::try_from(self.below(bound)).unwrap()
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

/// A destination: records by match value, each with the key that it was written for.
type Records = BTreeMap<String, (String, String)>;

fn apply(records: &mut Records, operation: &Operation) -> Answer {
    let place = plain(&operation.match_value);
    if operation.kind != Kind::Delete {
        records.insert(place, (operation.key.to_string(), operation.fields.to_string()));
        return Answer::Accept;
    }
    match records.remove(&place) {
        Some(_) => Answer::Accept,
        None => Answer::NoMatch,
    }
}

fn act(random: &mut Random, records: &mut Records, operation: &Operation) -> Answer {
    match random.below(8) {
        0 => Answer::Reject,
        1 => Answer::NotSent,
        2 => {
            apply(records, operation);
            Answer::Unknown
        }
        3 => Answer::Unknown,
        4 => {
            apply(records, operation);
            Answer::Silence
        }
        _ => apply(records, operation),
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

pub(super) fn seeds() -> std::ops::RangeInclusive<u64> {
    let count = std::env::var("OUTFLOW_SEEDS").ok().and_then(|count| count.parse().ok());
    1..=count.unwrap_or(6)
}

/// Runs with a source and a destination that do anything, and then some of a fixed model and a destination that does what
/// it is told. The last of `modes` is that of the end, and any of them comes before.
fn tormented(seed: u64, modes: &[Mode], on_removed: OnRemoved) -> (World, Records) {
    let mut random = Random(seed);
    let mut world = World::matched().mode(Mode::Upsert, on_removed);
    let mut records = Records::new();
    for _ in 0..7 {
        let rows = rows(&mut random);
        world.rows(&rows);
        world.allow = vec!["empty-model".into()];
        if modes.len() > 1 {
            world.sync.mode = modes[usize::try_from(random.below(modes.len() as u64)).unwrap()];
        } else {
            world.sync.mode = modes[0];
        }
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
    world.sync.mode = *modes.last().unwrap();
    world.rows("(1, 'b', 7), (2, 'c', 8), (4, 'a', 9)");
    let state = RefCell::new(records);
    for _ in 0..5 {
        world
            .run_with(|operation| apply(&mut state.borrow_mut(), operation))
            .unwrap();
    }
    (world, state.into_inner())
}

#[test]
fn rule_12_whatever_happened_a_calm_destination_ends_with_exactly_the_model() {
    for seed in seeds() {
        for modes in [&[Mode::Upsert][..], &[Mode::Insert, Mode::Upsert]] {
            let (world, records) = tormented(seed, modes, OnRemoved::Delete);
            let wanted = [("a", 4, 9), ("b", 1, 7), ("c", 2, 8)];
            let wanted: Records = wanted
                .map(|(place, id, n)| (place.into(), (format!("{{\"id\":{id}}}"), format!("{{\"n\":{n}}}"))))
                .into();
            assert_eq!(records, wanted, "seed {seed} {modes:?}");
            assert_eq!(world.entries().len(), 3, "seed {seed} {modes:?}");
            assert!(world.run().planned.shortcut, "seed {seed} {modes:?}");
        }
    }
}

#[test]
fn rule_03_whatever_happened_insert_mode_ends_with_a_record_for_every_row() {
    for seed in seeds() {
        for modes in [&[Mode::Insert][..], &[Mode::Upsert, Mode::Insert]] {
            for on_removed in [OnRemoved::Delete, OnRemoved::Nothing] {
                let told = format!("seed {seed} {modes:?} {on_removed:?}");
                let (world, records) = tormented(seed, modes, on_removed);
                for id in [1, 2, 4] {
                    let key = format!("{{\"id\":{id}}}");
                    assert!(
                        records.values().any(|(its, _)| *its == key),
                        "{told}: {key} of {records:?}"
                    );
                }
                assert!(world.run().operations.is_empty(), "{told}");
                if on_removed == OnRemoved::Delete {
                    let mut there: Vec<_> = records.into_iter().map(|(place, (key, _))| (key, place)).collect();
                    there.sort();
                    assert_eq!(world.homes(), there, "{told}");
                    assert!(world.run().planned.shortcut, "{told}");
                }
            }
        }
    }
}
