//! What is refused before anything is sent.

use super::*;

/// The problems of a config with that action, the secret `token` and the mapped fields `email` and `name`.
fn problems(action: &str) -> Vec<(String, String)> {
    let config = format!("{{\"base_url\":\"https://a.example\",{action}}}");
    let field = |name: &str| Field {
        name: name.into(),
        label: None,
        type_: FieldType::Text,
        required: false,
        matchable: false,
        writable: true,
    };
    let settings = Settings {
        fields: vec![field("email"), field("name")],
        secrets: vec![token()],
        ..Driver::<Http>::settings(&config)
    };
    match Driver::<Http>::open(settings) {
        Ok(_) => vec![],
        Err(problems) => problems.into_iter().map(|p| (p.path, p.message)).collect(),
    }
}

/// One problem, at that place, whose message holds all of these.
fn refused(action: &str, path: &str, parts: &[&str]) {
    let problems = problems(action);
    let [(found, message)] = &problems[..] else {
        panic!("not one problem but {problems:?} in {action}")
    };
    assert_eq!(found, path, "{message}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in `{message}`");
    }
}

#[test]
fn a_secret_that_is_not_granted_is_refused_wherever_it_stands() {
    let there = ["`tokn`", "`token`"];
    refused(
        r#""headers":{"authorization":"Bearer {secret.tokn}"},"upsert":{"method":"POST","path":"/c"}"#,
        "/headers/authorization",
        &there,
    );
    refused(
        r#""upsert":{"method":"POST","path":"/c","headers":{"x/y":"{secret.tokn}"}}"#,
        "/upsert/headers/x~1y",
        &there,
    );
    refused(
        r#""delete":{"method":"DELETE","path":"/c/{match}?key={secret.tokn}"}"#,
        "/delete/path",
        &there,
    );
    refused(
        r#""insert":{"method":"POST","path":"/c","body":{"a":[1,{"$secret":"tokn"}]}}"#,
        "/insert/body/a/1/$secret",
        &there,
    );
}

#[test]
fn a_slot_that_does_not_exist_is_refused_with_those_that_do() {
    refused(
        r#""upsert":{"method":"PUT","path":"/c/{email}"}"#,
        "/upsert/path",
        &["`{email}`", "{match}", "{id}", "{secret.NAME}"],
    );
    refused(
        r#""upsert":{"method":"PUT","path":"/c","headers":{"h":"{match"}}"#,
        "/upsert/headers/h",
        &["`{`", "`}`"],
    );
    refused(
        r#""upsert":{"method":"PUT","path":"/c","body":{"p":{"$recrd":true}}}"#,
        "/upsert/body/p/$recrd",
        &["`$recrd`", "`$record`", "`$match`", "`$field`"],
    );
    refused(
        r#""upsert":{"method":"PUT","path":"/c","body":{"p":{"$field":"nam"}}}"#,
        "/upsert/body/p/$field",
        &["`nam`", "`email`", "`name`"],
    );
}

#[test]
fn a_slot_that_would_be_sent_as_it_stands_is_refused() {
    refused(
        r#""upsert":{"method":"PUT","path":"/c","body":{"key":"{secret.token}","r":{"$record":true}}}"#,
        "/upsert/body/key",
        &[r#"{"$secret": "token"}"#],
    );
    refused(
        r#""upsert":{"method":"PUT","path":"/c","body":{"id":"{match}"}}"#,
        "/upsert/body/id",
        &[r#"{"$match": true}"#],
    );
    refused(
        r#""upsert":{"method":"PUT","path":"/c","body":{"a":1,"$record":true}}"#,
        "/upsert/body",
        &["`$record`", "alone"],
    );
    refused(
        r#""upsert":{"method":"PUT","path":"/c","body":{"$match":"email"}}"#,
        "/upsert/body/$match",
        &["`true`"],
    );
}

#[test]
fn a_request_of_several_records_has_no_slot_that_stands_for_one() {
    let wrong = r#""upsert":{"method":"POST","path":"/c/{match}","batch":2}"#;
    refused(wrong, "/upsert/path", &["`{match}`", "batch", "1"]);
    refused(
        r#""headers":{"x-id":"{id}"},"upsert":{"method":"POST","path":"/c","batch":2}"#,
        "/headers/x-id",
        &["`{id}`", "/upsert"],
    );
    refused(
        r#""upsert":{"method":"POST","path":"/c","batch":2,"body":{"r":{"$record":true},"l":{"$each":{"$match":true}}}}"#,
        "/upsert/body/r/$record",
        &["`$record`", "`$each`"],
    );
    refused(
        r#""insert":{"method":"POST","path":"/c","batch":2,"idempotency_header":"idempotency-key"}"#,
        "/insert/idempotency_header",
        &["`$idempotency_key`", "`$each`"],
    );
    refused(
        r#""insert":{"method":"POST","path":"/c","batch":2,"id":"/id"}"#,
        "/insert/id",
        &["`results`"],
    );
}

#[test]
fn a_batch_that_would_be_sent_without_its_records_is_refused() {
    refused(
        r#""delete":{"method":"DELETE","path":"/c","batch":2}"#,
        "/delete/body",
        &["`$each`"],
    );
    refused(
        r#""upsert":{"method":"POST","path":"/c","batch":2,"body":{"a":1}}"#,
        "/upsert/body",
        &["`$each`"],
    );
}

#[test]
fn urls_and_pointers_that_cannot_be_are_refused() {
    refused(r#""upsert":{"method":"POST","path":"c"}"#, "/upsert/path", &["`/`"]);
    refused(
        r#""upsert":{"method":"POST","path":"/c","id":"id"}"#,
        "/upsert/id",
        &["`/id`"],
    );
    refused(
        r#""upsert":{"method":"POST","path":"/c","results":{"records":"/r","match":"m"}}"#,
        "/upsert/results/match",
        &["`/m`"],
    );
    let two = r#""upsert":{"method":"POST","path":"/c","results":{"records":"/r","match":"/m","#;
    refused(
        &format!(r#"{two}"status":"/ok"}}}}"#),
        "/upsert/results",
        &["`status`", "`accepted`"],
    );
    refused(
        &format!(r#"{two}"errors":"/e"}}}}"#),
        "/upsert/results",
        &["`errors`", "`error_match`"],
    );
    for base_url in [
        "a.example",
        "ftp://a.example",
        "https://{match}.example",
        "https://a.example?b",
    ] {
        let config = format!(r#"{{"base_url":"{base_url}","upsert":{{"method":"POST","path":"/c"}}}}"#);
        let Err(problems) = Driver::<Http>::open(Driver::<Http>::settings(&config)) else {
            panic!("{base_url} was taken")
        };
        assert_eq!(problems[0].path, "/base_url", "{problems:?}");
    }
}

#[test]
fn rule_07_a_sync_is_bound_to_address_and_resource_and_to_no_more() {
    let target = |config: &str| {
        let settings = Driver::<Http>::settings(config).with_secret("token");
        Driver::<Http>::open(settings).expect("the config is valid").target
    };
    let upsert = r#""upsert":{"method":"POST","path":"/contacts?k={secret.token}"}"#;
    let told = target(&format!(r#"{{"base_url":"HTTPS://A.example:443/v3/",{upsert}}}"#));
    assert_eq!(told.identity, "https://a.example/v3/contacts?k={secret.token}");
    assert_eq!(told.origins, ["https://a.example"]);
    let delete = r#""delete":{"method":"DELETE","path":"/contacts/{match}"}"#;
    let with_delete = target(&format!(
        r#"{{"base_url":"https://a.example/v3","headers":{{"x":"{{secret.token}}"}},{upsert},{delete}}}"#
    ));
    assert_eq!(with_delete.identity, told.identity);
    for other in [
        r#"{"base_url":"https://b.example/v3","upsert":{"method":"POST","path":"/contacts?k={secret.token}"}}"#,
        r#"{"base_url":"https://a.example/v3","upsert":{"method":"POST","path":"/leads?k={secret.token}"}}"#,
    ] {
        assert_ne!(target(other).identity, told.identity, "{other}");
    }
}

#[test]
fn an_object_is_refused() {
    let config = r#"{"base_url":"https://a.example","upsert":{"method":"POST","path":"/c"}}"#;
    let settings = Settings {
        object: Some("contacts".into()),
        ..Driver::<Http>::settings(config)
    };
    let Err(problems) = Driver::<Http>::open(settings) else {
        panic!("it was taken")
    };
    assert_eq!((problems.len(), problems[0].subject), (1, Subject::Object));
}

#[test]
fn every_problem_is_told_at_once() {
    let problems = problems(
        r#""headers":{"a":"{x}"},"upsert":{"method":"POST","path":"/{y}","body":{"$z":1}},"delete":{"method":"DELETE","path":"/{"}"#,
    );
    let paths: Vec<&str> = problems.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/headers/a", "/upsert/path", "/upsert/body/$z", "/delete/path"]);
}

#[test]
fn what_is_right_is_taken() {
    let right = r#""headers":{"authorization":"Bearer {secret.token}"},
        "upsert":{"method":"PUT","path":"/c/{match}?k={secret.token}","idempotency_header":"Idempotency-Key","id":"/id",
          "body":{"e":{"$field":"email"},"k":{"$key":"any"},"s":{"$secret":"token"},"i":{"$id":true}}},
        "delete":{"method":"POST","path":"","batch":9,"body":{"ids":{"$each":{"$id":true}}}}"#;
    assert_eq!(problems(right), []);
}

#[test]
fn a_check_has_no_slot_of_a_record() {
    let upsert = r#""upsert":{"method":"POST","path":"/c"}"#;
    refused(
        &format!(r#""check":{{"path":"/me/{{match}}"}},{upsert}"#),
        "/check/path",
        &["{secret.NAME}"],
    );
    refused(
        &format!(r#""headers":{{"x":"{{id}}"}},"check":{{"path":"/me"}},{upsert}"#),
        "/headers/x",
        &["`check`"],
    );
}
