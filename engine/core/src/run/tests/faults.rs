//! Runs that are stopped in their middle, and what the next run makes of it.

use std::time::{Duration, Instant};

use super::*;
use crate::report::Event;

/// A run that is dropped while batches are on their way leaves a journal without their outcomes, as a crash does.
#[tokio::test(flavor = "multi_thread")]
async fn rule_04_what_a_stopped_run_attempted_is_unknown_and_the_rest_was_not_sent() {
    let mut world = World::new(MIRROR);
    world.rows(&(0..100).map(|id| format!("{id},x\n")).collect::<String>());
    world.crm.stall_after(Some(3));
    let request = world.request();
    assert!(
        tokio::time::timeout(Duration::from_secs(2), crate::run::run(request))
            .await
            .is_err()
    );
    // The threads that worked for the dropped run let go of the ledger.
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.crm.stall_after(None);
    assert_eq!(world.crm.take_sent().len(), 30);

    let resumed = world.run().await;
    assert_eq!(resumed.report.status, Status::Success, "{:?}", resumed.report);
    assert!(
        resumed
            .report
            .notes
            .iter()
            .any(|note| note.contains("had been stopped")),
        "{:?}",
        resumed.report.notes
    );
    // Acknowledged rows are not sent again; what was on its way is, with what was never sent.
    assert_eq!(world.crm.take_sent().len(), 70);
    assert_eq!(world.crm.count(), 100);
    assert_eq!(world.run().await.report.counts.changes.total(), 0);
}

#[tokio::test]
async fn a_cancelled_run_keeps_what_was_accepted() {
    let mut world = World::new(UPSERT);
    world.rows(&(0..500).map(|id| format!("{id},x\n")).collect::<String>());
    let control = world.control.clone();
    let crm = world.crm.clone();
    let cancel = tokio::spawn(async move {
        while crm.count() < 50 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        control.cancel();
    });
    let cancelled = world.run().await;
    cancel.await.unwrap();
    assert_eq!(cancelled.report.status, Status::Cancelled, "{:?}", cancelled.report);
    let accepted = cancelled.report.counts.succeeded.added;
    assert!((50..500).contains(&accepted), "{accepted}");
    assert_eq!(cancelled.report.counts.aborted.added, 500 - accepted);
    world.control = crate::report::Control::default();
    assert_eq!(world.run().await.report.counts.succeeded.added, 500 - accepted);
}

#[tokio::test]
async fn rule_16_a_source_that_is_missing_is_waited_for_within_the_bound() {
    let mut world = World::new(MIRROR);
    world.rows("1,Ann\n");
    world.run().await;
    world.crm.take_sent();
    world.remove_source();
    world.wait_for_sources("1m");
    let mut events = world.control.watch();
    let run = world.start();
    // It waits, and says why.
    let reason = loop {
        if let Event::Waiting { reason, .. } = events.recv().await.unwrap() {
            break reason;
        }
    };
    assert!(reason.starts_with("source `people`: there is no file "), "{reason}");
    world.rows("1,Anna\n");
    let report = run.await.unwrap().report;
    assert_eq!(
        (report.status, report.counts.succeeded),
        (Status::Success, split(0, 1, 0))
    );

    // Until the bound, or until somebody cancels.
    world.remove_source();
    world.wait_for_sources("1s");
    let began = Instant::now();
    let run = world.run().await;
    assert_eq!(run.report.status, Status::Interrupted, "{:?}", run.report);
    let took = began.elapsed();
    assert!(
        took >= Duration::from_secs(1) && took < Duration::from_secs(30),
        "{took:?}"
    );
    world.wait_for_sources("1h");
    let mut events = world.control.watch();
    let run = world.start();
    while !matches!(events.recv().await.unwrap(), Event::Waiting { .. }) {}
    world.control.cancel();
    assert_eq!(run.await.unwrap().report.status, Status::Cancelled);
    assert_eq!(world.crm.take_sent().len(), 1, "the change of the second run");
}

#[tokio::test]
async fn rule_16_a_source_that_is_gone_is_never_taken_for_removed_rows() {
    let mut world = World::new(MIRROR);
    world.rows("1,Ann\n");
    world.run().await;
    world.crm.take_sent();
    world.remove_source();
    let run = world.run().await;
    assert!(
        matches!(run.report.status, Status::Interrupted | Status::Failed),
        "{:?}",
        run.report
    );
    assert_eq!(world.crm.take_sent(), [""; 0]);
    world.rows("1,Anna\n");
    assert_eq!(world.run().await.report.counts.succeeded, split(0, 1, 0));
}

#[tokio::test]
async fn rule_16_a_row_that_cannot_be_read_fails_the_run() {
    let mut world = World::new(MIRROR);
    world.rows("1,Ann\n2,Bob\n");
    world.run().await;
    world.crm.take_sent();
    world.rows("1,Ann\ntwo,Bob\n");
    let run = world.run().await;
    assert_eq!(run.report.status, Status::Failed, "{:?}", run.report);
    assert_eq!(world.crm.take_sent(), [""; 0]);
}

#[tokio::test]
async fn rule_07_rebaseline_replaces_a_ledger_that_cannot_be_read() {
    for damage in [&b"no database"[..], b""] {
        let mut world = World::new(MIRROR);
        world.rows("1,Ann\n2,Bob\n");
        world.run().await;
        world.crm.take_sent();
        let whole = std::fs::read(world.ledger()).unwrap();
        let cut = if damage.is_empty() {
            &whole[..whole.len() / 2]
        } else {
            damage
        };
        std::fs::write(world.ledger(), cut).unwrap();
        let run = world.run().await.report;
        let message = run.message.unwrap();
        assert_eq!(run.status, Status::Failed, "{message}");
        assert!(
            message.contains("damaged") && message.contains("rebaseline"),
            "{message}"
        );
        let declared = world.rebaseline().await.report;
        assert_eq!(declared.status, Status::Success, "{declared:?}");
        assert!(declared.notes[0].contains("set aside"), "{:?}", declared.notes);
        world.rows("1,Ann\n2,Bo\n");
        world.run().await;
        assert_eq!(world.crm.take_sent(), ["upsert 2"]);
    }
}

/// The journal of a stopped run, and no ledger that it goes with any more.
#[tokio::test(flavor = "multi_thread")]
async fn rule_07_rebaseline_sets_a_journal_aside_that_goes_with_no_ledger() {
    let mut world = World::new(MIRROR);
    world.rows("1,Ann\n2,Bob\n");
    world.crm.stall_after(Some(0));
    let request = world.request();
    let stopped = tokio::time::timeout(Duration::from_secs(2), crate::run::run(request)).await;
    assert!(stopped.is_err());
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.crm.stall_after(None);
    std::fs::remove_file(world.ledger()).unwrap();
    let run = world.run().await.report;
    assert_eq!(run.status, Status::Failed, "{run:?}");
    let declared = world.rebaseline().await.report;
    assert_eq!(declared.status, Status::Success, "{declared:?}");
    assert!(declared.notes[0].contains("set aside"), "{:?}", declared.notes);
    assert_eq!(world.run().await.report.counts.changes.total(), 0);
}

#[tokio::test]
async fn rule_27_a_number_that_the_ledger_knows_is_not_used_again() {
    let mut world = World::new(MIRROR);
    world.rows("1,Ann\n");
    let number = {
        world.run().await;
        world.request().number
    };
    let mut request = world.request();
    request.number = number - 1;
    world.rows("1,Anna\n");
    let finished = crate::run::run(request).await;
    assert_eq!(finished.report.number, number);
    assert_eq!(finished.report.status, Status::Success, "{:?}", finished.report);
    let ids: std::collections::BTreeSet<_> = world.crm.ids().into_iter().collect();
    assert_eq!(ids.len(), 2, "each sent under an id of its own");
}

#[tokio::test]
async fn rule_11_a_preview_refuses_another_type_of_key_as_the_run_does() {
    let mut world = World::new(MIRROR);
    world.rows("1,Ann\n");
    world.run().await;
    world.key_as_text();
    let error = world.preview().await.unwrap_err().to_string();
    assert!(error.contains("was BIGINT and is VARCHAR"), "{error}");
}
