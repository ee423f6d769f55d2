//! Keys and match values: which rows can be sent, and what is the same.

use super::*;

#[test]
fn rule_09_rows_with_null_or_repeated_keys_are_invalid_and_leave_their_entries_alone() {
    let mut world = World::new();
    world.rows("(1, 'a', 10), (2, 'b', 20)").run();
    let done = world.rows("(1, 'a', 11), (1, 'a', 12), (3, 'c', 30)").run();
    assert_eq!(done.heads(), ["delete 2", "upsert 3"]);
    assert_eq!(done.planned.counts.invalid, 2);
    assert!(done.planned.warn);
    assert_eq!(world.entries(), ["{\"id\":1} 1 {\"n\":10}", "{\"id\":3} 3 {\"n\":30}"]);
}

#[test]
fn rule_09_a_repeated_key_is_found_wherever_its_rows_are() {
    let cases = [
        ("(5, 'a', 1), (NULL, 'b', 2), (5, 'c', 3)", 3, vec![]),
        ("(1, 'a', 1), (5, 'b', 2), (5, 'c', 3)", 2, vec!["upsert 1"]),
        ("(5, 'b', 2), (1, 'a', 1), (5, 'c', 3)", 2, vec!["upsert 1"]),
        ("(NULL, 'b', 2), (1, 'a', 1), (NULL, 'c', 3)", 2, vec!["upsert 1"]),
        (
            "(1, 'a', 1), (2, 'b', 2), (NULL, 'c', 3)",
            1,
            vec!["upsert 1", "upsert 2"],
        ),
        ("(2, 'b', 2), (1, 'a', 1)", 0, vec!["upsert 1", "upsert 2"]),
    ];
    for (rows, invalid, sent) in cases {
        let done = World::new().rows(rows).run();
        assert_eq!(
            (done.planned.counts.invalid, done.heads()),
            (invalid, sent.into_iter().map(str::to_owned).collect()),
            "{rows}"
        );
    }
}

#[test]
fn rule_09_a_row_that_repeats_the_key_of_an_unchanged_one_makes_both_invalid() {
    for mut world in [World::new(), World::matched()] {
        world.rows("(1, 'a', 10), (2, 'b', 20)").run();
        let before = world.entries();
        for repeated in ["(1, 'a', 10)", "(1, 'z', 11)", "(1, 'z', 10)"] {
            let done = world.rows(&format!("(1, 'a', 10), {repeated}, (2, 'b', 20)")).run();
            assert_eq!(done.heads(), [""; 0], "{repeated}");
            assert_eq!((done.planned.counts.invalid, world.entries()), (2, before.clone()));
        }
    }
}

#[test]
fn rule_09_rows_that_a_join_repeats_are_seen_as_often_as_the_model_has_them() {
    let mut world = World::new();
    world.rows("(1, 'a', 10), (2, 'b', 20)").run();
    // What asks about a row must not be moved below the join, where each is there once.
    world.sql = "SELECT a.id, a.email, a.n FROM (VALUES (1, 'a', 10), (2, 'b', 20)) AS a(id, email, n) \
                 LEFT JOIN (VALUES (1, 'x'), (1, 'y')) AS b(of, tag) ON b.of = a.id"
        .into();
    let done = world.run();
    assert_eq!(done.heads(), [""; 0]);
    assert_eq!((done.planned.counts.queried, done.planned.counts.invalid), (3, 2));
}

#[test]
fn rule_14_two_rows_that_exchange_their_values_have_changed() {
    for mut world in [World::new(), World::matched()] {
        world.rows("(1, 'a', 10), (2, 'b', 20), (3, 'c', 30)").run();
        let done = world.rows("(1, 'a', 20), (2, 'b', 10), (3, 'c', 30)").run();
        assert_eq!((done.heads().len(), done.planned.counts.unchanged), (2, 1));
    }
}

#[test]
fn rule_09_an_invalid_row_is_not_sent_beside_an_entry_that_goes() {
    let mut world = World::matched().mode(Mode::Upsert, OnRemoved::Nothing);
    world.rows("(3, 'c', 3)").run();
    assert_eq!(world.rows("(1, 'a', 1), (2, NULL, 2)").run().heads(), ["upsert a"]);
}

#[test]
fn rule_09_invalid_rows_are_listed_with_reasons() {
    let mut world = World::matched();
    world.rows("(NULL, 'a', 1), (2, NULL, 2), (3, 'c', 3), (3, 'd', 3), (4, 'e', 4), (5, 'e', 5)");
    let warehouse = world.warehouse();
    let mut connection = warehouse.connect().unwrap();
    let projection = world.project(&warehouse);
    let planned = preview(&mut connection, &Ledger::default(), &world.request(&projection)).unwrap();
    let mut invalid: Vec<_> = planned
        .invalid(&connection, 10)
        .unwrap()
        .into_iter()
        .map(|row| format!("{} {}", row.key, row.reason))
        .collect();
    invalid.sort();
    assert_eq!(
        invalid,
        [
            "{\"id\":2} null match value: `email` is null",
            "{\"id\":3} repeated key",
            "{\"id\":3} repeated key",
            "{\"id\":4} shared match value",
            "{\"id\":5} shared match value",
            "{\"id\":null} null key",
        ]
    );
}

#[test]
fn rule_10_more_null_keys_than_before_hold_removals_until_allowed() {
    let mut world = World::new();
    world.rows("(1, 'a', 1), (2, 'b', 2), (3, 'c', 3)").run();
    let held = world.rows("(1, 'a', 1), (NULL, 'b', 2), (3, 'c', 9)").run();
    assert_eq!(held.heads(), ["upsert 3"]);
    assert_eq!(held.planned.counts.withheld, split(0, 0, 1));
    assert!(held.planned.warn);
    assert!(held.planned.notes[0].contains("null key"), "{:?}", held.planned.notes);
    // It stays held, because the run that held does not count.
    assert!(world.run().operations.is_empty());
    let token = held.planned.notes[0].rsplit(' ').next().unwrap().to_owned();
    world.allow = vec![token];
    assert_eq!(world.run().heads(), ["delete 2"]);
    world.allow.clear();
    let as_many = world.rows("(NULL, 'b', 2), (3, 'c', 9)").run();
    assert_eq!(as_many.heads(), ["delete 1"]);
}

#[test]
fn rule_11_a_key_whose_type_changed_stops_the_run_and_a_wider_one_does_not() {
    let mut world = World::new();
    world.rows("(1, 'a', 1)").run();
    let wider = world.rows("(1::BIGINT, 'a', 1::BIGINT), (2, 'b', 5000000000)").run();
    assert_eq!(wider.heads(), ["upsert 2"]);
    world.rows("('1', 'a', 1::BIGINT)");
    let error = world.run_with(|_| Answer::Accept).unwrap_err().to_string();
    assert!(error.contains("was BIGINT and is VARCHAR now"), "{error}");
    assert_eq!(world.entries().len(), 2);
}

#[test]
fn rule_11_keys_of_many_types_compare_by_value() {
    for (first, second) in [
        ("INTERVAL '1 month'", "INTERVAL '30 days'"),
        (
            "TIMESTAMPTZ '2026-01-01 00:00:00+00'",
            "TIMESTAMPTZ '2026-01-01 00:00:00+01'",
        ),
        ("TIME WITH TIME ZONE '10:00:00+00'", "TIME WITH TIME ZONE '11:00:00+00'"),
        ("1.10::DECIMAL(9,2)", "1.20::DECIMAL(9,2)"),
        ("'a'::ENUM('a', 'b')", "'b'::ENUM('a', 'b')"),
        ("'a'::BLOB", "'b'::BLOB"),
        ("170141183460469231731687303715884105727::HUGEINT", "1::HUGEINT"),
        ("true", "false"),
        (
            "uuid '00000000-0000-0000-0000-000000000001'",
            "uuid '00000000-0000-0000-0000-000000000002'",
        ),
    ] {
        for mode in [Mode::Upsert, Mode::Insert] {
            for mut world in [World::new(), World::matched()] {
                world.sync.mode = mode;
                let done = world.rows(&format!("({first}, 'a', 1), ({second}, 'b', 2)")).run();
                assert_eq!(done.planned.counts.planned, split(2, 0, 0), "{first}");
                let changed = world.rows(&format!("({first}, 'a', 3), ({second}, 'b', 4)")).run();
                assert_eq!(changed.planned.counts.changes, split(0, 2, 0), "{first}");
                let one = world.rows(&format!("({first}, 'a', 3), ({second}, 'b', 5)")).run();
                assert_eq!(one.planned.counts.changes, split(0, 1, 0), "{first}");
                let removed = world.rows(&format!("({first}, 'a', 3)")).run();
                assert_eq!(removed.planned.counts.planned, split(0, 0, 1), "{first}");
                assert_eq!(world.entries().len(), 1, "{first}");
            }
        }
    }
}

#[test]
fn rule_11_composite_keys_are_told_apart() {
    let mut world = World::new();
    world.key = vec!["id", "email"];
    let done = world.rows("('a', 'bc', 1), ('ab', 'c', 2)").run();
    assert_eq!(done.operations[0].key, "{\"id\":\"a\",\"email\":\"bc\"}");
    assert_eq!(done.operations[0].match_value, done.operations[0].key);
    let next = world.rows("('a', 'bc', 1), ('ab', 'c', 3)").run();
    assert_eq!(next.operations.len(), 1);
    assert_eq!(next.operations[0].fields, "{\"n\":3}");
}

#[test]
fn rule_12_match_values_that_differ_in_case_are_shared_where_the_destination_says_so() {
    let mut world = World::matched();
    let exact = world.rows("(1, 'A', 1), (2, 'a', 2)").run();
    assert_eq!(exact.planned.counts.planned.added, 2);
    let mut world = World::matched();
    world.target.equality = Equality::Caseless;
    let caseless = world.rows("(1, 'A', 1), (2, 'a', 2), (3, 'b', 3)").run();
    assert_eq!(caseless.heads(), ["upsert b"]);
    assert_eq!(caseless.planned.counts.invalid, 2);
    // The same place in another spelling is a change, not a move.
    let spelled = world.rows("(3, 'B', 3)").run();
    assert_eq!(spelled.heads(), ["upsert B"]);
    assert_eq!(world.entries(), ["{\"id\":3} \"B\" {\"n\":3}"]);
}

#[test]
fn rule_14_values_are_equal_by_value() {
    let mut world = World::new();
    world
        .rows("(1, 'a', '{\"x\": 1, \"y\": [1, 2]}'::JSON), (2, 'b', '[0]'::JSON)")
        .run();
    let done = world
        .rows("(2, 'b', '[0]'::JSON), (1, 'a', '{\"y\": [1, 2], \"x\": 1.0}'::JSON)")
        .run();
    assert!(done.operations.is_empty());
    let changed = world
        .rows("(1, 'a', '{\"x\": 1, \"y\": [2, 1]}'::JSON), (2, 'b', NULL)")
        .run();
    assert_eq!(
        changed.sent(),
        ["upsert 1 {\"n\":{\"x\": 1, \"y\": [2, 1]}}", "upsert 2 {\"n\":null}"]
    );
}

#[test]
fn rule_40_a_value_without_a_json_form_makes_its_row_invalid() {
    let mut world = World::new();
    let done = world.rows("(1, 'a', 'NaN'::DOUBLE), (2, 'b', 2.5::DOUBLE)").run();
    assert_eq!(done.sent(), ["upsert 2 {\"n\":2.5}"]);
    assert_eq!(done.planned.counts.invalid, 1);
}

#[test]
fn rule_14_a_collation_of_the_source_makes_no_two_rows_the_same() {
    let mut world = World::new();
    let model = |rows: &str| format!("SELECT id COLLATE NOCASE AS id, n FROM (VALUES {rows}) AS t(id, n)");
    world.sql = model("('A', 1), ('a', 2), ('b', 3), ('c', 4)");
    assert_eq!(world.run().heads(), ["upsert A", "upsert a", "upsert b", "upsert c"]);
    world.sql = model("('A', 1), ('B', 3), ('c', 5)");
    assert_eq!(world.run().heads(), ["delete a", "delete b", "upsert B", "upsert c"]);
    assert!(world.run().planned.shortcut);
    // Nor of the match value.
    let mut world = World::matched();
    world.sql =
        "SELECT id, email COLLATE NOCASE AS email, n FROM (VALUES (1, 'x', 1), (2, 'X', 1)) AS t(id, email, n)".into();
    assert_eq!(world.run().heads(), ["upsert x", "upsert X"]);
}

#[test]
fn rule_04_a_plan_with_rows_that_no_journal_knows_is_not_folded() {
    let mut world = World::new();
    world.rows("(1, 'a', 1)");
    let warehouse = world.warehouse();
    let mut connection = warehouse.connect().unwrap();
    let mut ledger = world.open(&warehouse, None).unwrap();
    let planned = world.plan(&warehouse, &mut connection, &mut ledger).unwrap();
    let operations = planned.operations(connection.try_clone().unwrap()).next(9).unwrap();
    let operations: Vec<_> = operations.into_iter().map(|planned| planned.operation).collect();
    world.journal(&planned, &operations, &|_: &Operation| Answer::Accept);
    connection
        .execute("INSERT INTO ledger.main.plan SELECT * REPLACE (1 AS ordinal, 7 AS k0) FROM ledger.main.plan")
        .unwrap();
    let error = ledger
        .fold(&mut connection, Reader::open(&world.journal_path()).unwrap())
        .unwrap_err();
    assert!(error.to_string().contains("should have 1"), "{error}");
    assert_eq!(
        tables::count(&connection, ENTRIES).unwrap(),
        0,
        "nothing was taken for accepted"
    );
}

#[test]
fn rule_10_an_approval_of_held_removals_holds_for_a_part_of_them() {
    for whole in [false, true] {
        let mut world = World::new();
        if whole {
            (world.target.whole, world.target.finish) = (true, true);
        }
        world.rows("(1, 'a', 1), (2, 'b', 2), (3, 'c', 3), (4, 'd', 4)").run();
        let held = world
            .rows("(1, 'a', 1), (NULL, 'b', 2), (NULL, 'c', 3), (4, 'd', 4)")
            .run();
        world.allow = vec![held.planned.notes[0].rsplit(' ').next().unwrap().to_owned()];
        assert_eq!(world.entries().len(), 4);
        // One more than was approved.
        world.rows("(1, 'a', 1), (NULL, 'b', 2), (NULL, 'c', 3)").run();
        assert_eq!(world.entries().len(), 4);
        world
            .rows("(1, 'a', 1), (NULL, 'b', 2), (3, 'c', 3), (4, 'd', 4)")
            .run();
        assert_eq!(world.entries().len(), 3);
    }
}
