//! What was answered. Every request ends in exactly one of: admitted, released, refused, error.

use std::collections::BTreeMap;

use benches::figures::{Figures, Latency, Loop, ServerCost};
use hdrhistogram::Histogram;
use memchr::memmem;

use crate::plan::{Plan, Workload};

/// Latencies above are counted as this: one minute.
const LATENCY_NS_MAX: u64 = 60_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// Denials that are the gateway's decision about a call; all others mean that the run is wrong.
const DECISIONS: [&str; 6] = [
    "no_slot",
    "insufficient_balance",
    "rate_limited",
    "suspended",
    "destination_blocked",
    "wrong_region",
];

/// How one operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    Yes,
    /// The gateway's decision, by its reason.
    Refused(&'a str),
    /// The call is not known: right only for one that was refused.
    Unknown,
    Wrong(&'a str),
}

impl<'a> Verdict<'a> {
    /// Of an HTTP answer.
    pub fn of(status: u16, body: &'a [u8]) -> Self {
        if status == 200 { Self::Yes } else { Self::of_denial(body) }
    }

    /// Of one line of a batch.
    pub fn of_line(line: &'a [u8]) -> Self {
        let holds = |text: &str| memmem::find(line, text.as_bytes()).is_some();
        if holds("\"admitted\":true") || holds("\"state\":\"ended\"") {
            return Self::Yes;
        }
        Self::of_denial(line)
    }

    fn of_denial(body: &'a [u8]) -> Self {
        match reason(body) {
            Some("unknown_call") => Self::Unknown,
            Some(reason) if DECISIONS.contains(&reason) => Self::Refused(reason),
            Some(reason) => Self::Wrong(reason),
            None => Self::Wrong("an answer without a reason"),
        }
    }
}

fn reason(body: &[u8]) -> Option<&str> {
    const NAME: &[u8] = b"\"reason\":\"";
    let start = memmem::find(body, NAME)? + NAME.len();
    let end = start + memchr::memchr(b'"', &body[start..])?;
    std::str::from_utf8(&body[start..end]).ok()
}

/// Counts of one generator thread, or of all.
pub struct Tally {
    pub requests: u64,
    pub admitted: u64,
    pub released: u64,
    refusals: BTreeMap<String, u64>,
    errors: BTreeMap<String, u64>,
    latency_ns: Histogram<u64>,
    /// Of admits alone; empty where they come in batches.
    admit_latency_ns: Histogram<u64>,
    /// Set when the measurement ends.
    pub measured_s: f64,
    pub generator_cpu_s: f64,
    pub server_cpu_s: Option<f64>,
}

impl Tally {
    pub fn new() -> Self {
        Self {
            requests: 0,
            admitted: 0,
            released: 0,
            refusals: BTreeMap::new(),
            errors: BTreeMap::new(),
            latency_ns: histogram(),
            admit_latency_ns: histogram(),
            measured_s: 0.0,
            generator_cpu_s: 0.0,
            server_cpu_s: None,
        }
    }

    pub fn answered(&mut self, latency_ns: u64) {
        self.requests += 1;
        self.latency_ns.saturating_record(latency_ns);
    }

    /// Besides [`Self::answered`], for a request that was one admit.
    pub fn answered_admit(&mut self, latency_ns: u64) {
        self.admit_latency_ns.saturating_record(latency_ns);
    }

    pub fn refused(&mut self, reason: &str) {
        count(&mut self.refusals, reason);
    }

    pub fn error(&mut self, what: &str) {
        count(&mut self.errors, what);
    }

    /// Forgets what was counted but the errors: the warm-up is over.
    pub fn begin(&mut self) {
        let errors = std::mem::take(&mut self.errors);
        *self = Self { errors, ..Self::new() };
    }

    /// Takes the errors of `other`, whose other counts are outside the measurement.
    pub fn add_errors(&mut self, other: &Self) {
        merge(&mut self.errors, &other.errors);
    }

    pub fn sum(tallies: Vec<Self>) -> Self {
        let mut sum = Self::new();
        for tally in tallies {
            sum.requests += tally.requests;
            sum.admitted += tally.admitted;
            sum.released += tally.released;
            merge(&mut sum.refusals, &tally.refusals);
            merge(&mut sum.errors, &tally.errors);
            sum.latency_ns.add(&tally.latency_ns).expect("both have the same range");
            let admits = &tally.admit_latency_ns;
            sum.admit_latency_ns.add(admits).expect("both have the same range");
            sum.measured_s = sum.measured_s.max(tally.measured_s);
            sum.generator_cpu_s += tally.generator_cpu_s;
            sum.server_cpu_s = sum.server_cpu_s.or(tally.server_cpu_s);
        }
        sum
    }

    #[expect(clippy::cast_precision_loss, reason = "rates are shown with four digits")]
    pub fn figures(self, plan: &Plan) -> Figures {
        let refused: u64 = self.refusals.values().sum();
        let operations = self.admitted + self.released + refused;
        let per_s = |count: u64| count as f64 / self.measured_s.max(f64::MIN_POSITIVE);
        let each = |cpu_s: f64, count: u64| cpu_s * 1e6 / count.max(1) as f64;
        let server = self.server_cpu_s.map(|cpu_s| ServerCost {
            cpu_s,
            cpu_us_per_request: each(cpu_s, self.requests),
            cpu_us_per_operation: each(cpu_s, operations),
            busy: cpu_s / self.measured_s,
        });
        let (timing, rate_per_s, batch_lines) = match plan.workload {
            Workload::Closed { .. } => (Loop::Closed, None, 0),
            Workload::Open { rate_per_s } => (Loop::Open, Some(rate_per_s), 0),
            Workload::Batch { calls } => (Loop::Closed, None, 2 * calls),
        };
        Figures {
            target: plan.named_targets(),
            timing,
            connections: plan.connections,
            pipeline: plan.depth(),
            batch_lines,
            keys: plan.keys.len(),
            threads: plan.threads,
            live: plan.live,
            rate_per_s,
            measured_s: self.measured_s,
            requests: self.requests,
            operations,
            admitted: self.admitted,
            released: self.released,
            requests_per_s: per_s(self.requests),
            operations_per_s: per_s(operations),
            latency_us: Latency::of(&self.latency_ns),
            admit_latency_us: (!self.admit_latency_ns.is_empty())
                .then(|| Latency::of(&self.admit_latency_ns)),
            generator_busy: self.generator_cpu_s / self.measured_s / plan.threads as f64,
            refusals: self.refusals,
            errors: self.errors,
            server,
        }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(LATENCY_NS_MAX, SIGNIFICANT_DIGITS)
        .expect("the constants are a valid range")
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => {
            counts.insert(name.to_owned(), 1);
        }
    }
}

fn merge(into: &mut BTreeMap<String, u64>, from: &BTreeMap<String, u64>) {
    for (name, number) in from {
        *into.entry(name.clone()).or_default() += number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_a_refusal_and_anything_unexpected_an_error() {
        assert_eq!(Verdict::of(200, b""), Verdict::Yes);
        assert_eq!(Verdict::of(409, br#"{"reason":"no_slot"}"#), Verdict::Refused("no_slot"));
        assert_eq!(Verdict::of(404, br#"{"reason":"unknown_call"}"#), Verdict::Unknown);
        assert_eq!(
            Verdict::of(401, br#"{"status":401,"reason":"unauthenticated"}"#),
            Verdict::Wrong("unauthenticated")
        );
        assert!(matches!(Verdict::of(500, b"oops"), Verdict::Wrong(_)));
    }

    #[test]
    fn a_line_of_a_batch_says_yes_or_why_not() {
        assert_eq!(Verdict::of_line(br#"{"admitted":true,"call_id":"x"}"#), Verdict::Yes);
        assert_eq!(Verdict::of_line(br#"{"call_id":"x","state":"ended"}"#), Verdict::Yes);
        let denied = br#"{"admitted":false,"reason":"no_slot"}"#;
        assert_eq!(Verdict::of_line(denied), Verdict::Refused("no_slot"));
    }
}
