//! What a model's SQL may do: read its sources, and nothing else.
//!
//! A model is a stranger's SQL that runs in an instance where the ledger is attached. So its syntax tree is walked
//! before DuckDB binds it (binding already opens files and runs some functions): every table must be one of the
//! model's sources or its own `WITH`, every function on a list (see `allowed`). Only then is it bound, which gives names
//! and types, and what DuckDB itself takes for the tables of the query is compared with what the walk saw.

mod allowed;
mod bind;
mod text;
mod tree;
mod walk;

use std::collections::BTreeSet;

use super::connection::Connection;
use super::error::WarehouseError;
use super::quote;
use super::{Column, Shape, Warehouse};
use text::trimmed;
use walk::{Reach, Refusal, Walk};

/// The stack for walking a tree, in bytes: DuckDB takes expressions of 1,000 levels.
const STACK_BYTES: usize = 64 << 20;

/// What is wrong with a model's or a mapping's SQL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// What is wrong, and what would be right.
    pub message: String,
    /// The line in the text that was checked, from 1.
    pub line: Option<u32>,
    /// The column in that line, in characters from 1.
    pub column: Option<u32>,
}

impl SqlError {
    /// At a byte of `text`, if that is known.
    fn at(message: impl Into<String>, text: &str, byte: Option<usize>) -> Self {
        let before = byte.and_then(|byte| text.get(..byte));
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            message: message.into(),
            line: before.map(|before| count(before.matches('\n').count() + 1)),
            column: before.map(|before| count(before.chars().rev().take_while(|c| *c != '\n').count() + 1)),
        }
    }

    /// An error of DuckDB's about `text`, which began at byte `start` of the statement that failed.
    fn of_warehouse(error: WarehouseError, text: &str, start: usize) -> Self {
        match error {
            WarehouseError::Database { message, position, .. } => {
                Self::at(message, text, position.and_then(|position| position.checked_sub(start)))
            }
            other => Self::at(other.to_string(), text, None),
        }
    }
}

/// A model's SQL as a table in a query: in parentheses, on lines of its own, without a final semicolon
/// or what follows it.
#[must_use]
pub fn subquery(model: &str) -> String {
    format!("(\n{}\n)", trimmed(model))
}

impl Warehouse {
    /// Checks that a model's SQL is one SELECT over these sources and nothing else. Gives its columns.
    ///
    /// # Errors
    /// What is refused, or what DuckDB says of it.
    pub fn check_model(&self, model: &str, sources: &[String]) -> Result<Vec<Column>, SqlError> {
        let wrong = |error| SqlError::of_warehouse(error, model, 0);
        let connection = self.connect().map_err(wrong)?;
        let reach = self.reach(&connection, sources).map_err(wrong)?;
        let seen = walk(&connection, model, 0, model, |tree| {
            let mut walk = Walk::new(reach);
            walk.model(tree)?;
            Ok(walk.into_seen())
        })?;
        self.stand_in(&connection, &seen.places).map_err(wrong)?;
        // A second opinion, DuckDB's own. It has none where names alone do not tell (USING).
        let tables = bind::tables(&connection, model).map_err(wrong)?;
        if let Some(table) = tables
            .iter()
            .find(|table| !seen.names.contains(&table.to_ascii_lowercase()))
        {
            return Err(SqlError::at(
                format!("the model reads `{table}`, which is none of its sources"),
                model,
                None,
            ));
        }
        let statement = trimmed(model);
        bind::select(&connection, statement).map_err(wrong)?;
        let columns = describe(&connection, statement).map_err(wrong)?;
        named_apart(&columns).map_err(|message| SqlError::at(message, model, None))?;
        Ok(columns)
    }

    /// Checks that a mapping's SQL is one scalar expression over the columns of a model that has been checked: no
    /// aggregate, window or subquery. Gives the expression's type; its name means nothing.
    ///
    /// # Errors
    /// What is refused, or what DuckDB says of it, with positions in `expression`.
    pub fn check_expression(&self, model: &str, expression: &str) -> Result<Column, SqlError> {
        const ALONE: &str = "SELECT\n";
        const HEAD: &str = "SELECT (\n";
        let connection = self
            .connect()
            .map_err(|error| SqlError::of_warehouse(error, expression, 0))?;
        let alone = format!("{ALONE}{expression}\n");
        walk(&connection, &alone, ALONE.len(), expression, |tree| {
            Walk::new(Reach::default()).expression(tree)
        })?;
        let whole = format!("{HEAD}{expression}\n) FROM {} AS model", subquery(model));
        let wrong = |error| SqlError::of_warehouse(error, expression, HEAD.len());
        bind::select(&connection, &whole).map_err(wrong)?;
        let column = describe(&connection, &whole).map_err(wrong)?.into_iter().next();
        column.ok_or_else(|| SqlError::at("the expression gives nothing", expression, None))
    }

    /// What a model of these sources may name.
    fn reach(&self, connection: &Connection, sources: &[String]) -> Result<Reach, WarehouseError> {
        let mut reach = Reach::default();
        let mut has_files = false;
        for source in sources {
            let name = source.to_ascii_lowercase();
            match self.sources.get(source) {
                Some(Shape::Catalog) => {
                    has_files = true;
                    reach.catalogs.insert(name);
                }
                Some(Shape::Server(server)) => {
                    let places = server.places();
                    reach
                        .tables
                        .extend(places.map(|(schema, table)| (name.clone(), schema.clone(), table.clone())));
                    reach.catalogs.insert(name.clone());
                    reach.servers.insert(name);
                }
                Some(Shape::Relation) | None => {
                    reach.relations.insert(name);
                }
            }
        }
        if has_files {
            let tables = connection.query_rows(
                "SELECT lower(database_name), lower(schema_name), lower(table_name) FROM duckdb_tables() WHERE NOT internal",
                |row| Ok::<_, WarehouseError>((row.get(0)?, row.get(1)?, row.get(2)?)),
            )?;
            reach.tables.extend(tables);
        }
        Ok(reach)
    }
}

/// Parses `statement`, which holds `text` from byte `start` on, and hands its tree to `check`.
fn walk<T: Send>(
    connection: &Connection,
    statement: &str,
    start: usize,
    text: &str,
    check: impl FnOnce(&tree::Node) -> Result<T, Refusal> + Send,
) -> Result<T, SqlError> {
    let wrong =
        |message: String, at: Option<usize>| SqlError::at(message, text, at.and_then(|at| at.checked_sub(start)));
    if statement.contains('\0') {
        return Err(wrong("the SQL holds a zero byte".to_owned(), None));
    }
    let serialized = connection
        .scalar::<String>(&format!(
            "SELECT json_serialize_sql({}::VARCHAR, skip_null := true, skip_empty := true)::VARCHAR",
            quote::text(statement)
        ))
        .map_err(|error| SqlError::of_warehouse(error, text, start))?
        .unwrap_or_default();
    // Trees are as deep as a person likes, and reading them recurses.
    let checked = std::thread::scope(|scope| {
        let work = || {
            let tree = tree::parse(&serialized).map_err(|error| Refusal::new(error.to_string(), None))?;
            check(walk::only_select(&tree)?)
        };
        std::thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work)
            .map(|thread| thread.join())
    });
    match checked {
        Ok(Ok(Ok(value))) => Ok(value),
        Ok(Ok(Err(refusal))) => Err(wrong(refusal.message, refusal.at)),
        Ok(Err(_)) => Err(wrong("the SQL cannot be checked".to_owned(), None)),
        Err(error) => Err(wrong(format!("the SQL cannot be checked: {error}"), None)),
    }
}

/// Names and types of a query's columns. It is not run.
fn describe(connection: &Connection, select: &str) -> Result<Vec<Column>, WarehouseError> {
    connection.query_rows(&format!("DESCRIBE\n{select}"), |row| {
        Ok(Column {
            name: row.get(0)?,
            data_type: row.get(1)?,
        })
    })
}

fn named_apart(columns: &[Column]) -> Result<(), String> {
    let mut names = BTreeSet::new();
    match columns.iter().find(|column| !names.insert(column.name.to_lowercase())) {
        Some(column) => Err(format!(
            "the model has two columns named `{}` (case does not count); give each a name of its own with AS",
            column.name
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
