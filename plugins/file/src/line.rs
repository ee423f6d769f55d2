//! One record as one line, without its end.

use outflow_plugin_sdk::{Kind, Operation};
use serde_json::{Map, Value};

use crate::config::Mode;

/// A line of a change log in JSON. The parts are JSON already and are not parsed again.
pub fn change(line: &mut String, operation: &Operation, previous: bool) {
    let Operation {
        key,
        match_value,
        fields,
        ..
    } = operation;
    let kind = word(operation.kind);
    line.push_str(&format!(
        r#"{{"operation":"{kind}","key":{key},"match":{match_value},"record":{fields}"#
    ));
    if let (true, Some(previous)) = (previous, &operation.previous) {
        line.push_str(r#","previous":"#);
        line.push_str(previous);
    }
    line.push('}');
}

/// The header of a CSV file, with its line end.
pub fn header(mode: Mode, columns: &[String]) -> String {
    let extra = match mode {
        Mode::Mirror => &[][..],
        Mode::Changes => &["_operation", "_key", "_match"][..],
    };
    let names = extra.iter().copied().chain(columns.iter().map(String::as_str));
    let mut line = names.map(quoted).collect::<Vec<_>>().join(",");
    line.push('\n');
    line
}

/// A line of CSV.
pub fn csv(line: &mut String, operation: &Operation, mode: Mode, columns: &[String]) -> serde_json::Result<()> {
    let record: Map<String, Value> = serde_json::from_str(&operation.fields)?;
    let mut cells = Vec::with_capacity(columns.len() + 3);
    if mode == Mode::Changes {
        cells.push(word(operation.kind).to_owned());
        cells.push(quoted(&operation.key));
        cells.push(cell(&serde_json::from_str(&operation.match_value)?));
    }
    cells.extend(
        columns
            .iter()
            .map(|column| record.get(column).map_or_else(String::new, cell)),
    );
    line.push_str(&cells.join(","));
    Ok(())
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => quoted(text),
        other => quoted(&other.to_string()),
    }
}

/// A text as RFC 4180 has it. An empty one is quoted: without quotes it is null.
fn quoted(text: &str) -> String {
    let plain = !text.is_empty() && text.trim() == text && !text.contains([',', '"', '\r', '\n']);
    if plain {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('"', "\"\""))
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Insert => "insert",
        Kind::Update => "update",
        Kind::Upsert => "upsert",
        Kind::Clear => "clear",
        Kind::Delete => "delete",
    }
}
