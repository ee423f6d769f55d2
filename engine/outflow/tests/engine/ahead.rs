//! Plans and checks beside runs (rules 30 and 31).

use super::*;

fn now_or_never() -> RunOptions {
    RunOptions {
        no_wait: true,
        ..RunOptions::default()
    }
}

#[tokio::test]
async fn rule_30_a_plan_keeps_no_run_waiting() {
    let fixture = Fixture::new("");
    let engine = fixture.engine();
    run(&engine).await;
    fixture.write("people.csv", "id,name\n1,Ann\n2,Bo\n3,Cid\n");
    fixture.memory.mute(true);
    let planning = tokio::spawn({
        let engine = engine.clone();
        let options = PlanOptions {
            requests: true,
            ..PlanOptions::default()
        };
        async move { engine.plan(SYNC, options).await }
    });
    // It has its copy, and waits for the destination to show requests.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!planning.is_finished());
    let second = engine.run(SYNC, now_or_never());
    fixture.memory.mute(false);
    assert_eq!(second.wait().await.unwrap().status, Status::Success);
    assert_eq!(planning.await.unwrap().unwrap().counts.planned.total(), 2);
    let copies = engine.state().join("syncs").join(SYNC).join("reading");
    assert_eq!(std::fs::read_dir(copies).unwrap().count(), 0, "no copy stays");
}

#[tokio::test]
async fn rule_30_a_plan_during_a_run_says_who_runs_it_or_waits() {
    let fixture = Fixture::new("");
    let engine = fixture.engine();
    fixture.memory.hold();
    let first = engine.run(SYNC, RunOptions::default());
    fixture.memory.wait_for_batch().await;
    engine.check(SYNC).await.unwrap();
    let error = engine.plan(SYNC, PlanOptions::default()).await.unwrap_err();
    assert!(
        matches!(&error, Error::Unsettled { holder: Some(holder), .. } if holder.by == "ann"),
        "{error}"
    );
    let options = PlanOptions {
        wait: true,
        ..PlanOptions::default()
    };
    let waiting = engine.plan(SYNC, options);
    let (preview, ended) = tokio::join!(waiting, async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        fixture.memory.release();
        first.wait().await
    });
    assert_eq!(ended.unwrap().counts.succeeded.added, 2);
    assert_eq!(preview.unwrap().counts.unchanged, 2);
}

#[tokio::test]
async fn rule_31_a_plan_shows_the_full_resync_that_waits() {
    let fixture = Fixture::new("");
    let engine = fixture.engine();
    run(&engine).await;
    std::fs::rename(
        fixture.folder.path().join("people.csv"),
        fixture.folder.path().join("away.csv"),
    )
    .unwrap();
    let full = RunOptions {
        full_resync: true,
        ..RunOptions::default()
    };
    let interrupted = engine.run(SYNC, full).wait().await.unwrap();
    assert_eq!(interrupted.status, Status::Interrupted);
    fixture.write("people.csv", "id,name\n1,Ann\n2,Bob\n");
    let preview = engine.plan(SYNC, PlanOptions::default()).await.unwrap();
    assert_eq!(preview.counts.planned.added, 2);
    assert!(
        preview.notes[0].contains("run 2 left of the full resync"),
        "{:?}",
        preview.notes
    );
    assert!(engine.syncs(Utc::now()).unwrap()[0].full_resync_queued);
    assert_eq!(run(&engine).await.counts.planned.added, 2);
}
