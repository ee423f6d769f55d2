//! Puts the repository's plugins into the binary, and lets it find the DuckDB library when it runs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = root.join("target/plugins");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut plugins: Vec<PathBuf> = fs::read_dir(&folder)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    plugins.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    plugins.sort();
    if plugins.is_empty() {
        println!("cargo::error=there are no plugins in target/plugins: run `cargo xtask setup` once");
        return;
    }
    let mut source = String::from("&[");
    for path in plugins {
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let _ = write!(source, "({name:?}, include_bytes!({:?})),", path.display());
    }
    source.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    if let Err(error) = fs::write(out.join("bundled.rs"), source) {
        println!("cargo::error={}: {error}", out.display());
    }
    link();
}

/// As in the core's build script, for binaries.
fn link() {
    println!("cargo::rerun-if-env-changed=DUCKDB_LIB_DIR");
    let (Some(folder), Some(_)) = (env::var_os("DUCKDB_LIB_DIR"), env::var_os("CARGO_CFG_UNIX")) else {
        return;
    };
    if env::var_os("CARGO_FEATURE_BUNDLED").is_none() {
        println!(
            "cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN,-rpath,{}",
            Path::new(&folder).display()
        );
    }
}
