//! `models/*.sql` and `models/*.yml`: the queries whose rows are synced.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::diagnostic::Diagnostic;
use super::marks::{Marks, Position};
use super::names::Names;
use super::review::{self, Review};

/// A query with a primary key.
#[derive(Clone, Debug)]
pub struct Model {
    /// The model's name: its files'.
    pub name: String,
    /// The query, as it stands in its file.
    pub sql: String,
    /// The query's file, relative to the project.
    pub sql_file: PathBuf,
    /// The file that describes it, relative to the project.
    pub file: PathBuf,
    /// The sources that the query may read, by name.
    pub sources: Vec<String>,
    /// The columns of the primary key, at least one.
    pub key: Vec<String>,
    /// Where the fields of `file` stand.
    pub marks: Marks,
}

/// A model: the query in the `.sql` file of the same name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "model")]
pub(super) struct ModelContent {
    /// The source that the query reads, or a list of them. A query without sources reads nothing but itself.
    #[schemars(example = &"registry")]
    source: Option<Names>,
    /// The column that tells rows apart, or a list of columns that do together.
    #[schemars(example = &"tailnum")]
    key: Names,
}

impl ModelContent {
    /// Checks the content. `query` is the query with its file, where there is one.
    pub(super) fn check(self, name: &str, query: Option<(String, PathBuf)>, review: &mut Review<'_>) -> Option<Model> {
        if let Some((_, file)) = query.as_ref().filter(|(sql, _)| sql.trim().is_empty()) {
            review
                .found
                .push(Diagnostic::new(file, "the query is empty").with_help("write one SELECT"));
        }
        let listed = self.key.listed("key");
        for (index, (field, column)) in listed.iter().enumerate() {
            // DuckDB's column names do not tell case apart.
            if listed[..index]
                .iter()
                .any(|(_, other)| other.eq_ignore_ascii_case(column))
            {
                review.note(field, format!("the key has `{column}` twice"));
            }
        }
        let (sql, sql_file) = query?;
        review.found.is_empty().then(|| Model {
            name: name.to_owned(),
            sql,
            sql_file,
            file: review.file.to_owned(),
            sources: self.source.map(Names::into_vec).unwrap_or_default(),
            key: self.key.into_vec(),
            marks: review.marks.clone(),
        })
    }
}

impl Model {
    /// A diagnostic about a field of the model's `.yml` file, as `key[1]`. A field that may be one name or a list may
    /// be given with an index in either case.
    #[must_use]
    pub fn diagnostic(&self, field: &str, message: impl Into<String>) -> Diagnostic {
        review::value_at_fault(&self.file, &self.marks, field, message)
    }

    /// A diagnostic about the query, at a line and a column from 1 where they are known.
    #[must_use]
    pub fn sql_diagnostic(&self, line: Option<u32>, column: Option<u32>, message: impl Into<String>) -> Diagnostic {
        let position = line.map(|line| Position {
            line,
            column: column.unwrap_or(1),
        });
        Diagnostic::new(Path::new(&self.sql_file), message).at(position)
    }
}
