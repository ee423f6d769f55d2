//! The schema that the host checks `config` against, and the types that it is read as, have the same fields.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::{Action, Check, Config, Results, SCHEMA};

/// The fields of a type, as its reader lists them when it meets one that it does not know.
fn fields<T: DeserializeOwned>() -> BTreeSet<String> {
    let error = serde_json::from_str::<T>(r#"{"?":0}"#)
        .err()
        .expect("`?` is no field")
        .to_string();
    let (_, list) = error.split_once("expected").expect("a list of fields");
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn properties(schema: &Value) -> BTreeSet<String> {
    let properties = schema["properties"].as_object().expect("properties");
    properties.keys().cloned().collect()
}

#[test]
fn schema_and_types_have_the_same_fields() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let action = &schema["$defs"]["action"];
    assert_eq!(fields::<Config>(), properties(&schema));
    assert_eq!(fields::<Check>(), properties(&schema["properties"]["check"]));
    assert_eq!(fields::<Action>(), properties(action));
    assert_eq!(fields::<Results>(), properties(&action["properties"]["results"]));
}
