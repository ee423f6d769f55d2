//! Sources in SQL: files as views over absolute paths, databases attached read-only.
//!
//! Text files say nothing of types, so every column of theirs has one that is declared, or was pinned by an earlier run,
//! or is found out now and told to the run, which pins it (rule 16). A row that does not fit is an error of the query.

mod csv;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::connection::Connection;
use super::error::{self, WarehouseError};
use super::{Column, Shape, Warehouse, extension, quote};
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
                .map_err(|error| of_source(source, error))?;
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
        let (name, path) = (quote::identifier(&source.name), source.kind.path());
        check_present(connection, source)?;
        let location = quote::text(&path.to_string_lossy());
        let (relation, columns) = match &source.kind {
            SourceKind::Csv { .. } => match csv::relation(connection, &source.kind, pinned)? {
                Some((relation, columns)) => (relation, Some(columns)),
                None => return Err(missing(source)),
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
                return self.attached(source);
            }
            SourceKind::Sqlite { .. } => {
                extension::load(connection, SQLITE, &self.options.extension_dirs)?;
                connection.execute(&format!("ATTACH {location} AS {name} (TYPE sqlite, READ_ONLY)"))?;
                return self.attached(source);
            }
        };
        connection.execute(&format!("CREATE VIEW main.{name} AS SELECT * FROM {relation}"))?;
        match glob_folder(path) {
            Some(folder) => self.folders.push(folder),
            None => self.files.push(path.clone()),
        }
        self.sources.insert(source.name.clone(), Shape::Relation);
        Ok(columns)
    }

    fn attached(&mut self, source: &Source) -> Result<Option<Vec<Column>>, WarehouseError> {
        self.files.push(source.kind.path().clone());
        self.sources.insert(source.name.clone(), Shape::Catalog);
        Ok(None)
    }
}

/// The folder that a glob's files are in or below; nothing for a path without one.
fn glob_folder(path: &Path) -> Option<PathBuf> {
    let is_glob = |part: &std::ffi::OsStr| part.to_string_lossy().contains(['*', '?', '[']);
    path.iter()
        .any(is_glob)
        .then(|| path.iter().take_while(|part| !is_glob(part)).collect())
}

fn check_present(connection: &Connection, source: &Source) -> Result<(), WarehouseError> {
    let path = source.kind.path();
    let present = if glob_folder(path).is_some() {
        let files = format!("SELECT count(*) FROM glob({})", quote::text(&path.to_string_lossy()));
        connection.scalar::<u64>(&files)?.is_some_and(|count| count > 0)
    } else {
        path.exists()
    };
    if present { Ok(()) } else { Err(missing(source)) }
}

fn missing(source: &Source) -> WarehouseError {
    WarehouseError::Missing {
        source_name: source.name.clone(),
        path: source.kind.path().clone(),
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
fn of_source(source: &Source, error: WarehouseError) -> WarehouseError {
    let (source_name, path) = (source.name.clone(), source.kind.path().clone());
    match error {
        WarehouseError::Database { message, .. } if error::is_missing(&message) => {
            WarehouseError::Missing { source_name, path }
        }
        WarehouseError::Database { message, .. } if error::is_locked(&message) => WarehouseError::Locked {
            source_name,
            path,
            message,
        },
        WarehouseError::Database { message, .. } => WarehouseError::Source { source_name, message },
        other => other,
    }
}

#[cfg(test)]
mod tests;
