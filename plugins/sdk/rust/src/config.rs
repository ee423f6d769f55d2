//! From the text of a destination's `config` to a plugin's own type.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::{Problem, Subject};

/// Reads the config; the problem names the field that is at fault.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    // By way of a value, so that messages tell no line and column of a text that nobody wrote.
    let value: Value =
        serde_json::from_str(text).map_err(|error| Problem::config("", format!("it is no JSON: {error}")))?;
    serde_path_to_error::deserialize(value)
        .map_err(|error| Problem::config(pointer(error.path()), error.inner().to_string()))
}

impl Problem {
    /// Something wrong in `config`, at a JSON pointer.
    pub fn config(path: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem {
            subject: Subject::Config,
            path: path.into(),
            message: message.into(),
        }
    }

    /// Something wrong with the sync's `object`.
    pub fn object(message: impl Into<String>) -> Problem {
        Problem {
            subject: Subject::Object,
            path: String::new(),
            message: message.into(),
        }
    }
}

/// The place as a JSON pointer.
fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            // Variants are no places in the text, and what is unknown ends the way.
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Config {
        name: String,
        lists: BTreeMap<String, Vec<u32>>,
    }

    #[test]
    fn what_cannot_be_read_names_its_field() {
        for (text, path, message) in [
            ("{", "", "it is no JSON"),
            (r#"{"lists": {}}"#, "", "missing field `name`"),
            (
                r#"{"nme": "x"}"#,
                "/nme",
                "unknown field `nme`, expected `name` or `lists`",
            ),
            (
                r#"{"name": "x", "lists": {"a/b": [1, -2]}}"#,
                "/lists/a~1b/1",
                "invalid number",
            ),
            (r#"{"name": 7}"#, "/name", "invalid type"),
        ] {
            let problem = read::<Config>(text).expect_err("it is wrong");
            assert_eq!(problem.path, path, "{text}: {problem:?}");
            assert!(problem.message.starts_with(message), "{text}: {problem:?}");
        }
    }

    #[test]
    fn numbers_are_read_whatever_their_digits() {
        let config: Config = read(r#"{"name": "x", "lists": {"a": [4294967295]}}"#).expect("it is right");
        assert_eq!(config.lists["a"], [u32::MAX]);
    }
}
