//! Destinations: grants, secrets, and the configuration against its plugin's schema.

use serde_json::json;

use super::*;
use crate::destination::{Description, Problem, SecretNeed, Subject};
use crate::operation::Kind;

#[test]
fn origins_are_refused_when_they_are_more() {
    assert_eq!(
        wrong(
            "destinations/crm.yml",
            "plugin: http\nallow: [\"https://a.example\", \"https://b.example/v3\"]\n"
        ),
        [
            "destinations/crm.yml:2:30: allow[1]: found `https://b.example/v3`, which is no origin; write only the origin: `https://b.example`"
        ]
    );
}

#[test]
fn rule_38_a_secret_in_the_wrong_place_is_not_shown() {
    for (text, message) in [
        (
            "secrets: {token: hunter2}",
            "2:18: secrets.token: found text; must be fields (`name: value`)",
        ),
        (
            "secrets: {token: {env: [hunter2]}}",
            "2:24: secrets.token.env: found a list; must be text",
        ),
        (
            "secrets: {token: {value: hunter2}}",
            "2:18: secrets.token: there must be one of `env`, `file` or `command`",
        ),
        ("secrets: {token: {env: \"\"}}", "2:24: secrets.token.env: is empty"),
        (
            "secrets: {\"a b\": {env: A}}",
            "2:11: secrets[\"a b\"]: `a b` cannot be a name here; a name is letters, digits, `_` and `-`",
        ),
    ] {
        let found = wrong("destinations/crm.yml", &format!("plugin: http\n{text}\n"));
        assert_eq!(found, [format!("destinations/crm.yml:{message}")], "{text}");
    }
}

fn http() -> Description {
    Description {
        name: "http".to_owned(),
        version: "0.1.0".to_owned(),
        summary: String::new(),
        config_schema: json!({"type": "object", "required": ["base_url"], "additionalProperties": false, "properties": {
            "base_url": {"type": "string", "description": "Where requests go."},
            "headers": {"type": "object", "additionalProperties": {"type": "string"}},
        }}),
        example: String::new(),
        kinds: Kind::ALL.to_vec(),
        secrets: vec![SecretNeed {
            name: "token".to_owned(),
            description: "the API's token".to_owned(),
            required: true,
        }],
    }
}

fn checked(text: &str) -> Vec<String> {
    let project = load(&[("destinations/crm.yml", Some(text))]).unwrap();
    match config_check::check(&project.destinations["crm"], &http()) {
        Ok(()) => Vec::new(),
        Err(wrong) => wrong.0.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_configuration_is_checked_against_its_plugin() {
    assert_eq!(checked(DESTINATION), [""; 0]);
    assert_eq!(
        checked("plugin: http\nconfig:\n  base_uri: x\n  headers: {accept: 1}\nsecrets: {tokn: {env: A}}\n"),
        [
            "destinations/crm.yml:3:3: config.base_uri: there is no such field; did you mean `base_url`?",
            "destinations/crm.yml:4:21: config.headers.accept: found `1`; must be text; put it in quotes where it is meant as text",
            "destinations/crm.yml:5:10: secrets.token: the plugin `http` needs this secret: the API's token; give it as `token: {env: NAME}`, or by `file` or `command`",
            "destinations/crm.yml:5:11: secrets.tokn: the plugin `http` uses no such secret; did you mean `token`?",
        ]
    );
    assert_eq!(
        checked("plugin: http\nsecrets: {token: {env: A}}\n"),
        ["destinations/crm.yml:1:1: config.base_url: the field is missing; where requests go"]
    );
}

#[test]
fn a_plugins_own_problems_get_their_place() {
    let project = load(&[(
        "destinations/crm.yml",
        Some("plugin: http\nconfig:\n  routes:\n    - {path: x}\n"),
    )])
    .unwrap();
    let problem = |subject, path: &str| Problem {
        subject,
        path: path.to_owned(),
        message: "is wrong".to_owned(),
    };
    let problems = [
        problem(Subject::Config, "/routes/0/path"),
        problem(Subject::Object, ""),
        problem(Subject::MatchField, ""),
    ];
    let (destination, sync) = (&project.destinations["crm"], &project.syncs["aircraft-to-crm"]);
    let found = config_check::problems(destination, sync, &problems);
    assert_eq!(
        found.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "destinations/crm.yml:4:14: config.routes[0].path: is wrong",
            "syncs/aircraft-to-crm.yml:3:9: object: is wrong",
            "syncs/aircraft-to-crm.yml:5:8: match: is wrong",
        ]
    );
}

#[test]
fn a_schema_that_is_none_or_reaches_out_is_the_plugins_fault() {
    let project = load(&[]).unwrap();
    for schema in [
        json!({"type": "objekt"}),
        json!({"$ref": "https://example.com/schema.json"}),
    ] {
        let description = Description {
            config_schema: schema,
            ..http()
        };
        let wrong = config_check::check(&project.destinations["crm"], &description)
            .unwrap_err()
            .to_string();
        assert!(
            wrong.starts_with(
                "destinations/crm.yml:1:9: plugin: the plugin `http` has a configuration schema that is none"
            ),
            "{wrong}"
        );
    }
}
