//! Records of runs say what the ledger said: whatever happened, the difference between two runs is that of the entries.

use std::collections::BTreeMap;

use super::random::{Random, seeds};
use super::*;
use crate::record::{Event, Records};

/// Records by key and place.
type Acknowledged = BTreeMap<(String, String), String>;

impl World {
    fn records(&self) -> Records {
        Records::of(self.folder.path())
    }

    /// What the destination acknowledged; nothing is known while a run is not folded.
    fn acknowledged(&self) -> Option<Acknowledged> {
        let warehouse = self.warehouse();
        let connection = warehouse.connect().unwrap();
        let ledger = self.open(&warehouse, None).unwrap();
        let meta = ledger.meta().filter(|meta| meta.plan.is_none())?;
        let layout = &meta.layout;
        let sql = format!(
            "SELECT {}, {}, {} FROM {ENTRIES} AS e WHERE h IS NOT NULL",
            layout.key_json("e."),
            layout.match_json("e."),
            layout.record_json("e."),
        );
        let rows =
            connection.query_rows::<_, WarehouseError>(&sql, |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)));
        Some(rows.unwrap().into_iter().collect())
    }

    fn events(&self, key: &str) -> Vec<String> {
        let told = |event: Event| {
            format!(
                "{} {} {} {} {}",
                event.run,
                event.operation.as_deref().unwrap_or("-"),
                event.outcome,
                event.reason.as_deref().unwrap_or("-"),
                event.sent.as_deref().unwrap_or("-")
            )
        };
        self.records().of_key(key).unwrap().into_iter().map(told).collect()
    }
}

/// What differs, as `(key, place, before, after)`.
fn differing(before: &Acknowledged, after: &Acknowledged) -> Vec<(String, String, Option<String>, Option<String>)> {
    let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    keys.into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| {
            (
                key.0.clone(),
                key.1.clone(),
                before.get(key).cloned(),
                after.get(key).cloned(),
            )
        })
        .collect()
}

#[test]
fn whatever_happened_two_runs_differ_as_their_ledgers_did() {
    for seed in seeds().step_by(2) {
        let mut random = Random(seed);
        let mut world = World::matched();
        world.records = true;
        let mut states = BTreeMap::from([(0, Acknowledged::new())]);
        for _ in 0..8 {
            let rows = random_rows(&mut random);
            world.rows(&rows);
            world.sync.mode = [Mode::Upsert, Mode::Insert, Mode::Update, Mode::All][random.index(4)];
            world.sync.on_removed = [OnRemoved::Delete, OnRemoved::Nothing][random.index(2)];
            (world.full_resync, world.force) = (random.below(5) == 0, true);
            let chance = RefCell::new(&mut random);
            let fold = chance.borrow_mut().below(4) > 0;
            let answer = |_: &Operation| match chance.borrow_mut().below(8) {
                0 => Answer::Reject,
                1 => Answer::NotSent,
                2 => Answer::NoMatch,
                3 => Answer::Unknown,
                4 => Answer::Silence,
                _ => Answer::Accept,
            };
            match world.run_until(answer, fold) {
                Ok(_) | Err(PlanError::Stopped(_) | PlanError::Refused(_)) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            }
            if let Some(state) = world.acknowledged() {
                states.insert(*world.run.borrow(), state);
            }
        }
        let last = states.last_key_value().unwrap();
        for (from, before) in &states {
            // The next one, and the whole way.
            let next = states.range(from + 1..).next();
            for (to, after) in next.into_iter().chain((from < last.0).then_some(last)) {
                let found = world.records().differences(*from, *to, 100).unwrap();
                let found: Vec<_> = found
                    .rows
                    .into_iter()
                    .map(|row| {
                        let (key, place) = (row.key, row.place.unwrap());
                        // What a first sync sent is not in its record.
                        let kept = after
                            .get(&(key.clone(), place.clone()))
                            .filter(|_| row.change == "added");
                        (key, place, row.before, row.after.or_else(|| kept.cloned()))
                    })
                    .collect();
                assert_eq!(found, differing(before, after), "seed {seed}, from {from} to {to}");
            }
        }
    }
}

fn random_rows(random: &mut Random) -> String {
    let mut rows = Vec::new();
    for id in 1..=4 {
        if random.below(5) > 0 {
            let email = ["'a'", "'b'", "'c'", "'d'", "NULL::VARCHAR"][random.index(5)];
            rows.push(format!("({id}, {email}, {})", random.below(3)));
        }
    }
    rows.join(", ")
}

#[test]
fn a_record_tells_what_was_sent_and_why_and_what_came_of_it() {
    let mut world = World::new();
    world.records = true;
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    world.rows("(1, 'a', 5), (2, 'b', 2), (2, 'b', 3)");
    world.run_with(of(Answer::Reject, "1")).unwrap();
    world.rows("(2, 'b', 2)").run();
    assert_eq!(
        world.events("{\"id\":1}"),
        [
            "1 upsert accepted new {\"n\":1}",
            "2 upsert rejected values {\"n\":5}",
            "3 delete accepted left -",
        ]
    );
    assert_eq!(
        world.events("{\"id\":2.0}"),
        [
            "1 upsert accepted new -",
            "2 - invalid repeated key -",
            "2 - invalid repeated key -",
        ],
        "equal numbers are one key, and what a first sync sent is in the ledger"
    );
    assert_eq!(world.events("{\"id\":3}"), [""; 0]);
    let event = &world.records().of_key("{\"id\":1}").unwrap()[1];
    assert_eq!(event.previous.as_deref(), Some("{\"n\":1}"));
    assert_eq!(
        (event.fields.as_slice(), event.message.as_deref()),
        (&["n".to_owned()][..], Some("no"))
    );
}

#[test]
fn a_record_tells_what_was_withheld_and_what_a_person_declared() {
    let mut world = World::new().mode(Mode::Upsert, OnRemoved::Nothing);
    world.records = true;
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    world.rows("(2, 'b', 2)").run();
    assert_eq!(world.events("{\"id\":1}")[1], "2 - withheld give -");
    world.rows("(2, 'b', 7), (3, 'c', 3)");
    world.rebaseline().unwrap();
    assert_eq!(world.events("{\"id\":2}")[1], "3 - withheld declared -");
    let found = world.records().differences(1, 3, 10).unwrap();
    assert_eq!(found.counts, split(1, 1, 1));
    assert_eq!(
        (found.rows[1].before.as_deref(), found.rows[1].after.as_deref()),
        (Some("{\"n\":2}"), Some("{\"n\":7}"))
    );
    assert_eq!(
        world.records().differences(1, 3, 1).unwrap().rows.len(),
        1,
        "the rest is counted"
    );
}

#[test]
fn a_first_rebaselines_record_has_the_keys_and_the_next_runs_the_values() {
    for mut world in [World::new(), World::matched()] {
        world.records = true;
        world.rows("(1, 'a', 1), (2, 'b', 2)").rebaseline().unwrap();
        assert_eq!(world.events("{\"id\":2}"), ["1 - withheld declared -"]);
        assert_eq!(world.records().differences(0, 1, 10).unwrap().counts, split(2, 0, 0));
        world.rows("(1, 'a', 5), (2, 'b', 2)").run();
        let found = world.records().differences(1, 2, 10).unwrap();
        assert_eq!(found.counts, split(0, 1, 0));
        assert_eq!(found.rows[0].before.as_deref(), Some("{\"n\":1}"));
        assert_eq!(found.rows[0].after.as_deref(), Some("{\"n\":5}"));
        let place = world.records().of_key("{\"id\":1}").unwrap()[0].place.clone();
        assert_eq!(place, world.sync.match_on.as_ref().map(|_| "\"a\"".to_owned()));
    }
}

#[test]
fn rule_04_the_record_of_a_run_that_died_is_written_when_its_outcomes_are_taken_in() {
    let mut world = World::new();
    world.records = true;
    world.rows("(1, 'a', 1), (2, 'b', 2)");
    world.run_until(of(Answer::Silence, "2"), false).unwrap();
    assert_eq!(world.records().runs().unwrap(), [0_u64; 0]);
    world.run();
    assert_eq!(world.records().runs().unwrap(), [1, 2]);
    assert_eq!(
        world.events("{\"id\":2}"),
        [
            "1 upsert unknown new {\"n\":2}",
            "2 upsert accepted uncertain {\"n\":2}"
        ]
    );
}

#[test]
fn a_run_that_finds_nothing_to_do_leaves_a_record_without_rows() {
    let mut world = World::new();
    world.records = true;
    world.rows("(1, 'a', 1)").run();
    world.run();
    let folder = world.records().of_run(2);
    let files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    assert_eq!(files, ["run.json"]);
}
