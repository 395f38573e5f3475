//! Call records that wait to be posted to the ledger, as the server's own metrics tell.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use benches::client::exchange;
use benches::clock::{SECOND_NS, monotonic_ns};
use benches::processor;
use serde::{Deserialize, Serialize};

use crate::installation::Installation;

const METRIC: &str = "ringfence_posting_backlog";
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub struct Backlog {
    operations: SocketAddr,
    server: u32,
    limit_s: u32,
}

impl Backlog {
    /// `limit_s`: seconds that a drain may take.
    pub fn of(installation: &Installation, limit_s: u32) -> io::Result<Self> {
        let (operations, server) = (installation.operations, installation.server.pid());
        let backlog = Self { operations, server, limit_s };
        backlog.read()?;
        Ok(backlog)
    }

    /// Records that wait now.
    fn read(&self) -> io::Result<f64> {
        let answer = exchange(self.operations, "GET", "/metrics", "", None)?;
        let text = String::from_utf8_lossy(&answer.body);
        let line = text.lines().find_map(|line| line.strip_prefix(METRIC)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse().ok())
            .ok_or_else(|| io::Error::other(format!("/metrics has no {METRIC}")))
    }

    /// Watches until nothing waits any more, or the limit.
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    pub fn drain(&self) -> io::Result<Posting> {
        let start_ns = monotonic_ns();
        let cpu_before_s = processor::cpu_s(self.server)?;
        let backlog = self.read()?;
        loop {
            let left = self.read()?;
            let watched_s = (monotonic_ns() - start_ns) as f64 / SECOND_NS as f64;
            if left <= 0.0 || watched_s >= f64::from(self.limit_s) {
                let busy = (processor::cpu_s(self.server)? - cpu_before_s) / watched_s;
                return Ok(Posting { backlog, left, watched_s, busy });
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// How the records of a round were posted after it, before anything else was measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Posting {
    pub backlog: f64,
    /// What was left when watching ended: 0, or there was no time for more.
    pub left: f64,
    pub watched_s: f64,
    /// Processor time of the whole server meanwhile, in processors: nothing else happens.
    pub busy: f64,
}

impl Posting {
    pub fn per_s(self) -> f64 {
        (self.backlog - self.left) / self.watched_s.max(f64::MIN_POSITIVE)
    }
}
