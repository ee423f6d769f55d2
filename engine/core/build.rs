//! Finds the DuckDB library, and lets the workspace's binaries find it when they run.
//!
//! With the feature `bundled` DuckDB is compiled into the crate and nothing is looked for. Otherwise the library that
//! `cargo xtask setup` fetched is linked; a program that embeds the crate may set `DUCKDB_LIB_DIR` to another place.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-env-changed=DUCKDB_LIB_DIR");
    if std::env::var_os("CARGO_FEATURE_BUNDLED").is_some() {
        return;
    }
    let Some(dir) = std::env::var_os("DUCKDB_LIB_DIR") else {
        return;
    };
    println!("cargo::rerun-if-changed={}", Path::new(&dir).display());
    let names = ["libduckdb.so", "libduckdb.dylib", "duckdb.lib"];
    if !names.iter().any(|name| Path::new(&dir).join(name).exists()) {
        println!(
            "cargo::error=the DuckDB library is not in {}: run `cargo xtask setup` once",
            Path::new(&dir).display()
        );
        return;
    }
    if std::env::var_os("CARGO_CFG_UNIX").is_some() {
        // Beside the binary where it is handed on, and in the place it was linked from where it is built.
        println!(
            "cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN,-rpath,{}",
            Path::new(&dir).display()
        );
    }
}
