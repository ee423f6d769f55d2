//! JSON Schemas of the project's files, derived from the types that the files are read into.

use std::sync::LazyLock;

use jsonschema::Validator;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::destination::DestinationContent;
use super::model::ModelContent;
use super::settings::SettingsContent;
use super::source::SourceKind;
use super::sync::SyncContent;

/// A kind of project file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// `outflow.yml`
    Outflow,
    /// `sources/*.yml`
    Source,
    /// `models/*.yml`
    Model,
    /// `destinations/*.yml`
    Destination,
    /// `syncs/*.yml`
    Sync,
}

impl FileKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Outflow, Self::Source, Self::Model, Self::Destination, Self::Sync];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outflow => "outflow",
            Self::Source => "source",
            Self::Model => "model",
            Self::Destination => "destination",
            Self::Sync => "sync",
        }
    }

    /// The kind of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// The JSON Schema (2020-12) of a kind of file.
#[must_use]
pub fn schema(kind: FileKind) -> Value {
    compiled(kind).1.clone()
}

/// The schema and its validator, built once per process.
pub(super) fn compiled(kind: FileKind) -> &'static (Validator, Value) {
    static COMPILED: LazyLock<[(Validator, Value); 5]> = LazyLock::new(|| FileKind::ALL.map(compile));
    &COMPILED[kind as usize]
}

fn compile(kind: FileKind) -> (Validator, Value) {
    let schema = match kind {
        FileKind::Outflow => derive::<SettingsContent>(),
        FileKind::Source => derive::<SourceKind>(),
        FileKind::Model => derive::<ModelContent>(),
        FileKind::Destination => derive::<DestinationContent>(),
        FileKind::Sync => derive::<SyncContent>(),
    };
    let validator = jsonschema::validator_for(&schema).expect("a derived schema is valid, whatever the input");
    (validator, schema)
}

fn derive<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    RecursiveTransform(refuse_blank).transform(&mut schema);
    schema.to_value()
}

/// A field that may be left out may not be left blank: a blank is more often a slip than a wish for the default.
fn refuse_blank(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            schema.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(forms)) = schema.get_mut("anyOf") {
        forms.retain(|form| form.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(one)] = forms.as_slice() {
            let one = one.clone();
            schema.remove("anyOf");
            for (keyword, value) in one {
                if schema.get(&keyword).is_none() {
                    schema.insert(keyword, value);
                }
            }
        }
    }
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
}
