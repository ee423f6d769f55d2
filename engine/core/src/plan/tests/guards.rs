//! Guards (rule 35).

use super::*;

fn many(ids: std::ops::RangeInclusive<u32>, n: &str) -> String {
    ids.map(|id| format!("({id}, 'e{id}', {n})"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn guarded(on_removed: OnRemoved) -> World {
    let mut world = World::new().mode(Mode::Upsert, on_removed);
    world.sync.guards = Guards::default();
    world.rows(&many(1..=20, "1")).run();
    world
}

#[track_caller]
fn stop(world: &World) -> Stop {
    match world.run_with(|_| Answer::Accept) {
        Err(PlanError::Stopped(stop)) => *stop,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rule_35_an_empty_model_stops_the_run_under_every_delete_behaviour() {
    for on_removed in [OnRemoved::Nothing, OnRemoved::Clear, OnRemoved::Delete] {
        let mut world = guarded(on_removed);
        world.rows("");
        assert!(stop(&world).to_string().contains("no rows"));
        assert_eq!(world.entries().len(), 20);
    }
}

#[test]
fn rule_35_too_many_removals_stop_the_run_and_the_approval_holds_for_a_subset() {
    for on_removed in [OnRemoved::Nothing, OnRemoved::Delete] {
        let mut world = guarded(on_removed);
        world.rows(&many(9..=20, "1"));
        let stopped = stop(&world);
        assert!(stopped.reason.starts_with("8 of 20"), "{stopped}");
        assert_eq!(stopped.counts.changes.removed, 8);
        assert_eq!(world.entries().len(), 20);
        world.allow = vec![stopped.token];
        // More than was approved.
        world.rows(&many(10..=20, "1"));
        world.rows(&many(10..=19, "1"));
        stop(&world);
        // Fewer.
        world.rows(&many(8..=20, "1"));
        assert_eq!(world.run().planned.counts.changes.removed, 7);
        assert_eq!(world.entries().len(), 13);
    }
}

#[test]
fn rule_35_few_removals_pass() {
    let mut world = guarded(OnRemoved::Delete);
    assert_eq!(
        world.rows(&many(6..=20, "1")).run().planned.counts.planned,
        split(0, 0, 5)
    );
}

#[test]
fn rule_35_a_field_that_turns_null_stops_the_run() {
    let mut world = guarded(OnRemoved::Delete);
    world.rows(&format!("{}, {}", many(1..=7, "NULL"), many(8..=20, "1")));
    let stopped = stop(&world);
    assert!(stopped.reason.contains("`n` turns null in 7 of 20"), "{stopped}");
    world.allow = vec![stopped.token];
    assert_eq!(world.run().planned.counts.planned, split(0, 7, 0));
}

#[test]
fn rule_35_a_column_of_another_type_stops_the_run_and_a_wider_one_does_not() {
    let mut world = guarded(OnRemoved::Delete);
    assert!(world.rows(&many(1..=20, "1::BIGINT")).run().operations.is_empty());
    world.rows(&many(1..=20, "'1'"));
    let stopped = stop(&world);
    assert!(stopped.reason.contains("BIGINT and is VARCHAR"), "{stopped}");
    world.allow = vec![stopped.token];
    assert_eq!(world.run().planned.counts.planned, split(0, 20, 0));
}

#[test]
fn rule_21_what_left_under_nothing_when_a_guard_stopped_is_not_deleted_later() {
    let mut world = guarded(OnRemoved::Nothing);
    world.rows(&many(9..=20, "1"));
    stop(&world);
    world.sync.on_removed = OnRemoved::Delete;
    // It counts as a removal still.
    world.allow = vec![stop(&world).token];
    let done = world.run();
    assert_eq!(done.heads(), [""; 0]);
    assert_eq!(done.planned.counts.withheld, split(0, 0, 8));
    assert_eq!(world.entries().len(), 12);
    assert_eq!(world.rows(&many(10..=20, "1")).run().heads(), ["delete 9"]);
}

#[test]
fn rule_21_what_was_back_before_it_left_is_deleted() {
    let mut world = guarded(OnRemoved::Nothing);
    world.rows(&many(9..=20, "1"));
    stop(&world);
    world.sync.on_removed = OnRemoved::Delete;
    assert_eq!(world.rows(&many(1..=20, "1")).run().heads(), [""; 0]);
    assert_eq!(world.rows(&many(2..=20, "1")).run().heads(), ["delete 1"]);
}

#[test]
fn rule_21_what_left_under_nothing_while_removals_were_held_is_not_deleted_later() {
    for mode in [Mode::Upsert, Mode::Insert] {
        let mut world = World::matched().mode(mode, OnRemoved::Nothing);
        world.rows("(1, 'a', 1), (2, 'b', 2), (3, 'c', 3)").run();
        let held = world.rows("(1, 'a', 1), (NULL, 'b', 2), (3, 'c', 3)").run();
        assert!(held.planned.notes[0].contains("held"), "{:?}", held.planned.notes);
        world.sync.on_removed = OnRemoved::Delete;
        assert_eq!(world.run().planned.counts.withheld, split(0, 0, 1), "held again");
        let done = world.rows("(1, 'a', 1), (3, 'c', 3)").run();
        assert_eq!(done.heads(), [""; 0]);
        let left = world.entries();
        assert_eq!(left.len(), if mode == Mode::Insert { 3 } else { 2 });
        assert_eq!(left.iter().any(|entry| entry.ends_with("memory")), mode == Mode::Insert);
        assert_eq!(world.rows("(1, 'a', 1)").run().heads(), ["delete c"]);
    }
}

#[test]
fn rule_35_a_field_that_turns_null_stops_the_run_also_where_records_move() {
    let mut world = World::matched().mode(Mode::Upsert, OnRemoved::Nothing);
    world.sync.guards.max_nulled = Guards::default().max_nulled;
    world.rows(&many(1..=20, "1")).run();
    let moved: Vec<_> = (1..=7).map(|id| format!("({id}, 'moved{id}', NULL)")).collect();
    world.rows(&format!("{}, {}", moved.join(", "), many(8..=20, "1")));
    let stopped = stop(&world);
    assert!(stopped.reason.contains("`n` turns null in 7 of 20"), "{stopped}");
    assert_eq!(world.entries().len(), 20);
}

#[test]
fn rule_35_a_full_resync_is_guarded_too() {
    let mut world = guarded(OnRemoved::Nothing);
    world.full_resync = true;
    world.rows("");
    assert!(stop(&world).reason.contains("no rows"));
    world.rows(&format!("{}, {}", many(1..=7, "NULL"), many(8..=20, "1")));
    assert!(stop(&world).reason.contains("`n` turns null in 7 of 20"));
    world.rows(&many(1..=20, "'1'"));
    assert!(stop(&world).reason.contains("INTEGER and is VARCHAR"));
    assert_eq!(world.entries().len(), 20);
}
