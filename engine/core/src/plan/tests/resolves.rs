//! What is uncertain: held, and resolved by a person (rule 3).

use super::*;
use crate::ledger::{Arrival, Resolved};
use crate::project::sync::OnUnknown;

impl World {
    fn resolve(&self, keys: &[&str], arrival: Arrival) -> Vec<Resolved> {
        let warehouse = self.warehouse();
        let mut connection = warehouse.connect().unwrap();
        let mut ledger = self.open(&warehouse, None).unwrap();
        ledger.recover(&mut connection, &self.journal_path()).unwrap();
        let keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
        let records = Records::of(self.folder.path());
        ledger.resolve(&mut connection, &keys, arrival, &records).unwrap()
    }

    #[track_caller]
    fn settle(&self, key: &str, arrival: Arrival) {
        let resolved = self.resolve(&[key], arrival);
        assert!(resolved[0].settled, "{resolved:?}");
    }
}

fn held(matched: bool) -> World {
    let mut world = if matched { World::matched() } else { World::new() };
    world.sync.mode = Mode::Insert;
    world.sync.on_removed = OnRemoved::Nothing;
    world.sync.on_unknown = OnUnknown::Hold;
    world
}

#[test]
fn rule_03_an_uncertain_insert_is_held_and_listed_until_it_is_resolved() {
    for matched in [false, true] {
        let mut world = held(matched);
        world
            .rows("(1, 'a', 1), (2, 'b', 2)")
            .run_with(|_| Answer::Unknown)
            .unwrap();
        for _ in 0..2 {
            let done = world.rows("(1, 'a', 5), (2, 'b', 2), (3, 'c', 3)").run();
            assert_eq!(done.planned.counts.withheld.total(), 2);
            assert!(done.planned.warn && done.planned.notes[0].contains("--not-delivered"));
        }
        assert_eq!(
            world.unsettled(),
            ["{\"id\":1} insert unknown 1", "{\"id\":2} insert unknown 1"]
        );
        world.settle("1", Arrival::Delivered);
        world.settle("2", Arrival::NotDelivered);
        let done = world.run();
        assert_eq!(done.sent().len(), 1, "{:?}", done.sent());
        assert_eq!(done.operations[0].key, "{\"id\":2}");
        // Insert mode sends no change; its entry follows.
        assert_eq!(done.planned.counts.withheld, split(0, 1, 0));
        assert!(world.run().planned.shortcut);
        assert_eq!(world.unsettled(), [""; 0]);
    }
}

#[test]
fn rule_03_without_hold_it_is_sent_again() {
    let mut world = held(false);
    world.sync.on_unknown = OnUnknown::Resend;
    world.rows("(1, 'a', 1)").run_with(|_| Answer::Unknown).unwrap();
    assert_eq!(world.run().heads(), ["insert 1"]);
}

#[test]
fn rule_03_a_switch_into_insert_mode_holds_what_is_uncertain() {
    let mut world = held(true);
    world.sync.mode = Mode::Upsert;
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    world
        .rows("(1, 'a', 5), (2, 'b', 2)")
        .run_with(|_| Answer::Unknown)
        .unwrap();
    world.sync.mode = Mode::Insert;
    assert_eq!(world.run().planned.counts.withheld, split(0, 1, 0));
    world.settle("1", Arrival::NotDelivered);
    world.sync.mode = Mode::Upsert;
    assert_eq!(world.run().sent(), ["upsert a {\"n\":5}"]);
}

#[test]
fn rule_03_a_change_that_was_delivered_is_taken_as_it_was_sent() {
    let mut world = World::new();
    world.records = true;
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    world
        .rows("(1, 'a', 5), (2, 'b', 2)")
        .run_with(|_| Answer::Unknown)
        .unwrap();
    world.settle("1", Arrival::Delivered);
    assert_eq!(
        world.entries(),
        ["{\"id\":1} 1 {\"n\":5} assumed", "{\"id\":2} 2 {\"n\":2}"]
    );
    assert_eq!(world.run().sent(), [""; 0]);
    // Where no record says what was sent, nobody can take it for delivered.
    world
        .rows("(1, 'a', 6), (2, 'b', 2)")
        .run_with(|_| Answer::Unknown)
        .unwrap();
    std::fs::remove_dir_all(world.folder.path().join("runs")).unwrap();
    assert!(!world.resolve(&["1"], Arrival::Delivered)[0].settled);
    assert_eq!(world.run().sent(), ["upsert 1 {\"n\":6}"]);
}

#[test]
fn rule_03_a_removal_is_resolved_too() {
    let mut world = World::new();
    world.rows("(1, 'a', 1), (2, 'b', 2), (3, 'c', 3)").run();
    world.rows("(3, 'c', 3)").run_with(|_| Answer::Unknown).unwrap();
    world.settle("1", Arrival::Delivered);
    world.settle("2", Arrival::NotDelivered);
    assert_eq!(world.entries(), ["{\"id\":2} 2 {\"n\":2}", "{\"id\":3} 3 {\"n\":3}"]);
    assert_eq!(world.run().heads(), ["delete 2"]);
    let nothing = world.resolve(&["3", "{\"id\": 9}"], Arrival::Delivered);
    assert!(nothing.iter().all(|one| !one.settled), "{nothing:?}");
}
