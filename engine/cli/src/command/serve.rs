//! `outflow serve`: keeps the schedules until it is told to stop.

use super::engine;
use crate::arguments::Arguments;
use crate::exit::Exit;
use crate::stop::told_to_stop;

/// Serves until it is told to stop.
pub async fn execute(arguments: &Arguments) -> anyhow::Result<Exit> {
    let engine = engine(arguments)?;
    eprintln!(
        "keeping the schedules of `{}`; stop with Ctrl-C",
        engine.project().settings.name
    );
    engine.serve(told_to_stop()).await?;
    Ok(Exit::Success)
}
