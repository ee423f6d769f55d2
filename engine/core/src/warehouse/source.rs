//! Sources in SQL: files, here or in object storage, as views over absolute paths; databases attached read-only.
//!
//! Text files say nothing of types, so every column of theirs has one that is declared, or was pinned by an earlier run,
//! or is found out now and told to the run, which pins it (rule 16). A row that does not fit is an error of the query.

mod csv;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::connection::Connection;
use super::error::{self, WarehouseError};
use super::{Column, Secrets, Shape, Warehouse, extension, quote, storage};
use crate::project::source::{Source, SourceKind};

pub(super) use csv::MOVED;

/// DuckDB's extension that reads SQLite.
const SQLITE: &str = "sqlite_scanner";

impl Warehouse {
    /// Declares sources, before the lock-down: each one a relation or a catalog of its own name. `pinned` has the types
    /// that earlier runs found, by source. Gives those of every text source, to be pinned.
    ///
    /// # Errors
    /// A file that is missing or locked (both may pass), or cannot be read as what it is declared to be.
    pub fn attach_sources(
        &mut self,
        sources: &[&Source],
        pinned: &BTreeMap<String, Vec<Column>>,
    ) -> Result<BTreeMap<String, Vec<Column>>, WarehouseError> {
        let connection = self.connect()?;
        let mut found = BTreeMap::new();
        for source in sources {
            let pinned = pinned.get(&source.name).map_or(&[][..], Vec::as_slice);
            let columns = self
                .attach_source(&connection, source, pinned)
                .map_err(|error| of_source(source, self.secrets_of(source), error))?;
            if let Some(columns) = columns {
                found.insert(source.name.clone(), columns);
            }
        }
        Ok(found)
    }

    fn attach_source(
        &mut self,
        connection: &Connection,
        source: &Source,
        pinned: &[Column],
    ) -> Result<Option<Vec<Column>>, WarehouseError> {
        let Some(path) = source.kind.path() else {
            return self.attach_server(connection, source).map(|()| None);
        };
        let name = quote::identifier(&source.name);
        match (source.kind.storage(), glob_folder(path)) {
            (Some(storage), _) => self.open_storage(connection, source, storage, &path.to_string_lossy())?,
            (None, Some(folder)) => {
                check_present(connection, source, path)?;
                self.folders.push(folder);
            }
            (None, None) => {
                check_present(connection, source, path)?;
                self.files.push(path.clone());
            }
        }
        let location = quote::text(&path.to_string_lossy());
        let (relation, columns) = match &source.kind {
            SourceKind::Csv { .. } => match csv::relation(connection, &source.kind, pinned)? {
                Some((relation, columns)) => (relation, Some(columns)),
                None => return Err(missing(source, path)),
            },
            SourceKind::Json { columns, .. } => {
                let found = describe(connection, &format!("read_json({location})"))?;
                let columns = with_absent(typed(found, columns, pinned), columns, pinned);
                (
                    format!("read_json({location}, columns = {})", struct_of(&columns)),
                    Some(columns),
                )
            }
            SourceKind::Parquet { .. } => (format!("read_parquet({location})"), None),
            SourceKind::Duckdb { .. } => {
                connection.execute(&format!("ATTACH {location} AS {name} (TYPE duckdb, READ_ONLY)"))?;
                self.sources.insert(source.name.clone(), Shape::Catalog);
                return Ok(None);
            }
            SourceKind::Sqlite { .. } => {
                extension::load(connection, SQLITE, &self.options.extension_dirs)?;
                connection.execute(&format!("ATTACH {location} AS {name} (TYPE sqlite, READ_ONLY)"))?;
                self.sources.insert(source.name.clone(), Shape::Catalog);
                return Ok(None);
            }
            SourceKind::Postgres { .. } | SourceKind::Mysql { .. } => return Ok(None),
        };
        connection.execute(&format!("CREATE VIEW main.{name} AS SELECT * FROM {relation}"))?;
        self.sources.insert(source.name.clone(), Shape::Relation);
        Ok(columns)
    }
}

/// The folder that a glob's files are in or below; nothing for a path without one.
fn glob_folder(path: &Path) -> Option<PathBuf> {
    let is_glob = |part: &std::ffi::OsStr| part.to_string_lossy().contains(['*', '?', '[']);
    path.iter()
        .any(is_glob)
        .then(|| path.iter().take_while(|part| !is_glob(part)).collect())
}

fn check_present(connection: &Connection, source: &Source, path: &Path) -> Result<(), WarehouseError> {
    let present = if glob_folder(path).is_some() {
        let files = format!("SELECT count(*) FROM glob({})", quote::text(&path.to_string_lossy()));
        connection.scalar::<u64>(&files)?.is_some_and(|count| count > 0)
    } else {
        path.exists()
    };
    if present { Ok(()) } else { Err(missing(source, path)) }
}

fn missing(source: &Source, path: &Path) -> WarehouseError {
    WarehouseError::Missing {
        source_name: source.name.clone(),
        path: path.to_owned(),
    }
}

/// Names and types of a relation's columns, as DuckDB finds them out.
fn describe(connection: &Connection, relation: &str) -> Result<Vec<Column>, WarehouseError> {
    connection.query_rows(&format!("DESCRIBE SELECT * FROM {relation}"), |row| {
        Ok(Column {
            name: row.get(0)?,
            data_type: row.get(1)?,
        })
    })
}

/// The columns that were found, each with the type that is declared, else pinned, else found.
fn typed(found: Vec<Column>, declared: &IndexMap<String, String>, pinned: &[Column]) -> Vec<Column> {
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    let with_type = |column: Column| {
        let declared = declared
            .iter()
            .find(|(name, _)| same(name, &column.name))
            .map(|(_, data_type)| data_type);
        let pinned = pinned
            .iter()
            .find(|pinned| same(&pinned.name, &column.name))
            .map(|pinned| &pinned.data_type);
        let data_type = declared.or(pinned).cloned().unwrap_or(column.data_type);
        Column {
            name: column.name,
            data_type,
        }
    };
    found.into_iter().map(with_type).collect()
}

/// Members that today's JSON does not have, but may have tomorrow.
fn with_absent(mut columns: Vec<Column>, declared: &IndexMap<String, String>, pinned: &[Column]) -> Vec<Column> {
    let declared = declared.iter().map(|(name, data_type)| Column {
        name: name.clone(),
        data_type: data_type.clone(),
    });
    for column in declared.chain(pinned.iter().cloned()) {
        if !columns
            .iter()
            .any(|other| other.name.eq_ignore_ascii_case(&column.name))
        {
            columns.push(column);
        }
    }
    columns
}

/// Something that is wrong with a source's file.
fn fault(message: String) -> WarehouseError {
    WarehouseError::Database {
        kind: "Source".to_owned(),
        message,
        position: None,
    }
}

fn struct_of(columns: &[Column]) -> String {
    let fields = columns
        .iter()
        .map(|column| format!("{}: {}", quote::text(&column.name), quote::text(&column.data_type)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
}

/// Names the source that an error is about.
fn of_source(source: &Source, secrets: &Secrets, error: WarehouseError) -> WarehouseError {
    let source_name = source.name.clone();
    let WarehouseError::Database { message, .. } = error else {
        return error;
    };
    match source.kind.path().cloned() {
        Some(path) if error::is_missing(&message) => WarehouseError::Missing { source_name, path },
        Some(path) if error::is_locked(&message) => WarehouseError::Locked {
            source_name,
            path,
            message,
        },
        Some(_) if source.kind.storage().is_some() => storage::refused(source, secrets, &message),
        _ => WarehouseError::Source { source_name, message },
    }
}

/// DuckDB's message without the secrets that may be in the statement that it is about.
pub(super) fn masked(message: &str, secrets: &Secrets) -> String {
    let mut message = message.to_owned();
    for (name, secret) in secrets {
        let value = secret.expose();
        // In a connection string, in SQL, and as it is.
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
        for spelling in [escaped, value.replace('\'', "''"), value.to_owned()] {
            message = message.replace(&spelling, &format!("{{secret.{name}}}"));
        }
    }
    message
}

#[cfg(test)]
mod tests;
