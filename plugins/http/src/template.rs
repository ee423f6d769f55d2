//! Slots in texts and in JSON bodies.

use outflow_plugin_sdk::{Operation, Secret};
use serde_json::Value;

/// Fills `{match}`, `{id}` and `{secret.NAME}`; for a URL, percent-encoded.
pub fn text(template: &str, operation: Option<&Operation>, secrets: &[Secret], url: bool) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (slot, after) = after
            .split_once('}')
            .ok_or_else(|| format!("`{template}` has a `{{` without `}}`"))?;
        out.push_str(before);
        rest = after;
        if let Some(name) = slot.strip_prefix("secret.") {
            out.push_str(secret(name, secrets)?);
            continue;
        }
        let operation = operation.ok_or("a slot needs a record")?;
        let value = match slot {
            "match" => plain(&operation.match_value),
            "id" => operation.id.clone().ok_or("the record's id is not known")?,
            _ => {
                return Err(format!(
                    "there is no slot `{{{slot}}}`; there are match, id, secret.NAME"
                ));
            }
        };
        if url {
            encode(&value, &mut out)
        } else {
            out.push_str(&value)
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Whether the record has nothing that can stand in the path: an empty value, `.` or `..` would address something else
/// than the record, the whole collection for example.
pub fn unaddressable(path: &str, operation: &Operation) -> bool {
    let stray = |value: &str| matches!(value, "" | "." | "..");
    (path.contains("{match}") && stray(&plain(&operation.match_value)))
        || (path.contains("{id}") && operation.id.as_deref().is_none_or(stray))
}

/// Writes a body. Records go in as the text they came in.
pub fn json(template: &Value, batch: &[Operation], secrets: &[Secret]) -> Result<String, String> {
    let mut out = String::new();
    write(template, batch, secrets, &mut out)?;
    Ok(out)
}

fn write(template: &Value, batch: &[Operation], secrets: &[Secret], out: &mut String) -> Result<(), String> {
    match template {
        Value::Object(object) => {
            if let Some((name, argument)) = object.iter().next().filter(|(name, _)| name.starts_with('$')) {
                return slot(name, argument, batch, secrets, out);
            }
            out.push('{');
            for (index, (name, value)) in object.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write(value, batch, secrets, out)?;
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(value, batch, secrets, out)?;
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
    Ok(())
}

fn slot(name: &str, argument: &Value, batch: &[Operation], secrets: &[Secret], out: &mut String) -> Result<(), String> {
    let argument_text = argument.as_str().unwrap_or_default();
    match name {
        "$each" => {
            out.push('[');
            for (index, operation) in batch.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(argument, std::slice::from_ref(operation), secrets, out)?;
            }
            out.push(']');
            return Ok(());
        }
        "$secret" => {
            out.push_str(&Value::from(secret(argument_text, secrets)?).to_string());
            return Ok(());
        }
        _ => {}
    }
    let [operation] = batch else {
        return Err(format!("`{name}` stands for one record: put it into `$each`"));
    };
    match name {
        "$record" => out.push_str(&operation.fields),
        "$match" => out.push_str(&operation.match_value),
        "$id" => out.push_str(&Value::from(operation.id.clone()).to_string()),
        "$idempotency_key" => out.push_str(&Value::from(operation.idempotency_key.as_str()).to_string()),
        "$field" => out.push_str(&member(&operation.fields, argument_text)?),
        "$key" => out.push_str(&member(&operation.key, argument_text)?),
        _ => return Err(format!("there is no slot `{name}`")),
    }
    Ok(())
}

fn member(object: &str, name: &str) -> Result<String, String> {
    let object: Value = serde_json::from_str(object).map_err(|error| error.to_string())?;
    object
        .get(name)
        .map(Value::to_string)
        .ok_or_else(|| format!("the record has no `{name}`"))
}

fn secret<'a>(name: &str, secrets: &'a [Secret]) -> Result<&'a str, String> {
    let secret = secrets.iter().find(|secret| secret.name == name);
    Ok(&secret
        .ok_or_else(|| format!("there is no secret `{name}`"))?
        .placeholder)
}

/// A JSON value as text without quotes.
pub fn plain(json: &str) -> String {
    serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_string())
}

fn encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}
