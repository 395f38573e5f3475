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
    pub target: SocketAddr,
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
}

impl Plan {
    /// Requests sent at once on a connection.
    pub const fn depth(&self) -> usize {
        match self.workload {
            Workload::Closed { pipeline } => pipeline,
            Workload::Open { .. } | Workload::Batch { .. } => 1,
        }
    }

    /// The part of `whole` that falls to thread `index`.
    pub const fn share(&self, whole: usize, index: usize) -> usize {
        whole / self.threads + if index < whole % self.threads { 1 } else { 0 }
    }
}
