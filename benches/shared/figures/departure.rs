//! How long what a gateway had is away from the others: its idle slots and its calls after it was killed,
//! and all of it after it was told to stop.

use std::io;
use std::thread;
use std::time::Duration;

use benches::client::Client;
use benches::clock::monotonic_ns;
use benches::wait;
use serde_json::{Value, json};

use super::changes::milliseconds;
use crate::arguments::Arguments;
use crate::figure::{Figure, Row};
use crate::installation::{Account, Installation, SERVED_REGION, metric};

const LIMIT: u32 = 400;
/// What the hub keeps for admits that a killed gateway may have answered and not told: with two others a
/// thirty-second of the limit (rule 6), for a call lease.
const KEPT: u32 = LIMIT / 32;
/// Calls that the gateway has when it goes, which nobody renews.
const LIVE: u32 = 40;
/// Calls admitted before at a gateway, all at once: it keeps some slots for more of them.
const PRIMING: u32 = 200;
/// Slots that may be idle at the gateway when it goes. The others are used before, so that the time to ask
/// for them one by one is not taken for the time until they are back.
const IDLE_MAX: u32 = 40;
const IDLE_BACK_S: f64 = 6.0;
const CALLS_OVER_S: f64 = 96.0;
const AT_ONCE_S: f64 = 1.0;
const BACK_MAX: Duration = Duration::from_mins(3);
const ASK_EVERY: Duration = Duration::from_millis(5);
const IDLE: &str = "ringfence_slots{state=\"idle\"}";

/// Seconds since the gateway went.
struct Departure {
    /// Slots that it had without a call on them.
    idle: f64,
    idle_back_s: f64,
    calls_over_s: f64,
}

pub fn measure(arguments: &Arguments, name: &'static str) -> io::Result<Figure> {
    // Each takes a call lease, and does nothing for most of it.
    let (killed, told) = thread::scope(|scope| {
        let killed = scope.spawn(|| one(arguments, true));
        (killed.join(), one(arguments, false))
    });
    let killed = killed.map_err(|_| io::Error::other("the kill panicked"))??;
    let told = told?;
    let row = |what: &str, unit, value| Row::new(what, unit, vec![value]);
    let rows = vec![
        row("killed: idle slots it had", "", killed.idle),
        row("killed: all but those kept used elsewhere after", "s", killed.idle_back_s)
            .at_most(IDLE_BACK_S),
        row("killed: its unrenewed calls over after", "s", killed.calls_over_s)
            .at_most(CALLS_OVER_S),
        row("told to stop: idle slots it had", "", told.idle),
        row("told to stop: as many used elsewhere after", "s", told.idle_back_s).at_most(AT_ONCE_S),
        row("told to stop: its unrenewed calls over after", "s", told.calls_over_s)
            .at_most(CALLS_OVER_S),
    ];
    let asked = "a killed gateway's idle slots are back in 6 s or less, its unrenewed calls in 96 s or \
                 less; one that is told to stop gives everything back at once";
    Ok(Figure::new(name, asked, rows))
}

/// The first gateway goes.
fn one(arguments: &Arguments, is_killed: bool) -> io::Result<Departure> {
    let mut installation = Installation::start(arguments)?;
    let account = installation.unbilled(LIMIT, SERVED_REGION)?;
    let leaving = installation.gateways.remove(0);
    let mut stack = Client::open(leaving.address, &account.key)?;
    for number in 0..PRIMING {
        ask(&mut stack, "admit", &format!("before-{number}"))?;
    }
    for number in LIVE..PRIMING {
        ask(&mut stack, "release", &format!("before-{number}"))?;
    }
    drop(stack);
    let mut others = Others::open(&installation, &account)?;
    others.fill(LIMIT - LIVE - IDLE_MAX)?;
    let idle = metric(leaving.ops, IDLE)?;
    let from_ns = monotonic_ns();
    if is_killed {
        leaving.server.kill()?;
    } else {
        leaving.server.stop()?;
    }
    let since = || milliseconds(monotonic_ns() - from_ns) / 1e3;
    others.fill(LIMIT - LIVE - KEPT)?;
    let idle_back_s = since();
    others.end()?;
    let mut client = Client::open(installation.gateways[0].address, &account.key)?;
    wait::until("the calls of the gateway are over", BACK_MAX, || {
        thread::sleep(ASK_EVERY);
        let concurrency = client.send("GET", "/v1/concurrency", None)?;
        let known: Value = serde_json::from_slice(&concurrency.body)?;
        Ok(known["in_use"] == 0)
    })?;
    Ok(Departure { idle, idle_back_s, calls_over_s: since() })
}

/// Calls at a gateway that stays.
struct Others {
    stack: Client,
    live: u32,
}

impl Others {
    fn open(installation: &Installation, account: &Account) -> io::Result<Self> {
        let stack = Client::open(installation.gateways[0].address, &account.key)?;
        Ok(Self { stack, live: 0 })
    }

    /// Admits until so many are live.
    fn fill(&mut self, most: u32) -> io::Result<()> {
        while self.live < most {
            let call_id = format!("after-{}", self.live);
            wait::until("a slot is free", BACK_MAX, || {
                let is_admitted = ask(&mut self.stack, "admit", &call_id)? == 200;
                if !is_admitted {
                    thread::sleep(ASK_EVERY);
                }
                Ok(is_admitted)
            })?;
            self.live += 1;
        }
        Ok(())
    }

    fn end(mut self) -> io::Result<()> {
        (0..self.live).try_for_each(|number| {
            ask(&mut self.stack, "release", &format!("after-{number}")).map(drop)
        })
    }
}

/// The status of the answer.
fn ask(stack: &mut Client, what: &str, call_id: &str) -> io::Result<u16> {
    let body = json!({"call_id": call_id});
    Ok(stack.send("POST", &format!("/v1/calls/{what}"), Some(&body))?.status)
}
