//! The connection test.

use super::*;

fn with_check(check: &str) -> Driver<Http> {
    let config = format!(
        r#"{{"base_url":"https://a.example","headers":{{"authorization":"Bearer {{secret.token}}"}},"check":{check},"upsert":{{"method":"POST","path":"/c"}}}}"#
    );
    let settings = Settings {
        secrets: vec![token()],
        ..Driver::<Http>::settings(&config)
    };
    Driver::open(settings).expect("the config is valid")
}

fn answered(status: u16, body: &str) -> Step {
    let mut driver = with_check(r#"{"path":"/me","account":"/user/name"}"#);
    driver.start(Work::Check);
    driver.answer(status, body)
}

#[test]
fn the_account_is_named_by_the_answer() {
    let mut driver = with_check(r#"{"path":"/me?k={secret.token}","account":"/user/name"}"#);
    let Step::Perform(effects) = driver.start(Work::Check) else {
        panic!("no request")
    };
    let [Effect::Http(request)] = &effects[..] else {
        panic!("not one request")
    };
    assert_eq!(
        (request.method.as_str(), request.url.as_str()),
        ("GET", "https://a.example/me?k=placeholder-1")
    );
    assert_eq!(
        request.headers,
        [("authorization".into(), "Bearer placeholder-1".into())]
    );
    assert!(matches!(request.covers, Covers::Nothing));
    let step = driver.answer(200, r#"{"user":{"name":"acme"}}"#);
    assert!(
        matches!(&step, Step::Done(Answer::Checked(Some(account))) if account == "acme"),
        "{step:?}"
    );
}

#[test]
fn what_was_seen_instead_is_told() {
    for (status, body, parts) in [
        (401, "expired", ["unauthorized", "GET /me: HTTP 401: expired"]),
        (403, "", ["unauthorized", "GET /me: HTTP 403"]),
        (404, "nothing here", ["fatal", "GET /me: HTTP 404: nothing here"]),
        (302, "", ["fatal", "GET /me: HTTP 302"]),
        (500, "oops", ["transient", "GET /me: HTTP 500: oops"]),
        (200, "<html>", ["fatal", "GET /me: the answer is no JSON"]),
        (
            200,
            r#"{"user":{}}"#,
            [
                "fatal",
                r#"GET /me: the answer has no account at `/user/name`: {"user":{}}"#,
            ],
        ),
    ] {
        let step = answered(status, body);
        let (class, message) = match &step {
            Step::Failed(Failure::Unauthorized(message)) => ("unauthorized", message),
            Step::Failed(Failure::Fatal(message)) => ("fatal", message),
            Step::Failed(Failure::Transient(message)) => ("transient", message),
            other => panic!("{status}: {other:?}"),
        };
        assert_eq!(class, parts[0], "{status}: {message}");
        assert!(message.starts_with(parts[1]), "{status}: {message}");
    }
}

#[test]
fn a_check_without_an_account_says_only_that_all_is_well() {
    let mut driver = with_check(r#"{"method":"HEAD","path":"/ping"}"#);
    driver.start(Work::Check);
    assert!(matches!(driver.answer(204, ""), Step::Done(Answer::Checked(None))));
}

#[test]
fn without_a_check_nothing_is_asked() {
    let mut driver = driver(r#""upsert":{"method":"POST","path":"/c"}"#);
    assert!(matches!(driver.start(Work::Check), Step::Done(Answer::Checked(None))));
}
