//! Targets that are replaced whole (rules 6, 23, 24).

use super::*;

fn world() -> World {
    let mut world = World::new().mode(Mode::Mirror, OnRemoved::Delete);
    world.target = Target {
        whole: true,
        finish: true,
        counting: Counting::Finish,
        kinds: vec![Kind::Upsert],
        ..world.target
    };
    world
}

#[test]
fn rule_24_a_whole_target_gets_every_row_whenever_anything_changed() {
    let mut world = world();
    world.rows("(1, 'a', 1), (2, 'b', 2), (3, 'c', 3)").run();
    assert!(world.run().operations.is_empty());
    let done = world.rows("(1, 'a', 1), (2, 'b', 9)").run();
    assert_eq!(done.sent(), ["upsert 1 {\"n\":1}", "upsert 2 {\"n\":9}"]);
    assert_eq!(done.planned.counts.planned, split(0, 2, 0));
    assert_eq!(done.planned.counts.withheld, split(0, 0, 1));
    assert_eq!(world.entries(), ["{\"id\":1} 1 {\"n\":1}", "{\"id\":2} 2 {\"n\":9}"]);
    assert!(world.run().planned.shortcut);
}

#[test]
fn rule_06_nothing_counts_before_finish() {
    let mut world = world();
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    world.finish = false;
    let done = world.rows("(1, 'a', 5)").run();
    assert_eq!(done.folded.unwrap().counts.unknown, split(0, 1, 0));
    assert_eq!(
        world.entries(),
        ["{\"id\":1} 1 {\"n\":1} uncertain", "{\"id\":2} 2 {\"n\":2}"]
    );
    world.finish = true;
    assert_eq!(world.run().heads(), ["upsert 1"]);
    assert_eq!(world.entries(), ["{\"id\":1} 1 {\"n\":5}"]);
}

#[test]
fn rule_24_an_empty_model_replaces_the_file_by_an_empty_one() {
    let mut world = world();
    world.rows("(1, 'a', 1)").run();
    world.allow = vec![stop(world.rows("").run_with(|_| Answer::Accept)).token];
    let done = world.run();
    assert!(done.planned.deliver && done.operations.is_empty());
    assert_eq!(world.entries(), Vec::<String>::new());
}

#[test]
fn rule_09_the_record_of_a_key_whose_rows_are_invalid_stays_in_the_file() {
    let mut world = world();
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    let done = world.rows("(1, 'a', 5), (1, 'a', 6), (2, 'b', 3)").run();
    assert_eq!(done.sent(), ["upsert 1 {\"n\":1}", "upsert 2 {\"n\":3}"]);
}

#[test]
fn rule_01_a_refused_row_is_not_in_the_file_and_so_has_no_entry() {
    let mut world = world();
    world
        .rows("(1, 'a', 1), (2, 'b', 2)")
        .run_with(of(Answer::Reject, "2"))
        .unwrap();
    assert_eq!(world.entries(), ["{\"id\":1} 1 {\"n\":1}"]);
    assert_eq!(world.run().heads(), ["upsert 1", "upsert 2"]);
}

#[track_caller]
fn stop(result: Result<Done, PlanError>) -> Stop {
    match result {
        Err(PlanError::Stopped(stop)) => *stop,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rule_09_a_full_resync_keeps_the_record_of_a_key_whose_rows_are_invalid() {
    let mut world = world();
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    world.full_resync = true;
    let done = world.rows("(1, 'a', 1), (2, 'b', 2), (2, 'b', 3)").run();
    assert_eq!(done.sent(), ["upsert 1 {\"n\":1}", "upsert 2 {\"n\":2}"]);
    assert_eq!(world.entries().len(), 2);
}

#[test]
fn rule_35_a_full_resync_of_a_whole_target_is_guarded_too() {
    let mut world = world();
    world.rows("(1, 'a', 1), (2, 'b', 2), (3, 'c', 3)").run();
    world.sync.guards.max_removed = Threshold { share: 0.3, rows: 1 };
    world.full_resync = true;
    world.allow = vec![stop(world.rows("(1, 'a', 1)").run_with(|_| Answer::Accept)).token];
    assert_eq!(world.run().heads(), ["upsert 1"]);
    assert_eq!(world.entries().len(), 1);
}
