//! How the operating system tells a process to stop.

use std::io;
use std::time::Duration;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hears Ctrl-C and a service manager's wish for an end (SIGTERM), from its making on: also what comes while nobody waits
/// for it. SIGHUP stays as it was found: `nohup` relies on that.
pub struct Stop {
    told: bool,
    #[cfg(unix)]
    interrupt: Signal,
    #[cfg(unix)]
    terminate: Signal,
}

impl Stop {
    /// Begins to listen.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            told: false,
            #[cfg(unix)]
            interrupt: signal(SignalKind::interrupt())?,
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Returns once the process was told to stop; ever after at once.
    pub async fn told(&mut self) {
        if self.told {
            return;
        }
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        // Without signals there is nothing to wait for, and stopping at once is the safe end.
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
        self.told = true;
    }

    /// Whether the process was told to stop by now.
    pub async fn is_told(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.told() => true,
            // As long as a signal may take on its way through the runtime.
            () = tokio::time::sleep(Duration::from_millis(10)) => false,
        }
    }
}
