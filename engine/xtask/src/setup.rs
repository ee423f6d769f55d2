//! What the workspace needs and a fresh machine does not have, each with one line that says what is done.
//!
//! Everything is fetched by the ordinary clients of package registries, pinned by checksum where the registry's own
//! signature does not vouch for it, and kept in the [`Cache`]; the checkout gets links under `target/native`.

mod debian;
mod duckdb;
mod extension;
mod guest;
mod server;
mod wheel;

use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::cache::Cache;
pub use guest::TARGET;

/// Does everything that is missing.
pub fn all(root: &Path) -> Result<()> {
    native(root)?;
    sources(root)?;
    compiler().map(drop)
}

/// Does what the engine needs: the DuckDB library and its extensions.
pub fn native(root: &Path) -> Result<()> {
    let cache = Cache::locate()?;
    let native = root.join("target/native");
    duckdb::ready(&cache, &native)?;
    extension::ready("sqlite_scanner", &cache, &native)
}

/// Gets the extensions for sources that the demo does not have.
pub fn sources(root: &Path) -> Result<()> {
    let (cache, native) = (Cache::locate()?, root.join("target/native"));
    for name in ["postgres_scanner", "mysql_scanner", "httpfs"] {
        extension::ready(name, &cache, &native)?;
    }
    Ok(())
}

/// Gets the servers that only tests need.
pub fn servers(root: &Path) -> Result<()> {
    let (cache, native) = (Cache::locate()?, root.join("target/native"));
    server::postgres(&cache, &native)?;
    server::mariadb(&cache, &native)
}

/// Does what plugins need, and gives the compiler for them.
pub fn compiler() -> Result<guest::Compiler> {
    guest::ready(&Cache::locate()?)
}

/// The line about one thing that takes time: says what is done, then how long it took.
struct Step {
    started: Instant,
    finished: bool,
}

impl Step {
    fn start(what: &str) -> Step {
        print!("setup: {what} …");
        // That the terminal is gone is no reason to stop.
        let _ = io::stdout().flush();
        Step {
            started: Instant::now(),
            finished: false,
        }
    }

    fn done(mut self) {
        self.finished = true;
        println!(" {:.1} s", self.started.elapsed().as_secs_f64());
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.finished {
            println!(" failed");
        }
    }
}
