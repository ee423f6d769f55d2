//! `outflow serve`: keeps the schedules until it is told to stop.

use super::engine;
use crate::arguments::Arguments;
use crate::exit::Exit;

/// Serves until SIGTERM or Ctrl-C.
pub async fn execute(arguments: &Arguments) -> anyhow::Result<Exit> {
    let engine = engine(arguments)?;
    eprintln!(
        "keeping the schedules of `{}`; stop with Ctrl-C",
        engine.project().settings.name
    );
    engine.serve(told_to_stop()).await?;
    Ok(Exit::Success)
}

async fn told_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    // Without signals there is nothing to wait for, and stopping at once is the safe end.
    let _ = tokio::signal::ctrl_c().await;
}
