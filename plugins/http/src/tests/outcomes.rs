//! What an answer of success says of each record (rules 3 and 25): what it does not say is unknown.

use super::*;

/// A batch of upserts, its answer read by match value.
const LISTS: &str = r#""upsert":{"method":"POST","path":"/c","batch":9,"results":{"records":"/results","match":"/email",
    "id":"/id","errors":"/errors","error_match":"/ids","message":"/message"}}"#;
/// The same, each result having a status of its own.
const STATUSES: &str = r#""upsert":{"method":"POST","path":"/c","batch":9,"results":{"records":"","match":"/email",
    "status":"/ok","accepted":[true,"yes"],"message":"/why"}}"#;

/// What came of upserts of a, b and c, a word each.
fn words(action: &str, answer: &str) -> Vec<String> {
    let mut driver = driver(action);
    let batch = ["a", "b", "c"].map(|value| operation(Kind::Upsert, value)).to_vec();
    driver.start(Work::Write(batch));
    match driver.answer(200, answer) {
        Step::Done(Answer::Written(outcomes)) => outcomes.iter().map(word).collect(),
        Step::Failed(failure) => vec![format!("{failure:?}")],
        other => panic!("neither done nor failed but {other:?}"),
    }
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Accepted(Some(id)) => format!("accepted {id}"),
        Outcome::Accepted(None) => "accepted".into(),
        Outcome::Rejected(rejection) => format!("rejected {}: {}", rejection.code, rejection.message),
        Outcome::Unknown(why) => format!("unknown: {why}"),
        other => format!("{other:?}"),
    }
}

fn unknown(words: &[String], part: &str) {
    assert!(!words.is_empty());
    for word in words {
        assert!(word.starts_with("unknown: ") && word.contains(part), "`{part}`: {word}");
    }
}

#[test]
fn results_are_told_apart_by_match_value_in_any_order() {
    let answer =
        r#"{"results":[{"email":"c","id":3},{"email":"a","id":"1"}],"errors":[{"ids":["b"],"message":"bad"}]}"#;
    assert_eq!(
        words(LISTS, answer),
        ["accepted 1", "rejected rejected: bad", "accepted 3"]
    );
}

#[test]
fn rule_03_an_answer_that_is_cut_or_no_json_leaves_the_batch_uncertain() {
    for answer in ["", "ok", r#"{"results":[{"email":"a""#, "<html>"] {
        let words = words(LISTS, answer);
        assert!(words[0].starts_with("Failure::Uncertain"), "{words:?}");
    }
}

#[test]
fn rule_25_without_the_list_of_results_every_record_is_unknown() {
    for answer in [
        r#"{"ok":true}"#,
        r#"{"results":null}"#,
        r#"{"results":{"email":"a","id":1}}"#,
        "[]",
        "null",
    ] {
        unknown(&words(LISTS, answer), "no list at `/results`");
    }
    let answer = r#"{"errors":[{"ids":"b","message":"bad"}]}"#;
    let words = words(LISTS, answer);
    unknown(&[words[0].clone(), words[2].clone()], "no list at `/results`");
    assert_eq!(words[1], "rejected rejected: bad");
}

#[test]
fn rule_25_what_the_answer_does_not_mention_is_unknown() {
    let fewer = words(
        LISTS,
        r#"{"results":[{"email":"b","id":2},{"email":"foreign","id":9}]}"#,
    );
    assert_eq!(fewer[1], "accepted 2");
    unknown(&[fewer[0].clone(), fewer[2].clone()], "does not mention");
    unknown(&words(LISTS, r#"{"results":[]}"#), "does not mention");
}

#[test]
fn rule_25_an_entry_that_names_no_record_is_nobodys_and_is_told() {
    for (answer, part) in [
        (
            r#"{"results":[{"id":1},{"id":2},{"id":3}]}"#,
            "no match value at `/email`",
        ),
        (r#"{"results":[{"email":null,"id":1}]}"#, "no match value at `/email`"),
        (r#"{"results":[1,"a",null]}"#, "no match value at `/email`"),
        (r#"{"results":[],"errors":[{"message":"quota"}]}"#, "quota"),
    ] {
        unknown(&words(LISTS, answer), part);
    }
}

#[test]
fn rule_25_an_answer_that_contradicts_itself_is_unknown() {
    let answer = r#"{"results":[{"email":"a","id":1},{"email":"b","id":2},{"email":"b","id":3},{"email":"c","id":4},
        {"email":"c","id":4}],"errors":[{"ids":["a"],"message":"bad"}]}"#;
    let words = words(LISTS, answer);
    unknown(&words[..2], "different things");
    assert_eq!(words[2], "accepted 4");
}

#[test]
fn a_result_without_the_id_that_is_configured_is_no_success() {
    let words = words(
        LISTS,
        r#"{"results":[{"email":"a"},{"email":"b","id":null},{"email":"c","id":0}]}"#,
    );
    unknown(&words[..2], "no id");
    assert_eq!(words[2], "accepted 0");
}

#[test]
fn a_result_is_accepted_by_its_status_only() {
    let answer = r#"[{"email":"c","ok":"yes"},{"email":"a","ok":false,"why":"bad"},{"email":"b"}]"#;
    let said = words(STATUSES, answer);
    assert_eq!(
        (said[0].as_str(), said[2].as_str()),
        ("rejected false: bad", "accepted")
    );
    unknown(&said[1..2], "no status at `/ok`");
    let said = words(
        STATUSES,
        r#"[{"email":"a","ok":null},{"email":"b","ok":"true"},{"email":"c","ok":true}]"#,
    );
    assert!(
        said[0].starts_with("rejected null") && said[1].starts_with("rejected true"),
        "{said:?}"
    );
    assert_eq!(said[2], "accepted");
}

#[test]
fn match_values_that_are_numbers_or_objects_are_found() {
    let mut driver = driver(
        r#""delete":{"method":"POST","path":"/c","batch":9,"body":{"$each":{"$match":true}},"results":{"records":"","match":"/k","id":"/id"}}"#,
    );
    let batch = ["7", r#"{"a": 1, "b": "x"}"#, "12345678901234567890.10"].map(|value| Operation {
        match_value: value.into(),
        ..operation(Kind::Delete, "")
    });
    driver.start(Work::Write(batch.to_vec()));
    let step = driver.answer(
        200,
        r#"[{"k":"7"},{"k":{"a":1,"b":"x"}},{"k":12345678901234567890.10}]"#,
    );
    // The ids that these results do not have are of no use after a removal.
    assert!(
        matches!(&step, Step::Done(Answer::Written(outcomes)) if outcomes.iter().all(|o| matches!(o, Outcome::Accepted(_)))),
        "{step:?}"
    );
}

#[test]
fn a_single_record_has_the_id_that_its_answer_tells() {
    const ONE: &str = r#""upsert":{"method":"PUT","path":"/c/{match}","id":"/id"}"#;
    let answered = |id: Option<&str>, answer: &str| {
        let mut driver = driver(ONE);
        let operation = Operation {
            id: id.map(Into::into),
            ..operation(Kind::Upsert, "a")
        };
        driver.start(Work::Write(vec![operation]));
        match driver.answer(200, answer) {
            Step::Done(Answer::Written(outcomes)) => word(&outcomes[0]),
            other => panic!("not written but {other:?}"),
        }
    };
    assert_eq!(answered(None, r#"{"id":7}"#), "accepted 7");
    assert_eq!(answered(Some("6"), r#"{"id":7}"#), "accepted 7");
    assert_eq!(answered(Some("6"), ""), "accepted 6");
    unknown(&[answered(None, "")], "cannot be read");
    unknown(&[answered(None, "{\"id\":")], "cannot be read");
    unknown(&[answered(None, r#"{"ok":false}"#)], "no id at `/id`");
    unknown(&[answered(Some("6"), r#"{"ok":false}"#)], "no id at `/id`");
}

#[test]
fn results_are_read_of_single_requests_too() {
    let mut driver = driver(r#""upsert":{"method":"POST","path":"/c","results":{"records":"/r","match":"/k"}}"#);
    let batch = ["a", "b", "c"].map(|value| operation(Kind::Upsert, value)).to_vec();
    driver.start(Work::Write(batch));
    let answer = |body: &str| response(200, &[], body);
    let step = driver.resume(vec![
        answer(r#"{"r":[{"k":"a"}]}"#),
        answer(r#"{"r":[{"k":"a"}]}"#),
        answer("garbled"),
    ]);
    let Step::Done(Answer::Written(outcomes)) = step else {
        panic!("not written but {step:?}")
    };
    let words: Vec<String> = outcomes.iter().map(word).collect();
    assert_eq!(words[0], "accepted");
    unknown(&words[1..], "the answer");
}

#[test]
fn without_results_a_batch_is_accepted_unless_the_status_is_207() {
    let mut driver = driver(r#""insert":{"method":"POST","path":"/c","batch":9}"#);
    driver.start(Work::Write(vec![operation(Kind::Insert, "a")]));
    assert!(matches!(driver.answer(202, ""), Step::Done(_)));
    driver.start(Work::Write(vec![operation(Kind::Insert, "a")]));
    assert!(matches!(driver.answer(207, "[]"), Step::Failed(Failure::Uncertain(_))));
}
