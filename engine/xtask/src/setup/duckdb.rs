//! The DuckDB library that the crate `duckdb` is linked with: prebuilt from npm, else compiled from source.
//!
//! No other registry carries one: Debian has no package, and the module in the Python wheel needs an interpreter.

use std::env;
use std::env::consts::{ARCH, OS};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::{Step, extension};
use crate::cache::{self, Cache};
use crate::tool;

/// The version of DuckDB; must be the one that the workspace's pinned crate wraps.
pub const VERSION: &str = "1.5.5";
/// The crate that has DuckDB's sources: encodes the same version.
const SOURCE_CRATE: &str = "1.10505.0";
/// The npm package's version: DuckDB's with the package's revision.
const NPM_VERSION: &str = "1.5.5-r.5";

/// Operating system, architecture, npm's name for both, and the SHA-256 of npm's archive.
const PREBUILT: [(&str, &str, &str, &str); 4] = [
    (
        "linux",
        "x86_64",
        "linux-x64",
        "86d2bda909785550e8a14a57a8a4584827aff0e268d8f1a58c3fd48559f7020e",
    ),
    (
        "linux",
        "aarch64",
        "linux-arm64",
        "3b85f3ea438f7dc3691d7b5e6e4222ffe9127fd17885f96ca72e0c99925c348e",
    ),
    (
        "macos",
        "x86_64",
        "darwin-x64",
        "1266f62ac7c02f7971554a2b0b2c4c19923a97258bfdf1b203873e174e7a28c4",
    ),
    (
        "macos",
        "aarch64",
        "darwin-arm64",
        "08b3cfd7d4d620a5fb67ef49db28551b767107266af3a8e2600e49d99ee59456",
    ),
];

/// CPU time that compiling takes, measured.
const COMPILE_CPU_MINUTES: usize = 49;

/// Puts the library into `native`, unless the environment names another one.
pub fn ready(cache: &Cache, native: &Path) -> Result<()> {
    if let Some(own) = own_library(native)? {
        println!("setup: DuckDB library: {}, which DUCKDB_LIB_DIR names", own.display());
        return Ok(());
    }
    let compiled = cache.get(&compiled_name());
    let prebuilt = match (cache.get(&prebuilt_name()), &compiled) {
        (Some(entry), _) => Some(entry),
        (None, Some(_)) => None,
        (None, None) => prebuilt(cache)?,
    };
    let entry = match (prebuilt, compiled) {
        (Some(entry), _) => entry,
        (None, compiled) => {
            // Asked for first: compiling would take long, and be for nothing.
            extension::required(
                "icu",
                "the sources that DuckDB is compiled from here lack it",
                cache,
                native,
            )?;
            compiled.map_or_else(|| compile(cache), Ok)?
        }
    };
    cache::link(&entry.join(library_name()), &native.join(library_name()))
}

/// The library in the folder that the user set, where it is not the one that this set-up fills.
fn own_library(native: &Path) -> Result<Option<PathBuf>> {
    let Some(dir) = env::var_os("DUCKDB_LIB_DIR")
        .map(PathBuf::from)
        .filter(|dir| dir != native)
    else {
        return Ok(None);
    };
    let library = dir.join(library_name());
    if !library.exists() {
        bail!(
            "DUCKDB_LIB_DIR names {}, where there is no {}; unset it to have one fetched",
            dir.display(),
            library_name()
        );
    }
    Ok(Some(library))
}

/// Fetches a prebuilt library, or says why there is none.
fn prebuilt(cache: &Cache) -> Result<Option<PathBuf>> {
    if OS == "windows" {
        bail!(
            "set-up cannot link DuckDB on Windows yet, as the package has no import library: unpack the release \
             libduckdb-windows of DuckDB {VERSION} and set DUCKDB_LIB_DIR to its folder"
        );
    }
    let reason = match prebuilt_for_here() {
        None => format!("there is no prebuilt one for {ARCH}-{OS}"),
        Some(_) if tool::find("npm").is_none() => "npm, which would fetch a prebuilt one, is not installed".to_owned(),
        Some((platform, sha256)) => match fetch(cache, platform, sha256)? {
            Ok(entry) => return Ok(Some(entry)),
            Err(error) => format!("{error:#}"),
        },
    };
    println!("setup: DuckDB {VERSION} library: {reason}");
    Ok(None)
}

/// Npm's platform name and the archive's checksum, where the library fits this machine.
fn prebuilt_for_here() -> Option<(&'static str, &'static str)> {
    // The library for Linux is linked with the GNU C library.
    if OS == "linux" && !cfg!(target_env = "gnu") {
        return None;
    }
    PREBUILT
        .iter()
        .find(|(os, arch, ..)| *os == OS && *arch == ARCH)
        .map(|(_, _, platform, sha256)| (*platform, *sha256))
}

/// Fetches the prebuilt library. The inner error is npm's, after which there are other ways; a wrong file is the outer.
fn fetch(cache: &Cache, platform: &str, sha256: &str) -> Result<Result<PathBuf>> {
    let package = format!("@duckdb/node-bindings-{platform}@{NPM_VERSION}");
    let step = Step::start(&format!("DuckDB {VERSION} library: fetching {package} with npm"));
    let mut refused = None;
    let entry = cache.add(&prebuilt_name(), |dir| {
        let npm = tool::find("npm").context("npm is not installed")?;
        let packed = tool::output(Command::new(npm).args(["pack", "--silent", &package]).current_dir(dir));
        let archive = match packed {
            Ok(name) => dir.join(name.trim()),
            Err(error) => {
                refused = Some(error);
                bail!("npm failed");
            }
        };
        cache::verify(&archive, sha256)?;
        tool::output(Command::new("tar").arg("-xzf").arg(&archive).current_dir(dir))?;
        fs::rename(dir.join("package").join(library_name()), dir.join(library_name()))?;
        fs::rename(dir.join("package/LICENSE"), dir.join("LICENSE"))?;
        fs::remove_dir_all(dir.join("package"))?;
        Ok(fs::remove_file(archive)?)
    });
    match (entry, refused) {
        (Ok(entry), _) => {
            step.done();
            Ok(Ok(entry))
        }
        (Err(_), Some(error)) => Ok(Err(error)),
        (Err(error), None) => Err(error),
    }
}

/// Compiles the sources that the crate `libduckdb-sys` carries, and makes a shared library of them.
///
/// The workspace then links it like a prebuilt one, and no later build or second clone compiles DuckDB again. (A program
/// that embeds the crate can instead turn on the feature `bundled`.)
fn compile(cache: &Cache) -> Result<PathBuf> {
    let compiler = env::var("CXX").ok().or_else(|| {
        ["c++", "g++", "clang++"]
            .map(str::to_owned)
            .into_iter()
            .find(|name| tool::find(name).is_some())
    });
    let Some(compiler) = compiler else {
        bail!(
            "to compile DuckDB, install a C++ compiler (Debian: `apt-get install g++`), or install npm to fetch a prebuilt library"
        );
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "setup: DuckDB {VERSION} library: compiling it from source with {compiler}, about {} minutes on {cores} cores, once per machine",
        COMPILE_CPU_MINUTES.div_ceil(cores)
    );
    let started = Instant::now();
    let entry = cache.add(&compiled_name(), |dir| {
        let build = dir.join("build");
        fs::create_dir_all(build.join("src"))?;
        fs::write(
            build.join("Cargo.toml"),
            format!(
                "[package]\nname = \"duckdb-from-source\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
                 libduckdb-sys = {{ version = \"={SOURCE_CRATE}\", default-features = false, features = [\"bundled\", \"json\", \"parquet\"] }}\n"
            ),
        )?;
        fs::write(build.join("src/lib.rs"), "")?;
        let target = build.join("target");
        tool::show(tool::cargo().args(["build", "--release"]).current_dir(&build).env("CARGO_TARGET_DIR", &target))?;
        let archive = built_archive(&target)?;
        tool::output(&mut shared_library(&compiler, &archive, &dir.join(library_name())))?;
        Ok(fs::remove_dir_all(build)?)
    })?;
    println!(
        "setup: DuckDB {VERSION} library: compiled in {:.0} minutes",
        started.elapsed().as_secs_f64() / 60.0
    );
    Ok(entry)
}

fn built_archive(target: &Path) -> Result<PathBuf> {
    for folder in fs::read_dir(target.join("release/build"))? {
        let archive = folder?.path().join("out/libduckdb.a");
        if archive.exists() {
            return Ok(archive);
        }
    }
    bail!(
        "the build of libduckdb-sys {SOURCE_CRATE} left no libduckdb.a under {}",
        target.display()
    )
}

/// The command that makes a shared library of everything in the archive.
fn shared_library(compiler: &str, archive: &Path, library: &Path) -> Command {
    let mut command = Command::new(compiler);
    if OS == "macos" {
        command.args(["-dynamiclib", "-install_name", "@rpath/libduckdb.dylib"]);
        command.arg(format!("-Wl,-force_load,{}", archive.display()));
    } else {
        command
            .args(["-shared", "-Wl,-soname,libduckdb.so", "-Wl,--whole-archive"])
            .arg(archive);
        command.args(["-Wl,--no-whole-archive", "-lpthread", "-ldl", "-lm"]);
    }
    command.arg("-o").arg(library);
    command
}

/// The cache's entry for a library of DuckDB's own build.
fn prebuilt_name() -> String {
    format!("duckdb-{NPM_VERSION}-{OS}-{ARCH}")
}

/// The cache's entry for one that was compiled here, with the parts that the crate has sources for.
fn compiled_name() -> String {
    format!("duckdb-{VERSION}-compiled-{OS}-{ARCH}")
}

fn library_name() -> &'static str {
    if OS == "macos" {
        "libduckdb.dylib"
    } else {
        "libduckdb.so"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_here_is_of_the_same_duckdb() {
        let workspace = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml")).unwrap();
        assert!(
            workspace.contains(&format!("duckdb = \"={SOURCE_CRATE}\"")),
            "the workspace pins another crate"
        );
        let encoded: u32 = SOURCE_CRATE.split('.').nth(1).unwrap().parse().unwrap();
        assert_eq!(
            format!("{}.{}.{}", encoded / 10_000, encoded / 100 % 100, encoded % 100),
            VERSION
        );
        assert!(NPM_VERSION.starts_with(&format!("{VERSION}-")));
    }

    #[test]
    fn a_shared_library_of_an_archive_exports_what_is_in_it() {
        let dir = env::temp_dir().join(format!("outflow-xtask-shared-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("a.cpp"), "extern \"C\" int duckdb_answer() { return 42; }").unwrap();
        let (object, archive, library) = (dir.join("a.o"), dir.join("liba.a"), dir.join(library_name()));
        tool::output(
            Command::new("c++")
                .args(["-c", "-fPIC", "-o"])
                .arg(&object)
                .arg(dir.join("a.cpp")),
        )
        .unwrap();
        tool::output(Command::new("ar").arg("rcs").arg(&archive).arg(&object)).unwrap();
        tool::output(&mut shared_library("c++", &archive, &library)).unwrap();
        let symbols = tool::output(Command::new("nm").arg("-g").arg(&library)).unwrap();
        assert!(symbols.contains("duckdb_answer"), "{symbols}");
        fs::remove_dir_all(&dir).unwrap();
    }
}
