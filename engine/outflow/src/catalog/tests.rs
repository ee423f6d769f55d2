use chrono::TimeDelta;
use outflow_core::ledger::Note;
use outflow_core::report::{Counts, Report, Split, Status};

use super::*;

fn now() -> DateTime<Utc> {
    "2026-11-25T06:00:00.123Z".parse().unwrap()
}

fn catalog() -> (tempfile::TempDir, Catalog) {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&folder.path().join("state")).unwrap();
    (folder, catalog)
}

fn follow_up(full_resync: bool) -> FollowUp {
    FollowUp {
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
    catalog.note_ledger(sync.id, &note).unwrap();
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
    let begin = |sync| {
        catalog
            .begin_run(sync, Trigger::Manual, "ann", false, now(), now())
            .unwrap()
    };
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
        notes: vec!["a note".into()],
    };
    catalog
        .end_run(first.id, &report, now() + TimeDelta::seconds(2))
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
    let run = catalog
        .begin_run(sync, Trigger::Schedule, "ann", false, now(), now())
        .unwrap();
    assert_eq!(catalog.repair_runs(sync, now()).unwrap(), 1);
    let report = Report {
        sync: "a".into(),
        number: 1,
        status: Status::Success,
        message: None,
        counts: Counts::default(),
        configuration: false,
        notes: Vec::new(),
    };
    catalog.end_run(run.id, &report, now()).unwrap();
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
    assert_eq!(catalog.enqueue(sync, &follow_up(false)).unwrap(), Queued::New);
    assert_eq!(catalog.enqueue(sync, &follow_up(false)).unwrap(), Queued::Joined);
    assert_eq!(catalog.queued().unwrap(), [sync]);
    assert_eq!(catalog.dequeue(sync).unwrap(), Some(follow_up(false)));
    assert_eq!(catalog.dequeue(sync).unwrap(), None);
}

#[test]
fn rule_30_a_full_resync_is_never_swallowed() {
    let (_folder, catalog) = catalog();
    let sync = catalog.sync("a", "ann", now()).unwrap().id;
    for order in [[false, true], [true, false]] {
        for full_resync in order {
            catalog.enqueue(sync, &follow_up(full_resync)).unwrap();
        }
        assert!(catalog.dequeue(sync).unwrap().unwrap().full_resync);
    }
}

#[test]
fn rule_37_a_tick_belongs_to_one_process() {
    let (folder, catalog) = catalog();
    let other = Catalog::open(&folder.path().join("state")).unwrap();
    let sync = catalog.sync("a", "ann", now()).unwrap().id;
    let later = now() + TimeDelta::hours(1);
    assert!(catalog.tick(sync, None, "ann", now()).unwrap());
    assert!(!other.tick(sync, None, "bob", now()).unwrap(), "another was faster");
    let queued = catalog.dequeue(sync).unwrap().unwrap();
    assert_eq!((queued.trigger, queued.by.as_str()), (Trigger::Schedule, "ann"));
    assert_eq!(catalog.dequeue(sync).unwrap(), None);
    assert!(other.tick(sync, Some(now()), "bob", later).unwrap());
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
                    catalog
                        .begin_run(sync, Trigger::Manual, "ann", false, now(), now())
                        .unwrap();
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
