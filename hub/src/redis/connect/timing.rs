//! How long things may take and how often they are tried: every limit of the connection, in one place.

use std::time::Duration;

/// Limits of connecting and calling. The defaults are tight: a hub that is slow is a hub that is away.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Until a socket is open, its TLS handshake included.
    pub connect: Duration,
    /// From handing a command over to its answer. A connection whose answer is later is closed.
    pub response: Duration,
    /// How long one WAIT may hold up the connection that did the writes.
    pub wait: Duration,
    /// A server that is silent is asked for a sign of life this often.
    pub heartbeat: Duration,
    /// The first and the longest pause before connecting again.
    pub pause_min: Duration,
    pub pause_max: Duration,
    /// Failures in a row after which calls fail at once, until the server has answered again.
    pub failures_max: u32,
    /// How often sentinels are asked who is master, and a cluster which server has which slots.
    pub poll: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_millis(250),
            response: Duration::from_millis(250),
            wait: Duration::from_millis(100),
            heartbeat: Duration::from_secs(1),
            pause_min: Duration::from_millis(10),
            pause_max: Duration::from_millis(250),
            failures_max: 3,
            poll: Duration::from_secs(1),
        }
    }
}
