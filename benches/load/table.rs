//! The figures as people read them.

use std::collections::BTreeMap;
use std::fmt;

use benches::figures::{Figures, Loop};

/// Above this the generator was the limit and the figures say little about the server.
const GENERATOR_BUSY_MAX: f64 = 0.95;

pub struct Table<'a>(pub &'a Figures);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = self.0;
        let row = |f: &mut fmt::Formatter<'_>, name: &str, value: String| {
            writeln!(f, "{name:<22} {value}")
        };
        row(f, "target", sent(figures))?;
        row(f, "measured", format!("{:.2} s, {} requests", figures.measured_s, figures.requests))?;
        row(f, "requests/s", format!("{:.0}", figures.requests_per_s))?;
        row(f, "operations/s", format!("{:.0}", figures.operations_per_s))?;
        row(f, "admitted, released", format!("{}, {}", figures.admitted, figures.released))?;
        row(f, "refused", counted(&figures.refusals))?;
        row(f, "errors", counted(&figures.errors))?;
        let latency = figures.latency_us;
        let head = ["p50", "p90", "p99", "p99.9", "max"].map(|name| format!("{name:>9}")).concat();
        let values = [latency.p50, latency.p90, latency.p99, latency.p99_9, latency.max];
        row(f, "", head)?;
        row(f, "latency µs", values.map(|value| format!("{value:>9.1}")).concat())?;
        if let Some(server) = figures.server {
            let each = format!(
                "{:.2} per request, {:.2} per operation ({:.2} processors busy)",
                server.cpu_us_per_request, server.cpu_us_per_operation, server.busy
            );
            row(f, "server CPU µs", each)?;
        }
        let limit = if figures.timing == Loop::Closed && figures.generator_busy > GENERATOR_BUSY_MAX
        {
            ": the generator may have been the limit, compare CPU µs"
        } else {
            ""
        };
        row(f, "generator busy", format!("{:.2}{limit}", figures.generator_busy))
    }
}

/// Counts by name, on one line.
pub fn counted(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return "0".into();
    }
    let each: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    each.join(", ")
}

fn sent(figures: &Figures) -> String {
    let Figures { target, connections, keys, pipeline, batch_lines, .. } = figures;
    let how = match figures.rate_per_s {
        Some(rate) => format!("open loop at {rate:.0}/s"),
        None if *batch_lines > 0 => format!("batches of {batch_lines} lines"),
        None if *pipeline > 1 => format!("closed loop, {pipeline} deep"),
        None => "closed loop".into(),
    };
    format!("{target}, {how}, {connections} connections, {keys} keys, {} kept live", figures.live)
}
