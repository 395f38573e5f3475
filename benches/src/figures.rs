//! The figures of one run: what `load` measured, and what `compare` reads of it.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// How requests were timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loop {
    /// The next request when the last was answered: the most that the server can do.
    Closed,
    /// At a stated rate whatever the server does; latency counts from the intended start.
    Open,
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub max: f64,
    pub mean: f64,
}

impl Latency {
    /// Of a histogram in nanoseconds.
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let microseconds = |ns: u64| ns as f64 / 1e3;
        let at = |quantile| microseconds(histogram.value_at_quantile(quantile));
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: microseconds(histogram.max()),
            mean: histogram.mean() / 1e3,
        }
    }
}

/// What the server's process used meanwhile.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ServerCost {
    pub cpu_s: f64,
    pub cpu_us_per_request: f64,
    pub cpu_us_per_operation: f64,
    /// Processors kept busy: 1.0 is one.
    pub busy: f64,
}

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    pub target: String,
    #[serde(rename = "loop")]
    pub timing: Loop,
    pub connections: usize,
    pub pipeline: usize,
    /// Lines of a batch; 0: no batches.
    pub batch_lines: u64,
    pub keys: usize,
    pub threads: usize,
    /// Calls held live meanwhile, at least.
    pub live: u64,
    /// What an open loop was asked to send.
    pub rate_per_s: Option<f64>,
    pub measured_s: f64,
    pub requests: u64,
    /// Admits and releases answered; a batch holds many.
    pub operations: u64,
    pub admitted: u64,
    pub released: u64,
    /// Admits denied, by reason: answers, not errors.
    pub refusals: BTreeMap<String, u64>,
    /// Everything else that was not a yes.
    pub errors: BTreeMap<String, u64>,
    pub requests_per_s: f64,
    pub operations_per_s: f64,
    /// Of a request; of an open loop from its intended start.
    pub latency_us: Latency,
    /// Of admits alone, where a request is one.
    pub admit_latency_us: Option<Latency>,
    /// Of the generator's own threads: above 0.95 it, not the server, was the limit.
    pub generator_busy: f64,
    pub server: Option<ServerCost>,
}

impl Figures {
    pub fn errors_total(&self) -> u64 {
        self.errors.values().sum()
    }
}
