//! Ids (rule 27) and unknown outcomes (rule 3).

use super::*;

fn id(done: &Done, at: usize) -> String {
    done.operations[at].idempotency_key.to_string()
}

#[test]
fn rule_27_a_retry_keeps_its_id_and_a_to_b_to_a_has_three() {
    let mut world = World::new();
    let first = id(&world.rows("(1, 'a', 1)").run_with(|_| Answer::Reject).unwrap(), 0);
    assert_eq!(
        id(&world.run_with(|_| Answer::Unknown).unwrap(), 0),
        first,
        "a retry of a rejection"
    );
    assert_eq!(id(&world.run(), 0), first, "a retry of an unknown outcome");
    let second = id(&world.rows("(1, 'a', 2)").run(), 0);
    let third = id(&world.rows("(1, 'a', 1)").run(), 0);
    assert!(first != second && second != third && first != third);
}

#[test]
fn rule_27_another_operation_at_the_key_ends_the_id() {
    let mut world = World::new();
    let first = id(&world.rows("(1, 'a', 1)").run_with(|_| Answer::Reject).unwrap(), 0);
    world.rows("(1, 'a', 2)").run_with(|_| Answer::Reject).unwrap();
    let again = id(&world.rows("(1, 'a', 1)").run_with(|_| Answer::Reject).unwrap(), 0);
    assert_ne!(first, again);
}

#[test]
fn rule_27_an_aborted_operation_in_between_ends_nothing() {
    let mut world = World::new();
    let first = id(&world.rows("(1, 'a', 1)").run_with(|_| Answer::Unknown).unwrap(), 0);
    world.run_with(|_| Answer::NotSent).unwrap();
    assert_eq!(id(&world.run(), 0), first);
}

#[test]
fn rule_27_an_uncertain_insert_is_retried_as_first_sent_and_then_follows_the_source() {
    let mut world = World::new().mode(Mode::Insert, OnRemoved::Nothing);
    let first = world.rows("(1, 'a', 1)").run_with(|_| Answer::Unknown).unwrap();
    let again = world.rows("(1, 'a', 2)").run();
    assert_eq!(again.sent(), ["insert 1 {\"n\":1}"]);
    assert_eq!(id(&again, 0), id(&first, 0));
    assert!(world.run().operations.is_empty());
    assert_eq!(world.entries(), ["{\"id\":1} 1 {\"n\":2} assumed"]);
}

#[test]
fn rule_03_an_uncertain_key_is_in_every_plan_until_accepted() {
    let mut world = World::new();
    world.rows("(1, 'a', 1)").run();
    world.rows("(1, 'a', 2)").run_with(|_| Answer::Unknown).unwrap();
    // The source reverts: the destination may have 2 all the same.
    assert_eq!(
        world.rows("(1, 'a', 1)").run_with(|_| Answer::Reject).unwrap().sent(),
        ["upsert 1 {\"n\":1}"]
    );
    assert_eq!(world.run().sent(), ["upsert 1 {\"n\":1}"]);
    assert!(world.run().operations.is_empty());
}

#[test]
fn rule_03_an_uncertain_add_that_leaves_is_removed() {
    let mut world = World::new();
    world
        .rows("(1, 'a', 1), (2, 'b', 2)")
        .run_with(of(Answer::Unknown, "1"))
        .unwrap();
    assert_eq!(world.rows("(2, 'b', 2)").run().heads(), ["delete 1"]);
}

#[test]
fn the_destinations_id_is_kept_and_given_back() {
    let mut world = World::new();
    world
        .rows("(1, 'a', 1), (2, 'b', 2)")
        .run_with(|_| Answer::Id("crm-7"))
        .unwrap();
    let done = world.rows("(1, 'a', 2)").run();
    assert_eq!(
        done.operations
            .iter()
            .map(|operation| operation.id.as_deref())
            .collect::<Vec<_>>(),
        [Some("crm-7"), Some("crm-7")]
    );
    assert_eq!(world.entries(), ["{\"id\":1} 1 {\"n\":2} crm-7"]);
}

#[test]
fn the_previous_record_goes_along_where_the_target_asks() {
    let mut world = World::new();
    world.target.previous = true;
    assert_eq!(world.rows("(1, 'a', 1)").run().operations[0].previous, None);
    let done = world.rows("(1, 'a', 2)").run();
    assert_eq!(
        value(done.operations[0].previous.as_ref().unwrap()),
        serde_json::json!({"n": 1})
    );
}

#[test]
fn rule_27_a_removal_after_which_its_key_was_written_is_another_one_then() {
    let mut world = World::matched();
    world.rows("(1, 'a', 1)").run();
    let first = world.rows("(1, 'b', 1)").run_with(|_| Answer::Unknown).unwrap();
    let second = world.run_with(|_| Answer::Unknown).unwrap();
    assert_eq!(second.heads(), ["delete a", "upsert b"]);
    assert_ne!(id(&second, 0), id(&first, 0), "the write was sent since");
    assert_eq!(id(&second, 1), id(&first, 1), "the removal left before");
}
