//! `sources/*.yml`: where models read from.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::marks::{Marks, join_name};
use super::review::Review;
use super::suggest;

/// A source of models. In SQL a source of type csv, parquet or json is a relation of the source's name; one of type
/// duckdb or sqlite is a database of that name, with `name.table` in it.
#[derive(Clone, Debug)]
pub struct Source {
    /// The source's name: its file's.
    pub name: String,
    /// The file, relative to the project.
    pub file: PathBuf,
    /// What it is.
    pub kind: SourceKind,
    /// Where its file's fields stand.
    pub marks: Marks,
}

/// What a source is. Paths are absolute once a project is loaded; those of csv, parquet and json may be globs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
#[schemars(title = "source", description = "A source of models: files or a database.")]
pub enum SourceKind {
    /// Files of comma-separated values.
    Csv {
        /// The file, or files by a glob such as `data/*.csv`, relative to the project.
        path: PathBuf,
        /// Types by column, as DuckDB spells them. Columns that are not named get the type that the first run found.
        #[serde(default)]
        columns: IndexMap<String, String>,
        /// Texts that mean null, beside the empty one.
        #[serde(default)]
        #[schemars(example = ["NA"])]
        nulls: Vec<String>,
        /// What separates values; if left out, the one of `,` `;` tab and `|` that the first line has most of.
        #[schemars(length(min = 1, max = 4), example = &";")]
        delimiter: Option<String>,
        /// What values with delimiters or line breaks stand in: one character, `"` if left out, or nothing.
        #[schemars(length(max = 1), example = &"'")]
        quote: Option<String>,
        /// What stands before a quote within quotes: one character, the quote itself if left out.
        #[schemars(length(min = 1, max = 1), example = &"\\")]
        escape: Option<String>,
        /// Whether the first line names the columns, as it does if this is left out. If not, they have the names that
        /// `columns` declares, where it declares all, else `column0`, `column1` and so on.
        header: Option<bool>,
    },
    /// Parquet files.
    Parquet {
        /// The file, or files by a glob such as `data/*.parquet`, relative to the project.
        path: PathBuf,
    },
    /// Files of JSON: one value per line, or one array.
    Json {
        /// The file, or files by a glob such as `data/*.json`, relative to the project.
        path: PathBuf,
        /// Types by column, as DuckDB spells them. Columns that are not named get the type that the first run found.
        #[serde(default)]
        columns: IndexMap<String, String>,
    },
    /// A DuckDB database file.
    Duckdb {
        /// The file, relative to the project.
        path: PathBuf,
    },
    /// An SQLite database file.
    Sqlite {
        /// The file, relative to the project.
        path: PathBuf,
    },
}

impl SourceKind {
    /// The path of its file or files.
    #[must_use]
    pub const fn path(&self) -> &PathBuf {
        match self {
            Self::Csv { path, .. }
            | Self::Parquet { path }
            | Self::Json { path, .. }
            | Self::Duckdb { path }
            | Self::Sqlite { path } => path,
        }
    }

    /// Whether it is a database of its own with tables, rather than one relation.
    #[must_use]
    pub const fn is_database(&self) -> bool {
        matches!(self, Self::Duckdb { .. } | Self::Sqlite { .. })
    }

    const fn path_mut(&mut self) -> &mut PathBuf {
        match self {
            Self::Csv { path, .. }
            | Self::Parquet { path }
            | Self::Json { path, .. }
            | Self::Duckdb { path }
            | Self::Sqlite { path } => path,
        }
    }

    fn columns(&self) -> Option<&IndexMap<String, String>> {
        match self {
            Self::Csv { columns, .. } | Self::Json { columns, .. } => Some(columns),
            _ => None,
        }
    }
}

/// Names that mean something else in a run's database.
const RESERVED: [&str; 8] = [
    "ledger",
    "model",
    "main",
    "memory",
    "system",
    "temp",
    "information_schema",
    "pg_catalog",
];

/// Checks a source's content and makes its path absolute.
pub(super) fn check(mut kind: SourceKind, name: &str, root: &Path, review: &mut Review<'_>) -> Option<Source> {
    if RESERVED.contains(&name) {
        let reserved = suggest::choices(RESERVED, "and").unwrap_or_default();
        review.note_with_help(
            "",
            format!("a source cannot be named `{name}`"),
            format!("rename the file; {reserved} have a meaning of their own in SQL"),
        );
    }
    let written = kind.path().to_string_lossy().into_owned();
    if written.is_empty() {
        review.note("path", "is empty");
    } else if written.contains("://") {
        review.note_with_help(
            "path",
            format!("found `{written}`; sources are read from files"),
            "give a path",
        );
    } else if kind.is_database() && written.contains(['*', '?']) {
        review.note("path", format!("found `{written}`; a database is one file, not a glob"));
    }
    for (column, data_type) in kind.columns().into_iter().flatten() {
        if column.is_empty() || data_type.trim().is_empty() {
            review.note(
                &join_name("columns", column),
                "a column needs a name and a type, as `year: INTEGER`",
            );
        }
    }
    let path = kind.path_mut();
    *path = root.join(&*path);
    review.found.is_empty().then(|| Source {
        name: name.to_owned(),
        file: review.file.to_owned(),
        kind,
        marks: review.marks.clone(),
    })
}
