//! Sources that are database servers.
//!
//! A server's tables are described when it is attached, and read by queries of ours that run on the server: it casts what
//! DuckDB's reader would lose or misread, and everything that a statement reads comes from one transaction there. While
//! a model is checked, empty tables stand in for those that it names, so that checking asks the server nothing; then
//! [`Warehouse::serve`] puts the queries in their place.

mod mysql;
mod postgres;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::connection::Connection;
use super::error::WarehouseError;
use super::{Shape, Warehouse, extension, quote};
use crate::project::source::{Source, SourceKind};

/// A table's place in a source: schema and name, in lower case.
pub(super) type Place = (String, String);

/// The schema that a table is in where a model names only source and table.
const MAIN: &str = "main";

/// A server that is attached.
pub(super) struct Server {
    /// The catalog through which DuckDB asks the server. No model can name it.
    link: String,
    asks: Asks,
    /// Its tables. Nothing where several have the same name but for upper and lower case.
    tables: BTreeMap<Place, Option<Arc<Table>>>,
    /// Those of them for which an empty table stands in. Kept here, because DuckDB would ask the server for its tables too
    /// when it is asked for its own.
    standing: Mutex<BTreeSet<Place>>,
}

/// How DuckDB asks a server.
#[derive(Clone, Copy)]
struct Asks {
    /// Its function.
    function: &'static str,
    /// What the function must be told so that all that is asked in a transaction of DuckDB's is of one transaction there;
    /// nothing where it is anyway. It then gets all rows at once, whenever a statement is made, so they are kept.
    in_one_transaction: Option<&'static str>,
}

/// A table, or view, of a server.
struct Table {
    /// How the server names it in SQL.
    remote: String,
    columns: Vec<ServerColumn>,
}

/// A column of a table of a server.
struct ServerColumn {
    name: String,
    /// Its type in DuckDB.
    data_type: String,
    /// What the server computes for it, in the server's SQL.
    remote: String,
}

/// A row of a server's description of itself: a column, in the order of schema, table and position.
struct Described {
    schema: String,
    table: String,
    /// How the server names the table in SQL.
    remote: String,
    column: ServerColumn,
}

impl Server {
    fn new(link: String, asks: Asks, main: &str, described: Vec<Described>) -> Self {
        let mut tables: BTreeMap<(String, String), Table> = BTreeMap::new();
        for Described {
            schema,
            table,
            remote,
            column,
        } in described
        {
            let columns = Vec::new();
            let entry = tables.entry((schema, table)).or_insert(Table { remote, columns });
            entry.columns.push(column);
        }
        let mut places = BTreeMap::new();
        let mut put = |schema: &str, table: &str, content: &Arc<Table>| {
            places
                .entry((schema.to_ascii_lowercase(), table.to_ascii_lowercase()))
                .and_modify(|several| *several = None)
                .or_insert_with(|| Some(Arc::clone(content)));
        };
        for ((schema, table), content) in tables {
            let content = Arc::new(content);
            if schema == main {
                put(MAIN, &table, &content);
            }
            if schema != MAIN {
                put(&schema, &table, &content);
            }
        }
        Self {
            link,
            asks,
            tables: places,
            standing: Mutex::default(),
        }
    }

    fn standing(&self) -> MutexGuard<'_, BTreeSet<Place>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The places of its tables that can be told apart.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        let known = self.tables.iter().filter(|(_, table)| table.is_some());
        known.map(|(place, _)| place)
    }
}

impl Warehouse {
    /// Attaches the database of a server, and reads which tables it has.
    pub(super) fn attach_server(&mut self, connection: &Connection, source: &Source) -> Result<(), WarehouseError> {
        let secrets = self.secrets_of(source);
        let server = match &source.kind {
            SourceKind::Postgres { .. } => {
                extension::load(connection, postgres::EXTENSION, &self.options.extension_dirs)?;
                postgres::attach(connection, source, secrets)?
            }
            SourceKind::Mysql { .. } => {
                extension::load(connection, mysql::EXTENSION, &self.options.extension_dirs)?;
                mysql::attach(connection, source, secrets)?
            }
            _ => return Ok(()),
        };
        connection.execute(&format!("ATTACH ':memory:' AS {}", quote::identifier(&source.name)))?;
        self.sources.insert(source.name.clone(), Shape::Server(server));
        Ok(())
    }

    /// Makes empty tables for those that a model names: of the source of that name, at these places.
    pub(super) fn stand_in(
        &self,
        connection: &Connection,
        named: &BTreeSet<(String, String, String)>,
    ) -> Result<(), WarehouseError> {
        for (source, server) in self.servers() {
            let catalog = quote::identifier(source);
            for (place, table) in &server.tables {
                let (schema, name) = place;
                let full = (source.to_ascii_lowercase(), schema.clone(), name.clone());
                let (true, Some(table)) = (named.contains(&full), table) else {
                    continue;
                };
                let (schema, name) = (quote::identifier(schema), quote::identifier(name));
                let columns = table
                    .columns
                    .iter()
                    .map(|column| format!("{} {}", quote::identifier(&column.name), column.data_type));
                connection.execute(&format!(
                    "CREATE SCHEMA IF NOT EXISTS {catalog}.{schema};
                     CREATE TABLE IF NOT EXISTS {catalog}.{schema}.{name} ({})",
                    columns.collect::<Vec<_>>().join(", ")
                ))?;
                server.standing().insert(place.clone());
            }
        }
        Ok(())
    }

    /// Puts the servers' rows in the place of the empty tables that stood in for them while the model was checked.
    ///
    /// # Errors
    /// A server that is away, or whose table is gone.
    pub fn serve(&self) -> Result<(), WarehouseError> {
        let mut connection = self.connect()?;
        for (source, server) in self.servers() {
            let standing = std::mem::take(&mut *server.standing());
            connection.transaction(|connection| server.put(connection, source, &standing))?;
        }
        Ok(())
    }

    fn servers(&self) -> impl Iterator<Item = (&String, &Server)> {
        self.sources.iter().filter_map(|(name, shape)| match shape {
            Shape::Server(server) => Some((name, server)),
            _ => None,
        })
    }
}

impl Server {
    /// Puts the rows of tables in the place of those that stand in for them: as they will be when they are read, or, where
    /// several can be of one moment only so, as they are now.
    fn put(&self, connection: &Connection, source: &str, standing: &BTreeSet<Place>) -> Result<(), WarehouseError> {
        let together = self.asks.in_one_transaction.filter(|_| standing.len() > 1);
        let kind = if together.is_some() { "TABLE" } else { "VIEW" };
        for place in standing {
            let Some(Some(table)) = self.tables.get(place) else {
                continue;
            };
            let (schema, name) = (quote::identifier(&place.0), quote::identifier(&place.1));
            let full = format!("{}.{schema}.{name}", quote::identifier(source));
            let rows = self.select(table, together);
            connection.execute(&format!("DROP TABLE {full}; CREATE {kind} {full} AS {rows}"))?;
        }
        Ok(())
    }

    /// The rows of a table, as DuckDB gets them.
    fn select(&self, table: &Table, told: Option<&str>) -> String {
        let remote = table
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| format!("{} AS c{index}", column.remote));
        let query = format!("SELECT {} FROM {}", remote.collect::<Vec<_>>().join(", "), table.remote);
        let local = table.columns.iter().enumerate().map(|(index, column)| {
            format!(
                "CAST(c{index} AS {}) AS {}",
                column.data_type,
                quote::identifier(&column.name)
            )
        });
        format!(
            "SELECT {} FROM {}({}, {}{})",
            local.collect::<Vec<_>>().join(", "),
            self.asks.function,
            quote::text(&self.link),
            quote::text(&query),
            told.map(|told| format!(", {told}")).unwrap_or_default()
        )
    }
}

/// The name of the catalog through which a source's server is asked.
fn link_of(source: &Source) -> String {
    // A source's name has no such characters, so none has this one.
    format!("server of {}", source.name)
}
