//! A sync under a new name (rule 7).

use super::*;

const NEW: &str = "customers";

/// Renames the sync's file, which then says `renamed_from`.
fn rename(fixture: &Fixture, from: &str) {
    let syncs = fixture.folder.path().join("syncs");
    let text = std::fs::read_to_string(syncs.join(format!("{SYNC}.yml"))).unwrap();
    std::fs::remove_file(syncs.join(format!("{SYNC}.yml"))).unwrap();
    std::fs::write(
        syncs.join(format!("{NEW}.yml")),
        format!("{text}\nrenamed_from: {from}\n"),
    )
    .unwrap();
}

async fn run_new(engine: &Engine) -> Result<outflow::Report, Error> {
    engine.run(NEW, RunOptions::default()).wait().await
}

#[tokio::test]
async fn rule_07_a_renamed_sync_takes_its_ledger_along() {
    let fixture = Fixture::new("");
    run(&fixture.engine()).await;
    rename(&fixture, SYNC);
    let engine = fixture.engine();
    // A preview may change nothing, and would take every row for new.
    let error = engine.plan(NEW, PlanOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("the next run"), "{error}");

    fixture.write("people.csv", "id,name\n1,Ann\n2,Bo\n");
    let report = run_new(&engine).await.unwrap();
    assert_eq!((report.status, report.counts.succeeded.total()), (Status::Success, 1));
    assert_eq!(report.number, 2, "its numbers go on");
    assert_eq!(fixture.memory.batches(), 2);
    // Also when it says so no longer; and what the catalog noted has come along.
    assert_eq!(run_new(&engine).await.unwrap().counts.changes.total(), 0);
    let noted = |slug: &str| engine.catalog().find_sync(slug).unwrap().unwrap().ledger;
    assert_eq!((noted(SYNC), noted(NEW).unwrap().rows), (None, 2));
    let state = fixture.folder.path().join(".outflow/syncs");
    assert!(!state.join(SYNC).join("ledger.duckdb").exists());
}

#[tokio::test]
async fn rule_07_a_rename_that_was_cut_short_is_carried_on() {
    let fixture = Fixture::new("");
    run(&fixture.engine()).await;
    rename(&fixture, SYNC);
    // The ledger moves last, so that nothing is opened without what belongs to it.
    let state = fixture.folder.path().join(".outflow/syncs");
    std::fs::create_dir_all(state.join(NEW)).unwrap();
    std::fs::rename(state.join(SYNC).join("runs"), state.join(NEW).join("runs")).unwrap();
    assert_eq!(run_new(&fixture.engine()).await.unwrap().counts.changes.total(), 0);
}

#[tokio::test]
async fn rule_07_a_name_that_no_sync_had_takes_nothing_over_and_sends_nothing() {
    let fixture = Fixture::new("");
    run(&fixture.engine()).await;
    rename(&fixture, "people-to-memry");
    let report = run_new(&fixture.engine()).await.unwrap();
    assert_eq!((report.status, report.configuration), (Status::Failed, true));
    let message = report.message.unwrap();
    assert!(
        message.contains("people-to-memry") && message.contains(SYNC),
        "{message}"
    );
    assert_eq!(fixture.memory.batches(), 1);
}

#[tokio::test]
async fn rule_07_a_renamed_sync_whose_ledger_is_lost_stops() {
    let fixture = Fixture::new("");
    run(&fixture.engine()).await;
    rename(&fixture, SYNC);
    std::fs::remove_file(
        fixture
            .folder
            .path()
            .join(".outflow/syncs")
            .join(SYNC)
            .join("ledger.duckdb"),
    )
    .unwrap();
    let report = run_new(&fixture.engine()).await.unwrap();
    assert_eq!(report.status, Status::Failed, "{report:?}");
    assert!(report.message.unwrap().contains("is gone"));
    assert_eq!(fixture.memory.batches(), 1);
}

#[tokio::test]
async fn rule_07_on_a_new_machine_a_renamed_sync_is_a_new_one() {
    let fixture = Fixture::new("");
    rename(&fixture, SYNC);
    assert_eq!(run_new(&fixture.engine()).await.unwrap().counts.succeeded.added, 2);
}

#[tokio::test]
async fn rule_07_a_sync_that_may_have_been_renamed_asks() {
    let fixture = Fixture::new("");
    run(&fixture.engine()).await;
    rename(&fixture, SYNC);
    let file = fixture.folder.path().join("syncs").join(format!("{NEW}.yml"));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("renamed_from", "# renamed_from")).unwrap();
    let engine = fixture.engine();
    let plan = engine.plan(NEW, PlanOptions::default()).await.unwrap();
    assert!(plan.notes.iter().any(|note| note.contains("--new")), "{:?}", plan.notes);
    let report = run_new(&engine).await.unwrap();
    assert_eq!((report.status, report.configuration), (Status::Failed, true));
    assert_eq!(fixture.memory.batches(), 1, "nothing was sent");
    let options = RunOptions {
        new: true,
        ..RunOptions::default()
    };
    let report = engine.run(NEW, options).wait().await.unwrap();
    assert_eq!(report.counts.succeeded.added, 2);
    // It has a ledger of its own now.
    assert_eq!(run_new(&engine).await.unwrap().status, Status::Success);
}

#[tokio::test]
async fn rule_07_a_new_sync_under_an_old_name_does_not_adopt_the_old_ledger() {
    let fixture = Fixture::new("");
    run(&fixture.engine()).await;
    let file = format!("syncs/{SYNC}.yml");
    let sync = std::fs::read_to_string(fixture.folder.path().join(&file)).unwrap();
    let again = async || {
        std::fs::remove_file(fixture.folder.path().join(&file)).unwrap();
        fixture.engine().serve(std::future::ready(())).await.unwrap();
        fixture.write(&file, &sync);
        fixture.engine()
    };
    let engine = again().await;
    let refused = run(&engine).await;
    assert_eq!(
        (refused.status, refused.configuration),
        (Status::Failed, true),
        "{refused:?}"
    );
    let message = refused.message.unwrap();
    assert!(
        message.contains("--same-sync") && message.contains("--new"),
        "{message}"
    );
    let plan = engine.plan(SYNC, PlanOptions::default()).await.unwrap();
    assert!(plan.notes.iter().any(|note| note.contains("--same-sync")), "{plan:?}");
    // The same one goes on where it was, once and for all.
    let same = RunOptions {
        same_sync: true,
        ..RunOptions::default()
    };
    let report = engine.run(SYNC, same).wait().await.unwrap();
    assert_eq!(
        (report.status, report.counts.unchanged),
        (Status::Success, 2),
        "{report:?}"
    );
    assert_eq!(run(&engine).await.status, Status::Success);
    // Another one begins anew.
    let engine = again().await;
    let new = RunOptions {
        new: true,
        ..RunOptions::default()
    };
    let report = engine.run(SYNC, new).wait().await.unwrap();
    assert_eq!(report.counts.succeeded.added, 2, "{report:?}");
    assert_eq!(run(&engine).await.counts.unchanged, 2);
    // What the old one did is not told of the new one.
    let past = engine.history(SYNC, 9).unwrap();
    let recorded: Vec<_> = past.iter().map(|past| (past.run.number, past.recorded)).collect();
    assert_eq!(recorded[..2], [(6, true), (5, true)]);
    assert!(recorded[2..].iter().all(|(_, recorded)| !recorded), "{recorded:?}");
}

#[tokio::test]
async fn rule_07_a_name_that_another_sync_had_is_free_once_that_is_renamed() {
    let fixture = Fixture::new("");
    run(&fixture.engine()).await;
    let file = format!("syncs/{SYNC}.yml");
    let sync = std::fs::read_to_string(fixture.folder.path().join(&file)).unwrap();
    rename(&fixture, SYNC);
    run_new(&fixture.engine()).await.unwrap();
    fixture.write(&format!("syncs/{NEW}.yml"), &sync);
    fixture.write(&file, &sync);
    let engine = fixture.engine();
    assert_eq!(run(&engine).await.counts.succeeded.added, 2);
    // It has a ledger now, which is its own.
    assert_eq!(run(&engine).await.counts.unchanged, 2);
}
