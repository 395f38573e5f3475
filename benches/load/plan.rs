//! What a run does and when it ends.

use std::net::SocketAddr;
use std::time::Duration;

/// When requests are sent, and what one holds.
#[derive(Clone, Copy, Debug)]
pub enum Workload {
    /// Bursts of `pipeline` requests, each when the last was answered.
    Closed { pipeline: usize },
    /// One request whenever one is due.
    Open { rate_per_s: f64 },
    /// Batches of `calls` admits and their releases, each when the last was answered.
    Batch { calls: u64 },
}

/// What ends a run, whichever comes first.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub warmup: Duration,
    pub measured: Duration,
    pub requests: u64,
}

/// A whole run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// At least one; connections go to each in turn.
    pub targets: Vec<SocketAddr>,
    /// At least one.
    pub keys: Vec<String>,
    pub rotate_keys: bool,
    pub connections: usize,
    pub workload: Workload,
    pub live: u64,
    pub limits: Limits,
    pub threads: usize,
    /// Empty, or one per thread.
    pub pin: Vec<usize>,
    pub server_pid: Option<u32>,
    pub show_progress: bool,
    /// Whether an open loop sleeps until a request is due, rather than spin through the last millisecond.
    pub sleeps: bool,
}

impl Plan {
    /// Where a connection goes, by its number.
    pub fn target(&self, connection: usize) -> SocketAddr {
        self.targets[connection % self.targets.len()]
    }

    /// All targets, as they are shown.
    pub fn named_targets(&self) -> String {
        let names: Vec<String> = self.targets.iter().map(SocketAddr::to_string).collect();
        names.join(",")
    }

    /// Requests sent at once on a connection.
    pub const fn depth(&self) -> usize {
        match self.workload {
            Workload::Closed { pipeline } => pipeline,
            Workload::Open { .. } | Workload::Batch { .. } => 1,
        }
    }

    /// Calls that a connection keeps live: as even as can be, and neighbours differ, so that one admits
    /// while the other releases.
    pub fn live_of(&self, connection: usize) -> usize {
        let live = usize::try_from(self.live).unwrap_or(usize::MAX);
        let until = |connection: usize| connection.saturating_mul(live) / self.connections;
        until(connection + 1) - until(connection)
    }

    /// The part of `whole` that falls to thread `index`.
    pub const fn share(&self, whole: usize, index: usize) -> usize {
        whole / self.threads + if index < whole % self.threads { 1 } else { 0 }
    }
}
