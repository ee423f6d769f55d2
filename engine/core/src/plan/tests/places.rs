//! Places: a record is found by its match value, and a place has one owner (rule 12).

use super::*;

#[test]
fn rule_12_a_move_removes_at_the_old_place_and_writes_at_the_new_one() {
    let mut world = World::matched();
    world.rows("(1, 'a', 1)").run();
    let moved = world.rows("(1, 'b', 1)").run();
    assert_eq!(moved.heads(), ["delete a", "upsert b"]);
    assert_eq!(moved.planned.counts.changes, split(0, 1, 1));
    assert_eq!(world.entries(), ["{\"id\":1} \"b\" {\"n\":1}"]);
}

#[test]
fn rule_12_the_old_entry_ends_when_its_removal_is_acknowledged_whatever_becomes_of_the_write() {
    let mut world = World::matched();
    world.rows("(1, 'a', 1)").run();
    world.rows("(1, 'b', 1)").run_with(of(Answer::Reject, "b")).unwrap();
    assert_eq!(world.entries(), Vec::<String>::new());
    assert_eq!(world.run().heads(), ["upsert b"]);
    world.rows("(1, 'c', 1)").run_with(of(Answer::Reject, "b")).unwrap();
    assert_eq!(
        world.entries(),
        ["{\"id\":1} \"b\" {\"n\":1}", "{\"id\":1} \"c\" {\"n\":1}"]
    );
    assert_eq!(world.run().heads(), ["delete b"]);
}

#[test]
fn rule_12_a_removal_of_a_place_that_a_row_has_is_owed_and_superseded_by_a_write_there() {
    let mut world = World::matched();
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    // They swap their places: nothing is removed.
    let swap = world
        .rows("(1, 'b', 1), (2, 'a', 2)")
        .run_with(of(Answer::Reject, "a"))
        .unwrap();
    assert_eq!(swap.heads(), ["upsert b", "upsert a"]);
    assert_eq!(swap.planned.counts.withheld, split(0, 0, 2));
    // b is 1's now and nobody else's; a is still what 1 left there.
    assert_eq!(
        world.entries(),
        ["{\"id\":1} \"a\" {\"n\":1}", "{\"id\":1} \"b\" {\"n\":1}"]
    );
    let again = world.run();
    assert_eq!(again.heads(), ["upsert a"]);
    assert_eq!(
        world.entries(),
        ["{\"id\":1} \"b\" {\"n\":1}", "{\"id\":2} \"a\" {\"n\":2}"]
    );
}

#[test]
fn rule_12_an_owed_removal_is_sent_once_no_row_wants_the_place() {
    let mut world = World::matched();
    world.rows("(1, 'a', 1)").run();
    let owed = world.rows("(2, 'a', 2)").run_with(|_| Answer::Reject).unwrap();
    assert_eq!(owed.heads(), ["upsert a"]);
    assert_eq!(world.emptied().run().heads(), ["delete a"]);
    assert_eq!(world.entries(), Vec::<String>::new());
}

#[test]
fn rule_12_nothing_is_removed_where_a_row_is_as_acknowledged() {
    let mut world = World::matched();
    world.rows("(1, 'a', 1), (9, 'b', 9)").run();
    // No run of ours leaves two entries at one place; should one be there all the same, the row's record is not deleted.
    let warehouse = world.warehouse();
    world.open(&warehouse, None).unwrap();
    let edit = format!("UPDATE {ENTRIES} SET m = 'a', uncertain = true, h = NULL WHERE k0 = 9");
    warehouse.connect().unwrap().execute(&edit).unwrap();
    drop(warehouse);
    let done = world.rows("(1, 'a', 1)").run();
    assert!(done.operations.is_empty(), "{:?}", done.heads());
    assert_eq!(done.planned.counts.withheld, split(0, 0, 1));
}

#[test]
fn rule_09_removals_owed_on_account_of_an_invalid_row_wait() {
    let mut world = World::matched();
    world.rows("(1, 'a', 1)").run();
    // The key left; the place is wanted by rows that cannot be sent.
    let done = world.rows("(2, 'a', 2), (3, 'a', 3)").run();
    assert!(done.operations.is_empty());
    assert_eq!(world.entries(), ["{\"id\":1} \"a\" {\"n\":1}"]);
}

#[test]
fn rule_03_an_uncertain_key_remembers_every_place() {
    let mut world = World::matched();
    world.rows("(1, 'a', 1)").run_with(|_| Answer::Unknown).unwrap();
    assert_eq!(world.entries(), ["{\"id\":1} \"a\" {\"n\":1} never uncertain"]);
    let moved = world.rows("(1, 'b', 1)").run_with(|_| Answer::Unknown).unwrap();
    assert_eq!(moved.heads(), ["delete a", "upsert b"]);
    assert_eq!(
        world.entries(),
        [
            "{\"id\":1} \"a\" {\"n\":1} never uncertain",
            "{\"id\":1} \"b\" {\"n\":1} never uncertain"
        ]
    );
    assert_eq!(world.emptied().run().heads(), ["delete a", "delete b"]);
    assert_eq!(world.entries(), Vec::<String>::new());
}

#[test]
fn rule_12_an_unknown_write_makes_the_others_at_its_place_uncertain() {
    let mut world = World::matched();
    world.rows("(1, 'a', 1)").run();
    world
        .rows("(1, 'b', 1), (2, 'a', 2)")
        .run_with(of(Answer::Unknown, "a"))
        .unwrap();
    assert_eq!(
        world.entries(),
        [
            "{\"id\":1} \"a\" {\"n\":1} uncertain",
            "{\"id\":1} \"b\" {\"n\":1}",
            "{\"id\":2} \"a\" {\"n\":2} never uncertain"
        ]
    );
    world.run();
    assert_eq!(
        world.entries(),
        ["{\"id\":1} \"b\" {\"n\":1}", "{\"id\":2} \"a\" {\"n\":2}"]
    );
}

#[test]
fn rule_12_at_most_one_removal_per_place() {
    let mut world = World::matched();
    world.rows("(1, 'a', 1)").run();
    world.rows("(2, 'a', 2)").run_with(|_| Answer::Unknown).unwrap();
    assert_eq!(world.entries().len(), 2);
    let gone = world.emptied().run();
    assert_eq!(gone.heads(), ["delete a"]);
    assert_eq!(
        world.entries(),
        Vec::<String>::new(),
        "what is gone there is gone for everybody"
    );
}

#[test]
fn rule_20_a_removal_that_finds_nothing_is_done() {
    let mut world = World::new();
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    let done = world.rows("(2, 'b', 2)").run_with(|_| Answer::NoMatch).unwrap();
    assert_eq!(done.folded.unwrap().counts.succeeded, split(0, 0, 1));
    assert_eq!(world.entries(), ["{\"id\":2} 2 {\"n\":2}"]);
}

#[test]
fn rule_20_more_than_a_few_removals_that_all_find_nothing_are_not_believed() {
    let mut world = World::new();
    let rows: Vec<_> = (1..=7).map(|id| format!("({id}, 'a', 1)")).collect();
    world.rows(&rows.join(", ")).run();
    let Done { operations, folded, .. } = world.rows("(1, 'a', 1)").run_with(|_| Answer::NoMatch).unwrap();
    let done = folded.unwrap();
    assert!(done.all_missing);
    assert_eq!(
        (done.counts.unmatched, done.counts.succeeded),
        (split(0, 0, 6), split(0, 0, 0))
    );
    assert_eq!(world.entries().len(), 7);
    // They are listed as what they are, and a repetition is a retry (rule 27).
    assert_eq!(world.unsettled()[0], "{\"id\":2} delete unmatched 1");
    assert_eq!(world.unsettled().len(), 6);
    let again = world.run_with(|_| Answer::NoMatch).unwrap();
    let ids = |operations: &[Operation]| {
        operations
            .iter()
            .map(|one| one.idempotency_key.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&again.operations), ids(&operations));
    assert_eq!(world.unsettled()[0], "{\"id\":2} delete unmatched 2");
    world.run();
    assert_eq!((world.unsettled().len(), world.entries().len()), (0, 1));
}

#[test]
fn rule_33_rows_that_all_moved_are_changed_in_every_count() {
    let mut world = World::matched().mode(Mode::Upsert, OnRemoved::Nothing);
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    let moved = world.rows("(1, 'c', 1), (2, 'd', 2)").run();
    assert_eq!(moved.planned.counts.planned, split(0, 2, 0));
    assert_eq!(moved.folded.unwrap().counts.succeeded, split(0, 2, 0));
}
