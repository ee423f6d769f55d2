//! Parking (rule 2): what was rejected too often in a row waits until its values change, or a person releases it.

use super::*;

impl World {
    /// Keys that were released, and those that were not parked.
    fn release(&self, keys: Option<&[&str]>) -> (Vec<String>, Vec<String>) {
        let warehouse = self.warehouse();
        let mut connection = warehouse.connect().unwrap();
        let mut ledger = self.open(&warehouse, None).unwrap();
        ledger.recover(&mut connection, &self.journal_path()).unwrap();
        let keys: Option<Vec<_>> = keys.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect());
        let released = ledger.release(&mut connection, keys.as_deref()).unwrap();
        (released.keys, released.not_parked)
    }
}

fn id(done: &Done, at: usize) -> String {
    done.operations[at].idempotency_key.to_string()
}

fn parking(times: u32) -> World {
    let mut world = World::new();
    world.sync.park_after = NonZeroU32::new(times);
    world
}

#[test]
fn rule_02_a_row_is_parked_after_rejections_in_a_row_until_its_values_change() {
    let mut world = parking(2);
    world.rows("(1, 'a', 1), (2, 'b', 2)");
    for _ in 0..2 {
        let done = world.run_with(of(Answer::Reject, "1")).unwrap();
        assert!(done.sent().contains(&"upsert 1 {\"n\":1}".to_owned()));
    }
    for _ in 0..3 {
        let done = world.run();
        assert!(done.operations.is_empty(), "{:?}", done.sent());
        assert_eq!(done.planned.counts.withheld.added, 1, "it counts as withheld");
        assert!(done.planned.warn && done.planned.notes[0].contains("1 rows are parked"));
        assert_eq!(world.unsettled(), ["{\"id\":1} upsert parked 2"]);
    }
    // Another row does not concern it, its own other values do.
    assert_eq!(
        world.rows("(1, 'a', 1), (2, 'b', 3)").run().sent(),
        ["upsert 2 {\"n\":3}"]
    );
    assert_eq!(
        world.rows("(1, 'a', 9), (2, 'b', 3)").run().sent(),
        ["upsert 1 {\"n\":9}"]
    );
    assert!(world.run().operations.is_empty() && world.unsettled().is_empty());
}

#[test]
fn rule_02_what_is_parked_is_forgotten_when_its_row_reverts_or_leaves() {
    let mut world = parking(1);
    world.rows("(1, 'a', 1)").run();
    world.rows("(1, 'a', 2)").run_with(|_| Answer::Reject).unwrap();
    assert!(world.run().operations.is_empty() && world.unsettled().len() == 1);
    assert!(world.rows("(1, 'a', 1)").run().operations.is_empty() && world.unsettled().is_empty());
    assert_eq!(
        world.rows("(1, 'a', 2)").run().sent(),
        ["upsert 1 {\"n\":2}"],
        "it counts anew"
    );
    world
        .rows("(1, 'a', 3), (2, 'b', 1)")
        .run_with(|_| Answer::Reject)
        .unwrap();
    assert_eq!(
        world.rows("(3, 'c', 3)").run().heads(),
        ["delete 1", "upsert 3"],
        "2 was never there"
    );
    assert!(world.unsettled().is_empty());
}

#[test]
fn rule_02_a_removal_is_parked_too_and_its_entry_stays() {
    let mut world = parking(1);
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    world.rows("(2, 'b', 2)").run_with(|_| Answer::Reject).unwrap();
    let done = world.run();
    assert!(done.operations.is_empty());
    assert_eq!(done.planned.counts.withheld.removed, 1);
    assert_eq!(world.entries().len(), 2);
}

#[test]
fn rule_02_released_rows_are_tried_again_with_their_id_and_counted_anew() {
    let mut world = parking(2);
    let first = world
        .rows("(1, 'a', 1), (2, 'b', 2)")
        .run_with(|_| Answer::Reject)
        .unwrap();
    world.run_with(|_| Answer::Reject).unwrap();
    assert!(world.run().operations.is_empty());
    assert_eq!(
        world.release(Some(&["1", "3"])),
        (vec!["{\"id\":1}".to_owned()], vec!["{\"id\":3}".to_owned()])
    );
    let again = world.run_with(|_| Answer::Reject).unwrap();
    assert_eq!(again.heads(), ["upsert 1"]);
    assert_eq!(id(&again, 0), id(&first, 0));
    assert_eq!(
        world.run_with(|_| Answer::Reject).unwrap().heads(),
        ["upsert 1"],
        "the second in a row"
    );
    assert!(world.run().operations.is_empty());
    assert_eq!(world.release(None).0.len(), 2);
    assert_eq!(world.run().heads(), ["upsert 1", "upsert 2"]);
    assert!(world.unsettled().is_empty());
}

#[test]
fn rule_02_nothing_is_parked_that_is_uncertain_or_sent_by_a_full_resync_or_when_it_is_off() {
    let mut world = parking(1);
    world.rows("(1, 'a', 1)").run_with(|_| Answer::Unknown).unwrap();
    for _ in 0..2 {
        assert_eq!(
            world.run_with(|_| Answer::Reject).unwrap().heads(),
            ["upsert 1"],
            "rule 3"
        );
    }
    let mut world = parking(1).mode(Mode::Upsert, OnRemoved::Nothing);
    world.rows("(1, 'a', 1)").run_with(|_| Answer::Reject).unwrap();
    assert!(world.run().operations.is_empty());
    world.full_resync = true;
    assert_eq!(world.run_with(|_| Answer::Reject).unwrap().heads(), ["upsert 1"]);
    world.full_resync = false;
    assert!(world.run().operations.is_empty());
    world.sync.park_after = None;
    assert_eq!(world.run_with(|_| Answer::Reject).unwrap().heads(), ["upsert 1"]);
    assert_eq!(world.unsettled(), ["{\"id\":1} upsert rejected 3"]);
}
