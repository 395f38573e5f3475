//! One wallet that pays for a thousand sub-accounts: how often the hub is asked at two rates of calls,
//! and what is left of the money when everybody wants the last of it.

use std::io;
use std::thread;
use std::time::Duration;

use benches::client::Client;
use benches::wait;
use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::figure::{Figure, Row};
use crate::installation::{Account, Installation, SERVED_REGION, metric};
use crate::load::{Load, WARMUP_S};

const ACCOUNTS: u32 = 1_000;
const LIMIT_EACH: u32 = 1_000;
/// Admits per second.
const RATES: [f64; 2] = [1_250.0, 5_000.0];
/// A rate that is four times the other may ask the hub so much more often.
const GROWTH_MAX: f64 = 1.25;
const PAID_S: u32 = 30;
/// Of a call of so many seconds at 1.20 a minute, by the minute.
const PRICE_MICROS: i64 = 1_200_000;
/// Pays for 20,000 calls, and not for one more.
const MONEY_MICROS: i64 = 24_000_700_000;
const SPENDING_S: f64 = 20.0;
const UNAVAILABLE: u16 = 503;
const ANSWER_MAX: Duration = Duration::from_secs(5);
const POSTED_MAX: Duration = Duration::from_mins(3);

pub fn under_load(arguments: &Arguments, name: &'static str) -> io::Result<Figure> {
    let (installation, accounts) = prepare(arguments, "1000000000")?;
    let mut rows = Vec::new();
    let mut medians = Vec::new();
    for rate in RATES {
        let (mut calls_per_s, mut admitted_per_s) = (Vec::new(), Vec::new());
        let (mut refused, mut errors) = (Vec::new(), Vec::new());
        for _ in 0..arguments.runs {
            let load = load(&accounts, Some(2.0 * rate), arguments.run_s);
            let running = load.start(&installation)?;
            let counted_s = 0.8 * arguments.run_s;
            thread::sleep(Duration::from_secs_f64(WARMUP_S + 0.1 * arguments.run_s));
            let before = installation.redis.script_calls()?;
            thread::sleep(Duration::from_secs_f64(counted_s));
            calls_per_s.push(count(installation.redis.script_calls()? - before) / counted_s);
            let figures = running.figures()?;
            admitted_per_s.push(count(figures.admitted) / figures.measured_s);
            refused.push(count(figures.refusals.values().sum()));
            errors.push(count(figures.errors_total()));
        }
        let at = |what: &str| format!("at {rate} admits per second: {what}");
        let calls = Row::new(at("script calls"), "/s", calls_per_s);
        medians.push(calls.median);
        rows.push(calls);
        rows.push(Row::new(at("admitted"), "/s", admitted_per_s));
        rows.push(Row::new(at("refused"), "", refused).at_most(0.0));
        rows.push(Row::new(at("anything else than yes or no"), "", errors).at_most(0.0));
    }
    let growth = vec![medians[1] / medians[0]];
    rows.push(
        Row::new("script calls: four times the rate over the rate", "", growth).at_most(GROWTH_MAX),
    );
    let asked = "a wallet shared by 1,000 sub-accounts on three gateways: hub operations independent of \
                 the rate of calls";
    Ok(Figure::new(name, asked, rows))
}

pub fn to_its_end(arguments: &Arguments, name: &'static str) -> io::Result<Figure> {
    let (installation, accounts) = prepare(arguments, &decimal(MONEY_MICROS))?;
    let figures = load(&accounts, None, SPENDING_S).start(&installation)?.figures()?;
    settle(&installation);
    // Calls that were live when the load ended have given back what they held.
    spend_the_rest(&installation, &accounts[0])?;
    let (backlog, held) = settle(&installation);
    let balance = micros(&wallet(&installation)?, "balance")?;
    let usage = installation.administrator()?.send("GET", "/v1/usage", None)?.json()?;
    let posted = usage["calls"].as_i64().unwrap_or_default();
    let spent = MONEY_MICROS - balance;
    let off = (spent - posted * PRICE_MICROS).abs();
    let refused = figures.refusals.get("insufficient_balance").copied().unwrap_or_default();
    let rows = vec![
        Row::new("micro-units spent beyond the wallet", "", vec![exact((-balance).max(0))])
            .at_most(0.0),
        Row::new("micro-units that the ledger and the calls differ by", "", vec![exact(off)])
            .at_most(0.0),
        Row::new("micro-units left, of which a call needs 1,200,000", "", vec![exact(balance)])
            .at_most(exact(PRICE_MICROS - 1)),
        Row::new("records that are not posted at the end", "", vec![backlog]).at_most(0.0),
        Row::new("micro-units held at the end", "", vec![exact(held)]).at_most(0.0),
        Row::new("calls paid", "", vec![exact(posted)]),
        Row::new("refused for money, while measured", "", vec![count(refused)]),
        Row::new("anything else than yes or no", "", vec![count(figures.errors_total())]),
    ];
    let asked = "a wallet shared by 1,000 sub-accounts at full load on three gateways: not one \
                 micro-unit over";
    Ok(Figure::new(name, asked, rows))
}

/// Waits until every call is posted and nothing is held, though not for ever: what is left of both.
fn settle(installation: &Installation) -> (f64, i64) {
    let (mut backlog, mut held) = (0.0, 0);
    let look = || {
        backlog = metric(installation.plane_ops, "ringfence_posting_backlog")?;
        held = micros(&wallet(installation)?, "held")?;
        Ok(backlog <= 0.0 && held == 0)
    };
    // What is left after this time is shown.
    let _in_time = wait::until("every call is posted", POSTED_MAX, look);
    (backlog, held)
}

/// One call after the other, until every gateway refuses the next.
fn spend_the_rest(installation: &Installation, account: &Account) -> io::Result<()> {
    for (at, gateway) in installation.gateways.iter().enumerate() {
        let mut stack = Client::open(gateway.address, &account.key)?;
        for number in 0_u32.. {
            let call_id = format!("rest-{at}-{number}");
            let admit = json!({"call_id": call_id});
            let mut status = 0;
            wait::until("the hub answers", ANSWER_MAX, || {
                status = stack.send("POST", "/v1/calls/admit", Some(&admit))?.status;
                Ok(status != UNAVAILABLE)
            })?;
            if status != 200 {
                break;
            }
            let release = json!({"call_id": call_id, "billable_s": PAID_S});
            stack.send("POST", "/v1/calls/release", Some(&release))?.json()?;
        }
    }
    Ok(())
}

/// Three gateways, and accounts that draw on the organization's wallet.
fn prepare(arguments: &Arguments, money: &str) -> io::Result<(Installation, Vec<Account>)> {
    let installation = Installation::start(arguments)?;
    installation.recharge(money)?;
    let mut administrator = installation.administrator()?;
    let accounts = (0..ACCOUNTS)
        .map(|number| {
            let members = json!({
                "name": format!("Consolidated {number}"), "billing_mode": "consolidated",
                "region": SERVED_REGION, "concurrency_limit": LIMIT_EACH,
                "rate": {"per_minute": "1.20", "initial_s": 60, "increment_s": 60},
            });
            Account::create(&mut administrator, &members)
        })
        .collect::<io::Result<Vec<_>>>()?;
    accounts.iter().try_for_each(|account| installation.known(account))?;
    Ok((installation, accounts))
}

fn load(accounts: &[Account], rate: Option<f64>, measured_s: f64) -> Load<'_> {
    let keys = accounts.iter().map(|account| account.key.as_str()).collect();
    Load { keys, rate, connections_each: 128, live_each: 0, measured_s }
}

fn wallet(installation: &Installation) -> io::Result<Value> {
    installation.administrator()?.send("GET", "/v1/organization/wallet", None)?.json()
}

/// Micro-units of a decimal text such as `-4987.50`.
fn micros(wallet: &Value, name: &str) -> io::Result<i64> {
    let text = wallet[name].as_str().unwrap_or_default();
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let number: i64 = format!("{whole}{fraction:0<6}").parse().map_err(io::Error::other)?;
    Ok(sign * number)
}

fn decimal(micros: i64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn exact(number: i64) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn count(number: u64) -> f64 {
    number as f64
}
