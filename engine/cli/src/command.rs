//! The commands, one file each: they read arguments, call the engine and print.

mod explain;
mod forget;
mod history;
mod init;
mod plan;
mod plugin;
mod rejected;
mod resolve;
mod retry;
mod run;
mod runs;
mod schedule;
mod serve;
mod syncs;
mod validate;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use outflow::project::Diagnostics;
use outflow::project::schema::{FileKind, schema};
use outflow::{Engine, EngineBuilder, Registry, RegistryOptions};

use crate::arguments::{Arguments, Command};
use crate::exit::{Exit, Usage};
use crate::output::{self, tell};

/// Does what was asked.
pub async fn execute(arguments: Arguments) -> anyhow::Result<Exit> {
    match &arguments.command {
        Command::Init { dir } => init::execute(&arguments, dir.as_deref().unwrap_or(&arguments.project)),
        Command::Schema { kind } => {
            let kind = FileKind::parse(kind).ok_or_else(|| {
                Usage(format!(
                    "there is no file kind `{kind}`; there are outflow, source, model, destination and sync"
                ))
            })?;
            output::json(&schema(kind))?;
            Ok(Exit::Success)
        }
        Command::Plugin(command) => plugin::execute(&arguments, command).await,
        Command::Validate => validate::execute(&arguments).await,
        Command::Plan(plan) => plan::execute(&arguments, plan).await,
        Command::Run(run) => run::execute(&arguments, run).await,
        Command::Apply { file } => run::apply(&arguments, file).await,
        Command::Rebaseline { sync, allow } => run::rebaseline(&arguments, sync, allow).await,
        Command::Syncs => syncs::execute(&arguments),
        Command::Runs { sync, limit } => runs::execute(&arguments, sync, *limit),
        Command::History { sync, limit } => history::execute(&arguments, sync, *limit),
        Command::Diff { sync, from, to, limit } => history::diff(&arguments, sync, *from, *to, *limit).await,
        Command::Explain { sync, key } => explain::execute(&arguments, sync, key).await,
        Command::Resolve {
            sync, keys, delivered, ..
        } => resolve::execute(&arguments, sync, keys, *delivered).await,
        Command::Retry { sync, keys, all } => retry::execute(&arguments, sync, keys, *all).await,
        Command::Forget {
            sync,
            keys,
            still_in_model,
        } => forget::execute(&arguments, sync, keys, *still_in_model).await,
        Command::Rejected { sync } => rejected::execute(&arguments, sync),
        Command::Schedule { next } => schedule::execute(&arguments, *next),
        Command::Serve => serve::execute(&arguments).await,
    }
}

/// The project's plugins first, then those of `--plugins`, then those that the binary carries.
fn registry(arguments: &Arguments) -> anyhow::Result<Registry> {
    let mut folders = vec![arguments.project.join("plugins")];
    folders.extend(arguments.plugins.iter().cloned());
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .map(|cache| cache.join("outflow").join("components"));
    Ok(Registry::new(RegistryOptions {
        folders,
        bundled: outflow_first_party::plugins(),
        cache,
        ..RegistryOptions::default()
    })?)
}

/// The project's folder, if it is one.
fn project(arguments: &Arguments) -> anyhow::Result<&Path> {
    if !arguments.project.join("outflow.yml").is_file() {
        let folder = arguments.project.display();
        return Err(Usage(format!(
            "there is no outflow.yml in {folder}: name a project with -C DIR, or make one with `outflow init DIR`"
        ))
        .into());
    }
    Ok(&arguments.project)
}

/// The engine over the project.
fn engine(arguments: &Arguments) -> anyhow::Result<Engine> {
    Ok(builder(arguments)?.build()?)
}

/// The engine over the project, to look at what is known, with what is wrong in its files: that is told on standard error.
fn engine_to_look(arguments: &Arguments) -> anyhow::Result<(Engine, Diagnostics)> {
    let (engine, faults) = builder(arguments)?.build_to_look()?;
    if !faults.0.is_empty() {
        tell!("error: {}", output::indented(&faults.to_string()));
    }
    Ok((engine, faults))
}

fn builder(arguments: &Arguments) -> anyhow::Result<EngineBuilder> {
    let mut builder = Engine::builder(project(arguments)?, Arc::new(registry(arguments)?));
    if let Some(state) = &arguments.state {
        builder = builder.state(state);
    }
    for folder in extension_folders() {
        builder = builder.extensions(folder);
    }
    Ok(builder)
}

/// Where DuckDB's extensions lie: beside the binary, and where the workspace's set-up puts them.
fn extension_folders() -> Vec<PathBuf> {
    let Ok(binary) = std::env::current_exe() else {
        return Vec::new();
    };
    let beside = binary.parent().map(|folder| folder.join("extensions"));
    let built = binary
        .parent()
        .and_then(|folder| Some(folder.parent()?.join("native/extensions")));
    beside
        .into_iter()
        .chain(built)
        .filter(|folder| folder.is_dir())
        .collect()
}
