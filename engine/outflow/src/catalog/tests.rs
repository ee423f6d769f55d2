use chrono::TimeDelta;
use outflow_core::ledger::Note;
use outflow_core::report::{Counts, Report, Split, Status};

use super::*;

fn now() -> DateTime<Utc> {
    "2026-11-25T06:00:00.123Z".parse().unwrap()
}

fn begin(catalog: &Catalog, sync: i64) -> Begun {
    let begun = catalog.begin_run(sync, "ann", Cause::Now(&order(false)), now());
    begun.unwrap().unwrap()
}

fn report(status: Status) -> Report {
    Report {
        sync: "a".into(),
        number: 1,
        status,
        message: None,
        counts: Counts::default(),
        configuration: false,
        diagnostics: Vec::new(),
        stopped: Vec::new(),
        notes: Vec::new(),
    }
}

fn catalog() -> (tempfile::TempDir, Catalog) {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&folder.path().join("state")).unwrap();
    (folder, catalog)
}

fn order(full_resync: bool) -> Order {
    Order {
        trigger: Trigger::Manual,
        by: "ann".into(),
        full_resync,
        force: full_resync,
        created_at: now(),
    }
}

#[cfg(unix)]
#[test]
fn rule_39_only_the_owner_reads_the_state() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, catalog) = catalog();
    catalog.sync("a", "ann", now()).unwrap();
    let state = folder.path().join("state");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    for file in std::fs::read_dir(&state).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[cfg(unix)]
#[test]
fn rule_39_a_state_that_others_can_read_is_closed_to_them() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, catalog) = catalog();
    drop(catalog);
    let state = folder.path().join("state");
    let set = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    set(&state, 0o755);
    set(&state.join("catalog.sqlite"), 0o644);
    drop(Catalog::open(&state).unwrap());
    assert_eq!((mode(&state), mode(&state.join("catalog.sqlite"))), (0o700, 0o600));
    // A folder of other things is not ours to close.
    let shared = folder.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(shared.join("letter"), "").unwrap();
    set(&shared, 0o755);
    let Err(error) = Catalog::open(&shared) else {
        panic!("it was opened")
    };
    assert!(error.to_string().contains("others can look into (mode 755)"), "{error}");
    assert_eq!(mode(&shared), 0o755);
}

#[test]
fn a_sync_is_made_once_by_whoever_saw_it_first() {
    let (_folder, catalog) = catalog();
    let first = catalog.sync("a", "ann", now()).unwrap();
    let again = catalog.sync("a", "bob", now() + TimeDelta::days(1)).unwrap();
    assert_eq!(first, again);
    assert_eq!((again.created_by.as_str(), again.created_at), ("ann", now()));
    let other = catalog.sync("b", "bob", now()).unwrap();
    assert_ne!(other.id, first.id);
    assert_eq!(catalog.syncs().unwrap(), [first, other]);
    assert_eq!(catalog.find_sync("c").unwrap(), None);
}

#[test]
fn rule_07_the_ledgers_last_commit_is_noted() {
    let (_folder, catalog) = catalog();
    let sync = catalog.sync("a", "ann", now()).unwrap();
    assert_eq!(sync.ledger, None);
    let note = Note {
        incarnation: "x".into(),
        sequence: 7,
        rows: 1_000,
    };
    catalog.note_ledger("a", &note).unwrap();
    assert_eq!(catalog.find_sync("a").unwrap().unwrap().ledger, Some(note));
}

#[test]
fn a_place_has_one_sync_until_it_lets_go() {
    let (_folder, catalog) = catalog();
    for slug in ["a", "b", "gone"] {
        catalog.sync(slug, "ann", now()).unwrap();
    }
    let claim = |sync: &str, place| catalog.claim(sync, place, &["a", "b"]).unwrap();
    assert_eq!(claim("gone", Some("x.csv")), None);
    // Who is no rival, for the project has it no more, keeps nobody away.
    assert_eq!(claim("a", Some("x.csv")), None);
    assert_eq!(claim("a", Some("x.csv")), None);
    assert_eq!(claim("b", Some("x.csv")), Some("a".to_owned()));
    let holder = |sync: &str| catalog.holder(sync, "x.csv", &["a", "b"]).unwrap();
    assert_eq!((holder("b"), holder("a")), (Some("a".to_owned()), None));
    assert_eq!(claim("b", Some("y.csv")), None);
    assert_eq!(claim("a", Some("y.csv")), Some("b".to_owned()));
    assert_eq!(claim("a", None), None);
    assert_eq!(claim("b", Some("x.csv")), None);
}

#[test]
fn a_run_is_listed_from_its_beginning_to_its_report() {
    let (_folder, catalog) = catalog();
    let sync = catalog.sync("a", "ann", now()).unwrap().id;
    let other = catalog.sync("b", "ann", now()).unwrap().id;
    let begin = |sync| begin(&catalog, sync).run;
    let first = begin(sync);
    assert_eq!((first.number, first.ended.as_ref()), (1, None));
    assert_eq!(begin(other).number, 1);
    let report = Report {
        sync: "a".into(),
        number: 1,
        status: Status::Warning,
        message: Some("one row was refused".into()),
        counts: Counts {
            queried: 3,
            rejected: Split {
                added: 1,
                ..Split::default()
            },
            ..Counts::default()
        },
        configuration: false,
        diagnostics: Vec::new(),
        stopped: Vec::new(),
        notes: vec!["a note".into()],
    };
    catalog
        .end_run(first.id, &report, Settle::Done, now() + TimeDelta::seconds(2))
        .unwrap();
    let second = begin(sync);
    let runs = catalog.runs(sync, 10).unwrap();
    assert_eq!(runs.iter().map(|run| run.number).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(runs[0], second);
    let ended = runs[1].ended.clone().unwrap();
    assert_eq!(
        (ended.status, ended.message, ended.counts),
        (Status::Warning, report.message, report.counts)
    );
    assert_eq!((ended.notes, ended.at), (report.notes, now() + TimeDelta::seconds(2)));
    assert_eq!(catalog.runs(sync, 1).unwrap().len(), 1);
    assert_eq!(catalog.run(sync, 1).unwrap().unwrap().id, first.id);
}

#[test]
fn rule_30_who_lost_its_place_records_nothing() {
    let (_folder, catalog) = catalog();
    let sync = catalog.sync("a", "ann", now()).unwrap().id;
    let run = begin(&catalog, sync).run;
    assert_eq!(catalog.repair_runs(sync, now()).unwrap(), 1);
    catalog
        .end_run(run.id, &report(Status::Success), Settle::Done, now())
        .unwrap();
    assert_eq!(
        catalog.run(sync, 1).unwrap().unwrap().ended.unwrap().status,
        Status::Interrupted
    );
    assert_eq!(catalog.repair_runs(sync, now()).unwrap(), 0);
}

#[test]
fn rule_30_triggers_during_a_run_are_one_follow_up() {
    let (_folder, catalog) = catalog();
    let sync = catalog.sync("a", "ann", now()).unwrap().id;
    let first = catalog.enqueue(sync, &order(false)).unwrap();
    let second = catalog.enqueue(sync, &order(false)).unwrap();
    assert_eq!(catalog.queued().unwrap(), [sync]);
    let queued = |id| catalog.begin_run(sync, "ann", Cause::Queued(id), now()).unwrap();
    let begun = queued(second.id).unwrap();
    assert_eq!(begun.orders.len(), 2);
    let done = report(Status::Success);
    catalog.end_run(begun.run.id, &done, Settle::Done, now()).unwrap();
    assert_eq!(catalog.queued().unwrap(), [0; 0]);
    assert_eq!(queued(first.id), None, "another run has taken it");
    assert_eq!(catalog.begin_run(sync, "ann", Cause::Waiting, now()).unwrap(), None);
    assert!(catalog.runs(sync, 1).unwrap()[0].number > first.after);
}

#[test]
fn rule_30_a_full_resync_is_never_swallowed() {
    let (_folder, catalog) = catalog();
    let sync = catalog.sync("a", "ann", now()).unwrap().id;
    for asked in [[false, true], [true, false]] {
        for full_resync in asked {
            catalog.enqueue(sync, &order(full_resync)).unwrap();
        }
        let begun = begin(&catalog, sync);
        assert!(begun.run.full_resync);
        let done = report(Status::Success);
        catalog.end_run(begun.run.id, &done, Settle::Done, now()).unwrap();
    }
    assert!(!begin(&catalog, sync).run.full_resync);
}

#[test]
fn rule_30_who_gives_up_takes_its_own_order_back() {
    let (_folder, catalog) = catalog();
    let sync = catalog.sync("a", "ann", now()).unwrap().id;
    let full = catalog.enqueue(sync, &order(true)).unwrap();
    let plain = catalog.enqueue(sync, &order(false)).unwrap();
    catalog.withdraw(full.id).unwrap();
    let begun = catalog.begin_run(sync, "ann", Cause::Queued(plain.id), now());
    assert!(!begun.unwrap().unwrap().run.full_resync);
}

#[test]
fn rule_30_what_a_run_had_taken_is_there_until_it_is_over() {
    let (_folder, catalog) = catalog();
    let sync = catalog.sync("a", "ann", now()).unwrap().id;
    let full = catalog.enqueue(sync, &order(true)).unwrap();
    let dead = begin(&catalog, sync);
    // Its process dies: a server begins it again, under the same token.
    assert_eq!(catalog.queued().unwrap(), [sync]);
    let begun = catalog.begin_run(sync, "ann", Cause::Waiting, now()).unwrap().unwrap();
    assert_eq!(
        catalog.run(sync, 1).unwrap().unwrap().ended.unwrap().status,
        Status::Interrupted
    );
    assert_eq!((begun.orders[0].id, begun.orders[0].before), (full.id, Some(1)));
    assert_eq!(begun.orders[0].token, dead.orders[0].token);
    // It is interrupted: a full resync is owed by the next run, but sets none off by itself.
    let interrupted = report(Status::Interrupted);
    catalog.end_run(begun.run.id, &interrupted, Settle::Owe, now()).unwrap();
    assert_eq!(catalog.queued().unwrap(), [0; 0]);
    assert_eq!(catalog.begin_run(sync, "ann", Cause::Waiting, now()).unwrap(), None);
    let next = begin(&catalog, sync);
    assert!(next.run.full_resync);
    assert_eq!(next.orders.len(), 2);
    // It is cancelled, and so is its own order, and no other's.
    let cancelled = report(Status::Cancelled);
    let plain = catalog.enqueue(sync, &order(false)).unwrap();
    catalog
        .end_run(next.run.id, &cancelled, Settle::Return(next.own), now())
        .unwrap();
    let left: Vec<i64> = catalog.orders(sync).unwrap().iter().map(|taken| taken.id).collect();
    assert_eq!(left, [full.id, plain.id]);
}

#[test]
fn rule_30_a_run_apart_leaves_the_queue_alone() {
    let (_folder, catalog) = catalog();
    let sync = catalog.sync("a", "ann", now()).unwrap().id;
    catalog.enqueue(sync, &order(true)).unwrap();
    let apart = catalog
        .begin_run(sync, "ann", Cause::Apart(&order(false)), now())
        .unwrap()
        .unwrap();
    assert!(!apart.run.full_resync && apart.orders.is_empty());
    let done = report(Status::Success);
    catalog.end_run(apart.run.id, &done, Settle::Done, now()).unwrap();
    assert_eq!(catalog.queued().unwrap(), [sync]);
}

#[test]
fn what_waited_in_an_older_catalog_waits_still() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.sqlite");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(schema::STEPS[0]).unwrap();
    old.execute_batch(
        "PRAGMA user_version = 1;
         INSERT INTO syncs (slug, created_at, created_by) VALUES ('a', '2026-11-25T06:00:00.000Z', 'ann');
         INSERT INTO queue VALUES (1, 'manual', 'bob', 1, 1, '2026-11-25T06:00:00.000Z');",
    )
    .unwrap();
    drop(old);
    let catalog = Catalog::open(folder.path()).unwrap();
    let orders = catalog.orders(1).unwrap();
    assert!(orders[0].order.full_resync && orders[0].order.force && orders[0].order.by == "bob");
    assert_eq!(orders[0].token.len(), 32);
}

#[test]
fn rule_37_a_tick_belongs_to_one_process() {
    let (folder, catalog) = catalog();
    let other = Catalog::open(&folder.path().join("state")).unwrap();
    let sync = catalog.sync("a", "ann", now()).unwrap().id;
    let later = now() + TimeDelta::hours(1);
    assert!(catalog.tick(sync, None, "ann", now()).unwrap());
    assert!(!other.tick(sync, None, "bob", now()).unwrap(), "another was faster");
    assert!(other.tick(sync, Some(now()), "bob", later).unwrap());
    let queued = catalog.orders(sync).unwrap();
    assert_eq!(queued.len(), 1, "ticks that wait are one");
    let tick = &queued[0].order;
    assert_eq!((tick.trigger, tick.by.as_str()), (Trigger::Schedule, "ann"));
    assert_eq!(catalog.find_sync("a").unwrap().unwrap().ticked_at, Some(later));
}

#[test]
fn many_writers_get_numbers_without_gaps() {
    let (folder, catalog) = catalog();
    let sync = catalog.sync("a", "ann", now()).unwrap().id;
    let state = folder.path().join("state");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let catalog = Catalog::open(&state).unwrap();
                for _ in 0..5 {
                    begin(&catalog, sync);
                }
            });
        }
    });
    let numbers: Vec<u64> = catalog
        .runs(sync, 100)
        .unwrap()
        .iter()
        .rev()
        .map(|run| run.number)
        .collect();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
}

#[test]
fn a_newer_catalog_is_refused_and_left_as_it_is() {
    let (folder, catalog) = catalog();
    drop(catalog);
    let state = folder.path().join("state");
    let raw = Connection::open(state.join("catalog.sqlite")).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    let Err(error) = Catalog::open(&state) else {
        panic!("it was opened")
    };
    assert!(error.to_string().contains("has format 99"), "{error}");
    let format: i64 = raw.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(format, 99);
}

#[test]
fn many_processes_may_open_a_new_catalog_at_once() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let start = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            let opened: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        Catalog::open(&state).map(drop)
                    })
                })
                .collect();
            for opened in opened {
                opened.join().unwrap().unwrap();
            }
        });
    }
}
