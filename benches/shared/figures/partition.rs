//! One gateway is cut off from the hub: an account is suspended that it has idle slots of. It must
//! admit nothing once the fence time has passed, and the others must hear of changes as ever.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use benches::client::Client;
use benches::clock::{SECOND_NS, monotonic_ns};
use serde_json::{Value, json};
use support::relay::Relay;

use super::changes::{self, milliseconds};
use crate::arguments::Arguments;
use crate::figure::{Figure, Row};
use crate::installation::{Account, Installation, SERVED_REGION};

/// What the gateways were started with.
const FENCE_S: f64 = 15.0;
/// Far enough below what may be admitted without telling the hub.
const ADMIT_EVERY: Duration = Duration::from_millis(25);
const LIMIT: u32 = 100_000;
const PRIMING_ADMITS: u32 = 40;
const CHANGES: u32 = 50;
const WATCHED_NS: u64 = 25 * SECOND_NS;

pub fn measure(arguments: &Arguments, name: &'static str) -> io::Result<Figure> {
    let mut installation = Installation::without_gateways(arguments)?;
    let relay = Relay::start(installation.redis.address().port());
    installation.add_gateway(SocketAddr::from((Ipv4Addr::LOCALHOST, relay.port())))?;
    installation.add_gateway(installation.redis.address())?;
    installation.add_gateway(installation.redis.address())?;
    let cases = (0..arguments.runs)
        .map(|_| one(&mut installation, &relay))
        .collect::<io::Result<Vec<_>>>()?;
    let row = |what: &str, unit, of: fn(&Case) -> f64| {
        Row::new(what, unit, cases.iter().map(of).collect())
    };
    let mut rows = vec![
        row("cut off: last admit after the suspension", "s", |case| case.last_admit_s)
            .at_most(FENCE_S),
        row("cut off: last admit after the cut", "s", |case| case.last_after_cut_s)
            .at_most(FENCE_S),
        row("cut off: admits after the suspension", "", |case| case.admitted),
        row("healed: first refusal for the suspension", "s", |case| case.healed_s),
    ];
    let delays: Vec<_> = cases.into_iter().flat_map(|case| case.delays).collect();
    rows.extend(changes::shown("others, new limit", &delays));
    let asked = "also while one gateway is partitioned: there within the fence time (15 s), elsewhere \
                 within 500 ms";
    Ok(Figure::new(name, asked, rows))
}

/// What one cut showed.
struct Case {
    last_admit_s: f64,
    last_after_cut_s: f64,
    admitted: f64,
    healed_s: f64,
    delays: Vec<changes::Delay>,
}

/// The first gateway is the one that is cut off.
fn one(installation: &mut Installation, relay: &Relay) -> io::Result<Case> {
    let account = installation.unbilled(LIMIT, SERVED_REGION)?;
    let other = installation.unbilled(1, SERVED_REGION)?;
    let mut stack = Client::open(installation.gateways[0].address, &account.key)?;
    for number in 0..PRIMING_ADMITS {
        admit(&mut stack, &format!("before-{number}"))?;
        thread::sleep(ADMIT_EVERY);
    }
    relay.cut();
    let cut_ns = monotonic_ns();
    suspend(installation, &account)?;
    let suspended_ns = monotonic_ns();
    let cut_off = installation.gateways.remove(0);
    // Others change meanwhile, with the gateways that are left.
    let (watched, delays) = thread::scope(|scope| {
        let others = scope.spawn(|| {
            let limits = 2..2 + CHANGES;
            limits.map(|limit| changes::limit(installation, &other, limit)).collect()
        });
        (watch(&mut stack, suspended_ns), others.join())
    });
    let Watched { last_ns, admitted } = watched?;
    let delays: io::Result<_> = delays.map_err(|_| io::Error::other("the changes panicked"))?;
    installation.gateways.insert(0, cut_off);
    relay.mend();
    let healed_ns = monotonic_ns();
    while admit(&mut stack, "healed")? != "suspended" {
        if monotonic_ns() - healed_ns > WATCHED_NS {
            return Err(io::Error::other("the healed gateway never hears of the suspension"));
        }
        thread::sleep(ADMIT_EVERY);
    }
    Ok(Case {
        last_admit_s: milliseconds(last_ns - suspended_ns) / 1e3,
        last_after_cut_s: milliseconds(last_ns - cut_ns) / 1e3,
        admitted: f64::from(admitted),
        healed_s: milliseconds(monotonic_ns() - healed_ns) / 1e3,
        delays: delays?,
    })
}

/// What a gateway that is cut off still admitted.
struct Watched {
    last_ns: u64,
    admitted: u32,
}

fn watch(stack: &mut Client, suspended_ns: u64) -> io::Result<Watched> {
    let mut watched = Watched { last_ns: suspended_ns, admitted: 0 };
    let mut asked = 0;
    while monotonic_ns() - suspended_ns < WATCHED_NS {
        asked += 1;
        if admit(stack, &format!("after-{asked}"))? == "admitted" {
            watched.last_ns = monotonic_ns();
            watched.admitted += 1;
        }
        thread::sleep(ADMIT_EVERY);
    }
    Ok(watched)
}

fn suspend(installation: &Installation, account: &Account) -> io::Result<()> {
    let path = format!("/v1/sub-accounts/{}/suspend", account.id);
    installation.administrator()?.send("POST", &path, Some(&json!({})))?.json()?;
    Ok(())
}

/// `admitted`, or the reason why not.
fn admit(stack: &mut Client, call_id: &str) -> io::Result<String> {
    let answer = stack.send("POST", "/v1/calls/admit", Some(&json!({"call_id": call_id})))?;
    if answer.status == 200 {
        return Ok("admitted".to_owned());
    }
    let body: Value = serde_json::from_slice(&answer.body)?;
    Ok(body["reason"].as_str().unwrap_or_default().to_owned())
}
