use outflow_plugin_sdk::*;

use crate::Http;

mod check;
mod open;
mod outcomes;
mod schema;
mod statuses;

fn token() -> Secret {
    Secret {
        name: "token".into(),
        placeholder: "placeholder-1".into(),
    }
}

fn operation(kind: Kind, match_value: &str) -> Operation {
    Operation {
        kind,
        key: "{}".into(),
        match_value: format!("\"{match_value}\""),
        id: None,
        fields: format!("{{\"email\":\"{match_value}\"}}"),
        previous: None,
        idempotency_key: "k".into(),
    }
}

fn driver(action: &str) -> Driver<Http> {
    let config = format!("{{\"base_url\":\"https://a.example\",{action}}}");
    Driver::open(Driver::<Http>::settings(&config)).expect("the config is valid")
}

#[test]
fn a_batch_is_one_request_and_its_answer_tells_each_record_apart() {
    let mut driver = driver(
        r#""upsert":{"method":"POST","path":"/c","batch":9,"body":{"inputs":{"$each":{"id":{"$match":true},"p":{"$record":true}}}},
        "results":{"records":"/results","match":"/email","id":"/id","errors":"/errors","error_match":"/ids","message":"/message"}}"#,
    );
    let batch = ["a", "b", "c"].map(|value| operation(Kind::Upsert, value)).to_vec();
    let Step::Perform(effects) = driver.start(Work::Write(batch)) else {
        panic!("no request")
    };
    let [Effect::Http(request)] = &effects[..] else {
        panic!("not one request")
    };
    let Body::Text(body) = &request.body else {
        panic!("no text")
    };
    assert!(
        body.starts_with(r#"{"inputs":[{"id":"a","p":{"email":"a"}},{"id":"b""#),
        "{body}"
    );
    let step = driver.answer(
        207,
        r#"{"results":[{"email":"a","id":7}],"errors":[{"ids":["b"],"message":"bad"}]}"#,
    );
    let Step::Done(Answer::Written(outcomes)) = step else {
        panic!("not written")
    };
    assert!(matches!(&outcomes[0], Outcome::Accepted(Some(id)) if id == "7"));
    assert!(matches!(&outcomes[1], Outcome::Rejected(rejection) if rejection.message == "bad"));
    assert!(matches!(&outcomes[2], Outcome::Unknown(_)));
}

#[test]
fn a_delete_that_finds_nothing_is_no_match_and_its_path_is_encoded() {
    let mut driver = driver(r#""delete":{"method":"DELETE","path":"/c/{match}"}"#);
    let Step::Perform(effects) = driver.start(Work::Write(vec![operation(Kind::Delete, "a/b")])) else {
        panic!()
    };
    let [Effect::Http(request)] = &effects[..] else {
        panic!("not one request")
    };
    assert_eq!(request.url, "https://a.example/c/a%2Fb");
    let Step::Done(Answer::Written(outcomes)) = driver.answer(404, "") else {
        panic!("not written")
    };
    assert!(matches!(outcomes[..], [Outcome::NoMatch]));
}

#[test]
fn a_server_fault_after_a_batch_leaves_it_uncertain() {
    let mut driver = driver(r#""insert":{"method":"POST","path":"/c","batch":9}"#);
    driver.start(Work::Write(vec![operation(Kind::Insert, "a")]));
    assert!(matches!(driver.answer(500, ""), Step::Failed(Failure::Uncertain(_))));
}

#[test]
fn a_record_whose_value_would_address_the_collection_is_rejected_and_not_sent() {
    let mut driver = driver(r#""delete":{"method":"DELETE","path":"/c/{match}"}"#);
    let batch = ["", "..", "a"].map(|value| operation(Kind::Delete, value)).to_vec();
    let Step::Perform(effects) = driver.start(Work::Write(batch)) else {
        panic!("no request")
    };
    assert!(matches!(&effects[..], [Effect::Http(request)] if request.url == "https://a.example/c/a"));
    let Step::Done(Answer::Written(outcomes)) = driver.answer(204, "") else {
        panic!("not written")
    };
    assert!(matches!(
        outcomes[..],
        [Outcome::Rejected(_), Outcome::Rejected(_), Outcome::Accepted(_)]
    ));
}

fn response(status: u16, headers: &[(&str, &str)], body: &str) -> EffectResult {
    EffectResult::Http(Response {
        status,
        headers: headers.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
        body: body.as_bytes().to_vec(),
    })
}
