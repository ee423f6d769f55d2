//! Retries, waits, shrinking and splitting (rule 26).

use super::*;

#[tokio::test]
async fn rule_26_a_passing_fault_is_tried_again() {
    let destination = Scripted::first(vec![Err(Failure::Transient("down".into()))]);
    let outcomes = run(&destination, plan([Kind::Upsert; 5])).await;
    assert_eq!((outcomes.delivered.end, destination.sizes()), (End::Done, vec![5, 5]));
    assert_eq!(outcomes.delivered.counts.succeeded.total(), 5);
    let batches = destination.batches.lock().unwrap();
    assert_eq!(batches[0], batches[1], "the same operations with the same keys");
}

#[tokio::test]
async fn rule_26_when_attempts_are_used_up_what_was_never_applied_is_aborted() {
    let destination = Scripted::new(|_| Err(Failure::Transient("down".into())));
    let outcomes = run(&destination, plan([Kind::Upsert; 5])).await;
    assert!(matches!(outcomes.delivered.end, End::Interrupted(_)));
    assert_eq!(outcomes.delivered.counts.aborted.total(), 5);
    assert_eq!(destination.sizes().len(), 5);
}

#[tokio::test]
async fn rule_26_when_attempts_are_used_up_what_may_have_been_applied_is_unknown() {
    let mut first = true;
    let destination = Scripted::new(move |_| {
        let doubtful = std::mem::take(&mut first);
        Err(if doubtful {
            Failure::Uncertain("cut".into())
        } else {
            Failure::Transient("down".into())
        })
    });
    let outcomes = run(&destination, plan([Kind::Upsert; 5])).await;
    assert!(matches!(outcomes.delivered.end, End::Interrupted(_)));
    assert_eq!(outcomes.delivered.counts.unknown.total(), 5);
    assert_eq!(outcomes.delivered.counts.rejected.total(), 0);
}

#[tokio::test]
async fn rule_03_a_doubtful_insert_is_not_repeated_in_the_run() {
    let destination = Scripted::first(vec![Err(Failure::Uncertain("cut".into()))]);
    let outcomes = run(&destination, plan([Kind::Insert; 5])).await;
    assert_eq!(
        (destination.sizes(), outcomes.delivered.counts.unknown.total()),
        (vec![5], 5)
    );

    let mut destination = Scripted::first(vec![Err(Failure::Uncertain("cut".into()))]);
    destination.target.idempotent = true;
    let outcomes = run(&destination, plan([Kind::Insert; 5])).await;
    assert_eq!(
        (destination.sizes(), outcomes.delivered.counts.succeeded.total()),
        (vec![5, 5], 5)
    );
}

#[tokio::test]
async fn rule_03_a_rejection_does_not_settle_an_earlier_doubt() {
    let destination = Scripted::first(vec![Err(Failure::Uncertain("cut".into())), Ok(vec![one_rejected()])]);
    let outcomes = run(&destination, plan([Kind::Upsert])).await;
    assert_eq!(outcomes.delivered.counts.unknown.total(), 1);
}

#[tokio::test]
async fn rule_26_a_rate_limit_holds_everything_and_spends_no_attempt() {
    let mut limits = 20;
    let destination = Scripted::new(move |batch| {
        if limits > 0 {
            limits -= 1;
            return Err(Failure::RateLimited {
                wait: Some(Duration::from_millis(40)),
                message: "slow".into(),
            });
        }
        Ok(accepted(batch))
    });
    let begun = Instant::now();
    let outcomes = run(&destination, plan([Kind::Upsert; 40])).await;
    assert_eq!(
        (outcomes.delivered.end, outcomes.delivered.counts.succeeded.total()),
        (End::Done, 40)
    );
    // Four in flight are told to wait together, five times.
    assert!((Instant::now() - begun).as_millis() >= 5 * 40);
}

#[tokio::test]
async fn rule_26_a_wait_beyond_the_ceiling_ends_the_run_as_interrupted() {
    let wait = Some(Duration::from_millis(301));
    let destination = Scripted::first(vec![Err(Failure::RateLimited {
        wait,
        message: "tomorrow".into(),
    })]);
    let outcomes = run(&destination, plan([Kind::Upsert; 5])).await;
    assert!(matches!(outcomes.delivered.end, End::Interrupted(_)));
    assert_eq!(outcomes.delivered.counts.aborted.total(), 5);
}

#[tokio::test]
async fn rule_26_too_large_shrinks_batches_for_the_rest_of_the_run() {
    let mut destination = Scripted::new(|batch| {
        if batch.len() > 3 {
            Err(Failure::TooLarge("413".into()))
        } else {
            Ok(accepted(batch))
        }
    });
    destination.target.limits.concurrency = 1;
    let outcomes = run(&destination, plan([Kind::Upsert; 40])).await;
    assert_eq!(outcomes.delivered.counts.succeeded.total(), 40);
    assert_eq!(
        destination.sizes().iter().filter(|size| **size > 3).count(),
        3,
        "10, then its halves of 5"
    );
}

#[tokio::test]
async fn rule_26_one_record_that_is_too_large_alone_is_rejected() {
    let destination = Scripted::new(|batch| {
        if batch.iter().any(|operation| operation.ordinal == 4) {
            return Err(Failure::TooLarge("413".into()));
        }
        Ok(accepted(batch))
    });
    let outcomes = run(&destination, plan([Kind::Upsert; 10])).await;
    assert_eq!(
        (outcomes.delivered.end.clone(), outcomes.rejected()),
        (End::Done, vec![4])
    );
}

#[tokio::test]
async fn rule_26_a_refused_batch_is_split_until_the_rows_at_fault_are_found() {
    let bad = [3, 17, 18];
    let destination = Scripted::new(move |batch| {
        if batch.iter().any(|operation| bad.contains(&operation.ordinal)) {
            Err(refused())
        } else {
            Ok(accepted(batch))
        }
    });
    let outcomes = run(&destination, plan([Kind::Upsert; 50])).await;
    assert_eq!(
        (outcomes.delivered.end.clone(), outcomes.rejected()),
        (End::Done, bad.to_vec())
    );
    assert_eq!(outcomes.delivered.counts.succeeded.total(), 47);
}

#[tokio::test]
async fn rule_26_a_trap_is_split_like_a_refusal() {
    let destination = Scripted::new(|batch| {
        if batch.iter().any(|operation| operation.ordinal == 12) {
            return Err(Failure::Trapped {
                message: "unreachable".into(),
                sent: false,
            });
        }
        Ok(accepted(batch))
    });
    let outcomes = run(&destination, plan([Kind::Upsert; 30])).await;
    assert_eq!(
        (outcomes.delivered.end.clone(), outcomes.rejected()),
        (End::Done, vec![12])
    );
}

#[tokio::test]
async fn rule_26_one_cause_for_everything_is_said_once() {
    let destination = Scripted::new(|_| Err(refused()));
    let outcomes = run(&destination, plan([Kind::Upsert; 10_000])).await;
    assert!(matches!(&outcomes.delivered.end, End::Failed(why) if why.contains("bad record")));
    assert!(outcomes.delivered.counts.rejected.total() < 20);
    assert!(outcomes.delivered.counts.aborted.total() > 9_900);
}

#[tokio::test]
async fn rule_26_refused_credentials_end_the_run_and_reject_no_row() {
    let destination = Scripted::new(|_| Err(Failure::Unauthorized("expired".into())));
    let outcomes = run(&destination, plan([Kind::Upsert; 100])).await;
    assert!(matches!(outcomes.delivered.end, End::Failed(_)));
    assert_eq!(outcomes.delivered.counts.aborted.total(), 100);
    assert!(destination.sizes().len() <= 4);
}

#[tokio::test]
async fn rule_25_a_wrong_number_of_outcomes_makes_the_batch_unknown_and_ends_the_run() {
    let destination = Scripted::first(vec![Ok(vec![Outcome::Accepted { id: None }])]);
    let outcomes = run(&destination, plan([Kind::Upsert; 10])).await;
    assert!(matches!(outcomes.delivered.end, End::Failed(_)));
    assert_eq!(outcomes.delivered.counts.unknown.total(), 10);
}

#[tokio::test]
async fn rule_25_each_outcome_is_kept_as_it_is() {
    let destination = Scripted::first(vec![Ok(vec![
        Outcome::Accepted { id: Some("c1".into()) },
        one_rejected(),
        Outcome::NoMatch,
        Outcome::Retry {
            after: None,
            reason: None,
        },
        Outcome::NotAttempted,
        Outcome::Unknown {
            reason: "half an answer".into(),
        },
    ])]);
    let outcomes = run(&destination, plan([Kind::Update; 6])).await;
    assert_eq!(outcomes.words[&0], Word::Other(State::Accepted { id: "c1".into() }));
    assert_eq!(outcomes.rejected(), [1]);
    assert_eq!(outcomes.words[&2], Word::Other(State::NoMatch));
    assert!((3..6).all(|ordinal| outcomes.words[&ordinal] == Word::Accepted && destination.times(ordinal) == 2));
}

#[tokio::test]
async fn rule_26_what_is_given_up_says_what_stood_in_the_way() {
    let down = || "HTTP 503: down".to_owned();
    for outcome in [
        Outcome::Retry {
            after: None,
            reason: Some(down()),
        },
        Outcome::Unknown { reason: down() },
    ] {
        let destination = Scripted::new(move |batch| Ok(batch.iter().map(|_| outcome.clone()).collect()));
        let outcomes = run(&destination, plan([Kind::Upsert; 3])).await;
        assert!(
            matches!(&outcomes.delivered.end, End::Interrupted(why) if why.ends_with("HTTP 503: down")),
            "{:?}",
            outcomes.delivered.end
        );
    }
}

#[tokio::test]
async fn rule_35_a_rejection_rate_past_the_threshold_stops_the_run() {
    let destination = Scripted::new(|batch| Ok(batch.iter().map(|_| one_rejected()).collect()));
    let threshold = Some(Threshold { share: 0.5, rows: 20 });
    let outcomes = run_with(
        &destination,
        plan([Kind::Upsert; 1_000]),
        budgets(),
        threshold,
        &Control::default(),
    )
    .await;
    assert!(matches!(outcomes.delivered.end, End::Failed(_)));
    assert!(outcomes.delivered.counts.rejected.total() < 100);
}

#[tokio::test]
async fn rule_26_a_record_that_always_fails_does_not_hold_up_the_others() {
    let mut destination = Scripted::new(|batch| {
        if batch.iter().any(|operation| operation.ordinal == 3) {
            Err(Failure::Transient("500".into()))
        } else {
            Ok(accepted(batch))
        }
    });
    destination.target.limits.records = 1;
    let outcomes = run(&destination, plan([Kind::Upsert; 50])).await;
    assert!(matches!(&outcomes.delivered.end, End::Interrupted(why) if why.contains("500")));
    assert_eq!(outcomes.delivered.counts.succeeded.total(), 49);
    assert_eq!(
        (outcomes.delivered.counts.aborted.total(), destination.times(3)),
        (1, 5)
    );
}

#[tokio::test]
async fn rule_26_a_destination_that_is_down_ends_the_run_after_a_few_batches() {
    let mut destination = Scripted::new(|_| Err(Failure::Transient("down".into())));
    destination.target.limits.concurrency = 1;
    let outcomes = run(&destination, plan([Kind::Upsert; 1_000])).await;
    assert!(matches!(outcomes.delivered.end, End::Interrupted(_)));
    assert_eq!(outcomes.delivered.counts.aborted.total(), 1_000);
    assert_eq!(destination.sizes().len(), 3 * 5);
}

#[tokio::test]
async fn rule_24_no_write_leaves_after_a_removal_was_given_up() {
    let destination = Scripted::new(|batch| {
        if batch[0].kind == Kind::Delete {
            Err(Failure::Transient("down".into()))
        } else {
            Ok(accepted(batch))
        }
    });
    let outcomes = run(&destination, plan([Kind::Delete, Kind::Upsert])).await;
    assert!(matches!(outcomes.delivered.end, End::Interrupted(_)));
    assert_eq!(destination.times(1), 0);
}

#[tokio::test]
async fn rule_26_one_cut_of_all_connections_does_not_end_the_run() {
    let mut cuts = 4;
    let destination = Scripted::new(move |batch| {
        if cuts > 0 {
            cuts -= 1;
            return Err(Failure::Uncertain("reset".into()));
        }
        Ok(accepted(batch))
    });
    let hasty = Budgets {
        uncertain_in_a_row: 2,
        ..budgets()
    };
    let outcomes = run_with(
        &destination,
        plan([Kind::Upsert; 100]),
        hasty,
        None,
        &Control::default(),
    )
    .await;
    assert_eq!(
        (outcomes.delivered.end, outcomes.delivered.counts.succeeded.total()),
        (End::Done, 100)
    );
}

#[tokio::test]
async fn rule_26_a_rate_limit_without_a_wait_is_no_loop_without_a_pause() {
    let destination = Scripted::new(|_| {
        Err(Failure::RateLimited {
            wait: Some(Duration::ZERO),
            message: "slow".into(),
        })
    });
    let bounded = Budgets {
        waits_total: Duration::from_millis(100),
        ..budgets()
    };
    let outcomes = run_with(
        &destination,
        plan([Kind::Upsert; 100]),
        bounded,
        None,
        &Control::default(),
    )
    .await;
    assert!(matches!(outcomes.delivered.end, End::Interrupted(_)));
    assert_eq!(outcomes.delivered.counts.aborted.total(), 100);
}

#[tokio::test]
async fn rule_26_batches_that_are_told_to_wait_together_wait_once() {
    let mut limits = 4;
    let destination = Scripted::new(move |batch| {
        if limits > 0 {
            limits -= 1;
            return Err(Failure::RateLimited {
                wait: Some(Duration::from_millis(100)),
                message: "slow".into(),
            });
        }
        Ok(accepted(batch))
    });
    let bounded = Budgets {
        waits_total: Duration::from_millis(250),
        ..budgets()
    };
    let outcomes = run_with(
        &destination,
        plan([Kind::Upsert; 40]),
        bounded,
        None,
        &Control::default(),
    )
    .await;
    assert_eq!(outcomes.delivered.end, End::Done);
}

#[tokio::test]
async fn rule_26_one_large_record_does_not_make_every_later_batch_short() {
    let mut destination = Scripted::new(|batch| {
        if batch.iter().map(Operation::bytes).sum::<usize>() > 2_000 {
            Err(Failure::TooLarge("413".into()))
        } else {
            Ok(accepted(batch))
        }
    });
    destination.target.limits.concurrency = 1;
    let mut operations = plan([Kind::Upsert; 100]);
    operations[4].operation.fields = format!("{{\"a\":\"{}\"}}", "x".repeat(5_000)).into();
    let outcomes = run(&destination, operations).await;
    assert_eq!(
        (outcomes.delivered.end.clone(), outcomes.rejected()),
        (End::Done, vec![4])
    );
    assert_eq!(destination.sizes().last(), Some(&10));
}

#[tokio::test]
async fn rule_26_one_cause_is_found_with_few_requests() {
    let mut destination = Scripted::new(|_| Err(refused()));
    destination.target.limits.records = 1_000;
    let outcomes = run(&destination, plan([Kind::Upsert; 10_000])).await;
    assert!(matches!(&outcomes.delivered.end, End::Failed(why) if why.contains("one cause")));
    assert!(destination.sizes().len() < 30, "{} requests", destination.sizes().len());
}

#[tokio::test]
async fn a_plan_that_ends_early_is_not_taken_for_the_whole() {
    let mut destination = Scripted::first(Vec::new());
    destination.target.whole = true;
    destination.target.finish = true;
    let folder = folder();
    let header = Header {
        format: FORMAT,
        incarnation: "i".into(),
        run: 1,
        sequence: 1,
        operations: 6,
        counting: Counting::Batch,
    };
    let journal = Journal::create(&folder.path().join("journal"), &header).unwrap();
    let control = Control::default();
    let delivery = Delivery {
        destination: &destination,
        journal: &journal,
        control: &control,
        budgets: budgets(),
        planned: Split {
            added: 6,
            ..Split::default()
        },
        rejected_max: None,
    };
    let delivered = deliver(Listed(plan([Kind::Upsert; 5]).into()), delivery).await;
    assert!(matches!(delivered.end, End::Failed(_)));
    assert_eq!(*destination.ended.lock().unwrap(), ["abort"]);
}

#[tokio::test]
async fn a_fatal_failure_ends_the_run_and_nothing_was_applied() {
    let destination = Scripted::new(|_| Err(Failure::Fatal("the host is not granted".into())));
    let outcomes = run(&destination, plan([Kind::Upsert; 100])).await;
    assert_eq!(outcomes.delivered.end, End::Failed("the host is not granted".into()));
    assert_eq!(outcomes.delivered.counts.aborted.total(), 100);
}
