//! `cargo xtask`: set-up and build chores.
//!
//! Every command first does the set-up that is missing on this machine, so that a fresh clone needs one command.
//! The crate has few and light dependencies, because a newcomer waits for it before anything else happens.

mod cache;
mod checks;
mod setup;
mod tool;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const USAGE: &str = "\
cargo xtask COMMAND, each doing all set-up that is missing

  setup     fetch or build what the workspace needs: the DuckDB library and its SQLite extension
  test      check the formatting and run every test
  lint      clippy and the documentation, both without a warning
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let root = workspace_root()?;
    let [command] = arguments else {
        bail!("one command is needed\n\n{USAGE}");
    };
    match command.as_str() {
        "setup" => setup::all(&root),
        "test" => setup::all(&root).and_then(|()| checks::test(&root)),
        "lint" => setup::all(&root).and_then(|()| checks::lint(&root)),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        other => bail!("there is no command `{other}`\n\n{USAGE}"),
    }
}

/// The folder of the workspace's `Cargo.toml`.
fn workspace_root() -> Result<PathBuf> {
    let crate_dir = std::env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`")?;
    let root = Path::new(&crate_dir)
        .ancestors()
        .nth(2)
        .context("the crate is not at engine/xtask")?;
    Ok(root.to_path_buf())
}
