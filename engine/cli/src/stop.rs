//! How the operating system tells a process to stop.

/// Returns once somebody has pressed Ctrl-C, or a service manager asks for an end (SIGTERM). SIGHUP stays as it was found:
/// `nohup` relies on that.
pub async fn told_to_stop() {
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
