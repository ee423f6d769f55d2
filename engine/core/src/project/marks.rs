//! Where the fields of a file stand, by field path: `mappings[1].from`.

use std::collections::BTreeMap;

use serde_json::Value;

/// A place in a text file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

/// Where one field stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    /// The field's name; the same as `value` for an item of a list.
    name: Position,
    /// Its value.
    value: Position,
}

/// The positions of a file's fields, by field path. The empty path is the file's whole content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks(BTreeMap<String, Mark>);

impl Marks {
    pub(super) fn insert(&mut self, field: String, name: Position, value: Position) {
        self.0.insert(field, Mark { name, value });
    }

    /// Where the value of a field stands; for a field that is not there, the nearest one around it.
    #[must_use]
    pub fn value(&self, field: &str) -> Option<Position> {
        self.nearest(field).map(|mark| mark.value)
    }

    /// Where the name of a field stands; for a field that is not there, the nearest one around it.
    #[must_use]
    pub fn name(&self, field: &str) -> Option<Position> {
        self.nearest(field).map(|mark| mark.name)
    }

    fn nearest(&self, field: &str) -> Option<&Mark> {
        let mut field = field;
        loop {
            if let Some(mark) = self.0.get(field) {
                return Some(mark);
            }
            if field.is_empty() {
                return None;
            }
            field = &field[..field.rfind(['.', '[']).unwrap_or(0)];
        }
    }
}

/// The path of the field `name` in the fields at `parent`.
#[must_use]
pub fn join_name(parent: &str, name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-$@/".contains(c));
    match (plain, parent.is_empty()) {
        (true, true) => name.to_owned(),
        (true, false) => format!("{parent}.{name}"),
        (false, _) => format!("{parent}[{name:?}]"),
    }
}

/// The path of an item in the list at `parent`.
#[must_use]
pub fn join_index(parent: &str, index: usize) -> String {
    format!("{parent}[{index}]")
}

/// The field path of a JSON pointer into `root`, which decides whether `/0` is a field or an item of a list.
#[must_use]
pub fn field_of_pointer(root: &Value, pointer: &str) -> String {
    let mut field = String::new();
    let mut here = Some(root);
    for segment in pointer.split('/').skip(1) {
        let name = segment.replace("~1", "/").replace("~0", "~");
        match (here, name.parse::<usize>()) {
            (Some(Value::Array(items)), Ok(index)) => {
                field = join_index(&field, index);
                here = items.get(index);
            }
            _ => {
                field = join_name(&field, &name);
                here = here.and_then(|value| value.get(&name));
            }
        }
    }
    field
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pointer_becomes_a_field_path() {
        let root = json!({"mappings": [{"to": "a"}, {"to": "b"}], "0": {"a.b": 1}});
        assert_eq!(field_of_pointer(&root, "/mappings/1/to"), "mappings[1].to");
        assert_eq!(field_of_pointer(&root, "/0/a.b"), "0[\"a.b\"]");
        assert_eq!(field_of_pointer(&root, "/mappings/0/from~1x"), "mappings[0].from/x");
        assert_eq!(field_of_pointer(&root, ""), "");
    }

    #[test]
    fn a_missing_field_is_marked_by_what_is_around_it() {
        let mut marks = Marks::default();
        let at = |line| Position { line, column: 1 };
        marks.insert(String::new(), at(1), at(1));
        marks.insert("mappings[1]".to_owned(), at(7), at(7));
        assert_eq!(marks.value("mappings[1].from"), Some(at(7)));
        assert_eq!(marks.value("mode"), Some(at(1)));
    }
}
