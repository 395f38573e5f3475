//! How soon an administrator's change is in force on every gateway: asked of each until it says so. The
//! questions never reach the hub: what they ask is known or not where they are asked, so they hurry
//! nothing.

use std::io;
use std::thread;
use std::time::Duration;

use benches::client::{Client, Whole};
use benches::clock::{MILLISECOND_NS, SECOND_NS, monotonic_ns};
use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::figure::{Figure, Row, quantile};
use crate::installation::{Account, Installation, OTHER_REGION, SERVED_REGION};
use crate::load::Load;

const IN_FORCE_MS: f64 = 500.0;
const LOOK_EVERY: Duration = Duration::from_millis(1);
const GIVEN_UP_NS: u64 = 30 * SECOND_NS;
/// Admits per second of other accounts of the organization, half of the changes meanwhile.
const LOAD_ADMITS_PER_S: f64 = 500.0;
const LOAD_S_MAX: f64 = 600.0;

/// When a change was in force on each gateway, in milliseconds after its request and its answer.
pub struct Delay {
    pub from_request_ms: Vec<f64>,
    pub from_answer_ms: Vec<f64>,
}

pub fn measure(arguments: &Arguments, name: &'static str) -> io::Result<Figure> {
    let installation = Installation::start(arguments)?;
    let limited = installation.unbilled(1, SERVED_REGION)?;
    // Its admits are refused for its region, but for its suspension first, and never reach the hub.
    let elsewhere = installation.unbilled(10, OTHER_REGION)?;
    let busy = installation.unbilled(10_000, SERVED_REGION)?;
    let half = arguments.changes / 2;
    let mut rows = Vec::new();
    for under_load in [false, true] {
        let load = Load {
            keys: vec![&busy.key],
            rate: Some(2.0 * LOAD_ADMITS_PER_S),
            connections_each: 32,
            live_each: 0,
            measured_s: LOAD_S_MAX,
        };
        let running = under_load.then(|| load.start(&installation)).transpose()?;
        let first = if under_load { half } else { 0 };
        let limits = (first..first + half)
            .map(|number| limit(&installation, &limited, 2 + number))
            .collect::<io::Result<Vec<_>>>()?;
        let suspensions = (0..half)
            .map(|_| suspension(&installation, &elsewhere))
            .collect::<io::Result<Vec<_>>>()?;
        drop(running);
        let when = if under_load { "under load" } else { "idle" };
        rows.extend(shown(&format!("new limit, {when}"), &limits));
        rows.extend(shown(&format!("suspension, {when}"), &suspensions));
    }
    let asked = "suspending an account or changing its limit is in force on every gateway within 500 ms \
                 (p99 of 1,000 changes)";
    Ok(Figure::new(name, asked, rows))
}

/// Writes a new limit and waits until each gateway has it.
pub fn limit(installation: &Installation, account: &Account, limit: u32) -> io::Result<Delay> {
    let body = json!({"concurrency_limit": limit});
    let path = format!("/v1/sub-accounts/{}", account.id);
    let known = |client: &mut Client| {
        let own = client.send("GET", "/v1/metrics", None)?;
        Ok(has_limit(&String::from_utf8_lossy(&own.body), limit))
    };
    change(installation, account, ("PATCH", &path, &body), known)
}

/// Suspends an account that no gateway serves, waits until each refuses it for that, and undoes it.
fn suspension(installation: &Installation, account: &Account) -> io::Result<Delay> {
    let path = |verb: &str| format!("/v1/sub-accounts/{}/{verb}", account.id);
    let refused_as = |reason: &'static str| {
        move |client: &mut Client| {
            let body = json!({"call_id": "never"});
            Ok(is_refused(&client.send("POST", "/v1/calls/admit", Some(&body))?, reason))
        }
    };
    let none = json!({});
    let suspend = ("POST", path("suspend"), refused_as("suspended"));
    let reactivate = ("POST", path("reactivate"), refused_as("wrong_region"));
    let delay = change(installation, account, (suspend.0, &suspend.1, &none), suspend.2)?;
    change(installation, account, (reactivate.0, &reactivate.1, &none), reactivate.2)?;
    Ok(delay)
}

fn has_limit(own_series: &str, limit: u32) -> bool {
    let of_account = |line: &str| line.starts_with("ringfence_account_limit{");
    let value = own_series.lines().find(|line| of_account(line));
    value
        .and_then(|line| line.rsplit_once(' '))
        .is_some_and(|(_, value)| value == limit.to_string())
}

fn is_refused(answer: &Whole, reason: &str) -> bool {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    body["reason"] == reason
}

/// Sends a change, and asks every gateway from then on until it is in force there.
fn change(
    installation: &Installation,
    account: &Account,
    (method, path, body): (&str, &str, &Value),
    in_force: impl Fn(&mut Client) -> io::Result<bool> + Sync,
) -> io::Result<Delay> {
    let mut administrator = installation.administrator()?;
    let mut clients = installation
        .gateways
        .iter()
        .map(|gateway| Client::open(gateway.address, &account.key))
        .collect::<io::Result<Vec<_>>>()?;
    let (sent_ns, in_force) = (monotonic_ns(), &in_force);
    thread::scope(|scope| {
        let watching: Vec<_> = clients
            .iter_mut()
            .map(|client| scope.spawn(move || first_seen_ns(client, sent_ns, in_force)))
            .collect();
        administrator.send(method, path, Some(body))?.json()?;
        let answered_ns = monotonic_ns();
        let mut delay = Delay { from_request_ms: Vec::new(), from_answer_ms: Vec::new() };
        for watcher in watching {
            let panicked = |_| io::Error::other("a watcher panicked");
            let seen_ns = watcher.join().map_err(panicked)??;
            delay.from_request_ms.push(milliseconds(seen_ns - sent_ns));
            delay.from_answer_ms.push(milliseconds(seen_ns.saturating_sub(answered_ns)));
        }
        Ok(delay)
    })
}

fn first_seen_ns(
    client: &mut Client,
    sent_ns: u64,
    in_force: &impl Fn(&mut Client) -> io::Result<bool>,
) -> io::Result<u64> {
    loop {
        let is_in_force = in_force(client)?;
        let now_ns = monotonic_ns();
        if is_in_force {
            return Ok(now_ns);
        }
        if now_ns - sent_ns > GIVEN_UP_NS {
            return Err(io::Error::other("a change never came into force"));
        }
        thread::sleep(LOOK_EVERY);
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with four digits")]
pub fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / MILLISECOND_NS as f64
}

/// The rows of one sort of change; each gateway is one case.
pub fn shown(sort: &str, delays: &[Delay]) -> Vec<Row> {
    let all = |of: fn(&Delay) -> &Vec<f64>| -> Vec<f64> {
        delays.iter().flat_map(|delay| of(delay).iter().copied()).collect()
    };
    let answered = all(|delay| &delay.from_answer_ms);
    let sent = all(|delay| &delay.from_request_ms);
    let row = |part: f64, values: &[f64], what: &str| {
        let name = format!("{sort}: {what} ({} changes)", delays.len());
        Row::new(name, "ms", vec![quantile(values, part)])
    };
    vec![
        row(0.99, &answered, "p99 after the answer").at_most(IN_FORCE_MS),
        row(0.99, &sent, "p99 after the request").at_most(IN_FORCE_MS),
        row(0.5, &sent, "p50 after the request"),
        row(1.0, &sent, "slowest after the request"),
    ]
}
