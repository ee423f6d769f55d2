//! Modes and delete behaviours (rules 17 to 22).

use super::*;

#[test]
fn rule_17_insert_sends_what_is_new_and_entries_follow_the_rest() {
    let mut world = World::new().mode(Mode::Insert, OnRemoved::Nothing);
    assert_eq!(world.rows("(1, 'a', 1)").run().heads(), ["insert 1"]);
    let done = world.rows("(1, 'a', 2), (2, 'b', 2)").run();
    assert_eq!(done.heads(), ["insert 2"]);
    assert_eq!(done.planned.counts.withheld, split(0, 1, 0));
    assert_eq!(
        world.entries(),
        ["{\"id\":1} 1 {\"n\":2} assumed", "{\"id\":2} 2 {\"n\":2}"]
    );
    assert!(world.run().operations.is_empty());
    assert!(world.run().planned.shortcut);
}

#[test]
fn rule_17_update_changes_existing_records_only() {
    let mut world = World::new().mode(Mode::Update, OnRemoved::Delete);
    assert_eq!(world.rows("(1, 'a', 1)").run().heads(), ["update 1"]);
    assert_eq!(world.rows("(1, 'a', 2)").run().heads(), ["update 1"]);
}

#[test]
fn rule_17_all_sends_everything_and_forgets_what_left() {
    let mut world = World::matched().mode(Mode::All, OnRemoved::Nothing);
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    let done = world.rows("(1, 'c', 1)").run();
    assert_eq!(done.heads(), ["upsert c"]);
    assert_eq!(done.planned.counts.changes, split(0, 1, 0));
    assert_eq!(world.entries(), ["{\"id\":1} \"c\" {\"n\":1}"]);
    assert_eq!(world.run().heads(), ["upsert c"]);
    // A later upsert compares with what the destination has.
    world.sync.mode = Mode::Upsert;
    assert!(world.run().operations.is_empty());
}

#[test]
fn rule_18_nothing_lets_the_entry_go_and_shows_it_as_removed() {
    let mut world = World::new().mode(Mode::Upsert, OnRemoved::Nothing);
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    let done = world.rows("(1, 'a', 1)").run();
    assert!(done.operations.is_empty());
    assert_eq!(
        (done.planned.counts.changes, done.planned.counts.withheld),
        (split(0, 0, 1), split(0, 0, 1))
    );
    assert_eq!(world.entries().len(), 1);
    assert_eq!(
        world.rows("(1, 'a', 1), (2, 'b', 2)").run().planned.counts.planned,
        split(1, 0, 0)
    );
}

#[test]
fn rule_18_clear_empties_the_mapped_fields_but_those_of_key_and_match() {
    let mut world = World::matched().mode(Mode::Upsert, OnRemoved::Clear);
    world.sync.mappings.push(Mapping {
        to: "mail".into(),
        from: From::Column("email".into()),
    });
    world.sync.mappings.push(Mapping {
        to: "tag".into(),
        from: From::Value("fleet".into()),
    });
    assert_eq!(
        world.rows("(1, 'a', 1), (2, 'b', 2)").run().operations[0].fields,
        "{\"n\":1,\"mail\":\"a\",\"tag\":\"fleet\"}"
    );
    let done = world.rows("(1, 'a', 1)").run();
    assert_eq!(done.sent(), ["clear b {\"n\":null,\"tag\":null}"]);
    assert_eq!(world.entries().len(), 1);
    let back = world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    assert_eq!(back.sent(), ["upsert b {\"n\":2,\"mail\":\"b\",\"tag\":\"fleet\"}"]);
}

#[test]
fn rule_18_what_the_target_does_not_support_is_refused() {
    let mut world = World::new();
    world.target.kinds = vec![Kind::Upsert];
    let error = world
        .rows("(1, 'a', 1)")
        .run_with(|_| Answer::Accept)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`on_removed: delete`") && error.contains("`upsert`"),
        "{error}"
    );
    world.sync.on_removed = OnRemoved::Nothing;
    world.run();
    world.sync.mode = Mode::Update;
    assert!(matches!(world.run_with(|_| Answer::Accept), Err(PlanError::Refused(_))));
}

#[test]
fn rule_19_a_key_that_left_in_insert_mode_is_remembered() {
    let mut world = World::new().mode(Mode::Insert, OnRemoved::Nothing);
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    let left = world.rows("(1, 'a', 1)").run();
    assert_eq!(left.planned.counts.withheld, split(0, 0, 1));
    assert_eq!(world.entries()[1], "{\"id\":2} 2 {\"n\":2} memory");
    assert_eq!(world.run().planned.counts.changes, split(0, 0, 0), "it is told once");
    let back = world.rows("(1, 'a', 1), (2, 'b', 3)").run();
    assert!(back.operations.is_empty());
    assert_eq!(world.entries()[1], "{\"id\":2} 2 {\"n\":3} assumed");
}

#[test]
fn rule_19_a_key_that_returns_is_inserted_where_the_sync_says_so() {
    let mut world = World::new().mode(Mode::Insert, OnRemoved::Nothing);
    world.sync.returning = Returning::Insert;
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    world.rows("(1, 'a', 1)").run();
    let back = world.rows("(1, 'a', 1), (2, 'b', 3)").run();
    assert_eq!(back.heads(), ["insert 2"]);
    assert_eq!(world.entries()[1], "{\"id\":2} 2 {\"n\":3}");
}

#[test]
fn rule_19_an_uncertain_removal_is_repeated_before_its_row_is_inserted_again() {
    let mut world = World::new().mode(Mode::Insert, OnRemoved::Delete);
    world.rows("(1, 'a', 1), (9, 'z', 9)").run();
    world.rows("(9, 'z', 9)").run_with(|_| Answer::Unknown).unwrap();
    assert_eq!(world.rows("(1, 'a', 1), (9, 'z', 9)").run().heads(), ["delete 1"]);
    assert_eq!(world.run().heads(), ["insert 1"]);
}

#[test]
fn rule_20_an_update_without_match_waits_for_a_change_or_a_growing_number_of_runs() {
    let mut world = World::new().mode(Mode::Update, OnRemoved::Nothing);
    let mut tries = Vec::new();
    world.rows("(1, 'a', 1)");
    for run in 1..=9 {
        let done = world.run_with(|_| Answer::NoMatch).unwrap();
        if !done.operations.is_empty() {
            tries.push(run);
        }
        assert_eq!(world.entries(), Vec::<String>::new());
    }
    assert_eq!(tries, [1, 3, 6]);
    assert_eq!(world.rows("(1, 'a', 2)").run().heads(), ["update 1"]);
}

#[test]
fn rule_20_an_upsert_that_finds_no_record_is_made_again() {
    let mut world = World::new();
    world.rows("(1, 'a', 1)").run();
    world.rows("(1, 'a', 2)").run_with(|_| Answer::NoMatch).unwrap();
    assert_eq!(world.entries(), Vec::<String>::new());
    assert_eq!(world.run().planned.counts.planned, split(1, 0, 0));
}

#[test]
fn rule_21_switching_delete_on_removes_nothing_that_left_earlier() {
    let mut world = World::new().mode(Mode::Upsert, OnRemoved::Nothing);
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    world.rows("(1, 'a', 1)").run();
    world.sync.on_removed = OnRemoved::Delete;
    assert!(world.run().operations.is_empty());
}

#[test]
fn rule_22_a_full_resync_sends_every_row_and_removes_none() {
    let mut world = World::new().mode(Mode::Upsert, OnRemoved::Nothing);
    world.rows("(1, 'a', 1), (2, 'b', 2), (3, 'c', 3)").run();
    world.full_resync = true;
    let done =
        world
            .rows("(1, 'a', 1), (2, 'b', 2)")
            .run_with(|operation| match plain(&operation.match_value).as_str() {
                "1" => Answer::Accept,
                _ => Answer::NotSent,
            });
    assert_eq!(done.unwrap().planned.counts.planned, split(2, 0, 0));
    assert_eq!(world.entries().len(), 3, "what left is forgotten at the end only");
    world.full_resync = false;
    let continued = world.run_with(of(Answer::Reject, "2")).unwrap();
    assert_eq!(continued.heads(), ["upsert 2"], "it goes on where it was stopped");
    assert_eq!(world.entries().len(), 2);
    assert_eq!(world.run().heads(), ["upsert 2"], "an old entry never counts as equal");
    assert!(world.run().operations.is_empty());
}

#[test]
fn rule_30_an_order_for_a_full_resync_is_begun_once() {
    let mut world = World::new().mode(Mode::Upsert, OnRemoved::Nothing);
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    world.orders = vec!["x".to_owned()];
    // Its process dies before the catalog hears of the plan, so the next run takes the order again.
    let stopped = world.run_until(of(Answer::NotSent, "2"), false).unwrap();
    assert_eq!(stopped.planned.counts.planned, split(2, 0, 0));
    assert_eq!(world.run().heads(), ["upsert 2"], "what is left of it");
    assert!(world.run().operations.is_empty(), "it is over");
    world.orders.push("y".to_owned());
    assert_eq!(world.run().heads(), ["upsert 1", "upsert 2"], "another order");
}

#[test]
fn rule_22_a_full_resync_that_does_harm_is_refused_unless_forced() {
    let mut world = World::new().mode(Mode::Insert, OnRemoved::Nothing);
    world.rows("(1, 'a', 1)").run();
    world.full_resync = true;
    let error = world.run_with(|_| Answer::Accept).unwrap_err().to_string();
    assert!(error.contains("a second time") && error.contains("--force"), "{error}");
    world.force = true;
    assert_eq!(world.run().heads(), ["insert 1"]);
    let mut world = World::new();
    world.full_resync = true;
    assert!(matches!(
        world.rows("(1, 'a', 1)").run_with(|_| Answer::Accept),
        Err(PlanError::Refused(_))
    ));
}

#[test]
fn rule_22_what_a_full_resync_did_not_bring_is_not_taken_for_brought_in_insert_mode() {
    let mut world = World::new().mode(Mode::Upsert, OnRemoved::Nothing);
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    world.full_resync = true;
    world.run_with(of(Answer::Reject, "2")).unwrap();
    world.full_resync = false;
    world.sync.mode = Mode::Insert;
    let insert = world.run();
    assert_eq!(
        insert.planned.counts.changes,
        split(0, 0, 0),
        "insert mode has nothing to do with it"
    );
    assert_eq!(insert.planned.counts.unchanged, 2);
    world.rows("(1, 'a', 1), (2, 'b', 3)").run();
    world.sync.mode = Mode::Upsert;
    assert_eq!(world.run().sent(), ["upsert 2 {\"n\":3}"]);
    assert!(world.run().planned.shortcut);
}

#[test]
fn rule_22_a_full_resync_sends_also_what_waits_after_no_match() {
    let mut world = World::new().mode(Mode::Update, OnRemoved::Nothing);
    world.rows("(1, 'a', 1)").run_with(|_| Answer::NoMatch).unwrap();
    world.full_resync = true;
    assert_eq!(world.run().heads(), ["update 1"]);
}

#[test]
fn rule_21_what_left_under_nothing_during_a_full_resync_is_not_deleted_later() {
    let mut world = World::new().mode(Mode::Upsert, OnRemoved::Nothing);
    world.rows("(1, 'a', 1), (2, 'b', 2), (3, 'c', 3)").run();
    world.full_resync = true;
    world
        .rows("(1, 'a', 1), (2, 'b', 2)")
        .run_with(of(Answer::NotSent, "2"))
        .unwrap();
    world.full_resync = false;
    // The switch to insert ends it.
    (world.sync.mode, world.sync.on_removed) = (Mode::Insert, OnRemoved::Delete);
    assert_eq!(world.run().heads(), [""; 0]);
    assert_eq!(world.rows("(1, 'a', 1)").run().heads(), ["delete 2"]);
}

#[test]
fn rule_22_what_speaks_against_a_full_resync_is_checked_again_when_it_is_continued() {
    let mut world = World::new();
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    (world.full_resync, world.force) = (true, true);
    world.run_with(of(Answer::NotSent, "2")).unwrap();
    (world.full_resync, world.force) = (false, false);
    let error = world.run_with(|_| Answer::Accept).unwrap_err().to_string();
    assert!(error.contains("interrupted") && error.contains("--force"), "{error}");
    world.force = true;
    assert_eq!(world.run().heads(), ["upsert 2"]);
    world.force = false;
    assert!(world.run().operations.is_empty(), "it is over");
}
