//! Previews (rule 31).

use super::*;

pub(super) fn previewed(world: &World) -> (Planned, Vec<Operation>, Vec<Sample>) {
    let warehouse = world.warehouse();
    let mut connection = warehouse.connect().unwrap();
    let ledger = Ledger::open(&warehouse, &world.ledger_path(), false, None).unwrap();
    let projection = world.project(&warehouse);
    let request = Request {
        run: *world.run.borrow() + 1,
        ..world.request(&projection)
    };
    let planned = preview(&mut connection, &ledger, &request).unwrap();
    let samples = planned.sample(&connection, 5).unwrap();
    let operations = planned.operations(connection).next(100).unwrap();
    (
        planned,
        operations.into_iter().map(|planned| planned.operation).collect(),
        samples,
    )
}

#[test]
fn rule_31_a_preview_shows_what_a_run_sends_and_changes_nothing() {
    let mut world = World::matched();
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    let entries = world.entries();
    world.rows("(1, 'a', 5), (3, 'c', 3)");
    let (planned, operations, samples) = previewed(&world);
    assert_eq!(planned.counts.planned, split(1, 1, 1));
    assert_eq!(world.entries(), entries);
    let shown: Vec<_> = samples
        .iter()
        .map(|one| (one.change.as_str(), one.before.as_deref(), one.after.as_deref()))
        .collect();
    assert_eq!(
        shown,
        [
            ("added", None, Some("{\"n\":3}")),
            ("changed", Some("{\"n\":1}"), Some("{\"n\":5}")),
            ("removed", Some("{\"n\":2}"), None),
        ]
    );
    // The ids too.
    assert_eq!(world.run().operations, operations);
}

#[test]
fn rule_31_a_preview_of_a_first_run_makes_no_ledger() {
    let mut world = World::new();
    world.rows("(1, 'a', 1)");
    let (planned, operations, _) = previewed(&world);
    assert_eq!((planned.counts.planned, operations.len()), (split(1, 0, 0), 1));
    assert!(!world.ledger_path().exists());
}

#[test]
fn rule_31_a_preview_of_edited_mappings_leaves_the_ledger_as_it_is() {
    let mut world = World::new().mode(Mode::Upsert, OnRemoved::Nothing);
    world.rows("(1, 'a', 1)").run();
    world.sync.mappings.push(Mapping {
        to: "mail".into(),
        from: From::Column("email".into()),
    });
    world.full_resync = true;
    let (planned, _, samples) = previewed(&world);
    assert_eq!(planned.counts.planned, split(1, 0, 0));
    assert_eq!(samples[0].before.as_deref(), Some("{\"n\":1,\"mail\":null}"));
    assert_eq!(world.entries(), ["{\"id\":1} 1 {\"n\":1}"]);
}
