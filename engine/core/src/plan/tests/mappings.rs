//! Edited mappings (rule 15).

use super::*;

fn column(from: &str, to: &str) -> Mapping {
    Mapping {
        to: to.into(),
        from: From::Column(from.into()),
    }
}

fn sql(sql: &str, to: &str) -> Mapping {
    Mapping {
        to: to.into(),
        from: From::Sql(sql.into()),
    }
}

fn constant(json: &str, to: &str) -> Mapping {
    Mapping {
        to: to.into(),
        from: From::Value(value(json)),
    }
}

/// Rows 1 and 2 at the destination, with `n` and `mail`.
fn world() -> World {
    let mut world = World::new().mode(Mode::Upsert, OnRemoved::Nothing);
    world.sync.mappings = vec![column("n", "n"), column("email", "mail")];
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    world
}

#[track_caller]
fn note(done: &Done) -> &str {
    let mut notes = done.planned.notes.iter();
    notes.find(|note| note.contains("mappings were edited")).unwrap()
}

/// Tables beside the usual ones: what is kept of older versions.
fn former(world: &World) -> Vec<String> {
    let warehouse = world.warehouse();
    let connection = warehouse.connect().unwrap();
    world.open(&warehouse, None).unwrap();
    connection
        .query_rows::<_, WarehouseError>(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'ledger' AND table_name LIKE 'former%' ORDER BY 1",
            |row| row.get(0),
        )
        .unwrap()
}

#[test]
fn rule_15_removing_a_mapping_neither_resends_nor_clears() {
    let mut world = world();
    world.sync.mappings.pop();
    let done = world.run();
    assert_eq!(done.sent(), [""; 0]);
    assert_eq!(
        note(&done),
        "the mappings were edited (`mail` is gone); rows sent again for that: 0"
    );
    assert!(world.run().planned.shortcut);
    // The other fields are compared as before.
    assert_eq!(
        world.rows("(1, 'x', 1), (2, 'x', 3)").run().sent(),
        ["upsert 2 {\"n\":3}"]
    );
}

#[test]
fn rule_15_a_mapping_that_comes_back_resends_only_what_differs_from_what_was_sent() {
    let mut world = world();
    world.sync.mappings.pop();
    world.run();
    world.rows("(1, 'a', 1), (2, 'x', 2), (3, 'c', 3)").run();
    world.sync.mappings.push(column("email", "mail"));
    // Row 1 shows its `mail` still. Row 2 shows another; row 3 was never sent with one.
    assert_eq!(
        world.run().sent(),
        ["upsert 2 {\"n\":2,\"mail\":\"x\"}", "upsert 3 {\"n\":3,\"mail\":\"c\"}"]
    );
    assert!(world.run().planned.shortcut);
    assert_eq!(former(&world), [""; 0], "every entry is of the present version");
}

#[test]
fn rule_15_a_new_mapping_resends_every_row() {
    let mut world = world();
    world.sync.mappings.push(constant("7", "seven"));
    let done = world.run();
    assert_eq!(
        done.sent(),
        [
            "upsert 1 {\"n\":1,\"mail\":\"a\",\"seven\":7}",
            "upsert 2 {\"n\":2,\"mail\":\"b\",\"seven\":7}"
        ]
    );
    assert_eq!(done.planned.counts.planned, split(0, 2, 0));
    assert_eq!(
        note(&done),
        "the mappings were edited (`seven` is new); rows sent again for that: 2"
    );
    assert!(world.run().planned.shortcut);
}

#[test]
fn rule_15_a_changed_mapping_resends_the_rows_whose_result_differs() {
    let mut world = world();
    world.sync.mappings[0] = sql("n * n", "n");
    let done = world.run();
    assert_eq!(done.sent(), ["upsert 2 {\"n\":4,\"mail\":\"b\"}"], "1 squared is 1");
    assert_eq!(
        note(&done),
        "the mappings were edited (`n` was the column `n` and is `n * n`); rows sent again for that: 1"
    );
    assert!(world.run().planned.shortcut);

    world.sync.mappings[0] = constant("4", "n");
    assert_eq!(world.run().sent(), ["upsert 1 {\"n\":4,\"mail\":\"a\"}"]);
    world.sync.mappings[0] = constant("5", "n");
    assert_eq!(world.run().heads(), ["upsert 1", "upsert 2"]);
    world.sync.mappings[0] = sql("n + 4", "n");
    assert_eq!(world.run().sent(), ["upsert 2 {\"n\":6,\"mail\":\"b\"}"]);
}

#[test]
fn rule_15_fields_that_come_to_share_a_column_are_told_apart() {
    let mut world = world();
    world.rows("(1, 'a', 1), (2, '2', 2)").run();
    world.sync.mappings = vec![column("n", "n"), sql("n::VARCHAR", "mail")];
    assert_eq!(world.run().sent(), ["upsert 1 {\"n\":1,\"mail\":\"1\"}"]);
    world.sync.mappings = vec![sql("n::VARCHAR", "n"), sql("n::VARCHAR", "mail")];
    // A number is not its text.
    assert_eq!(world.run().heads(), ["upsert 1", "upsert 2"]);
    world.sync.mappings = vec![sql("n::VARCHAR", "n"), constant("\"2\"", "mail")];
    assert_eq!(world.run().sent(), ["upsert 1 {\"n\":\"1\",\"mail\":\"2\"}"]);
    assert!(world.run().planned.shortcut);
}

#[test]
fn rule_15_the_order_of_mappings_means_nothing() {
    let mut world = world();
    world.sync.mappings.reverse();
    assert_eq!(world.run().sent(), [""; 0]);
    assert!(world.run().planned.shortcut);
}

#[test]
fn rule_15_insert_mode_resends_nothing() {
    let mut world = World::new().mode(Mode::Insert, OnRemoved::Nothing);
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    world.sync.mappings.push(column("email", "mail"));
    let done = world.rows("(1, 'a', 1), (2, 'b', 2), (3, 'c', 3)").run();
    assert_eq!(done.sent(), ["insert 3 {\"n\":3,\"mail\":\"c\"}"]);
    assert!(note(&done).contains("`insert` sends nothing"), "{}", note(&done));
    assert!(world.run().planned.shortcut);
}

#[test]
fn rule_15_an_edit_that_was_rejected_half_way_is_not_forgotten() {
    let mut world = world();
    world.sync.mappings[1] = sql("upper(email)", "mail");
    world.run_with(of(Answer::Reject, "2")).unwrap();
    // Edited back: row 1 shows the new form, row 2 the old one still.
    world.sync.mappings[1] = column("email", "mail");
    assert_eq!(world.run().sent(), ["upsert 1 {\"n\":1,\"mail\":\"a\"}"]);
    assert!(world.run().planned.shortcut);
}

#[test]
fn rule_15_an_edit_that_added_a_field_and_was_rejected_is_not_forgotten() {
    let mut world = world();
    world.sync.mappings.push(constant("7", "seven"));
    world.run_with(of(Answer::Reject, "2")).unwrap();
    assert_eq!(former(&world).len(), 1);
    // A second edit starts from what each row shows: row 2 has no `seven` and the first `mail`.
    world.sync.mappings[1] = constant("null", "mail");
    world.sync.mappings[2] = constant("8", "seven");
    world.run_with(of(Answer::Reject, "2")).unwrap();
    world.sync.mappings = vec![column("n", "n"), column("email", "mail")];
    // `seven` stays at row 1, as nobody clears it; its `mail` is written again. Row 2 never changed.
    assert_eq!(world.run().sent(), ["upsert 1 {\"n\":1,\"mail\":\"a\"}"]);
    assert!(world.run().planned.shortcut);
    assert_eq!(former(&world), ["former_1"; 0], "nothing is left of older versions");
}

#[test]
fn rule_15_what_was_uncertain_stays_so_under_another_mapping() {
    let mut world = world();
    world
        .rows("(1, 'a', 9), (2, 'b', 2)")
        .run_with(|_| Answer::Unknown)
        .unwrap();
    world.sync.mappings.pop();
    let first = world
        .rows("(1, 'a', 1), (2, 'b', 2)")
        .run_with(|_| Answer::Unknown)
        .unwrap();
    assert_eq!(
        first.sent(),
        ["upsert 1 {\"n\":1}"],
        "the source is back, the destination may not be"
    );
    let retry = world.run();
    assert_eq!(retry.operations[0].idempotency_key, first.operations[0].idempotency_key);
    assert!(world.run().planned.shortcut);
}

#[test]
fn rule_27_under_another_mapping_it_is_another_operation() {
    let mut world = world();
    world.rows("(1, 'a', 9), (2, 'b', 2)");
    let first = world.run_with(|_| Answer::Reject).unwrap();
    world.sync.mappings.pop();
    let second = world.run();
    assert_eq!(second.sent(), ["upsert 1 {\"n\":9}"]);
    assert_ne!(
        second.operations[0].idempotency_key,
        first.operations[0].idempotency_key
    );
}

#[test]
fn rule_15_removals_go_on_under_another_mapping() {
    let mut world = world();
    world.sync.on_removed = OnRemoved::Delete;
    world.sync.mappings = vec![column("email", "mail")];
    assert_eq!(world.rows("(1, 'a', 1)").run().sent(), ["delete 2 {\"mail\":\"b\"}"]);
    assert!(world.run().planned.shortcut);
}

#[test]
fn rule_15_another_match_field_needs_every_row_again() {
    let mut world = world();
    world.sync.match_on = Some(Match {
        from: "email".into(),
        to: "mail".into(),
    });
    let error = world.run_with(|_| Answer::Accept).unwrap_err().to_string();
    assert!(
        error.contains("--full-resync") && error.contains("email in mail"),
        "{error}"
    );
    world.full_resync = true;
    assert_eq!(world.run().heads(), ["upsert a", "upsert b"]);
    world.full_resync = false;
    assert!(world.run().planned.shortcut);
}

#[test]
fn rule_15_a_preview_says_what_an_edit_resends_and_changes_nothing() {
    let mut world = world();
    world.run_with(|_| Answer::Accept).unwrap();
    world.sync.mappings[0] = sql("n * n", "n");
    let entries = world.entries();
    let (planned, operations, samples) = preview::previewed(&world);
    assert_eq!(planned.counts.planned, split(0, 1, 0));
    assert!(
        planned.notes[0].contains("rows sent again for that: 1"),
        "{:?}",
        planned.notes
    );
    assert_eq!(samples[0].before.as_deref(), Some("{\"n\":2,\"mail\":\"b\"}"));
    assert_eq!(world.entries(), entries);
    assert_eq!(world.run().operations, operations);
}

#[test]
fn rule_08_a_ledger_of_the_first_format_is_brought_up_to_date() {
    let mut world = world();
    {
        let warehouse = world.warehouse();
        let connection = warehouse.connect().unwrap();
        world.open(&warehouse, None).unwrap();
        connection
            .execute(
                "ALTER TABLE ledger.main.entries DROP COLUMN mapping;
                 UPDATE ledger.main.meta SET state = json_merge_patch(state, '{\"format\": 1, \"mapping\": null, \"former\": null}')",
            )
            .unwrap();
    }
    let warehouse = world.warehouse();
    let error = Ledger::open(&warehouse, &world.ledger_path(), false, None).unwrap_err();
    assert!(matches!(error, LedgerError::ToMigrate { format: 1 }), "{error}");
    drop(warehouse);
    assert!(world.run().planned.shortcut);
    assert_eq!(world.rows("(1, 'a', 1), (2, 'b', 3)").run().heads(), ["upsert 2"]);
}

#[test]
fn rule_22_another_match_field_is_not_forgotten_by_a_resync_that_stops() {
    let mut world = world();
    world.sync.match_on = Some(Match {
        from: "email".into(),
        to: "mail".into(),
    });
    world.full_resync = true;
    // A guard stops it, after the entries were brought into the new layout.
    assert!(matches!(
        world.rows("").run_with(|_| Answer::Accept),
        Err(PlanError::Stopped(_))
    ));
    world.full_resync = false;
    assert_eq!(
        world.rows("(1, 'a', 1), (2, 'b', 2)").run().heads(),
        ["upsert a", "upsert b"]
    );
    assert!(world.run().planned.shortcut);
}

#[test]
fn rule_22_another_match_field_in_the_middle_of_a_resync_starts_it_anew() {
    let mut world = world();
    world.full_resync = true;
    world.run_with(of(Answer::NotSent, "2")).unwrap();
    world.full_resync = false;
    world.sync.match_on = Some(Match {
        from: "email".into(),
        to: "mail".into(),
    });
    assert!(matches!(world.run_with(|_| Answer::Accept), Err(PlanError::Refused(_))));
    world.full_resync = true;
    assert_eq!(world.run().heads(), ["upsert a", "upsert b"]);
}
