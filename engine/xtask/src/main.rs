//! `cargo xtask`: set-up and build chores.
//!
//! Every command first does the set-up that is missing on this machine, so that a fresh clone needs one command.
//! The crate has few and light dependencies, because a newcomer waits for it before anything else happens.

mod cache;
mod checks;
mod components;
mod demo;
mod licences;
mod setup;
mod tool;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const USAGE: &str = "\
cargo xtask COMMAND, each doing all set-up that is missing

  setup     fetch or build what the workspace needs: the DuckDB library, its extensions, a compiler for plugins, and
            the repository's own plugins
  demo      sync an aircraft registry three times
  bench     what the engine costs against the physical floor, some minutes; or parts of it by name: sync, scale,
            wear, journal, and large, which takes half an hour and 20 GB of disk
  plugins   build the plugins of this repository into target/plugins; with --path DIR the plugin of that folder,
            a crate of one's own, into DIR/target/plugins
  faults    build the binary that the crash tests kill, suspend and starve
  test      check the formatting, build the plugins and run every test
  lint      the licences of dependencies; clippy and the documentation, both without a warning
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
    if let [command, option, folder] = arguments
        && (command.as_str(), option.as_str()) == ("plugins", "--path")
    {
        return components::build_at(&root, Path::new(folder)).map(drop);
    }
    if let [command, parts @ ..] = arguments
        && command == "bench"
    {
        setup::native(&root)?;
        components::build(&root)?;
        return demo::bench(&root, parts);
    }
    let [command] = arguments else {
        bail!("one command is needed\n\n{USAGE}");
    };
    match command.as_str() {
        "setup" => setup::all(&root).and_then(|()| components::build(&root)).map(drop),
        "plugins" => components::build(&root).map(drop),
        "demo" => setup::native(&root)
            .and_then(|()| components::build(&root))
            .and_then(|_| demo::run(&root)),
        "faults" => setup::native(&root)
            .and_then(|()| demo::build_faults(&root))
            .and_then(|()| demo::build(&root)),
        "test" => setup::native(&root)
            .and_then(|()| setup::sources(&root))
            .and_then(|()| setup::servers(&root))
            .and_then(|()| checks::test(&root)),
        "lint" => setup::native(&root).and_then(|()| checks::lint(&root)),
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
