//! YAML text to a JSON value and the positions of its fields.
//!
//! Files are read into a value first, not into types: so every fault of a file can be reported at once, each with its
//! place, and numbers keep the digits that were written.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{MessageFormatter as _, Spanned, UserMessageFormatter};

use super::marks::{Marks, Position, join_index, join_name};

/// A file's content.
#[derive(Debug)]
pub(crate) struct Document {
    /// The content as JSON.
    pub value: Value,
    /// Where its fields stand.
    pub marks: Marks,
}

/// Text that is no YAML.
#[derive(Debug)]
pub(crate) struct YamlError {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub position: Option<Position>,
}

/// Reads one YAML document. Booleans are `true` and `false` only, so that `no` and `on` stay text.
pub(crate) fn read(text: &str) -> Result<Document, YamlError> {
    let options = serde_saphyr::options! { strict_booleans: true };
    let node: Node = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let error = error.without_snippet();
        YamlError {
            message: UserMessageFormatter.format_message(error).into_owned(),
            position: error.location().as_ref().map(position),
        }
    })?;
    let mut marks = Marks::default();
    let start = position(&node.0.referenced);
    let value = flatten(node, start, String::new(), text, &mut marks);
    Ok(Document { value, marks })
}

/// A value with its place.
struct Node(Spanned<Content>);

enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Fields(Vec<(Spanned<String>, Node)>),
}

/// Turns the tree into a plain value, noting positions on the way.
fn flatten(node: Node, name: Position, field: String, text: &str, marks: &mut Marks) -> Value {
    let location = node.0.referenced;
    let value = match node.0.value {
        Content::Null => Value::Null,
        Content::Bool(value) => Value::Bool(value),
        Content::Number(number) => Value::Number(as_written(number, &node.0.defined, text)),
        Content::Text(value) => Value::String(value),
        Content::List(items) => Value::Array(
            items
                .into_iter()
                .enumerate()
                .map(|(index, item)| {
                    let name = position(&item.0.referenced);
                    flatten(item, name, join_index(&field, index), text, marks)
                })
                .collect(),
        ),
        Content::Fields(fields) => {
            let mut map = Map::with_capacity(fields.len());
            for (name, node) in fields {
                let path = join_name(&field, &name.value);
                let value = flatten(node, position(&name.referenced), path, text, marks);
                map.insert(name.value, value);
            }
            Value::Object(map)
        }
    };
    marks.insert(field, name, position(&location));
    value
}

/// The number with the digits of the file: `1.10` stays `1.10`, and no digit of a long integer is lost. Spellings that
/// JSON does not have (`0x1F`, `1_000`) are taken as they were read.
fn as_written(number: Number, location: &serde_saphyr::Location, text: &str) -> Number {
    let span = location.span();
    let (Some(offset), Some(length)) = (span.byte_offset(), span.byte_len()) else {
        return number;
    };
    let (Ok(offset), Ok(length)) = (usize::try_from(offset), usize::try_from(length)) else {
        return number;
    };
    let Some(written) = text.get(offset..offset.saturating_add(length)) else {
        return number;
    };
    match serde_json::from_str::<Number>(written.trim()) {
        Ok(exact) if exact.as_f64() == number.as_f64() => exact,
        _ => number,
    }
}

fn position(location: &serde_saphyr::Location) -> Position {
    let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Position {
        line: count(location.line()).max(1),
        column: count(location.column()).max(1),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Number(value.into()))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Content, E> {
        Number::from_i128(value)
            .map(Content::Number)
            .ok_or_else(|| E::custom("a number that is too large"))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Content, E> {
        Number::from_u128(value)
            .map(Content::Number)
            .ok_or_else(|| E::custom("a number that is too large"))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Content, E> {
        Number::from_f64(value)
            .map(Content::Number)
            .ok_or_else(|| E::custom("a number that JSON does not have"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Content, E> {
        Ok(Content::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = access.next_entry()? {
            fields.push(field);
        }
        Ok(Content::Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Value {
        read(text).unwrap().value
    }

    #[test]
    fn names_and_values_are_marked() {
        let document = read("model: aircraft\nmappings:\n  - {from: a, to: b}\n  - to: d\n    from: c\n").unwrap();
        let at = |line, column| Some(Position { line, column });
        assert_eq!(document.marks.value("model"), at(1, 8));
        assert_eq!(document.marks.name("model"), at(1, 1));
        assert_eq!(document.marks.value("mappings[0].to"), at(3, 19));
        assert_eq!(document.marks.name("mappings[0].to"), at(3, 15));
        assert_eq!(document.marks.value("mappings[1].from"), at(5, 11));
        assert_eq!(document.value["mappings"][1], json!({"to": "d", "from": "c"}));
    }

    #[test]
    fn numbers_keep_their_digits() {
        let text = "a: 1.10\nb: 123456789012345678901234567890\nc: 0x1F\nd: [-7, 0.30]\n";
        assert_eq!(
            serde_json::to_string(&value(text)).unwrap(),
            r#"{"a":1.10,"b":123456789012345678901234567890,"c":31,"d":[-7,0.30]}"#
        );
    }

    #[test]
    fn words_that_older_yaml_took_for_booleans_are_text() {
        assert_eq!(
            value("country: no\nfrom: on\nanswer: y\nreal: true\n"),
            json!({"country": "no", "from": "on", "answer": "y", "real": true})
        );
    }

    #[test]
    fn dates_and_quoted_numbers_are_text_and_blank_is_null() {
        assert_eq!(
            value("day: 2026-01-31\nquoted: \"12\"\nblank:\n"),
            json!({"day": "2026-01-31", "quoted": "12", "blank": null})
        );
        assert_eq!(value(""), Value::Null);
        assert_eq!(value("# only a comment\n"), Value::Null);
    }

    #[test]
    fn broken_text_names_its_place() {
        let error = read("model: aircraft\nkey: [a\n").unwrap_err();
        assert!(error.position.is_some_and(|position| position.line >= 2), "{error:?}");
        let error = read("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!(error.position.map(|position| position.line), Some(3));
        assert!(error.message.contains("duplicate"), "{}", error.message);
    }

    #[test]
    fn an_alias_stands_where_it_is_used() {
        let document = read("a: &x 1\nb: *x\n").unwrap();
        assert_eq!(document.value, json!({"a": 1, "b": 1}));
        assert_eq!(document.marks.value("b").map(|position| position.line), Some(2));
    }
}
