//! The ordinary life of a sync.

use super::*;

#[test]
fn rule_01_entries_hold_what_was_acknowledged() {
    let mut world = World::new();
    let first = world.rows("(2, 'b', 20), (1, 'a', 10)").run();
    assert_eq!(first.sent(), ["upsert 1 {\"n\":10}", "upsert 2 {\"n\":20}"]);
    assert_eq!(first.planned.counts.planned, split(2, 0, 0));
    assert_eq!(first.folded.unwrap().counts.succeeded, split(2, 0, 0));
    assert_eq!(world.entries(), ["{\"id\":1} 1 {\"n\":10}", "{\"id\":2} 2 {\"n\":20}"]);
    let rejected = world
        .rows("(1, 'a', 11), (3, 'c', 30)")
        .run_with(|_| Answer::Reject)
        .unwrap();
    assert_eq!(rejected.heads(), ["delete 2", "upsert 1", "upsert 3"]);
    assert_eq!(rejected.folded.unwrap().counts.rejected, split(1, 1, 1));
    assert_eq!(world.entries(), ["{\"id\":1} 1 {\"n\":10}", "{\"id\":2} 2 {\"n\":20}"]);
    assert_eq!(
        world.unsettled(),
        [
            "{\"id\":1} upsert rejected 1",
            "{\"id\":2} delete rejected 1",
            "{\"id\":3} upsert rejected 1"
        ]
    );
}

#[test]
fn rule_02_rejected_operations_are_retried_with_the_present_values_until_the_source_reverts() {
    let mut world = World::new();
    world.rows("(1, 'a', 10)").run();
    world
        .rows("(1, 'a', 11), (3, 'c', 30)")
        .run_with(|_| Answer::Reject)
        .unwrap();
    let again = world
        .rows("(1, 'a', 12), (3, 'c', 31)")
        .run_with(|_| Answer::Reject)
        .unwrap();
    assert_eq!(again.sent(), ["upsert 1 {\"n\":12}", "upsert 3 {\"n\":31}"]);
    // The first one reverts, the add leaves: nothing is left to do.
    let nothing = world.rows("(1, 'a', 10)").run();
    assert!(nothing.operations.is_empty());
    assert_eq!(world.unsettled(), Vec::<String>::new());
}

#[test]
fn rule_04_what_was_planned_and_not_attempted_is_aborted_and_nothing_else() {
    let mut world = World::new();
    let done = world.rows("(1, 'a', 10), (2, 'b', 20), (3, 'c', 30)").run_until(
        |operation| match plain(&operation.match_value).as_str() {
            "1" => Answer::Accept,
            "2" => Answer::Silence,
            _ => Answer::NotSent,
        },
        false,
    );
    assert!(done.unwrap().folded.is_none());
    let next = world.run();
    assert_eq!(next.heads(), ["upsert 2", "upsert 3"]);
    assert_eq!(world.entries().len(), 3);
}

#[test]
fn rule_04_a_journal_is_folded_once() {
    let mut world = World::new();
    world.rows("(1, 'a', 10)").run_until(|_| Answer::Accept, false).unwrap();
    let warehouse = world.warehouse();
    let mut connection = warehouse.connect().unwrap();
    let mut ledger = world.open(&warehouse, None).unwrap();
    let folded = ledger.recover(&mut connection, &world.journal_path()).unwrap().unwrap();
    assert_eq!(folded.counts.succeeded, split(1, 0, 0));
    let sequence = ledger.meta().unwrap().sequence;
    assert_eq!(ledger.recover(&mut connection, &world.journal_path()).unwrap(), None);
    assert_eq!(ledger.meta().unwrap().sequence, sequence);
}

#[test]
fn rule_36_a_run_without_changes_ends_after_the_query() {
    let mut world = World::new();
    world.rows("(1, 'a', 10), (2, 'b', 20)").run();
    let second = world.rows("(2, 'x', 20), (1, 'y', 10)").run();
    assert!(second.planned.shortcut, "columns that no mapping reads do not count");
    assert_eq!(second.planned.counts.unchanged, 2);
    world
        .rows("(1, 'a', 10), (2, 'b', 21)")
        .run_with(|_| Answer::Reject)
        .unwrap();
    let third = world.rows("(1, 'a', 10), (2, 'b', 20)").run();
    assert!(!third.planned.shortcut, "something was unsettled");
    assert!(third.operations.is_empty());
    assert!(world.run().planned.shortcut, "the run before left nothing open");
}

#[test]
fn rule_36_a_mode_or_delete_behaviour_that_changed_is_no_shortcut() {
    let mut world = World::new();
    world.rows("(1, 'a', 10)").run();
    world.sync.on_removed = OnRemoved::Nothing;
    assert!(!world.run().planned.shortcut);
    assert!(world.run().planned.shortcut);
}

#[test]
fn rule_05_what_is_kept_is_the_row_that_was_sent_where_the_model_moves_in_between() {
    let mut world = World::new();
    world.sql = "SELECT 1 AS id, 'a' AS email, (random() * 1e15)::BIGINT AS n FROM range(1)".into();
    // A first run reads the model once, later ones twice.
    for _ in 0..3 {
        let done = world.run();
        assert_eq!(
            world.entries(),
            [format!("{{\"id\":1}} 1 {}", done.operations[0].fields)]
        );
    }
}

#[test]
fn rule_05_nothing_stays_of_rows_that_were_staged_and_did_not_become_the_plan() {
    let mut world = World::new();
    let staged = |world: &World| {
        let warehouse = world.warehouse();
        let _ledger = Ledger::open(&warehouse, &world.ledger_path(), false, None).unwrap();
        let tables = "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'ledger' AND table_name = 'staged'";
        warehouse.connect().unwrap().scalar::<u64>(tables).unwrap()
    };
    world.rows("(NULL, 'a', 1), (2, 'b', 2)").run();
    assert_eq!((world.entries().len(), staged(&world)), (1, Some(0)));
    let mut world = World::new();
    world.rows("(NULL, 'a', 1)").run();
    assert_eq!((world.entries().len(), staged(&world)), (0, Some(0)));
    {
        // As a run leaves it that dies before it has a plan.
        let warehouse = world.warehouse();
        let _ledger = world.open(&warehouse, None).unwrap();
        let connection = warehouse.connect().unwrap();
        connection
            .execute("CREATE TABLE ledger.main.staged (k0 BIGINT)")
            .unwrap();
    }
    assert_eq!(staged(&world), Some(1));
    // Whatever opens the ledger next: rows may have to be forgotten.
    drop(world.open(&world.warehouse(), None).unwrap());
    assert_eq!(staged(&world), Some(0));
}

#[test]
fn rule_07_a_lost_or_older_ledger_stops_the_run() {
    let mut world = World::new();
    world.rows("(1, 'a', 10)").run();
    let warehouse = world.warehouse();
    let note = world.open(&warehouse, None).unwrap().note().unwrap();
    drop(warehouse);
    assert_eq!(note.rows, 1);
    let older = Note {
        sequence: note.sequence + 1,
        ..note.clone()
    };
    assert!(matches!(
        world.open(&world.warehouse(), Some(&older)),
        Err(LedgerError::Older { .. })
    ));
    let fewer = Note {
        rows: 2,
        ..note.clone()
    };
    assert!(matches!(
        world.open(&world.warehouse(), Some(&fewer)),
        Err(LedgerError::Older { .. })
    ));
    assert!(world.open(&world.warehouse(), Some(&note)).is_ok());
    std::fs::remove_file(world.ledger_path()).unwrap();
    let _ = std::fs::remove_file(world.ledger_path().with_extension("duckdb.wal"));
    let error = world.open(&world.warehouse(), Some(&note)).unwrap_err();
    assert!(matches!(error, LedgerError::Lost { rows: 1, .. }), "{error}");
    assert!(error.to_string().contains("rebaseline"), "{error}");
    assert!(!world.ledger_path().exists(), "nothing was made in its place");
}

#[test]
fn rule_07_a_ledger_of_another_sync_target_or_key_stops_the_run() {
    let mut world = World::new();
    world.rows("(1, 'a', 10)").run();
    let bind = |world: &World, change: &dyn Fn(&mut Binding<'_>)| {
        let warehouse = world.warehouse();
        let mut connection = warehouse.connect().unwrap();
        let mut ledger = world.open(&warehouse, None).unwrap();
        let layout = world.project(&warehouse).layout;
        let mut binding = world.binding();
        change(&mut binding);
        ledger.bind(&mut connection, &binding, &layout)
    };
    assert!(matches!(
        bind(&world, &|binding| binding.sync = "others"),
        Err(LedgerError::OtherSync { .. })
    ));
    assert!(
        bind(&world, &|binding| (binding.sync, binding.renamed_from) =
            ("others", Some("people")))
        .is_ok()
    );
    let other = |binding: &mut Binding<'_>| binding.target.account = Some("other".into());
    assert!(matches!(bind(&world, &other), Err(LedgerError::OtherTarget { .. })));
    world.key = vec!["id", "email"];
    assert!(matches!(bind(&world, &|_| ()), Err(LedgerError::OtherKey { .. })));
}

#[test]
fn rule_07_a_ledger_of_another_place_stops_the_run_until_a_person_says_that_it_is_the_same() {
    let mut world = World::new();
    world.rows("(1, 'a', 10)").run();
    let bind = |identity: Option<&str>, accept: Accept| {
        let warehouse = world.warehouse();
        let mut connection = warehouse.connect().unwrap();
        let mut ledger = world.open(&warehouse, None).unwrap();
        let layout = world.project(&warehouse).layout;
        let mut binding = world.binding();
        (binding.target.identity, binding.accept) = (identity.map(str::to_owned), accept);
        ledger
            .bind(&mut connection, &binding, &layout)
            .map_err(|error| error.to_string())
    };
    let (old, new) = (
        Some("https://crm.example.com/people"),
        Some("https://other.example.com"),
    );
    assert_eq!(bind(old, Accept::Nothing), Ok(()));
    let message = bind(new, Accept::Nothing).unwrap_err();
    for part in [
        "about plugin `http` at `https://crm.example.com/people`",
        "goes to plugin `http` at `https://other.example.com`",
        "outflow run people --same-target",
        "outflow rebaseline people",
    ] {
        assert!(message.contains(part), "`{part}` is not in `{message}`");
    }
    // A rebaseline that breaks off has declared nothing.
    assert_eq!(bind(new, Accept::Anew), Ok(()));
    assert!(bind(new, Accept::Nothing).is_err());
    // What a person said holds at once, also where the run finds nothing to do.
    assert_eq!(bind(new, Accept::SameTarget), Ok(()));
    assert_eq!(bind(new, Accept::Nothing), Ok(()));
    assert!(bind(old, Accept::Nothing).is_err());
}

#[test]
fn rule_07_a_ledger_of_before_takes_over_its_place() {
    let mut world = World::new();
    world.rows("(1, 'a', 10)").run();
    let open = || {
        let warehouse = world.warehouse();
        let connection = warehouse.connect().unwrap();
        (world.open(&warehouse, None).unwrap(), connection, warehouse)
    };
    {
        let (ledger, mut connection, _warehouse) = open();
        let mut meta = ledger.meta().unwrap().clone();
        meta.target.identity = None;
        connection
            .transaction::<_, LedgerError>(|connection| Ok(meta.write(connection)?))
            .unwrap();
    }
    let (mut ledger, mut connection, warehouse) = open();
    let layout = world.project(&warehouse).layout;
    ledger.bind(&mut connection, &world.binding(), &layout).unwrap();
    drop((ledger, connection, warehouse));
    let (ledger, ..) = open();
    assert_eq!(ledger.meta().unwrap().target, world.binding().target);
}

/// As the first version left it, with a plan under way.
#[test]
fn rule_08_a_ledger_of_an_older_format_is_migrated_with_what_is_in_flight() {
    let mut world = World::new();
    world.rows("(1, 'a', 10), (2, 'b', 20)").run();
    world
        .rows("(1, 'a', 11), (2, 'b', 20), (3, 'c', 30)")
        .run_until(of(Answer::Silence, "3"), false)
        .unwrap();
    {
        let warehouse = world.warehouse();
        let ledger = world.open(&warehouse, None).unwrap();
        let mut meta = serde_json::to_value(ledger.meta().unwrap()).unwrap();
        let meta = meta.as_object_mut().unwrap();
        meta.insert("format".into(), 1.into());
        for later in ["mapping", "former", "resynced", "plugin"] {
            assert!(meta.remove(later).is_some());
        }
        let text = crate::warehouse::quote::text(&serde_json::to_string(meta).unwrap());
        let connection = warehouse.connect().unwrap();
        connection
            .execute(&format!(
                "ALTER TABLE {ENTRIES} DROP COLUMN mapping; ALTER TABLE {PLAN} DROP COLUMN mapping; \
                 UPDATE ledger.main.meta SET state = {text}"
            ))
            .unwrap();
    }
    // Who only reads, changes nothing.
    let error = Ledger::open(&world.warehouse(), &world.ledger_path(), false, None).unwrap_err();
    assert!(matches!(error, LedgerError::ToMigrate { format: 1 }), "{error}");
    let next = world.run();
    assert_eq!(next.heads(), ["upsert 3"]);
    assert_eq!(world.entries().len(), 3);
    let warehouse = world.warehouse();
    let ledger = world.open(&warehouse, None).unwrap();
    assert_eq!(ledger.meta().unwrap().format, 2);
}

#[test]
fn rule_08_a_newer_ledger_is_refused() {
    let mut world = World::new();
    world.rows("(1, 'a', 10)").run();
    let warehouse = world.warehouse();
    drop(world.open(&warehouse, None).unwrap());
    warehouse
        .connect()
        .unwrap()
        .execute("UPDATE ledger.main.meta SET state = '{\"format\": 99, \"hash_scheme\": \"new\"}'")
        .unwrap();
    drop(warehouse);
    assert!(matches!(
        world.open(&world.warehouse(), None),
        Err(LedgerError::Newer { format: 99, .. })
    ));
}

#[test]
fn rule_33_the_sums_of_the_counts_hold() {
    let mut world = World::matched();
    world.rows("(1, 'a', 1), (2, 'b', 2), (3, 'c', 3), (4, 'd', 4)").run();
    let done = world
        .rows("(1, 'b', 1), (2, 'x', 2), (3, 'c', 9), (5, 'e', 5), (NULL, 'f', 6)")
        .run_with(|operation| match plain(&operation.match_value).as_str() {
            "c" => Answer::Reject,
            "e" => Answer::Unknown,
            "x" => Answer::NotSent,
            _ => Answer::Accept,
        })
        .unwrap();
    let (planned, folded) = (done.planned.counts, done.folded.unwrap().counts);
    let sum = |a, b| sum(a, b);
    assert_eq!(planned.changes, sum(planned.planned, planned.withheld));
    assert_eq!(folded.planned, planned.planned);
    assert_eq!(folded.planned, sum(folded.attempted, folded.aborted));
    assert_eq!(
        folded.attempted,
        sum(
            sum(folded.succeeded, folded.rejected),
            sum(folded.unmatched, folded.unknown)
        )
    );
    assert_eq!((planned.queried, planned.invalid), (5, 1));
}

#[test]
fn a_first_plan_is_in_the_order_of_keys_however_the_model_is() {
    for rows in [
        "(1, 'a', 1), (2, 'b', 2), (3, 'c', 3)",
        "(2, 'b', 2), (3, 'c', 3), (1, 'a', 1)",
    ] {
        let done = World::new().rows(rows).run();
        assert_eq!(done.heads(), ["upsert 1", "upsert 2", "upsert 3"]);
    }
    let mut world = World::new();
    world.key = vec!["email", "id"];
    let done = world.rows("(9, 'a', 1), (10, 'a', 2), (1, 'b', 3)").run();
    let numbers: Vec<_> = done
        .operations
        .iter()
        .map(|operation| value(&operation.fields)["n"].clone())
        .collect();
    assert_eq!(numbers, [1, 2, 3]);
}
