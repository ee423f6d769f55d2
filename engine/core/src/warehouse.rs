//! DuckDB: one in-memory instance per run, with the ledger and the sources attached.
//!
//! A [`Warehouse`] is opened, gets the ledger and the sources, and is locked down; from then on a model's SQL, which
//! is a stranger's, can reach nothing but its sources (see [`gate`]). This module knows no sync and no ledger's
//! content.

pub mod append;
mod canonical;
mod condition;
pub mod connection;
pub mod error;
mod extension;
mod fault;
mod function;
pub mod gate;
mod iso;
mod json;
mod json_scan;
mod pending;
pub mod quote;
pub mod rows;
mod server;
mod source;
mod storage;
mod vector;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use append::{Appender, Value};
pub use canonical::HASH_SCHEME;
pub(crate) use condition::Condition;
pub use connection::{Connection, Interrupter, Progress};
pub use error::WarehouseError;
pub use gate::SqlError;
pub(crate) use json::hex;
pub use rows::{Cell, FromCell, Row, Rows};

use serde::{Deserialize, Serialize};

use crate::project::source::Source;
use crate::secret::Secret;
use connection::Database;
use server::Server;

/// The secrets of a source, by name.
pub type Secrets = BTreeMap<String, Secret>;

/// The catalog that the ledger is attached as.
pub const LEDGER: &str = "ledger";

/// What an instance may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarehouseOptions {
    /// Memory for queries. What does not fit goes to `temp_dir`. No cap on a single value.
    pub memory_limit_bytes: u64,
    /// Threads that a query works on, at least 1.
    pub threads: usize,
    /// Where queries put what does not fit into memory. Made when first needed.
    pub temp_dir: PathBuf,
    /// Folders in which DuckDB's extensions are looked for, before DuckDB's own.
    pub extension_dirs: Vec<PathBuf>,
}

/// A column of a query or source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as DuckDB writes it, such as `DECIMAL(10,2)`.
    #[serde(rename = "type")]
    pub data_type: String,
}

/// An in-memory instance of DuckDB.
pub struct Warehouse {
    database: Arc<Database>,
    options: WarehouseOptions,
    /// The sources that are attached, by name.
    sources: BTreeMap<String, Shape>,
    /// The secrets of sources, by source.
    secrets: BTreeMap<String, Secrets>,
    /// The object storage that sources are in.
    storages: Vec<storage::Opened>,
    /// Files and folders that sources are read from after the lock-down.
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

/// How a source appears in SQL.
enum Shape {
    /// As one relation of the source's name.
    Relation,
    /// As a catalog of the source's name, with tables.
    Catalog,
    /// As a catalog of the source's name, with those of a server's tables that the model names.
    Server(Server),
}

impl Warehouse {
    /// Opens an instance with our functions and settings. It can still read files, until it is locked down.
    ///
    /// # Errors
    /// What DuckDB says.
    pub fn open(options: &WarehouseOptions) -> Result<Self, WarehouseError> {
        let database = Database::open()?;
        let connection = database.connect()?;
        // Time zones; a library compiled from the crate's sources has no ICU inside.
        extension::load(&connection, "icu", &options.extension_dirs)?;
        connection.execute(&settings(options))?;
        function::register(&connection)?;
        condition::register(&connection, connection.condition())?;
        Ok(Self {
            database,
            options: options.clone(),
            sources: BTreeMap::new(),
            secrets: BTreeMap::new(),
            storages: Vec::new(),
            files: Vec::new(),
            folders: Vec::new(),
        })
    }

    /// Attaches a ledger's file as the catalog [`LEDGER`], created where there is none unless only read.
    ///
    /// # Errors
    /// What DuckDB says, for example that another process has it.
    pub fn attach_ledger(&self, path: &Path, read_only: bool) -> Result<(), WarehouseError> {
        let path = quote::text(&path.to_string_lossy());
        let mode = if read_only {
            " (TYPE duckdb, READ_ONLY)"
        } else {
            " (TYPE duckdb)"
        };
        self.connect()?.execute(&format!("ATTACH {path} AS {LEDGER}{mode}"))?;
        Ok(())
    }

    /// Writes the ledger's tables to another file, which must not be there, and which has nothing but them.
    ///
    /// # Errors
    /// What DuckDB says.
    pub fn copy_ledger(&self, to: &Path) -> Result<(), WarehouseError> {
        let path = quote::text(&to.to_string_lossy());
        self.connect()?.execute(&format!(
            "ATTACH {path} AS anew (TYPE duckdb); COPY FROM DATABASE {LEDGER} TO anew; DETACH anew"
        ))?;
        Ok(())
    }

    /// Detaches the ledger: its file is closed and unlocked, if no other connection has a transaction open on it.
    ///
    /// # Errors
    /// What DuckDB says.
    pub fn detach_ledger(&self) -> Result<(), WarehouseError> {
        self.connect()?.execute(&format!("DETACH {LEDGER}"))?;
        Ok(())
    }

    /// Lets the instance write to a folder also after the lock-down. A model's SQL cannot: it is one SELECT of its sources.
    pub fn let_write(&mut self, folder: &Path) {
        self.folders.push(folder.to_owned());
    }

    /// Ends what the instance may do outside: from now on it reads the sources' files and nothing else, and no setting
    /// changes any more.
    ///
    /// # Errors
    /// What DuckDB says.
    pub fn lock_down(&self) -> Result<(), WarehouseError> {
        let list = |paths: &[PathBuf]| {
            let paths: Vec<_> = paths.iter().map(|path| quote::text(&path.to_string_lossy())).collect();
            format!("[{}]", paths.join(", "))
        };
        self.connect()?.execute(&format!(
            "SET GLOBAL allowed_paths = {files};
             SET GLOBAL allowed_directories = {folders};
             SET GLOBAL enable_external_access = false;
             SET GLOBAL lock_configuration = true;",
            files = list(&self.files),
            folders = list(&self.folders),
        ))?;
        Ok(())
    }

    /// A connection of its own to the instance.
    ///
    /// # Errors
    /// When DuckDB gives none.
    pub fn connect(&self) -> Result<Connection, WarehouseError> {
        self.database.connect()
    }

    /// Hands over the secrets of sources, by source, for when they are attached.
    pub fn entrust(&mut self, secrets: BTreeMap<String, Secrets>) {
        self.secrets = secrets;
    }

    fn secrets_of(&self, source: &Source) -> &Secrets {
        static NONE: Secrets = Secrets::new();
        self.secrets.get(&source.name).unwrap_or(&NONE)
    }

    /// Stops what runs on the instance.
    #[must_use]
    pub fn interrupter(&self) -> Interrupter {
        self.database.interrupter()
    }
}

/// The settings of an instance, in an order that works: what locks comes last, in [`Warehouse::lock_down`].
///
/// Rows keep their order: the first ones, by which a text source's types are found, are then the same whenever they are
/// looked at, and a table of many rows is written as they come. Without order each thread keeps rows of its own, and at
/// the memory limit they are written to the temporary folder and read again, at twice the cost.
fn settings(options: &WarehouseOptions) -> String {
    format!(
        "SET GLOBAL TimeZone = 'UTC';
         SET GLOBAL errors_as_json = true;
         SET GLOBAL threads = {threads};
         SET GLOBAL memory_limit = '{memory}B';
         SET GLOBAL temp_directory = {temp};
         SET GLOBAL preserve_insertion_order = true;
         SET GLOBAL disabled_compression_methods = 'dictionary';
         SET GLOBAL autoinstall_known_extensions = false;
         SET GLOBAL autoload_known_extensions = false;
         SET GLOBAL allow_community_extensions = false;
         SET GLOBAL allow_persistent_secrets = false;",
        threads = options.threads.max(1),
        memory = options.memory_limit_bytes,
        temp = quote::text(&options.temp_dir.to_string_lossy()),
    )
}

#[cfg(test)]
mod tests;
