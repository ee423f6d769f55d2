//! A compiler for plugins: Rust for `wasm32-unknown-unknown`, which gives components that import no WASI.
//!
//! In this order: the target of the toolchain at hand, where it is installed; on Debian, Debian's packages, unpacked into
//! a folder of the cache (nothing on the system changes, no root is needed); elsewhere `rustup target add`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Step, debian};
use crate::cache::Cache;
use crate::tool;

/// The target that plugins are compiled for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's packages: the compiler, what it is linked with, and the standard library's source.
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "libstd-rust-web-dev", "rust-web-src"];

/// The oldest compiler that compiles the plugins: this workspace's `rust-version`.
const NEEDED: &str = env!("CARGO_PKG_RUST_VERSION");
/// Named for the version, so that a folder with an older compiler is not taken for one that will do.
const DEBIAN_ENTRY: &str = concat!("guest-rustc-debian-", env!("CARGO_PKG_RUST_VERSION"));

/// How plugins are compiled on this machine.
pub struct Compiler {
    /// The folder with `wasm-component-ld` and, below it, the linker that this one calls.
    linkers: PathBuf,
    /// Debian's compiler; absent where the toolchain at hand has the target.
    debian: Option<Debian>,
}

struct Debian {
    /// Where the packages were unpacked.
    dir: PathBuf,
    /// A script that starts the compiler with the libraries that were unpacked beside it.
    rustc: PathBuf,
}

impl Compiler {
    /// `cargo build` for the target, without the folder to run in and further arguments.
    pub fn build(&self) -> Result<Command> {
        let mut command = tool::cargo();
        command.args(["build", "--release", "--target", TARGET]);
        // The linker makes the component itself, and looks for the plain linker on PATH.
        command.env(
            "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER",
            self.linkers.join("wasm-component-ld"),
        );
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = [self.linkers.clone(), self.linkers.join("gcc-ld")]
            .into_iter()
            .chain(env::split_paths(&path));
        command.env("PATH", env::join_paths(folders)?);
        // The libraries of the toolchain at hand are not those of another compiler.
        command.env_remove("LD_LIBRARY_PATH");
        if let Some(debian) = &self.debian {
            // Debian packages no standard library for the target, so it is built from source, once for all plugins.
            command.env("RUSTC", &debian.rustc).env("RUSTC_BOOTSTRAP", "1");
            command.args(["-Z", "build-std=std,panic_abort"]);
        }
        Ok(command)
    }

    /// The folder of the compiler's own sources, which must not be seen in a component.
    pub fn sources(&self) -> Option<&Path> {
        self.debian.as_ref().map(|debian| debian.dir.as_path())
    }
}

/// Finds a compiler, or gets one.
pub fn ready(cache: &Cache) -> Result<Compiler> {
    let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?.trim());
    let version = rustc(&["-vV"])?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("`rustc -vV` names no host")?;
    let linkers = sysroot.join("lib/rustlib").join(host).join("bin");
    if !linkers.join("wasm-component-ld").exists() {
        bail!(
            "the Rust toolchain in {} has no wasm-component-ld, which makes components: use a toolchain of rustup's",
            sysroot.display()
        );
    }
    let has_target = sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir();
    let debian = match cache.get(DEBIAN_ENTRY) {
        _ if has_target => None,
        Some(dir) => Some(dir),
        None if debian::is_here() => Some(fetch_debian(cache)?),
        None => {
            add_target()?;
            None
        }
    };
    let debian = debian.map(|dir| Debian {
        rustc: dir.join("rustc"),
        dir,
    });
    Ok(Compiler { linkers, debian })
}

fn rustc(arguments: &[&str]) -> Result<String> {
    tool::output(Command::new("rustc").args(arguments))
}

fn add_target() -> Result<()> {
    if tool::find("rustup").is_none() {
        bail!(
            "plugins are compiled for {TARGET}, which this toolchain lacks: install rustup, or the target another way"
        );
    }
    let step = Step::start(&format!("compiler for plugins: rustup target add {TARGET}"));
    tool::output(Command::new("rustup").args(["target", "add", TARGET]))?;
    step.done();
    Ok(())
}

fn fetch_debian(cache: &Cache) -> Result<PathBuf> {
    let step =
        Step::start("compiler for plugins: fetching Debian's rustc for wasm with apt-get, unpacking it into the cache");
    let dir = cache.add(DEBIAN_ENTRY, unpack_debian)?;
    step.done();
    Ok(dir)
}

fn unpack_debian(dir: &Path) -> Result<()> {
    debian::unpack(&DEBIAN_PACKAGES, dir, new_enough).with_context(|| {
        format!("no compiler for plugins could be had from Debian; `rustup target add {TARGET}` makes one unnecessary")
    })?;
    let mut library_dir = None;
    for folder in fs::read_dir(dir.join("usr/lib"))? {
        let folder = folder?;
        if folder.path().join("rustlib").exists() || folder.file_name() == "rustlib" {
            continue;
        }
        library_dir = Some(folder.file_name());
    }
    let library_dir = library_dir.context("Debian's packages have no folder of libraries")?;
    // By its own place, because the folder is renamed when it is complete.
    let script = format!(
        "#!/bin/sh\nhere=$(dirname \"$0\")\nLD_LIBRARY_PATH=\"$here/usr/lib/{}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\" \
         exec \"$here/usr/bin/rustc\" \"$@\"\n",
        library_dir.to_string_lossy()
    );
    fs::write(dir.join("rustc"), script)?;
    tool::output(Command::new("chmod").arg("+x").arg(dir.join("rustc")))?;
    tool::output(Command::new(dir.join("rustc")).arg("--version")).map(drop)
}

/// Checks the version of the compiler that apt would install. Lists of some months ago, or another release of Debian, offer one
/// that is too old for the plugins.
fn new_enough(plan: &str) -> Result<()> {
    let package = DEBIAN_PACKAGES[0];
    let found = plan
        .lines()
        .find_map(|line| {
            line.strip_prefix("Inst ")?
                .strip_prefix(package)?
                .strip_prefix(' ')?
                .split_once('(')
        })
        .map(|(_, version)| version.split([' ', '+', '-']).next().unwrap_or_default())
        .with_context(|| format!("apt-get would not install {package}"))?;
    let number = |version: &str| -> Vec<u32> { version.split('.').map_while(|part| part.parse().ok()).collect() };
    if number(found) < number(NEEDED) {
        bail!("apt-get offers {package} {found}, and plugins need Rust {NEEDED} or newer");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_know_only_an_older_compiler_are_not_used() {
        let plan = "Inst rustc-web (1.85.0+dfsg3-1~deb12u3 Debian:12.11/oldstable [amd64])\n";
        let error = new_enough(plan).expect_err("1.85 is too old");
        assert_eq!(
            error.to_string(),
            format!("apt-get offers rustc-web 1.85.0, and plugins need Rust {NEEDED} or newer")
        );
        new_enough("Inst rustc-web (1.96.0+dfsg1-1~deb12u2 Debian-Security:12 [amd64])\n").expect("1.96 will do");
        new_enough("Inst rustc-web (2.0.1-1 Debian:14 [amd64])\n").expect("newer");
        new_enough("Inst rustc-web-doc (2.0.1-1 Debian:14 [amd64])\n").expect_err("another package");
    }
}
