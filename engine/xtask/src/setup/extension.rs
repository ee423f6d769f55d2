//! DuckDB's extensions, which come as Python wheels of the library's version.
//!
//! They are not needed to build. Without those for some sources set-up goes on, and says what will not work.

use std::env;
use std::env::consts::{ARCH, OS};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::duckdb::VERSION;
use super::wheel::Wheel;
use crate::cache::{self, Cache};

/// Extension, operating system, architecture, and the SHA-256 of the wheel.
const WHEELS: [(&str, &str, &str, &str); 20] = [
    (
        "mysql_scanner",
        "linux",
        "x86_64",
        "91ea3d182de797113133c132bf267ba6c22dc716a2018cb6753470303baefbe8",
    ),
    (
        "mysql_scanner",
        "linux",
        "aarch64",
        "39995ea7615e842fc60a9f1f8c8deb6105268521d83973a4dfc7b4a83c045cef",
    ),
    (
        "mysql_scanner",
        "macos",
        "x86_64",
        "5c0ed7672931f62fa0b00f4ffd29e80c85668cef5f80fe4f528be7407acc4942",
    ),
    (
        "mysql_scanner",
        "macos",
        "aarch64",
        "6f02367ec16d263fce19de4e0b1f6e614931b6ed347b9b2623f007cb3ee6bce4",
    ),
    (
        "httpfs",
        "linux",
        "x86_64",
        "84913dbe172ccb54368de2c4a020c38ca8b0e76f99df548f7fac37934cc7826f",
    ),
    (
        "httpfs",
        "linux",
        "aarch64",
        "567d17e398fc29f7ea4bc42ea277ea19643bd1ad1815f676cb6dd994b50399bb",
    ),
    (
        "httpfs",
        "macos",
        "x86_64",
        "5dc6e48e7a6d4c775d88fcd9b6529b385559600c0cd17a2600addfdd34ae3060",
    ),
    (
        "httpfs",
        "macos",
        "aarch64",
        "a6d9b245ac83834543354e826020b35b8dba16291bb876b2b00bd49f2c6aeb9d",
    ),
    (
        "postgres_scanner",
        "linux",
        "x86_64",
        "fea9413d1b5bded7ead650aff91b3d7578c5149d832f666100b362f64404bf18",
    ),
    (
        "postgres_scanner",
        "linux",
        "aarch64",
        "5b50d53ecb192fca381c79ebd70da43b98fefe28a5781162081777f65efc8268",
    ),
    (
        "postgres_scanner",
        "macos",
        "x86_64",
        "797acdb64f10280303b66fb56c3537d3a7c82eab7cf6dfb4c71307c81c3e7b0d",
    ),
    (
        "postgres_scanner",
        "macos",
        "aarch64",
        "053b9ee8abf30f1880a244c9396323273ec99cf4d72a658e702cf536848b7e5c",
    ),
    (
        "sqlite_scanner",
        "linux",
        "x86_64",
        "0af00f8e4e6e0562e0fac1bb22d5c4a29d616a664da4194b51cbd26355b9a0c2",
    ),
    (
        "sqlite_scanner",
        "linux",
        "aarch64",
        "8ecdf91ba4572fcee32500919b7cd2717d74d2bfe65c2910ad2b1c4b9d9b0c07",
    ),
    (
        "sqlite_scanner",
        "macos",
        "x86_64",
        "7b0fc7f402d780bf706fe8ea9af04dc179cc951855e3b307a43b0f20d95e8bde",
    ),
    (
        "sqlite_scanner",
        "macos",
        "aarch64",
        "214efb42ded3e752fd3d537f953d2ab0093716abef4f9197986cafe5e5f4fd5d",
    ),
    (
        "icu",
        "linux",
        "x86_64",
        "c25adf33d7b11a89fbe79ce385e072f50c7ffc21d7b8bad89610ba4162beac3e",
    ),
    (
        "icu",
        "linux",
        "aarch64",
        "46d150a7ddc153a4d361f2d60a59651cc4adcde3203658a76ff27c4fb78e1bbf",
    ),
    (
        "icu",
        "macos",
        "x86_64",
        "f800f49ad77285ff0e3aa3b0b469e05e8f3a49bec00a7e1a11a5f0fa2782031f",
    ),
    (
        "icu",
        "macos",
        "aarch64",
        "212192cf360414ae28ce0a35fdb222797076e718f752ef6c3748801714928efe",
    ),
];

/// Puts the extension into `native/extensions`, or says that it is not to be had.
pub fn ready(name: &str, cache: &Cache, native: &Path) -> Result<()> {
    match find(name, cache)? {
        Ok(file) => link(name, &file, native),
        Err(reason) => {
            println!(
                "setup: DuckDB's extension {name}: left out, because {reason}; what needs it fails until then \
                 (or until `INSTALL {name}` was run once in DuckDB {VERSION})"
            );
            Ok(())
        }
    }
}

/// Puts the extension, without which no sync can run, into `native/extensions`. `why` says why the library is without it.
pub fn required(name: &str, why: &str, cache: &Cache, native: &Path) -> Result<()> {
    match find(name, cache)? {
        Ok(file) => link(name, &file, native),
        Err(reason) => bail!(
            "every sync needs DuckDB's extension {name}, {why}, and {reason}; install npm, by which a library that has it is \
             fetched, or pip, or run `INSTALL {name}` once in DuckDB {VERSION}"
        ),
    }
}

fn link(name: &str, file: &Path, native: &Path) -> Result<()> {
    cache::link(file, &native.join("extensions").join(file_name(name)))
}

/// Where the extension is, fetched where it must be. The inner error says why it is not to be had.
fn find(name: &str, cache: &Cache) -> Result<Result<PathBuf, String>> {
    let entry_name = format!("{name}-{VERSION}-{OS}-{ARCH}");
    let entry = match cache.get(&entry_name) {
        Some(entry) => Ok(entry),
        None => obtain(name, cache, &entry_name)?,
    };
    Ok(entry
        .map(|entry| entry.join(file_name(name)))
        .or_else(|reason| installed_by_duckdb(name).ok_or(reason)))
}

/// Fetches the wheel. The inner error says why there is none here; a wrong file is the outer.
fn obtain(name: &str, cache: &Cache, entry_name: &str) -> Result<Result<PathBuf, String>> {
    let glibc_or_not_linux = OS != "linux" || cfg!(target_env = "gnu");
    let pinned = WHEELS
        .iter()
        .find(|(wheel, os, arch, _)| *wheel == name && *os == OS && *arch == ARCH);
    let Some((.., sha256)) = pinned.filter(|_| glibc_or_not_linux) else {
        return Ok(Err(format!("there is no package of it for {ARCH}-{OS}")));
    };
    let wheel = Wheel {
        package: &format!("duckdb-extension-{}=={VERSION}", name.replace('_', "-")),
        platform: None,
        sha256,
    };
    wheel.obtain(&format!("DuckDB's extension {name}"), cache, entry_name, |dir| {
        let package_dir = dir.join(format!("duckdb_extension_{name}"));
        fs::rename(
            package_dir
                .join("extensions")
                .join(format!("v{VERSION}"))
                .join(file_name(name)),
            dir.join(file_name(name)),
        )?;
        // What is left of the wheel says whose it is and under which licence.
        Ok(fs::remove_dir_all(package_dir)?)
    })
}

/// Where DuckDB itself puts an extension that `INSTALL` fetched.
fn installed_by_duckdb(name: &str) -> Option<PathBuf> {
    let os = if OS == "macos" { "osx" } else { OS };
    let arch = match ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let dir = env::home_dir()?.join(format!(".duckdb/extensions/v{VERSION}/{os}_{arch}"));
    Some(dir.join(file_name(name))).filter(|file| file.exists())
}

fn file_name(name: &str) -> String {
    format!("{name}.duckdb_extension")
}
