//! Batches, phases, bounds in flight, and how a run ends.

use super::*;

#[tokio::test]
async fn everything_arrives_once_within_the_limits() {
    let destination = Scripted::first(Vec::new());
    let outcomes = run(&destination, plan([Kind::Upsert; 2_345])).await;
    assert_eq!(outcomes.delivered.end, End::Done);
    assert_eq!(outcomes.delivered.counts.succeeded.added, 2_345);
    assert!(destination.sizes().iter().all(|size| *size <= 10));
    assert!((0..2_345).all(|ordinal| destination.times(ordinal) == 1));
    assert!(outcomes.words.values().all(|word| *word == Word::Accepted));
}

#[tokio::test]
async fn rule_24_batches_hold_one_kind_and_the_plans_order() {
    let destination = Scripted::first(Vec::new());
    let kinds = [[Kind::Insert; 7], [Kind::Update; 7], [Kind::Upsert; 7]].concat();
    run(&destination, plan(kinds)).await;
    let batches = destination.batches.lock().unwrap();
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [7, 7, 7]);
    let ordinals: Vec<u64> = batches.iter().flatten().map(|operation| operation.ordinal).collect();
    assert_eq!(ordinals, (0..21).collect::<Vec<_>>());
}

#[tokio::test]
async fn rule_24_a_batch_may_mix_kinds_where_the_target_says_so() {
    let mut destination = Scripted::first(Vec::new());
    destination.target.limits.mixed = true;
    run(&destination, plan([Kind::Insert, Kind::Update, Kind::Upsert])).await;
    assert_eq!(destination.sizes(), [3]);
}

#[tokio::test]
async fn rule_24_a_batch_keeps_to_the_limit_in_bytes() {
    let mut destination = Scripted::first(Vec::new());
    destination.target.limits.bytes = u32::try_from(planned(Kind::Upsert, 0).operation.bytes() * 3).unwrap();
    run(&destination, plan([Kind::Upsert; 9])).await;
    assert_eq!(destination.sizes(), [3, 3, 3]);
}

#[tokio::test]
async fn rule_24_every_removal_has_its_outcome_before_the_first_write_leaves() {
    let mut failures = 2;
    let destination = Scripted::new(move |batch| {
        if batch[0].kind == Kind::Delete && failures > 0 {
            failures -= 1;
            return Err(Failure::Transient("down".into()));
        }
        Ok(accepted(batch))
    });
    let kinds = [vec![Kind::Delete; 35], vec![Kind::Upsert; 35]].concat();
    let outcomes = run(&destination, plan(kinds)).await;
    assert_eq!(outcomes.delivered.counts.succeeded.total(), 70);
    let batches = destination.batches.lock().unwrap();
    let first_write = batches.iter().position(|batch| batch[0].kind == Kind::Upsert).unwrap();
    assert!(batches[first_write..].iter().all(|batch| batch[0].kind == Kind::Upsert));
    assert!(first_write >= 6);
}

#[tokio::test]
async fn no_more_batches_are_in_flight_than_both_bounds_allow() {
    let destination = Scripted::first(Vec::new());
    run(&destination, plan([Kind::Upsert; 500])).await;
    assert_eq!(destination.flying.lock().unwrap().1, 4);
    let destination = Scripted::first(Vec::new());
    let budgets = Budgets {
        in_flight: 2,
        ..budgets()
    };
    run_with(
        &destination,
        plan([Kind::Upsert; 500]),
        budgets,
        None,
        &Control::default(),
    )
    .await;
    assert_eq!(destination.flying.lock().unwrap().1, 2);
}

#[tokio::test]
async fn rule_20_a_removal_of_what_is_gone_is_a_success() {
    let destination = Scripted::new(|batch| Ok(batch.iter().map(|_| Outcome::NoMatch).collect()));
    let outcomes = run(&destination, plan([Kind::Delete, Kind::Update])).await;
    assert_eq!(outcomes.delivered.counts.succeeded.removed, 1);
    assert_eq!(outcomes.delivered.counts.unmatched.added, 1);
}

#[tokio::test]
async fn a_cancelled_run_waits_for_what_is_in_flight_and_sends_no_more() {
    let control = Control::default();
    let cancel = control.clone();
    let destination = Scripted::new(move |batch| {
        cancel.cancel();
        Ok(accepted(batch))
    });
    let outcomes = run_with(&destination, plan([Kind::Upsert; 500]), budgets(), None, &control).await;
    assert_eq!(outcomes.delivered.end, End::Cancelled);
    let sent = destination.sizes().iter().sum::<usize>() as u64;
    assert!(sent < 100);
    assert_eq!(outcomes.delivered.counts.succeeded.total(), sent);
    assert_eq!(outcomes.delivered.counts.aborted.total(), 500 - sent);
}

#[tokio::test]
async fn a_run_that_was_cancelled_before_sends_nothing() {
    let control = Control::default();
    control.cancel();
    let destination = Scripted::first(Vec::new());
    let outcomes = run_with(&destination, plan([Kind::Upsert; 50]), budgets(), None, &control).await;
    assert_eq!(outcomes.delivered.end, End::Cancelled);
    assert_eq!(destination.sizes(), Vec::<usize>::new());
    assert_eq!(outcomes.delivered.counts.aborted.total(), 50);
}

#[tokio::test]
async fn what_outlasts_the_grace_time_is_unknown() {
    let control = Control::default();
    let mut destination = Scripted::first(Vec::new());
    destination.latency = Duration::from_secs(3_600);
    let hasty = Budgets {
        grace: Duration::from_millis(50),
        ..budgets()
    };
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        control.cancel();
    };
    let (outcomes, ()) = tokio::join!(
        run_with(&destination, plan([Kind::Upsert; 100]), hasty, None, &control),
        cancel
    );
    assert_eq!(outcomes.delivered.end, End::Cancelled);
    assert_eq!(outcomes.delivered.counts.unknown.total(), 40);
    assert_eq!(
        outcomes.words.values().filter(|word| **word == Word::Attempted).count(),
        40
    );
}

#[tokio::test]
async fn rule_06_records_that_count_at_the_end_are_unknown_without_it() {
    let mut destination = Scripted::first(vec![Err(Failure::Unauthorized("who?".into()))]);
    destination.target.counting = Counting::Finish;
    destination.target.finish = true;
    destination.target.limits.concurrency = 1;
    let outcomes = run(&destination, plan([Kind::Upsert; 20])).await;
    assert_eq!(*destination.ended.lock().unwrap(), ["abort"]);
    assert!(!outcomes.finished);
    assert_eq!(outcomes.delivered.counts.succeeded.total(), 0);

    let mut destination = Scripted::first(Vec::new());
    destination.target.counting = Counting::Finish;
    destination.target.finish = true;
    let outcomes = run(&destination, plan([Kind::Upsert; 20])).await;
    assert_eq!(*destination.ended.lock().unwrap(), ["finish"]);
    assert!(outcomes.finished);
    assert_eq!(outcomes.delivered.counts.succeeded.total(), 20);
}
