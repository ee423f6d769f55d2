//! Journals, ledgers and locks that are lost, cut or replaced while a plan is in flight (rules 4, 5, 7, 30).

use std::time::Duration;

use super::*;
use crate::journal::{Entry, FORMAT, Header, Journal, Span};

/// A world whose first run was stopped with three batches delivered, one on its way and the rest not sent.
async fn stopped(sync: &str) -> World {
    let mut world = World::new(sync);
    world.rows(&(0..100).map(|id| format!("{id},x\n")).collect::<String>());
    world.crm.stall_after(Some(3));
    let run = tokio::spawn(crate::run::run(world.request()));
    while world.crm.count() < 30 {
        assert!(!run.is_finished());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // What was answered is journaled, and the next batch is on its way.
    tokio::time::sleep(Duration::from_millis(300)).await;
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    // The threads that worked for the dropped run let go of the ledger.
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.crm.stall_after(None);
    assert_eq!(world.crm.take_sent().len(), 30);
    world
}

/// What is done to a journal.
type Harm = fn(&std::path::Path);

const HARMS: [Harm; 3] = [
    |journal| std::fs::remove_file(journal).unwrap(),
    |journal| std::fs::write(journal, "").unwrap(),
    // Where it had been durable.
    |journal| {
        let mut bytes = std::fs::read(journal).unwrap();
        // In its header, which later frames say was durable.
        bytes[30] ^= 1;
        std::fs::write(journal, bytes).unwrap();
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn rule_04_a_plan_whose_journal_is_gone_is_not_taken_for_unsent() {
    for harm in HARMS {
        let mut world = stopped(UPSERT).await;
        harm(&world.journal());
        let run = world.run().await.report;
        assert_eq!(run.status, Status::Failed, "{run:?}");
        let message = run.message.unwrap();
        for choice in ["rebaseline", "--full-resync"] {
            assert!(message.contains(choice), "`{choice}` is not in `{message}`");
        }
        assert_eq!(world.crm.take_sent(), [""; 0]);
        // Nothing is settled by asking again.
        assert_eq!(world.run().await.report.status, Status::Failed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_07_a_full_resync_repairs_what_was_lost_with_a_journal() {
    for harm in HARMS {
        let mut world = stopped(UPSERT).await;
        harm(&world.journal());
        world.options.full_resync = true;
        let run = world.run().await.report;
        assert_eq!(run.status, Status::Success, "{run:?}");
        assert_eq!((world.crm.take_sent().len(), world.crm.count()), (100, 100));
        assert_eq!(world.run().await.report.counts.changes.total(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_07_rebaseline_declares_what_was_lost_with_a_journal() {
    for harm in HARMS {
        let mut world = stopped(MIRROR).await;
        harm(&world.journal());
        let declared = world.rebaseline().await.report;
        assert_eq!(declared.status, Status::Success, "{declared:?}");
        let run = world.run().await.report;
        assert_eq!((run.status, run.counts.changes.total()), (Status::Success, 0));
        assert_eq!(world.crm.take_sent(), [""; 0]);
    }
}

/// What a process leaves that died after it made the journal, and before it committed the plan.
#[tokio::test]
async fn rule_04_a_journal_whose_plan_was_never_committed_says_nothing() {
    let mut world = World::new(MIRROR);
    world.rows("1,Ann\n2,Bob\n");
    world.run().await;
    world.crm.take_sent();
    let note = world.note().unwrap();
    let header = |ahead: u64| Header {
        format: FORMAT,
        incarnation: note.incarnation.clone(),
        run: 2,
        sequence: note.sequence + ahead,
        operations: 1,
        counting: crate::destination::Counting::Batch,
    };
    drop(Journal::create(&world.journal(), &header(1)).unwrap());
    world.rows("1,Ann\n2,Bo\n");
    let run = world.run().await.report;
    assert_eq!((run.status, run.notes), (Status::Success, Vec::new()));
    assert_eq!(world.crm.take_sent(), ["upsert 2"]);
    // One under which something was sent belongs to a plan that the ledger has lost; so does one from further ahead.
    let note = world.note().unwrap();
    let header = |ahead: u64| Header {
        sequence: note.sequence + ahead,
        ..header(0)
    };
    let journal = Journal::create(&world.journal(), &header(1)).unwrap();
    let spans = vec![Span(0, 0)];
    journal.append(Entry::Attempt { spans }).await.unwrap();
    drop(journal);
    assert_older(world.run().await.report);
    std::fs::remove_file(world.journal()).unwrap();
    drop(Journal::create(&world.journal(), &header(2)).unwrap());
    assert_older(world.run().await.report);
}

#[track_caller]
fn assert_older(report: crate::report::Report) {
    let message = report.message.unwrap_or_default();
    assert_eq!(report.status, Status::Failed, "{message}");
    assert!(message.contains("older"), "{message}");
}

/// What is in flight is as much to lose as what was acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn rule_07_a_ledger_that_is_lost_in_its_first_run_is_missed() {
    let mut world = stopped(UPSERT).await;
    assert_eq!(world.note().unwrap().rows, 100);
    std::fs::remove_file(world.ledger()).unwrap();
    let _ = std::fs::remove_file(world.ledger().with_extension("duckdb.wal"));
    std::fs::remove_file(world.journal()).unwrap();
    let run = world.run().await.report;
    let message = run.message.unwrap();
    assert_eq!(run.status, Status::Failed, "{message}");
    assert!(message.contains("gone") && message.contains("rebaseline"), "{message}");
    assert_eq!(world.crm.take_sent(), [""; 0]);
}

/// The journal is the only proof of what was sent until the ledger's commit is noted.
#[tokio::test]
async fn rule_07_a_commit_is_noted_before_the_journal_goes() {
    let mut world = World::new(MIRROR);
    world.rows("1,Ann\n");
    world.run().await;
    world.rows("1,Anna\n");
    // The plan's commit is noted, that of the outcomes is not.
    world.kept.fail_after(Some(1));
    let run = world.run().await.report;
    assert_eq!(run.status, Status::Failed, "{run:?}");
    assert!(world.journal().exists());
    world.kept.fail_after(None);
    world.crm.take_sent();
    let run = world.run().await.report;
    assert_eq!(
        (run.status, run.counts.changes.total()),
        (Status::Success, 0),
        "{run:?}"
    );
    assert!(!world.journal().exists());
    // Where the plan's cannot be noted, nothing is sent.
    world.kept.fail_after(Some(0));
    world.rows("1,Ann\n");
    assert_eq!(world.run().await.report.status, Status::Failed);
    assert_eq!(world.crm.take_sent(), [""; 0]);
    world.kept.fail_after(None);
    assert_eq!(world.run().await.report.counts.succeeded, split(0, 1, 0));
}

/// A suspended process has lost its place once another file is where its lock or its journal was.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn rule_30_a_process_that_lost_its_place_sends_and_records_nothing_more() {
    for name in ["lock", "journal"] {
        let mut world = World::new(MIRROR);
        world.rows(&(0..5_000).map(|id| format!("{id},x\n")).collect::<String>());
        let request = world.request();
        let (crm, file) = (world.crm.clone(), world.journal().with_file_name(name));
        let replaced = tokio::spawn(async move {
            while crm.count() < 50 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let beside = file.with_extension("new");
            std::fs::copy(&file, &beside).unwrap();
            std::fs::rename(beside, &file).unwrap();
        });
        let run = crate::run::run(request).await.report;
        replaced.await.unwrap();
        let message = run.message.unwrap();
        assert_eq!(run.status, Status::Failed, "{message}");
        assert!(message.contains("lost its place"), "{message}");
        assert!(world.crm.count() < 5_000);
        assert!(world.journal().exists(), "it belongs to somebody else now");
        let before = world.note().unwrap();
        assert_eq!(before.rows, 5_000, "nothing was committed after the plan");
        let resumed = world.run().await.report;
        assert_eq!(resumed.status, Status::Success, "{resumed:?}");
        assert_eq!(world.crm.count(), 5_000);
    }
}
