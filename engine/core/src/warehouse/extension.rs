//! DuckDB's extensions: loaded from folders that we are told, or from where DuckDB keeps what it installed. Nothing is ever
//! fetched.

use std::path::{Path, PathBuf};

use super::error::WarehouseError;
use super::{Connection, quote};

/// Loads an extension unless it is built in. `DUCKDB_LIB_DIR`, as it was when this was compiled, is looked into too: it is
/// where the workspace's set-up puts extensions.
pub fn load(connection: &Connection, name: &str, folders: &[PathBuf]) -> Result<(), WarehouseError> {
    let loaded = format!(
        "SELECT loaded FROM duckdb_extensions() WHERE extension_name = {}",
        quote::text(name)
    );
    if connection.scalar::<bool>(&loaded)? == Some(true) {
        return Ok(());
    }
    let file_name = format!("{name}.duckdb_extension");
    let linked = option_env!("DUCKDB_LIB_DIR").map(|folder| Path::new(folder).join("extensions"));
    let mut looked = folders.iter().cloned().chain(linked);
    let file = looked.find_map(|folder| Some(folder.join(&file_name)).filter(|file| file.exists()));
    let what = file.map_or_else(|| name.to_owned(), |file| quote::text(&file.to_string_lossy()));
    connection.execute(&format!("LOAD {what}")).map(drop).map_err(|error| {
        let looked: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        let looked = if looked.is_empty() {
            "none is named".to_owned()
        } else {
            looked.join(", ")
        };
        WarehouseError::Database {
            kind: "Extension".to_owned(),
            message: format!(
                "DuckDB's extension `{name}` cannot be loaded; put {file_name} of DuckDB's version into one of the \
                 extension folders ({looked}), or run `INSTALL {name}` in DuckDB once: {error}"
            ),
            position: None,
        }
    })
}
