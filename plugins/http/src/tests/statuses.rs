//! What follows from statuses other than success (rules 20, 26).

use super::*;

const ONE: &str = r#""insert":{"method":"POST","path":"/c"},"update":{"method":"PATCH","path":"/c/{match}"},
    "upsert":{"method":"POST","path":"/c/upsert"},"delete":{"method":"DELETE","path":"/c/{match}"}"#;
const MANY: &str = r#""delete":{"method":"POST","path":"/gone","batch":9,"body":{"$each":{"$match":true}}},
    "upsert":{"method":"POST","path":"/c","batch":9}"#;

/// What comes of a record per answer: outcomes, or one failure.
fn write(action: &str, kind: Kind, answers: Vec<EffectResult>) -> Result<Vec<Outcome>, Failure> {
    let mut driver = driver(action);
    let values = ["a", "b", "c", "d"];
    let batch = values[..answers.len()]
        .iter()
        .map(|value| operation(kind, value))
        .collect();
    driver.start(Work::Write(batch));
    match driver.resume(answers) {
        Step::Done(Answer::Written(outcomes)) => Ok(outcomes),
        Step::Failed(failure) => Err(failure),
        other => panic!("neither written nor failed but {other:?}"),
    }
}

fn one(kind: Kind, status: u16) -> Result<Vec<Outcome>, Failure> {
    write(ONE, kind, vec![response(status, &[], "why")])
}

fn batch(kind: Kind, records: usize, status: u16) -> Result<Vec<Outcome>, Failure> {
    let mut driver = driver(MANY);
    let batch = (0..records).map(|index| operation(kind, &index.to_string())).collect();
    driver.start(Work::Write(batch));
    match driver.answer(status, "why") {
        Step::Done(Answer::Written(outcomes)) => Ok(outcomes),
        Step::Failed(failure) => Err(failure),
        other => panic!("neither written nor failed but {other:?}"),
    }
}

#[test]
fn rule_03_an_insert_that_may_have_been_applied_is_unknown() {
    for status in [408, 500, 502, 503, 504, 200 + 7, 304] {
        let outcomes = one(Kind::Insert, status);
        assert!(
            matches!(outcomes.as_deref(), Ok([Outcome::Unknown(_)])),
            "{status}: {outcomes:?}"
        );
    }
    for error in [
        HttpError::Timeout,
        HttpError::Interrupted("cut".into()),
        HttpError::TooLarge,
    ] {
        let outcomes = write(ONE, Kind::Insert, vec![EffectResult::HttpFailed(error)]);
        assert!(matches!(outcomes.as_deref(), Ok([Outcome::Unknown(_)])), "{outcomes:?}");
    }
    assert!(matches!(batch(Kind::Upsert, 2, 408), Err(Failure::Uncertain(_))));
}

#[test]
fn rule_26_what_was_not_processed_is_tried_again() {
    assert!(matches!(one(Kind::Insert, 425), Err(Failure::Transient(_))));
    assert!(matches!(batch(Kind::Upsert, 2, 425), Err(Failure::Transient(_))));
    let unreachable = || EffectResult::HttpFailed(HttpError::Unreachable("no route".into()));
    assert!(matches!(
        write(ONE, Kind::Insert, vec![unreachable()]),
        Err(Failure::Transient(_))
    ));
    let mixed = write(ONE, Kind::Insert, vec![unreachable(), response(201, &[], "")]);
    assert!(matches!(
        mixed.as_deref(),
        Ok([
            Outcome::Retry(Again {
                after_ms: None,
                reason: Some(_)
            }),
            Outcome::Accepted(_)
        ])
    ));
}

#[test]
fn rule_26_a_limit_holds_everybody_unless_some_got_through() {
    let limited = |wait: &str| response(429, &[("retry-after", wait)], "");
    let dated = [
        ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ];
    let all = write(
        ONE,
        Kind::Insert,
        vec![
            limited("5"),
            response(429, &dated, ""),
            limited("soon"),
            response(425, &[], ""),
        ],
    );
    assert!(
        matches!(&all, Err(Failure::RateLimited(limit)) if limit.wait_ms == Some(30_000)),
        "{all:?}"
    );
    let some = write(ONE, Kind::Insert, vec![limited("5"), response(201, &[], "")]);
    assert!(matches!(
        some.as_deref(),
        Ok([Outcome::Retry(Again { after_ms: Some(5_000), reason: Some(why) }), Outcome::Accepted(_)]) if why.contains("429")
    ));
}

#[test]
fn rule_26_refused_credentials_fail_the_task_and_reject_no_record() {
    let all = write(ONE, Kind::Upsert, vec![response(401, &[], ""), response(429, &[], "")]);
    assert!(matches!(all, Err(Failure::Unauthorized(_))), "{all:?}");
    let some = write(ONE, Kind::Upsert, vec![response(401, &[], ""), response(200, &[], "")]);
    assert!(matches!(
        some.as_deref(),
        Ok([
            Outcome::Retry(Again {
                after_ms: None,
                reason: Some(_)
            }),
            Outcome::Accepted(_)
        ])
    ));
    assert!(matches!(batch(Kind::Upsert, 2, 401), Err(Failure::Unauthorized(_))));
}

#[test]
fn rule_26_a_403_on_one_record_is_a_rejection_and_on_all_is_the_hosts_to_judge() {
    let one = one(Kind::Upsert, 403);
    assert!(
        matches!(one.as_deref(), Ok([Outcome::Rejected(rejection)]) if rejection.code == "403"),
        "{one:?}"
    );
    let some = write(ONE, Kind::Upsert, vec![response(403, &[], ""), response(200, &[], "")]);
    assert!(matches!(
        some.as_deref(),
        Ok([Outcome::Rejected(_), Outcome::Accepted(_)])
    ));
    let all = write(ONE, Kind::Upsert, vec![response(403, &[], ""), response(403, &[], "")]);
    assert!(
        matches!(&all, Err(Failure::Refused(rejection)) if rejection.code == "403"),
        "{all:?}"
    );
    let records = write(ONE, Kind::Upsert, vec![response(422, &[], ""), response(422, &[], "")]);
    assert!(matches!(
        records.as_deref(),
        Ok([Outcome::Rejected(_), Outcome::Rejected(_)])
    ));
}

#[test]
fn rule_26_what_is_too_large_shrinks_the_batch_or_is_rejected_alone() {
    assert!(matches!(batch(Kind::Upsert, 2, 413), Err(Failure::TooLarge(_))));
    let one = one(Kind::Upsert, 413);
    assert!(
        matches!(one.as_deref(), Ok([Outcome::Rejected(rejection)]) if rejection.code == "413"),
        "{one:?}"
    );
}

#[test]
fn rule_20_a_record_that_is_not_there_is_no_match() {
    for kind in [Kind::Delete, Kind::Update] {
        for status in [404, 410] {
            let outcomes = one(kind, status);
            assert!(
                matches!(outcomes.as_deref(), Ok([Outcome::NoMatch])),
                "{kind:?} {status}"
            );
        }
    }
    // Its URL is no record's own: it is the URL that is not there.
    let outcomes = one(Kind::Upsert, 404);
    assert!(matches!(outcomes.as_deref(), Ok([Outcome::Rejected(_)])));
}

#[test]
fn rule_20_a_batch_is_not_gone_because_its_url_is() {
    for records in [1, 2] {
        let outcomes = batch(Kind::Delete, records, 404);
        assert!(matches!(outcomes, Err(Failure::Refused(_))), "{outcomes:?}");
    }
    let mut driver = driver(
        r#""delete":{"method":"POST","path":"/gone","batch":9,"body":{"$each":{"$match":true}},"not_found":[404]}"#,
    );
    driver.start(Work::Write(vec![operation(Kind::Delete, "a")]));
    let step = driver.answer(404, "");
    assert!(matches!(&step, Step::Done(Answer::Written(outcomes)) if matches!(outcomes[..], [Outcome::NoMatch])));
}

#[test]
fn rule_26_a_request_that_the_policy_refuses_is_no_records_fault() {
    let denied = || EffectResult::HttpFailed(HttpError::Denied("not granted".into()));
    let all = write(ONE, Kind::Upsert, vec![denied(), denied()]);
    assert!(matches!(all, Err(Failure::Fatal(_))), "{all:?}");
    let invalid = EffectResult::HttpFailed(HttpError::Invalid("a header".into()));
    let some = write(ONE, Kind::Upsert, vec![invalid, response(200, &[], "")]);
    assert!(matches!(
        some.as_deref(),
        Ok([Outcome::Rejected(_), Outcome::Accepted(_)])
    ));
}
