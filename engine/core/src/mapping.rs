//! Mappings: from a model's rows to the rows that a sync compares and sends.
//!
//! [`Projection::new`] checks key, match and mappings against the model's columns and gives the one SQL query over the
//! model whose rows have the key, the match value, the image and the canonical hash of them all (rules 13 and 16).

mod edit;
pub(crate) mod key;
mod layout;
mod types;

pub use edit::{Edit, edits};
pub use key::KeyError;
pub use layout::{ImageColumn, ImageSource, Layout, RecordField, RecordValue};
pub(crate) use types::is_widening;

use crate::destination::{Equality, Field};
use crate::project::diagnostic::{Diagnostic, Diagnostics};
use crate::project::model::Model;
use crate::project::sync::{From, Sync};
use crate::warehouse::gate::{self, SqlError};
use crate::warehouse::{Column, quote};

/// How a sync reads its model.
#[derive(Clone, Debug)]
pub struct Projection {
    /// The rows' layout.
    pub layout: Layout,
    /// The model's query as a table, in parentheses.
    model: String,
}

impl Projection {
    /// Checks what the sync refers to. `expression` tells the type of a mapping's SQL over the model, as
    /// [`check_expression`](crate::warehouse::Warehouse::check_expression) does.
    ///
    /// # Errors
    /// Every column that the model does not have, keys and match values that have no exact equality, and SQL that is
    /// refused; with file, line and field.
    pub fn new(
        model: &Model,
        sync: &Sync,
        columns: &[Column],
        expression: impl Fn(&str) -> Result<Column, SqlError>,
    ) -> Result<Self, Diagnostics> {
        let mut check = Check {
            model,
            sync,
            columns,
            found: Vec::new(),
        };
        let key = check.key();
        let place = check.place(&key);
        let (image, fields) = check.mappings(expression);
        if !check.found.is_empty() {
            return Err(Diagnostics(check.found));
        }
        let layout = Layout {
            key,
            place,
            caseless: false,
            match_field: sync.match_on.as_ref().map(|match_on| match_on.to.clone()),
            image,
            fields,
        };
        Ok(Self {
            layout,
            model: gate::subquery(&model.sql),
        })
    }

    /// The same toward a destination that compares match values so.
    #[must_use]
    pub fn toward(mut self, equality: Equality) -> Self {
        self.layout.caseless = equality == Equality::Caseless;
        self
    }

    /// The mapped fields as the destination sees them, in the sync's order.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        let of = |field: &RecordField| Field {
            name: field.to.clone(),
            field_type: match &field.value {
                RecordValue::Image(index) => {
                    types::field_type(self.layout.image.get(*index).map_or("", |column| &column.data_type))
                }
                RecordValue::Constant(json) => constant_type(json),
            },
        };
        self.layout.fields.iter().map(of).collect()
    }

    /// The relation over the model that has key, match value and image.
    #[must_use]
    pub fn relation(&self) -> String {
        format!("(SELECT {} FROM {} AS model)", self.columns(), self.model)
    }

    /// The rows of `relation` in their full form, as a table: `k0…, [m,] i0…, h`.
    #[must_use]
    pub fn rows(&self, relation: &str) -> String {
        let layout = &self.layout;
        format!(
            "(SELECT {identity}, {images}{hash} AS h FROM {relation} AS r)",
            identity = layout.identity("r."),
            images = layout.images("r."),
            hash = layout.hash("r."),
        )
    }

    /// The query for the thin form of the rows of `relation`: `k0…, [m,] h, fault`; the fault says why the row cannot be sent.
    #[must_use]
    pub fn identities(&self, relation: &str) -> String {
        self.checked("", &self.layout.hash("r."), relation)
    }

    /// The same, of a relation that has the hashes as `h`.
    #[must_use]
    pub fn identities_of_hashed(&self, relation: &str) -> String {
        self.checked("", "r.h", relation)
    }

    /// The query for the rows of `relation` in their full form, with their faults: `k0…, [m,] [image,] h, fault`. The image is
    /// one value, because DuckDB sets memory aside for every column that a query makes a table of, and without it works on one
    /// thread.
    #[must_use]
    pub fn checked_rows(&self, relation: &str) -> String {
        let names = 0..self.layout.image.len();
        let fields: Vec<_> = names.map(|index| format!("i{index} := r.i{index}")).collect();
        let image = if fields.is_empty() {
            String::new()
        } else {
            format!("struct_pack({}) AS image, ", fields.join(", "))
        };
        self.checked(&image, &self.layout.hash("r."), relation)
    }

    /// The relation of what [`checked_rows`](Self::checked_rows) gave, in the full form again.
    #[must_use]
    pub fn unpacked(&self, table: &str) -> String {
        if self.layout.image.is_empty() {
            table.to_owned()
        } else {
            format!("(SELECT * EXCLUDE (image), image.* FROM {table})")
        }
    }

    fn checked(&self, images: &str, hash: &str, relation: &str) -> String {
        let layout = &self.layout;
        let some_null = |columns: Vec<String>| {
            columns
                .iter()
                .map(|column| format!("{column} IS NULL"))
                .collect::<Vec<_>>()
                .join(" OR ")
        };
        let null_key = some_null((0..layout.key.len()).map(|index| format!("r.k{index}")).collect());
        let null_place = layout.place.as_ref().map_or(String::new(), |column| {
            format!(
                "WHEN r.m IS NULL THEN {} ",
                quote::text(&format!("{FAULT_NULL_MATCH}: `{}` is null", column.name))
            )
        });
        format!(
            "SELECT {identity}, {images}{hash} AS h, CASE WHEN {null_key} THEN '{FAULT_NULL_KEY}' {null_place}ELSE {fault} END AS fault \
             FROM {relation} AS r",
            identity = layout.identity("r."),
            fault = self.fault(),
        )
    }

    /// The expression that says why a row has no JSON form: only columns that can have a fault are looked at.
    fn fault(&self) -> String {
        let layout = &self.layout;
        let keys = layout
            .key
            .iter()
            .enumerate()
            .map(|(index, column)| (format!("r.k{index}"), column.name.clone(), &column.data_type));
        let place = layout
            .place
            .iter()
            .map(|column| ("r.m".to_owned(), column.name.clone(), &column.data_type));
        let image = layout.image.iter().enumerate();
        let image = image.map(|(index, column)| (format!("r.i{index}"), layout.image_name(index), &column.data_type));
        let parts: Vec<_> = keys
            .chain(place)
            .chain(image)
            .filter(|(_, _, data_type)| !types::is_always_sound(data_type))
            .map(|(column, name, _)| format!("{} || outflow_fault({column})", quote::text(&format!("`{name}` is "))))
            .collect();
        if parts.is_empty() {
            "NULL".to_owned()
        } else {
            format!("coalesce({})", parts.join(", "))
        }
    }

    /// Key, match value and image over the model, in their stored types.
    fn columns(&self) -> String {
        let layout = &self.layout;
        let cast = |expression: String, column: &str, data_type: &str| {
            // A collation of the source's (`NOCASE`) would make other rows equal than those that are (rule 14).
            let collation = if data_type == "VARCHAR" { " COLLATE \"C\"" } else { "" };
            format!("CAST({expression} AS {data_type}){collation} AS {column}")
        };
        let of_model = |name: &str| format!("model.{}", quote::identifier(name));
        let keys = layout.key.iter().enumerate();
        let keys = keys.map(|(index, column)| cast(of_model(&column.name), &format!("k{index}"), &column.data_type));
        let place = layout
            .place
            .iter()
            .map(|column| cast(of_model(&column.name), "m", &column.data_type));
        let image = layout.image.iter().enumerate().map(|(index, column)| {
            let expression = match &column.source {
                ImageSource::Column(name) => of_model(name),
                ImageSource::Sql(sql) => format!("(\n{sql}\n)"),
            };
            cast(expression, &format!("i{index}"), &column.data_type)
        });
        keys.chain(place).chain(image).collect::<Vec<_>>().join(", ")
    }
}

/// Why a row is invalid (rule 9): a part of its key is null.
pub const FAULT_NULL_KEY: &str = "null key";
/// Why a row is invalid: its key occurs more than once.
pub const FAULT_REPEATED_KEY: &str = "repeated key";
/// Why a row is invalid (rule 12): its match value is null.
pub const FAULT_NULL_MATCH: &str = "null match value";
/// Why a row is invalid: another row has its match value.
pub const FAULT_SHARED_MATCH: &str = "shared match value";

/// The state of a check.
struct Check<'a> {
    model: &'a Model,
    sync: &'a Sync,
    columns: &'a [Column],
    found: Vec<Diagnostic>,
}

impl Check<'_> {
    fn key(&mut self) -> Vec<Column> {
        let mut key = Vec::new();
        for (index, name) in self.model.key.iter().enumerate() {
            let field = format!("key[{index}]");
            match self.find(name) {
                Ok(column) => match types::key_fault(&column.data_type) {
                    None => key.push(column),
                    Some(fault) => {
                        let message = format!("the key column `{name}` ({}) {fault}", column.data_type);
                        self.found.push(self.model.diagnostic(&field, message));
                    }
                },
                Err(message) => self.found.push(self.model.diagnostic(&field, message)),
            }
        }
        key
    }

    /// The column of match values, where it is not the key itself.
    fn place(&mut self, key: &[Column]) -> Option<Column> {
        let match_on = self.sync.match_on.as_ref()?;
        let column = match self.find(&match_on.from) {
            Ok(column) => column,
            Err(message) => {
                self.found.push(self.sync.diagnostic("match.from", message));
                return None;
            }
        };
        if let Some(fault) = types::key_fault(&column.data_type) {
            let message = format!("the match column `{}` ({}) {fault}", column.name, column.data_type);
            self.found.push(self.sync.diagnostic("match.from", message));
        }
        match key {
            [only] if only.name == column.name => None,
            _ => Some(column),
        }
    }

    fn mappings(
        &mut self,
        expression: impl Fn(&str) -> Result<Column, SqlError>,
    ) -> (Vec<ImageColumn>, Vec<RecordField>) {
        let mut image: Vec<ImageColumn> = Vec::new();
        let mut fields: Vec<RecordField> = Vec::new();
        for (index, mapping) in self.sync.mappings.iter().enumerate() {
            if fields
                .iter()
                .any(|field| field.to.to_lowercase() == mapping.to.to_lowercase())
            {
                let message = format!(
                    "`{}` is mapped twice; names that differ in case only are not told apart",
                    mapping.to
                );
                self.found
                    .push(self.sync.diagnostic(&format!("mappings[{index}].to"), message));
                continue;
            }
            let field = format!("mappings[{index}].{}", mapping.from.field());
            let (source, data_type) = match &mapping.from {
                From::Value(value) => {
                    fields.push(RecordField {
                        to: mapping.to.clone(),
                        value: RecordValue::Constant(value.to_string()),
                    });
                    continue;
                }
                From::Column(name) => match self.find(name) {
                    Ok(column) => (ImageSource::Column(column.name), column.data_type),
                    Err(message) => {
                        self.found.push(self.sync.diagnostic(&field, message));
                        continue;
                    }
                },
                From::Sql(sql) => match expression(sql) {
                    Ok(column) => (ImageSource::Sql(sql.clone()), types::stored(&column.data_type)),
                    Err(error) => {
                        let mut place = String::new();
                        if let (Some(line), Some(column)) = (error.line, error.column) {
                            place = format!(" (line {line}, column {column} of the expression)");
                        }
                        self.found
                            .push(self.sync.diagnostic(&field, format!("{}{place}", error.message)));
                        continue;
                    }
                },
            };
            let column = ImageColumn { source, data_type };
            let at = image.iter().position(|other| *other == column).unwrap_or_else(|| {
                image.push(column);
                image.len() - 1
            });
            fields.push(RecordField {
                to: mapping.to.clone(),
                value: RecordValue::Image(at),
            });
        }
        (image, fields)
    }

    /// The model's column of that name, with the type that its values are kept as.
    fn find(&self, name: &str) -> Result<Column, String> {
        let exact = self.columns.iter().find(|column| column.name == name);
        let found = exact.or_else(|| {
            self.columns
                .iter()
                .find(|column| column.name.eq_ignore_ascii_case(name))
        });
        found
            .map(|column| Column {
                name: column.name.clone(),
                data_type: types::stored(&column.data_type),
            })
            .ok_or_else(|| {
                let names: Vec<_> = self.columns.iter().map(|column| format!("`{}`", column.name)).collect();
                format!(
                    "there is no column `{name}`; the model `{}` has {}",
                    self.model.name,
                    names.join(", ")
                )
            })
    }
}

/// The type of a constant, given as JSON text.
fn constant_type(json: &str) -> crate::destination::FieldType {
    use crate::destination::FieldType;
    match json.as_bytes().first() {
        Some(b'"') => FieldType::Text,
        Some(b't' | b'f') => FieldType::Boolean,
        Some(b'-' | b'0'..=b'9') if json.contains(['.', 'e', 'E']) => FieldType::Decimal,
        Some(b'-' | b'0'..=b'9') => FieldType::Integer,
        _ => FieldType::Json,
    }
}

#[cfg(test)]
mod tests;
