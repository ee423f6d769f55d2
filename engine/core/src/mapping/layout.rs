//! The layout of a sync's rows in the ledger: which values a row has, and how a record is made of them.
//!
//! An image holds the values that mappings read; constants and the mappings themselves are here, in the ledger's meta. A
//! [`Layout`] also writes the SQL that speaks of such rows, so that key and place compare the same way everywhere.

use serde::{Deserialize, Serialize};

use super::types;
use crate::warehouse::Column;
use crate::warehouse::quote;

/// The layout of a sync's rows: columns `k0…` (key), `m` (match value, where it is not the key), `i0…` (image).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The primary key's columns.
    pub key: Vec<Column>,
    /// The column of match values, where they are not the key.
    pub place: Option<Column>,
    /// Whether match values compare without case (rule 12).
    pub caseless: bool,
    /// The destination's field of match values.
    pub match_field: Option<String>,
    /// The values that mappings read, each once.
    pub image: Vec<ImageColumn>,
    /// The record's fields, in the sync's order.
    pub fields: Vec<RecordField>,
}

/// A value that mappings read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageColumn {
    /// Where it comes from.
    pub source: ImageSource,
    /// Its type.
    #[serde(rename = "type")]
    pub data_type: String,
}

/// Where a value of an image comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageSource {
    /// A column of the model.
    Column(String),
    /// A scalar expression over the model's columns.
    Sql(String),
}

/// A field of the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordField {
    /// Its name at the destination.
    pub to: String,
    /// Its value.
    pub value: RecordValue,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordValue {
    /// The image's value of that index.
    Image(usize),
    /// The same for every row, as JSON text.
    Constant(String),
}

impl Layout {
    /// Whether records are found in the same way, types of values aside.
    #[must_use]
    pub fn same_match(&self, other: &Self) -> bool {
        let place = |layout: &Self| layout.place.as_ref().map(|column| column.name.clone());
        place(self) == place(other) && self.caseless == other.caseless && self.match_field == other.match_field
    }

    /// The field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&RecordField> {
        self.fields.iter().find(|field| field.to == name)
    }

    /// Whether the key has the same columns, their types aside.
    #[must_use]
    pub fn same_key_columns(&self, other: &Self) -> bool {
        let names = |layout: &Self| layout.key.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
        names(self) == names(other)
    }

    /// `k0, k1`, each after `prefix` (`e.` or nothing).
    #[must_use]
    pub fn keys(&self, prefix: &str) -> String {
        list((0..self.key.len()).map(|index| format!("{prefix}k{index}")))
    }

    /// Key and match value: `k0, m`.
    #[must_use]
    pub fn identity(&self, prefix: &str) -> String {
        list(self.identity_columns().iter().map(|column| format!("{prefix}{column}")))
    }

    /// The columns of key and match value.
    #[must_use]
    pub fn identity_columns(&self) -> Vec<String> {
        let keys = (0..self.key.len()).map(|index| format!("k{index}"));
        keys.chain(self.place.iter().map(|_| "m".to_owned())).collect()
    }

    /// The image's columns, with a comma after each: `i0, i1, `.
    #[must_use]
    pub fn images(&self, prefix: &str) -> String {
        (0..self.image.len())
            .map(|index| format!("{prefix}i{index}, "))
            .collect()
    }

    /// Names and types of key and match value, as a table's definition has them.
    #[must_use]
    pub fn identity_definition(&self) -> String {
        let keys = self
            .key
            .iter()
            .enumerate()
            .map(|(index, column)| format!("k{index} {}", column.data_type));
        list(keys.chain(self.place.iter().map(|column| format!("m {}", column.data_type))))
    }

    /// The key's columns in a form that groups and compares canonically.
    #[must_use]
    pub fn comparable_keys(&self, prefix: &str) -> String {
        list(self.key_expressions(prefix))
    }

    /// The same, one by one.
    #[must_use]
    pub fn comparable_key_columns(&self, prefix: &str) -> Vec<String> {
        self.key_expressions(prefix).collect()
    }

    fn key_expressions(&self, prefix: &str) -> impl Iterator<Item = String> {
        self.key
            .iter()
            .enumerate()
            .map(move |(index, column)| comparable(&format!("{prefix}k{index}"), &column.data_type))
    }

    /// The columns that make a place, in a form that groups and compares under the destination's equality.
    #[must_use]
    pub fn comparable_place(&self, prefix: &str) -> String {
        list(self.place_expressions(prefix))
    }

    fn place_expressions(&self, prefix: &str) -> Vec<String> {
        let of = |name: String, column: &Column| match column.data_type.as_str() {
            "VARCHAR" if self.caseless => format!("lower({name})"),
            data_type => comparable(&name, data_type),
        };
        match &self.place {
            Some(column) => vec![of(format!("{prefix}m"), column)],
            None => self
                .key
                .iter()
                .enumerate()
                .map(|(index, column)| of(format!("{prefix}k{index}"), column))
                .collect(),
        }
    }

    /// Whether a place is nothing but the key, so that places need no care of their own.
    #[must_use]
    pub fn place_is_key(&self) -> bool {
        self.place.is_none() && !(self.caseless && self.key.iter().any(|column| column.data_type == "VARCHAR"))
    }

    /// A condition: two rows have the same key.
    #[must_use]
    pub fn same_key(&self, a: &str, b: &str) -> String {
        equal(
            self.key_expressions(&format!("{a}.")),
            self.key_expressions(&format!("{b}.")),
        )
    }

    /// A condition: two rows have the same place.
    #[must_use]
    pub fn same_place(&self, a: &str, b: &str) -> String {
        equal(
            self.place_expressions(&format!("{a}.")),
            self.place_expressions(&format!("{b}.")),
        )
    }

    /// A condition: two rows have the same key and place, and so one entry.
    #[must_use]
    pub fn same_entry(&self, a: &str, b: &str) -> String {
        if self.place_is_key() {
            self.same_key(a, b)
        } else {
            format!("{} AND {}", self.same_key(a, b), self.same_place(a, b))
        }
    }

    /// The canonical hash of a row: image, key and match value.
    #[must_use]
    pub fn hash(&self, prefix: &str) -> String {
        format!("outflow_hash({}{})", self.images(prefix), self.identity(prefix))
    }

    /// The key as a JSON object by column.
    #[must_use]
    pub fn key_json(&self, prefix: &str) -> String {
        format!("outflow_json({})", self.key_struct(prefix))
    }

    /// The key as a struct by column.
    #[must_use]
    pub fn key_struct(&self, prefix: &str) -> String {
        let parts = self
            .key
            .iter()
            .enumerate()
            .map(|(index, column)| format!("{} := {prefix}k{index}", quote::identifier(&column.name)));
        format!("struct_pack({})", list(parts))
    }

    /// The match value as JSON.
    #[must_use]
    pub fn match_json(&self, prefix: &str) -> String {
        format!("outflow_json({})", self.match_value(prefix))
    }

    /// The match value: the value alone, or a struct where it is a key of several columns.
    #[must_use]
    pub fn match_value(&self, prefix: &str) -> String {
        match (&self.place, self.key.len()) {
            (Some(_), _) => format!("{prefix}m"),
            (None, 1) => format!("{prefix}k0"),
            (None, _) => self.key_struct(prefix),
        }
    }

    /// The list of the fields whose values differ between two rows, constants aside.
    #[must_use]
    pub fn differing_fields(&self, a: &str, b: &str) -> String {
        let parts = self.fields.iter().filter_map(|field| {
            let RecordValue::Image(index) = field.value else {
                return None;
            };
            let data_type = &self.image.get(index)?.data_type;
            let side = |prefix: &str| comparable(&format!("{prefix}i{index}"), data_type);
            Some(format!(
                "CASE WHEN {} IS DISTINCT FROM {} THEN {} END",
                side(a),
                side(b),
                quote::text(&field.to)
            ))
        });
        format!(
            "list_filter([{}]::VARCHAR[], lambda name: name IS NOT NULL)",
            list(parts)
        )
    }

    /// The record as a JSON object by field.
    #[must_use]
    pub fn record_json(&self, prefix: &str) -> String {
        format!("outflow_json({})", self.record_struct(prefix))
    }

    /// The record as a struct by field.
    #[must_use]
    pub fn record_struct(&self, prefix: &str) -> String {
        let parts = self.fields.iter().map(|field| {
            let value = match &field.value {
                RecordValue::Image(index) => format!("{prefix}i{index}"),
                RecordValue::Constant(json) => format!("{}::JSON", quote::text(json)),
            };
            format!("{} := {value}", quote::identifier(&field.to))
        });
        format!("struct_pack({})", list(parts))
    }

    /// The record that empties the mapped fields, as JSON: all but those of key and match value (rule 18). `None` where
    /// nothing is left to empty.
    #[must_use]
    pub fn cleared_json(&self) -> Option<String> {
        let names: Vec<_> = self
            .key
            .iter()
            .chain(&self.place)
            .map(|column| column.name.to_lowercase())
            .collect();
        let is_identity = |field: &RecordField| {
            Some(&field.to) == self.match_field.as_ref()
                || matches!(&field.value, RecordValue::Image(index)
                    if matches!(self.image.get(*index).map(|column| &column.source), Some(ImageSource::Column(name)) if names.contains(&name.to_lowercase())))
        };
        let cleared: serde_json::Map<_, _> = self
            .fields
            .iter()
            .filter(|field| !is_identity(field))
            .map(|field| (field.to.clone(), serde_json::Value::Null))
            .collect();
        (!cleared.is_empty()).then(|| serde_json::Value::Object(cleared).to_string())
    }

    /// The name of an image's column, for people.
    #[must_use]
    pub fn image_name(&self, index: usize) -> String {
        let field = self
            .fields
            .iter()
            .find(|field| field.value == RecordValue::Image(index));
        field.map_or_else(|| format!("i{index}"), |field| field.to.clone())
    }
}

/// A column in a form whose `=` is the canonical equality.
fn comparable(name: &str, data_type: &str) -> String {
    if types::compares_by_value(data_type) {
        name.to_owned()
    } else {
        format!("outflow_hash({name})")
    }
}

fn equal(a: impl IntoIterator<Item = String>, b: impl IntoIterator<Item = String>) -> String {
    let pairs: Vec<_> = a.into_iter().zip(b).map(|(a, b)| format!("{a} = {b}")).collect();
    pairs.join(" AND ")
}

fn list(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().collect::<Vec<_>>().join(", ")
}
