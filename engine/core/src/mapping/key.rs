//! A key as a person writes it: a plain value where the key has one column, else JSON.

use serde_json::Value;

use super::Layout;
use crate::warehouse::{Connection, WarehouseError, quote};

/// Why a text is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It has another form.
    #[error("`{text}` is no key of this model; write {wanted}")]
    Form {
        /// The text.
        text: String,
        /// What would be right.
        wanted: String,
    },
    /// A value has another type.
    #[error("`{text}` is no key of this model: {message}")]
    Value {
        /// The text.
        text: String,
        /// What DuckDB says.
        message: String,
    },
    /// DuckDB's word.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
}

/// Reads keys into a table with the columns `k0…`; gives each as a JSON object by column, as it is shown everywhere.
///
/// # Errors
/// Which text is no key, and what would be right.
pub(crate) fn read(
    connection: &Connection,
    layout: &Layout,
    keys: &[String],
    table: &str,
) -> Result<Vec<String>, KeyError> {
    connection.execute(&format!("DROP TABLE IF EXISTS {table}"))?;
    let columns: Vec<_> = layout
        .key
        .iter()
        .enumerate()
        .map(|(index, column)| format!("k{index} {}", column.data_type))
        .collect();
    connection.execute(&format!("CREATE TEMP TABLE {table} ({})", columns.join(", ")))?;
    let mut read = Vec::new();
    for text in keys {
        let values = values(layout, text).ok_or_else(|| KeyError::Form {
            text: text.clone(),
            wanted: form(layout),
        })?;
        let cast = layout.key.iter().zip(&values).enumerate();
        let cast: Vec<_> = cast
            .map(|(index, (column, value))| {
                let value = match column.data_type.as_str() {
                    // As it is on the wire (rule 40).
                    "BLOB" => format!("from_base64({})", quote::text(value)),
                    data_type => format!("CAST({} AS {data_type})", quote::text(value)),
                };
                format!("{value} AS k{index}")
            })
            .collect();
        let row = format!("SELECT {}", cast.join(", "));
        let key = connection.scalar::<String>(&format!("SELECT {} FROM ({row}) AS w", layout.key_json("w.")));
        let key = key.map_err(|error| match error {
            WarehouseError::Database { message, .. } => KeyError::Value {
                text: text.clone(),
                message,
            },
            other => other.into(),
        })?;
        connection.execute(&format!("INSERT INTO {table} {row}"))?;
        read.extend(key);
    }
    Ok(read)
}

/// The values of a key's columns as text.
fn values(layout: &Layout, text: &str) -> Option<Vec<String>> {
    let plain = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) if object.len() == layout.key.len() => {
            let columns = layout.key.iter();
            let values = columns.map(|column| object.get(&column.name).and_then(plain));
            if let Some(values) = values.collect() {
                return Some(values);
            }
        }
        Ok(Value::Array(array)) if array.len() == layout.key.len() && array.len() > 1 => {
            return array.iter().map(plain).collect();
        }
        _ => {}
    }
    (layout.key.len() == 1).then(|| vec![text.to_owned()])
}

/// How a key is written.
fn form(layout: &Layout) -> String {
    let columns: Vec<_> = layout
        .key
        .iter()
        .map(|column| format!("{}: …", Value::String(column.name.clone())))
        .collect();
    format!("it as {{{}}}", columns.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warehouse::Column;

    fn layout(columns: &[&str]) -> Layout {
        let column = |name: &&str| Column {
            name: (*name).to_owned(),
            data_type: "BIGINT".to_owned(),
        };
        Layout {
            key: columns.iter().map(column).collect(),
            place: None,
            caseless: false,
            match_field: None,
            image: Vec::new(),
            fields: Vec::new(),
        }
    }

    #[test]
    fn a_key_is_a_plain_value_or_json() {
        let one = layout(&["id"]);
        for (text, value) in [
            ("7", "7"),
            ("{\"id\": 7}", "7"),
            ("{\"id\": \"7\"}", "7"),
            ("{x", "{x"),
            ("[7]", "[7]"),
        ] {
            assert_eq!(values(&one, text), Some(vec![value.to_owned()]), "{text}");
        }
        let two = layout(&["a", "b"]);
        for text in ["{\"b\": 2, \"a\": 1}", "[1, 2]", "[\"1\", \"2\"]"] {
            assert_eq!(values(&two, text), Some(vec!["1".to_owned(), "2".to_owned()]), "{text}");
        }
        for text in ["1", "[1]", "{\"a\": 1}", "{\"a\": 1, \"c\": 2}", "[1, null]"] {
            assert_eq!(values(&two, text), None, "{text}");
        }
        assert_eq!(form(&two), "it as {\"a\": …, \"b\": …}");
    }
}
