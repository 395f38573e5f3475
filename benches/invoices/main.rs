//! `invoices`: how long a month of a million calls takes to become usage and invoices, on SQLite and on
//! PostgreSQL, and whether both are what the calls cost to the micro-unit. What `make bench-invoices` prints.
//! Real servers on free ports of the loopback, ended when it ends. Decides nothing unless told `--gate`.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use benches::client::Client;
use benches::clock::{SECOND_NS, monotonic_ns};
use benches::machine::Machine;
use benches::program;
use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use support::Installation;
use support::postgres::Postgres;
use support::process::OPERATOR_KEY;
use support::redis::Redis;

mod fill;

use fill::Account;

/// Usage and invoices together.
const ASKED_S: f64 = 60.0;
/// Every so many accounts one is billed to its organization.
const CONSOLIDATED_EVERY: usize = 10;
const MICROS_PER_UNIT: i64 = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Database {
    Sqlite,
    Postgres,
}

/// Measures usage and invoices of a month.
#[derive(Debug, Parser)]
#[command(name = "invoices", version)]
struct Arguments {
    /// Where `ringfence` stands; beside this program unless given
    #[arg(long)]
    bin_dir: Option<PathBuf>,
    /// On this one only
    #[arg(long)]
    database: Option<Database>,
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=100_000))]
    accounts: u64,
    /// Calls of all accounts
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    calls: u64,
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
            let _unheard = writeln!(io::stderr(), "invoices: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How many promises were missed.
fn run(arguments: &Arguments) -> io::Result<usize> {
    writeln!(io::stdout(), "{}", Machine::read())?;
    let mut missed = 0;
    for database in [Database::Sqlite, Database::Postgres] {
        if arguments.database.is_none_or(|only| only == database) {
            missed += measure(arguments, database)?;
        }
    }
    Ok(missed)
}

fn measure(arguments: &Arguments, database: Database) -> io::Result<usize> {
    let mut out = io::stdout();
    let binary = program::find(arguments.bin_dir.as_deref(), "ringfence")?;
    let directory = tempfile::tempdir()?;
    let (redis, postgres) =
        (Redis::start(&[]), (database == Database::Postgres).then(Postgres::start));
    let url = match &postgres {
        Some(postgres) => postgres.database("ringfence"),
        None => format!("sqlite://{}", directory.path().join("ringfence.db").display()),
    };
    let plane = Installation::control_plane(&binary.to_string_lossy(), &redis.url())
        .set("RINGFENCE_DATABASE_URL", &url)
        .set("RINGFENCE_REQUESTS_PER_S", "1000000")
        .start();
    let mut operator = Client::open(plane.control_plane, OPERATOR_KEY)?;
    let made = json!({"name": "Platform", "concurrency_total": 1_000_000, "currency": "INR"});
    let made = operator.send("POST", "/v1/organizations", Some(&made))?.json()?;
    let organization = text(&made, "organization_id")?;
    let key = text(&made, "api_key")?;
    let accounts = accounts(&mut Client::open(plane.control_plane, &key)?, arguments.accounts)?;
    let bar = progress(arguments.calls, database);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let began_ns = monotonic_ns();
    let charged =
        runtime.block_on(fill::fill(&url, &organization, &accounts, arguments.calls, &bar))?;
    bar.finish_and_clear();
    let (calls, accounts_count) = (arguments.calls, accounts.len());
    writeln!(
        out,
        "{database:?}: {calls} calls of {accounts_count} accounts written in {:.1} s",
        seconds(began_ns)
    )?;

    // A connection that was idle for so long is closed.
    let mut administrator = Client::open(plane.control_plane, &key)?;
    let began_ns = monotonic_ns();
    check_usage(&mut administrator, &charged)?;
    let usage_s = seconds(began_ns);
    writeln!(
        out,
        "        usage of every account                    {usage_s:>6.1} s, as the receipts add up"
    )?;

    let terms = json!({"issuer": {"legal_name": "Platform"}, "starts_at": "2025-06-01",
        "taxes": [{"name": "CGST", "rate_bp": 900}, {"name": "SGST", "rate_bp": 900}]});
    administrator.send("PATCH", "/v1/organization/invoicing", Some(&terms))?.json()?;
    let began_ns = monotonic_ns();
    let issued = issue(&mut administrator, &organization, &accounts)?;
    let invoices_s = seconds(began_ns);
    check_invoices(&issued, &organization, &accounts, &charged)?;
    let count = issued.len();
    writeln!(
        out,
        "        {count:>4} invoices                             {invoices_s:>6.1} s, as the receipts add up"
    )?;
    let whole_s = usage_s + invoices_s;
    let verdict = if whole_s > ASKED_S { "MISSED" } else { "holds" };
    writeln!(
        out,
        "        together                                  {whole_s:>6.1} s   {ASKED_S} or less: {verdict}"
    )?;
    plane.stop();
    Ok(usize::from(whole_s > ASKED_S))
}

fn accounts(administrator: &mut Client, count: u64) -> io::Result<Vec<Account>> {
    let count = usize::try_from(count).map_err(io::Error::other)?;
    let make = |number: usize| {
        let is_isolated = !number.is_multiple_of(CONSOLIDATED_EVERY);
        let billing = if is_isolated { "isolated" } else { "consolidated" };
        let members = json!({"name": format!("Client {number:04}"), "concurrency_limit": 1, "billing_mode": billing});
        let made = administrator.send("POST", "/v1/sub-accounts", Some(&members))?.json()?;
        Ok(Account { id: text(&made, "sub_account_id")?, is_isolated })
    };
    (0..count).map(make).collect()
}

/// Usage by account says what was charged.
fn check_usage(administrator: &mut Client, charged: &BTreeMap<String, i64>) -> io::Result<()> {
    let mut found = BTreeMap::new();
    let first = "/v1/usage?from=2025-06-01&to=2025-06-30&group_by=account&limit=1000".to_owned();
    let mut next = Some(first.clone());
    while let Some(path) = next {
        let page = administrator.send("GET", &path, None)?.json()?;
        for row in page["data"].as_array().into_iter().flatten() {
            let cost = micros(&text(row, "cost")?)?;
            if cost > 0 {
                found.insert(text(row, "account")?, cost);
            }
        }
        next = page["next_cursor"].as_str().map(|cursor| format!("{first}&cursor={cursor}"));
    }
    if found == *charged {
        Ok(())
    } else {
        Err(io::Error::other("usage is not what the calls cost"))
    }
}

/// Each account's own, then the organization's.
fn issue(
    administrator: &mut Client,
    organization: &str,
    accounts: &[Account],
) -> io::Result<Vec<Value>> {
    let isolated =
        accounts.iter().filter(|account| account.is_isolated).map(|account| &*account.id);
    let mut issued = Vec::new();
    for account in isolated.chain([organization]) {
        let asked = json!({"account": account, "from": "2025-06-01", "to": "2025-06-30"});
        issued.push(administrator.send("POST", "/v1/invoices", Some(&asked))?.json()?);
    }
    Ok(issued)
}

fn check_invoices(
    issued: &[Value],
    organization: &str,
    accounts: &[Account],
    charged: &BTreeMap<String, i64>,
) -> io::Result<()> {
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    for Account { id, is_isolated } in accounts {
        let subject = if *is_isolated { id } else { organization };
        *expected.entry(subject.to_owned()).or_default() += charged.get(id).copied().unwrap_or(0);
    }
    let mut found = BTreeMap::new();
    for (number, invoice) in (1..).zip(issued) {
        if text(invoice, "number")? != format!("INV-{number:06}") {
            return Err(io::Error::other("numbers have a gap"));
        }
        found.insert(text(invoice, "account")?, micros(&text(invoice, "charged")?)?);
    }
    expected.retain(|_, charged| *charged > 0);
    if found == expected {
        Ok(())
    } else {
        Err(io::Error::other("invoices are not what the calls cost"))
    }
}

fn text(object: &Value, member: &str) -> io::Result<String> {
    let found = object[member].as_str().map(str::to_owned);
    found.ok_or_else(|| io::Error::other(format!("no {member} in {object}")))
}

/// Of plain digits with at most six decimals.
fn micros(text: &str) -> io::Result<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = whole.parse().map_err(io::Error::other)?;
    let fraction: i64 = format!("{fraction:0<6}").parse().map_err(io::Error::other)?;
    Ok(whole * MICROS_PER_UNIT + fraction)
}

#[expect(clippy::cast_precision_loss, reason = "shown with few digits")]
fn seconds(began_ns: u64) -> f64 {
    (monotonic_ns() - began_ns) as f64 / SECOND_NS as f64
}

fn progress(count: u64, database: Database) -> ProgressBar {
    let bar = ProgressBar::new(count).with_message(format!("calls into {database:?}"));
    if !io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar
}
