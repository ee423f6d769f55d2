use serde_json::json;

use super::*;

fn findings(schema: &Value, value: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).unwrap();
    conform(&validator, schema, value, &["/secrets"])
        .into_iter()
        .map(|finding| match finding.help {
            Some(help) => format!("{}: {}; {help}", finding.pointer, finding.message),
            None => format!("{}: {}", finding.pointer, finding.message),
        })
        .collect()
}

#[test]
fn a_misspelt_field_is_reported_once() {
    let schema = json!({"type": "object", "properties": {"model": {"description": "The model. More."}, "mode": {}}, "required": ["model"], "additionalProperties": false});
    assert_eq!(
        findings(&schema, &json!({"modell": 1})),
        ["/modell: there is no such field; did you mean `model`?"]
    );
    assert_eq!(
        findings(&schema, &json!({})),
        ["/model: the field is missing; the model"]
    );
    assert_eq!(
        findings(&schema, &json!({"model": 1, "a/b": 2})),
        ["/a~1b: there is no such field; the fields are `model` and `mode`"]
    );
}

#[test]
fn every_fault_is_reported() {
    let schema = json!({"properties": {"a": {"type": "integer", "minimum": 1}, "b": {"type": "string", "minLength": 1}, "c": {"enum": ["x", "yes"]}}});
    assert_eq!(
        findings(&schema, &json!({"a": 0, "b": "", "c": "yess"})),
        [
            "/a: found `0`; must be at least 1",
            "/b: is empty",
            "/c: found `yess`; must be one of `x` or `yes`; did you mean `yes`?"
        ]
    );
    assert_eq!(
        findings(&schema, &json!({"a": "1", "b": 2, "c": null})),
        [
            "/a: found `1`; must be a whole number",
            "/b: found `2`; must be text; put it in quotes where it is meant as text",
            "/c: found nothing; must be one of `x` or `yes`",
        ]
    );
}

#[test]
fn only_the_form_that_was_meant_is_explained() {
    let schema = json!({"oneOf": [
        {"type": "object", "properties": {"type": {"const": "csv"}, "path": {"type": "string"}}, "required": ["type", "path"], "additionalProperties": false},
        {"type": "object", "properties": {"type": {"const": "sqlite"}, "file": {"type": "string"}}, "required": ["type", "file"], "additionalProperties": false},
    ]});
    assert_eq!(
        findings(&schema, &json!({"type": "csv"})),
        ["/path: the field is missing"]
    );
    assert_eq!(
        findings(&schema, &json!({"type": "sqlit"})),
        ["/type: found `sqlit`; must be one of `csv` or `sqlite`; did you mean `sqlite`?"]
    );
    assert_eq!(
        findings(&schema, &json!({"path": "x"})),
        ["/type: the field is missing; one of `csv` or `sqlite`"]
    );
    assert_eq!(
        findings(&schema, &json!("csv")),
        [": found `csv`; must be fields (`name: value`)"]
    );
}

#[test]
fn a_list_or_a_word_is_explained_as_what_it_is() {
    let schema = json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]});
    assert_eq!(findings(&schema, &json!(["a", {}])), ["/1: found fields; must be text"]);
    assert_eq!(
        findings(&schema, &json!(true)),
        [": found `true`; must be text or a list"]
    );
}

#[test]
fn fields_that_exclude_each_other_are_named() {
    let schema = json!({"properties": {"a": {}, "b": {}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]});
    assert_eq!(
        findings(&schema, &json!({"a": 1, "b": 2})),
        [": found `a` and `b` together; there must be exactly one of `a` or `b`"]
    );
    assert_eq!(
        findings(&schema, &json!({"to": 1})),
        [": found `to`; there must be one of `a` or `b`"]
    );
}

#[test]
fn rule_38_values_of_secrets_are_never_shown() {
    let schema = json!({"properties": {"secrets": {"additionalProperties": {"oneOf": [
        {"type": "object", "properties": {"env": {"type": "string", "pattern": "^[A-Z]+$"}}, "required": ["env"], "additionalProperties": false},
        {"type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"], "additionalProperties": false},
    ]}}}});
    for secret in [
        json!("hunter2"),
        json!({"hunter2": null}),
        json!({"env": "hunter2"}),
        json!({"env": ["hunter2"]}),
        json!([["hunter2"]]),
        json!({"file": {"hunter2": 1}}),
    ] {
        let found = findings(&schema, &json!({"secrets": {"token": secret}}));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(!found[0].contains("hunter2"), "{found:?}");
    }
}
