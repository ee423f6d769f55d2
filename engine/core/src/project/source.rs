//! `sources/*.yml`: where models read from.

mod server;
mod storage;

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::diagnostic::Diagnostic;
use super::marks::{Marks, join_name};
use super::review::{self, Review};
use super::suggest;
use crate::secret::SecretSource;

pub use server::{MysqlSslMode, ServerSecrets, SslMode};
pub use storage::{Storage, StorageSecrets};

/// A source of models. In SQL a source of type csv, parquet or json is a relation of the source's name; the others are
/// databases of that name, with `name.table` in it.
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
        /// The object storage that the path is in, where it begins with `s3://`.
        s3: Option<Storage>,
    },
    /// Parquet files.
    Parquet {
        /// The file, or files by a glob such as `data/*.parquet`, relative to the project.
        path: PathBuf,
        /// The object storage that the path is in, where it begins with `s3://`.
        s3: Option<Storage>,
    },
    /// Files of JSON: one value per line, or one array.
    Json {
        /// The file, or files by a glob such as `data/*.json`, relative to the project.
        path: PathBuf,
        /// Types by column, as DuckDB spells them. Columns that are not named get the type that the first run found.
        #[serde(default)]
        columns: IndexMap<String, String>,
        /// The object storage that the path is in, where it begins with `s3://`.
        s3: Option<Storage>,
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
    /// A database of a PostgreSQL server.
    Postgres {
        /// The server's name or address, or the folder of its socket.
        #[schemars(length(min = 1), example = &"db.example.com")]
        host: String,
        /// The server's port.
        #[serde(default = "postgres_port")]
        #[schemars(range(min = 1))]
        port: u16,
        /// The database.
        #[schemars(length(min = 1), example = &"shop")]
        database: String,
        /// Who reads. A user that may do nothing else is best.
        #[schemars(length(min = 1), example = &"outflow")]
        user: String,
        /// The schema whose tables a model names as `name.table`; those of others are `name.schema.table`.
        #[serde(default = "postgres_schema")]
        #[schemars(length(min = 1))]
        schema: String,
        /// Whether the connection is encrypted, and how much of the server's certificate is checked.
        #[serde(default)]
        sslmode: SslMode,
        /// The file of the certificates that the server's is checked against, relative to the project.
        sslrootcert: Option<PathBuf>,
        /// What must not be in the file itself.
        #[serde(default)]
        secrets: ServerSecrets,
    },
    /// A database of a MySQL or MariaDB server.
    Mysql {
        /// The server's name or address, or the path of its socket.
        #[schemars(length(min = 1), example = &"db.example.com")]
        host: String,
        /// The server's port.
        #[serde(default = "mysql_port")]
        #[schemars(range(min = 1))]
        port: u16,
        /// The database whose tables a model names as `name.table`; those of others are `name.database.table`.
        #[schemars(length(min = 1), example = &"shop")]
        database: String,
        /// Who reads. A user that may do nothing else is best.
        #[schemars(length(min = 1), example = &"outflow")]
        user: String,
        /// Whether the connection is encrypted, and how much of the server's certificate is checked.
        #[serde(default)]
        ssl_mode: MysqlSslMode,
        /// The file of the certificates that the server's is checked against, relative to the project.
        ssl_ca: Option<PathBuf>,
        /// What must not be in the file itself.
        #[serde(default)]
        secrets: ServerSecrets,
    },
}

const fn postgres_port() -> u16 {
    5432
}

const fn mysql_port() -> u16 {
    3306
}

fn postgres_schema() -> String {
    "public".to_owned()
}

impl Source {
    /// A diagnostic about a field of the file, as `secrets.password`.
    #[must_use]
    pub fn diagnostic(&self, field: &str, message: impl Into<String>) -> Diagnostic {
        review::value_at_fault(&self.file, &self.marks, field, message)
    }
}

impl SourceKind {
    /// The path of its file or files, if it has one.
    #[must_use]
    pub const fn path(&self) -> Option<&PathBuf> {
        match self {
            Self::Csv { path, .. }
            | Self::Parquet { path, .. }
            | Self::Json { path, .. }
            | Self::Duckdb { path }
            | Self::Sqlite { path } => Some(path),
            Self::Postgres { .. } | Self::Mysql { .. } => None,
        }
    }

    /// Its secrets, by the field that says where each comes from.
    #[must_use]
    pub fn secrets(&self) -> Vec<(&'static str, &SecretSource)> {
        match self {
            Self::Postgres { secrets, .. } | Self::Mysql { secrets, .. } => {
                let password = secrets.password.iter();
                password.map(|source| ("secrets.password", source)).collect()
            }
            _ => self.storage().map_or_else(Vec::new, Storage::secrets),
        }
    }

    /// The object storage that its files are in.
    #[must_use]
    pub const fn storage(&self) -> Option<&Storage> {
        match self {
            Self::Csv { s3, .. } | Self::Parquet { s3, .. } | Self::Json { s3, .. } => s3.as_ref(),
            _ => None,
        }
    }

    /// The path in it that is relative to the project in its file.
    fn path_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            _ if self.storage().is_some() => None,
            Self::Csv { path, .. }
            | Self::Parquet { path, .. }
            | Self::Json { path, .. }
            | Self::Duckdb { path }
            | Self::Sqlite { path } => Some(path),
            Self::Postgres { sslrootcert, .. } => sslrootcert.as_mut(),
            Self::Mysql { ssl_ca, .. } => ssl_ca.as_mut(),
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
    if let Some(path) = kind.path() {
        check_path(&kind, &path.to_string_lossy(), review);
    }
    for (secret, source) in kind.secrets() {
        if let Some(field) = source.empty_field() {
            review.note(&format!("{secret}.{field}"), "is empty");
        }
    }
    for (column, data_type) in kind.columns().into_iter().flatten() {
        if column.is_empty() || data_type.trim().is_empty() {
            review.note(
                &join_name("columns", column),
                "a column needs a name and a type, as `year: INTEGER`",
            );
        }
    }
    if let Some(path) = kind.path_mut() {
        *path = root.join(&*path);
    }
    review.found.is_empty().then(|| Source {
        name: name.to_owned(),
        file: review.file.to_owned(),
        kind,
        marks: review.marks.clone(),
    })
}

fn check_path(kind: &SourceKind, written: &str, review: &mut Review<'_>) {
    let is_database = matches!(kind, SourceKind::Duckdb { .. } | SourceKind::Sqlite { .. });
    if written.is_empty() {
        review.note("path", "is empty");
    } else if let Some(storage) = kind.storage() {
        storage.check(written, review);
    } else if written.starts_with(storage::SCHEME) && !is_database {
        review.note_with_help(
            "path",
            format!("found `{written}`, and nothing says which storage that is in"),
            "add `s3: {region: …}`, with `endpoint` where it is not Amazon's, and its `secrets`",
        );
    } else if written.contains("://") {
        let (read_from, help) = match is_database {
            true => ("databases are read from files", "give a path"),
            false => (
                "sources are read from files and from `s3://`",
                "give a path, or `s3://bucket/path`",
            ),
        };
        review.note_with_help("path", format!("found `{written}`; {read_from}"), help);
    } else if is_database && written.contains(['*', '?']) {
        review.note("path", format!("found `{written}`; a database is one file, not a glob"));
    }
}
