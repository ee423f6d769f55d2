//! Rebaseline (rules 15 and 19, and what guards it).

use super::*;

impl World {
    /// Takes the present state as delivered.
    pub(super) fn rebaseline(&self) -> Result<Counts, PlanError> {
        let warehouse = self.warehouse();
        let mut connection = warehouse.connect().unwrap();
        let mut ledger = self.open(&warehouse, None)?;
        let projection = self.project(&warehouse);
        let binding = Binding {
            accept: Accept::Anew,
            ..self.binding()
        };
        ledger.bind(&mut connection, &binding, &projection.layout)?;
        *self.run.borrow_mut() += 1;
        rebaseline(&mut connection, &mut ledger, &self.request(&projection))
    }
}

#[test]
fn rule_15_rebaseline_takes_the_present_state_without_sending() {
    let mut world = World::matched();
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    world
        .rows("(1, 'a', 5), (3, 'c', 3), (4, 'd', 4)")
        .run_with(|_| Answer::Unknown)
        .unwrap();
    assert_eq!(world.rebaseline().unwrap().unchanged, 3);
    assert_eq!(
        world.entries(),
        [
            "{\"id\":1} \"a\" {\"n\":5} assumed",
            "{\"id\":3} \"c\" {\"n\":3} assumed",
            "{\"id\":4} \"d\" {\"n\":4} assumed"
        ]
    );
    assert!(world.run().planned.shortcut);
    assert_eq!(
        world.rows("(1, 'a', 6), (3, 'c', 3)").run().heads(),
        ["delete d", "upsert a"]
    );
}

#[test]
fn rule_15_rebaseline_of_an_empty_ledger_takes_the_rows_that_can_be_sent() {
    for (rows, entries) in [
        ("(1, 'a', 1), (2, 'b', 2)", 2),
        ("(2, 'b', 2), (1, 'a', 1)", 2),
        ("(1, 'a', 1), (NULL, 'b', 2), (3, 'c', 3), (3, 'd', 4)", 1),
    ] {
        let mut world = World::new();
        assert_eq!(world.rows(rows).rebaseline().unwrap().unchanged, entries, "{rows}");
        assert_eq!(world.entries().len() as u64, entries, "{rows}");
        assert!(
            world.entries().iter().all(|entry| entry.ends_with(" assumed")),
            "{rows}"
        );
        assert_eq!(world.run().heads(), [""; 0], "{rows}");
        // Assumed values are the destination's until the row changes.
        assert_eq!(
            world.rows("(1, 'a', 7)").run().heads().last().unwrap(),
            "upsert 1",
            "{rows}"
        );
    }
}

#[test]
fn rule_19_rebaseline_keeps_the_memory_of_keys_that_left() {
    let mut world = World::new().mode(Mode::Insert, OnRemoved::Nothing);
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    world.rows("(1, 'a', 1)").run();
    world.rebaseline().unwrap();
    assert_eq!(world.rows("(1, 'a', 1), (2, 'b', 2)").run().sent(), [""; 0]);
}

#[test]
fn rule_35_rebaseline_does_not_forget_everything_unasked() {
    let mut world = World::new();
    world.sync.guards.max_removed = Threshold { share: 0.3, rows: 1 };
    world.rows("(1, 'a', 1), (2, 'b', 2), (3, 'c', 3)").run();
    for rows in ["", "(1, 'a', 1)"] {
        let entries = world.entries();
        let error = world.rows(rows).rebaseline().unwrap_err();
        let PlanError::Stopped(stop) = error else {
            panic!("{error}")
        };
        assert!(stop.reason.contains("would be forgotten"), "{stop}");
        assert_eq!(world.entries(), entries);
    }
    let PlanError::Stopped(stop) = world.rebaseline().unwrap_err() else {
        panic!("stopped before")
    };
    world.allow = vec![stop.token];
    assert_eq!(world.rebaseline().unwrap().unchanged, 1);
    assert_eq!(world.entries().len(), 1);
}

#[test]
fn rule_15_what_rebaseline_keeps_of_older_mappings_does_not_stand_in_the_way_later() {
    let mut world = World::new().mode(Mode::Upsert, OnRemoved::Nothing);
    world.rows("(1, 'a', 1), (2, 'b', 2)").run();
    let mapping = |from: &str| Mapping {
        to: from.into(),
        from: From::Column(from.into()),
    };
    // Row 2 stays known under the first mappings only, and is invalid when the state is taken.
    world.sync.mappings.push(mapping("email"));
    world.run_with(of(Answer::Reject, "2")).unwrap();
    world
        .rows("(1, 'a', 1), (2, 'b', 2), (2, 'b', 3)")
        .rebaseline()
        .unwrap();
    world.sync.mappings.pop();
    world.rows("(1, 'a', 1), (2, 'b', 2)");
    assert_eq!(world.run().heads(), ["upsert 2"], "what it shows is not known any more");
    assert!(world.run().planned.shortcut);
}

#[test]
fn rule_11_rebaseline_takes_a_key_of_another_type() {
    let mut world = World::new();
    world.sql = "SELECT * FROM (VALUES ('1', 1), ('abc', 2)) AS t(id, n)".into();
    world.run_with(of(Answer::Reject, "abc")).unwrap();
    world.rows("(1, 'a', 1)");
    assert!(world.run_with(|_| Answer::Accept).is_err());
    world.rebaseline().unwrap();
    assert!(world.run().planned.shortcut);
}
