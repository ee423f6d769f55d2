//! Insert mode with records that are found by another value than the key (rules 3, 12, 17, 19, 27).

use super::*;

fn world(on_removed: OnRemoved) -> World {
    World::matched().mode(Mode::Insert, on_removed)
}

fn ids(done: &Done) -> Vec<String> {
    let keys = done.operations.iter();
    keys.map(|operation| operation.idempotency_key.to_string()).collect()
}

#[test]
fn rule_27_an_uncertain_insert_is_retried_at_the_place_that_was_first_sent() {
    let mut world = world(OnRemoved::Nothing);
    let first = world.rows("(1, 'a', 1)").run_with(|_| Answer::Unknown).unwrap();
    let again = world.rows("(1, 'b', 2)").run_with(|_| Answer::Reject).unwrap();
    assert_eq!(again.sent(), ["insert a {\"n\":1}"]);
    assert_eq!(again.planned.counts.changes, split(1, 0, 0));
    assert_eq!(again.planned.counts.unchanged, 0);
    assert_eq!(ids(&again), ids(&first));
    let accepted = world.run();
    assert_eq!(ids(&accepted), ids(&first), "a rejection settles nothing");
    // From then on its entry follows the source; the record is where it is.
    assert_eq!(world.run().planned.counts.withheld, split(0, 1, 0));
    assert_eq!(world.entries(), ["{\"id\":1} \"a\" {\"n\":2} assumed"]);
    assert!(world.run().planned.shortcut);
}

#[test]
fn rule_19_a_key_that_left_uncertain_and_returns_elsewhere_is_retried() {
    for returning in [Returning::Remember, Returning::Insert] {
        let mut world = world(OnRemoved::Nothing);
        world.sync.returning = returning;
        let first = world
            .rows("(1, 'a', 1), (2, 'b', 2)")
            .run_with(of(Answer::Unknown, "a"));
        world.rows("(2, 'b', 2)").run();
        assert_eq!(world.entries()[0], "{\"id\":1} \"a\" {\"n\":1} never uncertain memory");
        let back = world.rows("(1, 'c', 3), (2, 'b', 2)").run();
        assert_eq!(back.sent(), ["insert a {\"n\":1}"]);
        assert_eq!(ids(&back), ids(&first.unwrap())[..1]);
        assert!(world.run().operations.is_empty());
        assert_eq!(world.entries()[0], "{\"id\":1} \"a\" {\"n\":3} assumed");
    }
}

#[test]
fn rule_19_an_uncertain_removal_elsewhere_is_repeated_before_its_row_is_inserted_again() {
    let mut world = world(OnRemoved::Delete);
    world.rows("(1, 'a', 1), (9, 'z', 9)").run();
    world.rows("(9, 'z', 9)").run_with(|_| Answer::Unknown).unwrap();
    let back = world.rows("(1, 'b', 1), (9, 'z', 9)").run();
    assert_eq!(back.heads(), ["delete a", "insert b"]);
    assert!(world.run().operations.is_empty());
    assert_eq!(world.entries()[0], "{\"id\":1} \"b\" {\"n\":1}");
}

#[test]
fn rule_12_an_inserted_record_is_removed_where_it_is() {
    let mut world = world(OnRemoved::Delete);
    world
        .rows("(1, 'a', 1), (9, 'z', 9)")
        .run_with(|_| Answer::Id("crm-1"))
        .unwrap();
    let moved = world.rows("(1, 'b', 2), (9, 'z', 9)").run();
    assert_eq!(moved.planned.counts.changes, split(0, 1, 0));
    assert_eq!(moved.planned.counts.withheld, split(0, 1, 0));
    assert_eq!(world.entries()[0], "{\"id\":1} \"a\" {\"n\":2} assumed crm-1");
    assert!(world.run().planned.shortcut, "it follows once");
    assert_eq!(
        world.rows("(1, 'b', 3), (9, 'z', 8)").run().planned.counts.withheld,
        split(0, 2, 0)
    );
    let left = world.rows("(9, 'z', 8)").run();
    assert_eq!(left.heads(), ["delete a"]);
    assert_eq!(left.operations[0].id.as_deref(), Some("crm-1"));
}

#[test]
fn rule_12_a_switch_to_upsert_moves_the_record_from_where_it_is() {
    let mut world = world(OnRemoved::Delete);
    world.rows("(1, 'a', 1)").run();
    world.rows("(1, 'b', 1)").run();
    world.sync.mode = Mode::Upsert;
    assert_eq!(world.run().heads(), ["delete a", "upsert b"]);
    assert!(world.run().planned.shortcut);
}

#[test]
fn rule_12_an_insert_where_another_record_is_takes_its_place() {
    let mut world = world(OnRemoved::Delete);
    world.rows("(1, 'a', 1)").run();
    world.rows("(1, 'b', 1)").run();
    assert_eq!(world.rows("(1, 'b', 1), (2, 'a', 2)").run().heads(), ["insert a"]);
    assert_eq!(world.run().heads(), ["insert b"]);
    assert_eq!(
        world.entries(),
        ["{\"id\":1} \"b\" {\"n\":1}", "{\"id\":2} \"a\" {\"n\":2}"]
    );
}

#[test]
fn rule_12_of_two_inserts_at_one_place_in_a_run_the_later_one_has_it() {
    let mut world = world(OnRemoved::Delete);
    world.rows("(1, 'a', 1)").run_with(|_| Answer::Unknown).unwrap();
    let both = world.rows("(1, 'b', 1), (2, 'a', 2)").run();
    assert_eq!(both.sent(), ["insert a {\"n\":1}", "insert a {\"n\":2}"]);
    assert_eq!(world.entries(), ["{\"id\":2} \"a\" {\"n\":2}"]);
    assert_eq!(world.run().heads(), ["insert b"]);
    assert!(world.run().planned.shortcut);
}

#[test]
fn rule_03_a_switch_to_insert_sends_what_is_uncertain_again() {
    for matched in [false, true] {
        let mut world = if matched { World::matched() } else { World::new() };
        world.sync.on_removed = OnRemoved::Nothing;
        world.rows("(1, 'a', 1), (2, 'b', 2)").run();
        world
            .rows("(1, 'a', 5), (2, 'b', 2), (3, 'c', 3)")
            .run_with(|_| Answer::Unknown)
            .unwrap();
        world.sync.mode = Mode::Insert;
        let done = world.rows("(1, 'a', 6), (2, 'b', 2), (3, 'c', 4)").run();
        let place = |id: usize| {
            if matched {
                ["", "a", "b", "c"][id].to_owned()
            } else {
                id.to_string()
            }
        };
        assert_eq!(
            done.sent(),
            [
                format!("insert {} {{\"n\":6}}", place(1)),
                format!("insert {} {{\"n\":4}}", place(3))
            ]
        );
        assert_eq!(done.planned.counts.planned, split(1, 1, 0));
        assert!(world.run().operations.is_empty());
        assert!(world.run().planned.shortcut);
    }
}

#[test]
fn rule_03_a_switch_to_insert_settles_uncertain_places_that_the_row_no_longer_has() {
    for (on_removed, operations) in [
        (OnRemoved::Delete, &["delete a", "insert b"][..]),
        (OnRemoved::Nothing, &["insert b"]),
    ] {
        let mut world = World::matched().mode(Mode::Upsert, on_removed);
        world.rows("(1, 'a', 1)").run();
        world.rows("(1, 'a', 2)").run_with(|_| Answer::Unknown).unwrap();
        world.sync.mode = Mode::Insert;
        assert_eq!(world.rows("(1, 'b', 2)").run().heads(), operations);
        assert_eq!(world.entries(), ["{\"id\":1} \"b\" {\"n\":2}"]);
        world.run();
        assert!(world.run().planned.shortcut);
    }
}

#[test]
fn rule_27_an_insert_that_was_uncertain_twice_is_retried_as_last_sent() {
    let mut world = World::new().mode(Mode::Insert, OnRemoved::Nothing);
    world.sync.returning = Returning::Insert;
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    world.rows("(2, 'b', 2)").run();
    let first = world
        .rows("(1, 'a', 5), (2, 'b', 2)")
        .run_with(|_| Answer::Unknown)
        .unwrap();
    assert_eq!(first.sent(), ["insert 1 {\"n\":5}"]);
    let again = world.rows("(1, 'a', 6), (2, 'b', 2)").run();
    assert_eq!(again.sent(), ["insert 1 {\"n\":5}"]);
    assert_eq!(ids(&again), ids(&first));
}

#[test]
fn rule_19_a_key_that_is_back_is_there_as_before() {
    for matched in [false, true] {
        let mut world = if matched { World::matched() } else { World::new() };
        (world.sync.mode, world.sync.on_removed) = (Mode::Insert, OnRemoved::Nothing);
        world.rows("(1, 'a', 1), (2, 'b', 2)").run();
        world.rows("(2, 'b', 2)").run();
        let back = world.rows("(1, 'c', 3), (2, 'b', 2)").run();
        assert_eq!(back.planned.counts.changes, split(0, 0, 0));
        assert_eq!(back.planned.counts.unchanged, 2);
        let place = if matched { "\"a\"" } else { "1" };
        assert_eq!(world.entries()[0], format!("{{\"id\":1}} {place} {{\"n\":3}} assumed"));
        assert!(world.run().planned.shortcut);
        // What leaves after the switch is removed, and at its own place.
        world.sync.on_removed = OnRemoved::Delete;
        let place = if matched { "a" } else { "1" };
        assert_eq!(world.rows("(2, 'b', 2)").run().heads(), [format!("delete {place}")]);
    }
}

#[test]
fn rule_19_a_key_that_is_back_uncertain_is_no_memory_either() {
    let mut world = World::new().mode(Mode::Insert, OnRemoved::Nothing);
    world
        .rows("(1, 'a', 1), (2, 'b', 2)")
        .run_with(of(Answer::Unknown, "1"))
        .unwrap();
    world.rows("(2, 'b', 2)").run();
    world
        .rows("(1, 'a', 1), (2, 'b', 2)")
        .run_with(|_| Answer::NotSent)
        .unwrap();
    world.sync.on_removed = OnRemoved::Delete;
    assert_eq!(world.rows("(2, 'b', 2)").run().heads(), ["delete 1"]);
}

#[test]
fn rule_12_nothing_is_removed_where_an_insert_is_repeated() {
    let mut world = world(OnRemoved::Delete);
    world
        .rows("(1, 'a', 1), (9, 'z', 9)")
        .run_with(of(Answer::Unknown, "a"))
        .unwrap();
    world
        .rows("(1, 'b', 1), (2, 'a', 2), (9, 'z', 9)")
        .run_with(of(Answer::Unknown, "a"))
        .unwrap();
    // 2 left: what it may have left at a is for the insert there to settle.
    let done = world.rows("(1, 'b', 1), (9, 'z', 9)").run();
    assert_eq!(done.sent(), ["insert a {\"n\":1}"]);
    assert_eq!(done.planned.counts.withheld, split(0, 0, 1));
    assert_eq!(
        world.homes(),
        [("{\"id\":1}".into(), "a".into()), ("{\"id\":9}".into(), "z".into())]
    );
}

#[test]
fn rule_12_a_row_whose_record_is_elsewhere_keeps_none_from_being_removed() {
    let mut world = world(OnRemoved::Delete);
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    assert_eq!(world.rows("(1, 'b', 1)").run().heads(), ["delete b"]);
    assert_eq!(world.homes(), [("{\"id\":1}".into(), "a".into())]);
}

#[test]
fn rule_19_a_removal_is_uncertain_still_when_its_repetition_is_rejected() {
    let mut world = world(OnRemoved::Delete);
    world.rows("(1, 'a', 1), (9, 'z', 9)").run();
    world.rows("(9, 'z', 9)").run_with(|_| Answer::Unknown).unwrap();
    assert_eq!(world.run_with(|_| Answer::Reject).unwrap().heads(), ["delete a"]);
    assert_eq!(world.rows("(1, 'a', 1), (9, 'z', 9)").run().heads(), ["delete a"]);
    assert_eq!(world.run().heads(), ["insert a"]);
    assert!(world.run().planned.shortcut);
}

#[test]
fn rule_19_a_removal_is_uncertain_still_when_another_row_was_refused_there() {
    let mut world = world(OnRemoved::Delete);
    world.rows("(1, 'a', 1), (9, 'z', 9)").run();
    world.rows("(9, 'z', 9)").run_with(|_| Answer::Unknown).unwrap();
    let other = world.rows("(2, 'a', 2), (9, 'z', 9)").run_with(|_| Answer::Reject);
    assert_eq!(other.unwrap().heads(), ["insert a"]);
    assert_eq!(world.rows("(1, 'a', 1), (9, 'z', 9)").run().heads(), ["delete a"]);
    assert_eq!(world.run().heads(), ["insert a"]);
}

#[test]
fn rule_27_an_uncertain_insert_keeps_its_id_when_another_row_was_refused_there() {
    let mut world = world(OnRemoved::Nothing);
    let first = world
        .rows("(1, 'a', 1), (9, 'z', 9)")
        .run_with(of(Answer::Unknown, "a"))
        .unwrap();
    world
        .rows("(2, 'a', 2), (9, 'z', 9)")
        .run_with(|_| Answer::Reject)
        .unwrap();
    let again = world.rows("(1, 'b', 5), (9, 'z', 9)").run();
    assert_eq!(again.sent(), ["insert a {\"n\":1}"]);
    assert_eq!(ids(&again), ids(&first)[..1]);
}

#[test]
fn rule_03_an_insert_that_is_accepted_after_another_at_its_place_settles_that() {
    let mut world = world(OnRemoved::Nothing);
    world.rows("(1, 'a', 1)").run_with(|_| Answer::Unknown).unwrap();
    let both = world.rows("(1, 'b', 1), (2, 'a', 2)").run_with(|operation| {
        if operation.key == "{\"id\":1}" {
            Answer::Unknown
        } else {
            Answer::Accept
        }
    });
    assert_eq!(both.unwrap().sent(), ["insert a {\"n\":1}", "insert a {\"n\":2}"]);
    assert_eq!(world.entries(), ["{\"id\":2} \"a\" {\"n\":2}"]);
    assert_eq!(world.run().heads(), ["insert b"]);
}

#[test]
fn rule_33_a_row_with_two_uncertain_inserts_is_one_row() {
    let mut world = world(OnRemoved::Nothing);
    world
        .rows("(1, 'a', 1), (2, 'y', 2), (9, 'z', 9)")
        .run_with(of(Answer::Unknown, "a"))
        .unwrap();
    (world.full_resync, world.force) = (true, true);
    world
        .rows("(1, 'b', 1), (2, 'y', 2), (9, 'z', 9)")
        .run_with(of(Answer::Unknown, "b"))
        .unwrap();
    world.full_resync = false;
    let both = world.run();
    assert_eq!(both.heads(), ["insert a", "insert b"]);
    assert_eq!(both.planned.counts.planned, split(2, 0, 0));
    assert_eq!(both.planned.counts.unchanged, 2);
}
