//! The two ways in which slots are leased: how often the fast one asks the hub, and how long an admit
//! takes in the exact one, where each waits for it.

use std::io;
use std::thread;
use std::time::Duration;

use crate::arguments::Arguments;
use crate::figure::{Figure, Row, quantile};
use crate::installation::{Installation, SERVED_REGION};
use crate::load::{Load, WARMUP_S};

const FAST_ADMITS_PER_S: f64 = 5_000.0;
const FAST_LIMIT: u32 = 10_000;
/// Of 384 connections together: a third of the limit is in use.
const FAST_LIVE_EACH: u32 = 8;
const EXACT_ADMITS_PER_S: f64 = 500.0;
const EXACT_ACCOUNTS: u32 = 50;
/// Below 8 slots an account is always exact.
const EXACT_LIMIT: u32 = 7;

const FAST: &str = "ringfence_hub_regime{regime=\"fast\"}";
const EXACT: &str = "ringfence_hub_regime{regime=\"exact\"}";

pub fn fast(arguments: &Arguments, name: &'static str) -> io::Result<Figure> {
    let installation = Installation::start(arguments)?;
    let account = installation.unbilled(FAST_LIMIT, SERVED_REGION)?;
    let load = Load {
        keys: vec![&account.key],
        rate: Some(2.0 * FAST_ADMITS_PER_S),
        connections_each: 128,
        live_each: FAST_LIVE_EACH,
        measured_s: arguments.run_s,
    };
    let runs = measure(arguments, &installation, &load)?;
    let rows = vec![
        row("script calls per admitted call", "", &runs, |run| run.calls_per_admit).at_most(0.05),
        row("accounts in the fast regime, over all gateways", "", &runs, |run| run.fast),
        row("accounts in the exact regime", "", &runs, |run| run.exact).at_most(0.0),
    ];
    let asked = "less than 0.05 script calls per admitted call at 5,000 admits per second on one account \
                 with limit 10,000, three gateways";
    Ok(Figure::new(name, asked, with_load(rows, &runs)))
}

pub fn exact(arguments: &Arguments, name: &'static str) -> io::Result<Figure> {
    let installation = Installation::start(arguments)?;
    let accounts = (0..EXACT_ACCOUNTS)
        .map(|_| installation.unbilled(EXACT_LIMIT, SERVED_REGION))
        .collect::<io::Result<Vec<_>>>()?;
    let load = Load {
        keys: accounts.iter().map(|account| account.key.as_str()).collect(),
        rate: Some(2.0 * EXACT_ADMITS_PER_S),
        connections_each: 16,
        live_each: 0,
        measured_s: arguments.run_s,
    };
    let runs = measure(arguments, &installation, &load)?;
    let rows = vec![
        row("p99 of an admit", "ms", &runs, |run| run.admit_ms[1]).at_most(3.0),
        row("p50 of an admit", "ms", &runs, |run| run.admit_ms[0]),
        row("p99 of a bare round trip to Redis meanwhile", "ms", &runs, |run| run.round_trip_ms),
        row("accounts in the exact regime, over all gateways", "", &runs, |run| run.exact),
        row("accounts in the fast regime", "", &runs, |run| run.fast).at_most(0.0),
        row("script calls per admitted call", "", &runs, |run| run.calls_per_admit),
    ];
    let asked = "p99 of an admit within 3 ms in the exact regime, at 500 admits per second over 50 \
                 accounts, three gateways on one machine";
    Ok(Figure::new(name, asked, with_load(rows, &runs)))
}

/// One run of a load.
struct Run {
    calls_per_admit: f64,
    calls_per_s: f64,
    fast: f64,
    exact: f64,
    /// p50, p99
    admit_ms: [f64; 2],
    /// p99 of a bare round trip to Redis.
    round_trip_ms: f64,
    admits_per_s: f64,
    refused: f64,
    errors: f64,
    /// Processors kept busy by Redis, by the control plane and by all gateways.
    busy: [f64; 3],
}

/// Rows that every load has: whether it was the one that was asked for.
fn with_load(mut rows: Vec<Row>, runs: &[Run]) -> Vec<Row> {
    rows.extend([
        row("admitted", "/s", runs, |run| run.admits_per_s),
        row("script calls", "/s", runs, |run| run.calls_per_s),
        row("refused for slots", "", runs, |run| run.refused),
        row("anything else than yes or no", "", runs, |run| run.errors).at_most(0.0),
        row("processors busy: Redis", "", runs, |run| run.busy[0]),
        row("processors busy: control plane", "", runs, |run| run.busy[1]),
        row("processors busy: three gateways", "", runs, |run| run.busy[2]),
    ]);
    rows
}

fn row(what: &str, unit: &'static str, runs: &[Run], of: impl Fn(&Run) -> f64) -> Row {
    Row::new(what, unit, runs.iter().map(of).collect())
}

fn measure(
    arguments: &Arguments,
    installation: &Installation,
    load: &Load<'_>,
) -> io::Result<Vec<Run>> {
    (0..arguments.runs).map(|_| one(installation, load)).collect()
}

/// Counts while the load is at its rate; its own figures are of the same seconds, but for the first
/// and the last.
#[expect(clippy::cast_precision_loss, reason = "counts of seconds")]
fn one(installation: &Installation, load: &Load<'_>) -> io::Result<Run> {
    let running = load.start(installation)?;
    let edge_s = load.measured_s / 10.0;
    thread::sleep(Duration::from_secs_f64(WARMUP_S + edge_s));
    let look = || {
        let calls = installation.redis.script_calls()?;
        Ok::<_, io::Error>((calls as f64, installation.admitted()?, installation.cpu_s()?))
    };
    let counted_s = 8.0 * edge_s;
    let (calls_before, admitted_before, cpu_before) = look()?;
    let round_trips = installation.redis.round_trips(Duration::from_secs_f64(counted_s))?;
    let (fast, exact) = (installation.sum(FAST)?, installation.sum(EXACT)?);
    let (calls, admitted, cpu) = look()?;
    let figures = running.figures()?;
    let latency = figures.admit_latency_us.ok_or_else(|| io::Error::other("no admit was timed"))?;
    let calls = calls - calls_before;
    Ok(Run {
        calls_per_admit: calls / (admitted - admitted_before),
        calls_per_s: calls / counted_s,
        fast,
        exact,
        admit_ms: [latency.p50 / 1e3, latency.p99 / 1e3],
        round_trip_ms: quantile(&round_trips, 0.99),
        admits_per_s: figures.admitted as f64 / figures.measured_s,
        refused: figures.refusals.values().sum::<u64>() as f64,
        errors: figures.errors_total() as f64,
        busy: [0, 1, 2].map(|who| (cpu[who] - cpu_before[who]) / counted_s),
    })
}
