//! `administer`: how fast a control plane over PostgreSQL and Redis creates sub-accounts, and how soon its
//! lists, searches and usage are answered when there are many. What `make bench-administration` prints.
//! Real servers on free ports of the loopback, ended when it ends. Decides nothing unless told `--gate`.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use benches::client::Client;
use benches::clock::{SECOND_NS, monotonic_ns};
use benches::machine::Machine;
use benches::program;
use clap::Parser;
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rand::Rng;
use serde_json::{Value, json};
use support::Installation;
use support::postgres::Postgres;
use support::process::OPERATOR_KEY;
use support::redis::Redis;

/// Organizations over which creation is spread; one more has the rest.
const ORGANIZATIONS: u64 = 10;
/// Slots of each: never in the way.
const TOTAL: u32 = 1_000_000;
/// Answers of one sort.
const ANSWERS: u64 = 400;
const ASKED_MS: f64 = 100.0;
const ASKED_SPREAD_PER_S: f64 = 500.0;
const ASKED_ONE_PER_S: f64 = 150.0;

/// Measures the control plane with many sub-accounts over PostgreSQL and Redis.
#[derive(Debug, Parser)]
#[command(name = "administer", version)]
struct Arguments {
    /// Where `ringfence` stands; beside this program unless given
    #[arg(long)]
    bin_dir: Option<PathBuf>,
    /// Sub-accounts in all
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    accounts: u64,
    /// Of them created over ten organizations
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(100..=500_000))]
    spread: u64,
    /// Administrators at a time
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=256))]
    connections: u64,
    /// End with status 1 when a promise is missed
    #[arg(long)]
    gate: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(missed) if arguments.gate && missed > 0 => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _unheard = writeln!(io::stderr(), "administer: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How many promises were missed.
fn run(arguments: &Arguments) -> io::Result<usize> {
    let mut out = io::stdout();
    writeln!(out, "{}", Machine::read())?;
    let binary = program::find(arguments.bin_dir.as_deref(), "ringfence")?;
    let (postgres, redis) = (Postgres::start(), Redis::start(&[]));
    let plane = Installation::control_plane(&binary.to_string_lossy(), &redis.url())
        .set("RINGFENCE_DATABASE_URL", &postgres.database("ringfence"))
        .set("RINGFENCE_REQUESTS_PER_S", "1000000")
        .start();
    let address = plane.control_plane;
    let mut operator = Client::open(address, OPERATOR_KEY)?;
    let keys = (0..=ORGANIZATIONS).map(|number| organization(&mut operator, number));
    let keys = keys.collect::<io::Result<Vec<_>>>()?;
    let (one, ten) = keys.split_last().ok_or_else(|| io::Error::other("no organization"))?;
    let count = arguments.spread.min(arguments.accounts);
    let mut missed = 0;
    for (what, keys, count, asked) in [
        ("created over ten organizations", ten, count, ASKED_SPREAD_PER_S),
        ("created in one", std::slice::from_ref(one), arguments.accounts - count, ASKED_ONE_PER_S),
    ] {
        let per_s = create(address, keys, count, arguments.connections, what)?;
        missed += usize::from(per_s < asked);
        let verdict = if per_s < asked { "MISSED" } else { "holds" };
        writeln!(out, "{count:>7} {what:<34} {per_s:>8.0}/s   {asked} or more: {verdict}")?;
    }
    let mut administrator = Client::open(address, one)?;
    let known = Known::read(&mut administrator)?;
    for (what, path) in reads() {
        let p95_ms = answered(&mut administrator, &known, path)?;
        missed += usize::from(p95_ms > ASKED_MS);
        let verdict = if p95_ms > ASKED_MS { "MISSED" } else { "holds" };
        writeln!(out, "        {what:<34} {p95_ms:>8.1} ms p95   {ASKED_MS} or less: {verdict}")?;
    }
    plane.stop();
    Ok(missed)
}

/// The key of a new one.
fn organization(operator: &mut Client, number: u64) -> io::Result<String> {
    let members = json!({
        "name": format!("Organization {number}"), "concurrency_total": TOTAL, "currency": "INR",
    });
    let made = operator.send("POST", "/v1/organizations", Some(&members))?.json()?;
    let key = made["api_key"].as_str().map(str::to_owned);
    key.ok_or_else(|| io::Error::other("an organization without a key"))
}

/// Creates so many, by so many administrators at a time; how many a second.
fn create(
    address: SocketAddr,
    keys: &[String],
    count: u64,
    connections: u64,
    what: &'static str,
) -> io::Result<f64> {
    let next = AtomicU64::new(0);
    let bar = progress(count, what);
    let began_ns = monotonic_ns();
    thread::scope(|threads| {
        let administrators = (0..connections).map(|number| {
            let (next, bar) = (&next, &bar);
            let key = &keys[usize::try_from(number).unwrap_or(0) % keys.len()];
            threads.spawn(move || -> io::Result<()> {
                let mut client = Client::open(address, key)?;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return Ok(());
                    }
                    let members =
                        json!({"name": format!("Client {number:06}"), "concurrency_limit": 1});
                    client.send("POST", "/v1/sub-accounts", Some(&members))?.json()?;
                    bar.inc(1);
                }
            })
        });
        let administrators: Vec<_> = administrators.collect();
        administrators.into_iter().try_for_each(|one| {
            one.join().map_err(|_| io::Error::other("an administrator panicked"))?
        })
    })?;
    bar.finish_and_clear();
    let took_ns = (monotonic_ns() - began_ns).max(1);
    #[expect(clippy::cast_precision_loss, reason = "shown with few digits")]
    Ok(count as f64 * SECOND_NS as f64 / took_ns as f64)
}

fn progress(count: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(count).with_message(what);
    if !io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar
}

/// What can be asked for.
#[derive(Default)]
struct Known {
    /// Of all sub-accounts.
    ids: Vec<String>,
    /// Of pages anywhere in the list.
    cursors: Vec<String>,
}

impl Known {
    fn read(administrator: &mut Client) -> io::Result<Self> {
        let (mut known, mut path) = (Self::default(), "/v1/sub-accounts?limit=1000".to_owned());
        loop {
            let page = administrator.send("GET", &path, None)?.json()?;
            let data = page["data"].as_array().into_iter().flatten();
            known
                .ids
                .extend(data.filter_map(|one| one["sub_account_id"].as_str().map(str::to_owned)));
            let Value::String(cursor) = &page["next_cursor"] else { return Ok(known) };
            path = format!("/v1/sub-accounts?limit=1000&cursor={cursor}");
            known.cursors.push(cursor.clone());
        }
    }

    /// An id and a cursor.
    fn any(&self) -> (&str, &str) {
        let one = |texts: &[String]| rand::rng().random_range(0..texts.len().max(1));
        let (id, cursor) = (self.ids.get(one(&self.ids)), self.cursors.get(one(&self.cursors)));
        (id.map_or("", String::as_str), cursor.map_or("", String::as_str))
    }
}

/// A path to ask for, of an account or a page.
type Read = fn(&str, &str) -> String;

fn reads() -> [(&'static str, Read); 6] {
    [
        ("a page of 100, anywhere", |_, cursor| {
            format!("/v1/sub-accounts?limit=100&cursor={cursor}")
        }),
        ("a search that finds a few", |_, _| {
            let number: u32 = rand::rng().random_range(0..10_000);
            format!("/v1/sub-accounts?limit=100&search={number:05}")
        }),
        ("a search that finds none", |_, _| "/v1/sub-accounts?limit=100&search=nobody".to_owned()),
        ("one sub-account", |id, _| format!("/v1/sub-accounts/{id}")),
        ("usage of one", |id, _| format!("/v1/sub-accounts/{id}/usage")),
        ("usage of the organization", |_, _| "/v1/usage".to_owned()),
    ]
}

/// Within how many milliseconds 95 of 100 are answered, one after the other.
fn answered(administrator: &mut Client, known: &Known, path: Read) -> io::Result<f64> {
    let mut latencies = Histogram::<u64>::new(3).map_err(io::Error::other)?;
    for _ in 0..ANSWERS {
        let (id, cursor) = known.any();
        let path = path(id, cursor);
        let began_ns = monotonic_ns();
        administrator.send("GET", &path, None)?.json()?;
        latencies.record((monotonic_ns() - began_ns) / 1_000).map_err(io::Error::other)?;
    }
    #[expect(clippy::cast_precision_loss, reason = "shown with few digits")]
    Ok(latencies.value_at_quantile(0.95) as f64 / 1_000.0)
}
