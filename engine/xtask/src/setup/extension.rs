//! DuckDB's extensions, which come as Python wheels of the library's version.
//!
//! They are not needed to build. Without them set-up goes on, and says what will not work.

use std::env;
use std::env::consts::{ARCH, OS};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Step;
use super::duckdb::VERSION;
use crate::cache::{self, Cache};
use crate::tool;

/// Extension, operating system, architecture, and the SHA-256 of the wheel.
const WHEELS: [(&str, &str, &str, &str); 8] = [
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
    let entry_name = format!("{name}-{VERSION}-{OS}-{ARCH}");
    let file = match cache.get(&entry_name) {
        Some(entry) => Some(entry.join(file_name(name))),
        None => match obtain(name, cache, &entry_name)? {
            Ok(entry) => Some(entry.join(file_name(name))),
            Err(reason) => {
                let installed = installed_by_duckdb(name);
                if installed.is_none() {
                    println!(
                        "setup: DuckDB's extension {name}: left out, because {reason}; what needs it fails until then \
                         (or until `INSTALL {name}` was run once in DuckDB {VERSION})"
                    );
                }
                installed
            }
        },
    };
    match file {
        Some(file) => cache::link(&file, &native.join("extensions").join(file_name(name))),
        None => Ok(()),
    }
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
    let Some(pip) = find_pip() else {
        return Ok(Err("pip, which would fetch it, is not installed".to_owned()));
    };
    let package = format!("duckdb-extension-{}=={VERSION}", name.replace('_', "-"));
    let step = Step::start(&format!(
        "DuckDB's extension {name}: fetching {package} with {}",
        pip.join(" ")
    ));
    let mut refused = None;
    let entry = cache.add(entry_name, |dir| {
        let mut download = Command::new(&pip[0]);
        download
            .args(&pip[1..])
            .args(["download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        download
            .args(["--only-binary=:all:", "--dest", ".", &package])
            .current_dir(dir);
        if let Err(error) = tool::output(&mut download) {
            refused = Some(error);
            bail!("pip failed");
        }
        let wheel = only_file(dir)?;
        cache::verify(&wheel, sha256)?;
        unzip(&wheel, dir)?;
        let package_dir = dir.join(format!("duckdb_extension_{name}"));
        fs::rename(
            package_dir
                .join("extensions")
                .join(format!("v{VERSION}"))
                .join(file_name(name)),
            dir.join(file_name(name)),
        )?;
        fs::remove_dir_all(package_dir)?;
        Ok(fs::remove_file(wheel)?)
    });
    match (entry, refused) {
        (Ok(entry), _) => {
            step.done();
            Ok(Ok(entry))
        }
        (Err(_), Some(error)) => Ok(Err(format!("{error:#}"))),
        (Err(error), None) => Err(error),
    }
}

/// The command line of a pip that works.
fn find_pip() -> Option<Vec<String>> {
    let candidates: [&[&str]; 4] = [&["python3", "-m", "pip"], &["python", "-m", "pip"], &["pip3"], &["pip"]];
    let works = |words: &[&str]| {
        tool::find(words[0]).is_some()
            && tool::output(Command::new(words[0]).args(&words[1..]).arg("--version")).is_ok()
    };
    candidates
        .into_iter()
        .find(|words| works(words))
        .map(|words| words.iter().map(|&word| word.to_owned()).collect())
}

fn only_file(dir: &Path) -> Result<PathBuf> {
    let mut entries = fs::read_dir(dir)?;
    let file = entries.next().context("pip left no file")??.path();
    Ok(file)
}

/// A wheel is a zip archive; pip's own Python can unpack it, if no other program can.
fn unzip(archive: &Path, dir: &Path) -> Result<()> {
    let mut command = match ["python3", "python"]
        .into_iter()
        .find(|name| tool::find(name).is_some())
    {
        Some(python) => {
            let mut command = Command::new(python);
            command.args(["-m", "zipfile", "-e"]).arg(archive).arg(".");
            command
        }
        None => {
            let mut command = Command::new("unzip");
            command.arg("-q").arg(archive);
            command
        }
    };
    tool::output(command.current_dir(dir)).map(drop)
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
