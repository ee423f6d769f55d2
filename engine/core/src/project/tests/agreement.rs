//! The schemas and the types say the same.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

/// Whether the types take a file's text.
fn types_take(kind: FileKind, text: &str) -> bool {
    fn take<T: DeserializeOwned>(value: Value) -> bool {
        serde_json::from_value::<T>(value).is_ok()
    }
    let value = yaml::read(text).unwrap().value;
    match kind {
        FileKind::Outflow => take::<SettingsContent>(value),
        FileKind::Source => take::<SourceKind>(value),
        FileKind::Model => take::<ModelContent>(value),
        FileKind::Destination => take::<DestinationContent>(value),
        FileKind::Sync => take::<SyncContent>(value),
    }
}

/// Whether the published schema takes it.
fn schema_takes(kind: FileKind, text: &str) -> bool {
    jsonschema::validator_for(&schema(kind))
        .unwrap()
        .is_valid(&yaml::read(text).unwrap().value)
}

#[test]
fn what_is_right_is_taken_by_schema_and_types() {
    for (kind, text) in [
        (FileKind::Outflow, OUTFLOW),
        (
            FileKind::Outflow,
            "version: 1\nname: x\ntimezone: UTC\nmemory_limit: 1GiB\nthreads: 8\nconcurrency: 2\nwait_for_sources: 5m\n",
        ),
        (FileKind::Source, SOURCE),
        (FileKind::Source, "type: csv\npath: a\ndelimiter: ;\nheader: true\n"),
        (FileKind::Source, "type: parquet\npath: a/*.parquet\n"),
        (FileKind::Source, "type: json\npath: a\ncolumns: {a: INTEGER}\n"),
        (FileKind::Source, "type: duckdb\npath: a\n"),
        (FileKind::Source, "type: sqlite\npath: a\n"),
        (FileKind::Source, "type: parquet\npath: s3://a/b\ns3: {}\n"),
        (
            FileKind::Source,
            "type: csv\npath: s3://a/b\ns3: {endpoint: \"http://127.0.0.1:9000\", region: c, secrets: {key_id: {env: D}, secret: {file: e}}}\n",
        ),
        (FileKind::Source, "type: postgres\nhost: a\ndatabase: b\nuser: c\n"),
        (
            FileKind::Source,
            "type: postgres\nhost: a\nport: 6432\ndatabase: b\nuser: c\nschema: d\nsslmode: verify-full\nsslrootcert: e\nsecrets: {password: {env: F}}\n",
        ),
        (FileKind::Source, "type: mysql\nhost: a\ndatabase: b\nuser: c\n"),
        (
            FileKind::Source,
            "type: mysql\nhost: a\nport: 3307\ndatabase: b\nuser: c\nssl_mode: verify_identity\nssl_ca: d\nsecrets: {password: {env: E}}\n",
        ),
        (FileKind::Model, MODEL),
        (FileKind::Model, "source: [a, b]\nkey: [c, d]\n"),
        (FileKind::Destination, DESTINATION),
        (
            FileKind::Destination,
            "plugin: file\nfolder: out\nsecrets: {a: {file: x}, b: {command: [pass, show]}}\n",
        ),
        (FileKind::Sync, SYNC),
        (
            FileKind::Sync,
            "model: a\ndestination: b\nmappings: [{value: null, to: x}]\nschedule: {every: 15m}\n",
        ),
        (
            FileKind::Sync,
            "model: a\ndestination: b\nmappings: [{value: {a: [1]}, to: x}]\nguards: {max_rejected: {rows: 3}}\n",
        ),
    ] {
        assert!(schema_takes(kind, text), "the schema refuses {text}");
        assert!(types_take(kind, text), "the types refuse {text}");
    }
}

#[test]
fn what_the_types_refuse_the_schema_refuses() {
    for (kind, text) in [
        (FileKind::Outflow, "name: x\n"),
        (FileKind::Outflow, "version: one\nname: x\n"),
        (FileKind::Outflow, "version: 1\nname: x\nmemory_limit: 12\n"),
        (FileKind::Outflow, "version: 1\nname: x\nmemory_limit: 12 MB\n"),
        (FileKind::Outflow, "version: 1\nname: x\nthreads: -1\n"),
        (FileKind::Outflow, "version: 1\nname: x\nwait_for_sources: 30\n"),
        (FileKind::Outflow, "version: 1\nname: x\nthreads: two\n"),
        (FileKind::Outflow, "version: 1\nname: x\nother: y\n"),
        (FileKind::Source, "path: a\n"),
        (FileKind::Source, "type: csv\n"),
        (FileKind::Source, "type: xls\npath: a\n"),
        (FileKind::Source, "type: parquet\npath: a\ncolumns: {}\n"),
        (FileKind::Source, "type: csv\npath: a\ncolumns: [a]\n"),
        (FileKind::Source, "type: csv\npath: a\ncolumns: {a: 1}\n"),
        (FileKind::Source, "type: csv\npath: a\nheader: yes\n"),
        (FileKind::Source, "type: csv\npath: a\nnulls: NA\n"),
        (FileKind::Source, "type: parquet\npath: s3://a/b\ns3: {bucket: a}\n"),
        (FileKind::Source, "type: duckdb\npath: s3://a/b\ns3: {}\n"),
        (
            FileKind::Source,
            "type: json\npath: s3://a/b\ns3: {secrets: {key: {env: D}}}\n",
        ),
        (FileKind::Source, "type: postgres\ndatabase: b\nuser: c\n"),
        (
            FileKind::Source,
            "type: postgres\nhost: a\ndatabase: b\nuser: c\npassword: d\n",
        ),
        (
            FileKind::Source,
            "type: postgres\nhost: a\ndatabase: b\nuser: c\nport: 70000\n",
        ),
        (
            FileKind::Source,
            "type: postgres\nhost: a\ndatabase: b\nuser: c\nsslmode: yes\n",
        ),
        (
            FileKind::Source,
            "type: postgres\nhost: a\ndatabase: b\nuser: c\nsecrets: {password: d}\n",
        ),
        (
            FileKind::Source,
            "type: postgres\nhost: a\ndatabase: b\nuser: c\nsecrets: {pass: {env: D}}\n",
        ),
        (FileKind::Source, "type: mysql\nhost: a\nuser: c\n"),
        (
            FileKind::Source,
            "type: mysql\nhost: a\ndatabase: b\nuser: c\nssl_mode: verify-ca\n",
        ),
        (FileKind::Model, "source: a\n"),
        (FileKind::Model, "key: {a: b}\n"),
        (FileKind::Model, "key: [1]\n"),
        (FileKind::Model, "key: a\nsql: b\n"),
        (FileKind::Destination, "config: {}\n"),
        (FileKind::Destination, "plugin: a\nconfig: []\n"),
        (FileKind::Destination, "plugin: a\nsecrets: {a: b}\n"),
        (FileKind::Destination, "plugin: a\nsecrets: {a: {env: A, file: b}}\n"),
        (FileKind::Destination, "plugin: a\nsecrets: {a: {vault: b}}\n"),
        (FileKind::Destination, "plugin: a\nsecrets: {a: {command: pass show}}\n"),
        (FileKind::Destination, "plugin: a\nallow: https://a.example\n"),
        (FileKind::Sync, "model: a\ndestination: b\n"),
        (FileKind::Sync, "model: a\ndestination: b\nmappings: [{from: x}]\n"),
        (
            FileKind::Sync,
            "model: a\ndestination: b\nmappings: [{from: x, to: y, as: z}]\n",
        ),
        (
            FileKind::Sync,
            "model: a\ndestination: b\nmappings: [{from: x, to: y}]\nmode: merge\n",
        ),
        (
            FileKind::Sync,
            "model: a\ndestination: b\nmappings: [{from: x, to: y}]\non_removed: keep\n",
        ),
        (
            FileKind::Sync,
            "model: a\ndestination: b\nmappings: [{from: x, to: y}]\nguards: {max_removed: 3}\n",
        ),
        (
            FileKind::Sync,
            "model: a\ndestination: b\nmappings: [{from: x, to: y}]\nguards: {max_nulls: 3}\n",
        ),
        (
            FileKind::Sync,
            "model: a\ndestination: b\nmappings: [{from: x, to: y}]\nschedule: {every: 1w}\n",
        ),
        (
            FileKind::Sync,
            "model: a\ndestination: b\nmappings: [{from: x, to: y}]\nmatch: id\n",
        ),
        (
            FileKind::Sync,
            "model: a\ndestination: b\nmappings: [{from: x, to: y}]\ndisabled: no\n",
        ),
    ] {
        assert!(!types_take(kind, text), "the types take {text}");
        assert!(!schema_takes(kind, text), "the schema takes {text}");
    }
}

#[test]
fn every_field_is_described() {
    fn undescribed(path: &str, schema: &Value, found: &mut Vec<String>) {
        for (name, property) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let path = format!("{path}/{name}");
            let says = property.get("description").is_some() || property.get("const").is_some();
            if !says {
                found.push(path.clone());
            }
            undescribed(&path, property, found);
        }
        for keyword in ["oneOf", "anyOf"] {
            for form in schema.get(keyword).and_then(Value::as_array).into_iter().flatten() {
                undescribed(&format!("{path}/{keyword}"), form, found);
            }
        }
        for (name, definition) in schema.get("$defs").and_then(Value::as_object).into_iter().flatten() {
            undescribed(&format!("{path}#{name}"), definition, found);
        }
    }
    let mut found = Vec::new();
    for kind in FileKind::ALL {
        let schema = schema(kind);
        assert!(
            schema.get("title").is_some() && schema.get("$schema").is_some(),
            "{}",
            kind.as_str()
        );
        undescribed(kind.as_str(), &schema, &mut found);
    }
    // The forms of a secret carry the description of the form, not of its one field.
    found.retain(|path| !path.contains("#SecretSource/oneOf"));
    assert_eq!(found, [""; 0]);
}

#[test]
fn defaults_are_in_the_schema() {
    let outflow = schema(FileKind::Outflow);
    assert_eq!(outflow["properties"]["timezone"]["default"], "UTC");
    assert_eq!(outflow["properties"]["memory_limit"]["default"], "192MB");
    assert_eq!(outflow["properties"]["wait_for_sources"]["default"], "30s");
    assert_eq!(outflow["properties"]["timezone"]["examples"], json!(["Europe/Berlin"]));
    let sync = schema(FileKind::Sync);
    assert_eq!(sync["properties"]["mode"]["default"], "upsert");
    assert_eq!(sync["$defs"]["Threshold"]["properties"]["share"]["default"], 0.3);
}
