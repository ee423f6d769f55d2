//! `outflow serve`: keeps the schedules until it is told to stop.

use super::engine;
use crate::arguments::Arguments;
use crate::exit::Exit;
use crate::output::tell;
use crate::stop::Stop;

/// Serves until it is told to stop.
pub async fn execute(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut stop = Stop::listen()?;
    let engine = engine(arguments)?;
    tell!(
        "keeping the schedules of `{}`; stop with Ctrl-C",
        engine.project().settings.name
    );
    engine.serve(stop.told()).await?;
    Ok(Exit::Success)
}
