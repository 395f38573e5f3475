//! SIGTERM and SIGINT: the first asks for a stop, the second ends the process at once. SIGHUP asks
//! for certificates to be read again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Both signals, caught from now on.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// SIGHUP, caught from now on.
    pub fn hang_up() -> io::Result<Signal> {
        signal(SignalKind::hangup())
    }

    /// Waits for the next of either.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
