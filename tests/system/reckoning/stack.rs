//! Stacks: each carries its calls from one request to the next, and asks elsewhere what it got no answer to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;
use support::http::Response;
use support::{Client, Nanos, now, pause};

use super::call::{Call, End, Manner, Step};
use super::wallets::Wallet;

/// A gateway that says nothing for so long is asked no more.
const PATIENCE: Duration = Duration::from_secs(2);
/// What is not answered by then is not going to be.
const ANSWERED_WITHIN: Duration = Duration::from_mins(1);
const GLANCE_MAX: Nanos = 20_000_000;

pub struct Stack {
    pub calls: Vec<Call>,
    gateways: Vec<Client>,
    wallets: Arc<Vec<Wallet>>,
    lease: Duration,
    random: StdRng,
    /// Requests that were not answered, or with 503.
    pub repeated: u64,
}

impl Stack {
    pub fn new(
        gateways: &[SocketAddr],
        wallets: &Arc<Vec<Wallet>>,
        lease: Duration,
        seed: u64,
    ) -> Self {
        let client = |at: &SocketAddr| Client::new(*at, "").with_patience(PATIENCE);
        Self {
            calls: Vec::new(),
            gateways: gateways.iter().map(client).collect(),
            wallets: Arc::clone(wallets),
            lease,
            random: StdRng::seed_from_u64(seed),
            repeated: 0,
        }
    }

    /// Wants so many calls, numbered from there.
    pub fn want(&mut self, from: usize, count: usize) {
        let gateways = self.gateways.len();
        let call = |number| Call::wanted(number, &self.wallets, gateways, &mut self.random);
        self.calls.extend((from..from + count).map(call));
    }

    /// The calls that stayed are to end, within so many milliseconds.
    pub fn end_kept(&mut self, within_ms: u64) {
        for call in self.calls.iter_mut().filter(|call| call.end == End::Live) {
            if call.manner == Manner::Kept {
                let wait_ms = rand::Rng::random_range(&mut self.random, 0..within_ms);
                call.release_after(wait_ms, &mut self.random);
            }
        }
    }

    /// Asks what is due until nothing is left to ask.
    #[must_use]
    pub fn run(mut self) -> Self {
        let from = now();
        loop {
            let open = self.calls.iter().enumerate().filter(|(_, call)| call.step != Step::Done);
            let Some((next, due)) =
                open.map(|(index, call)| (index, call.due)).min_by_key(|(_, due)| *due)
            else {
                return self;
            };
            let call = &self.calls[next];
            let waited = Duration::from_nanos(now() - from);
            assert!(waited < ANSWERED_WITHIN, "{}: {:?} is not answered", call.name, call.step);
            let at = now();
            if at < due {
                pause(Duration::from_nanos((due - at).min(GLANCE_MAX)));
            } else {
                self.ask(next);
            }
        }
    }

    fn ask(&mut self, index: usize) {
        let Self { calls, gateways, wallets, lease, random, .. } = self;
        let call = &mut calls[index];
        let (path, body) = call.request();
        let headers = [
            ("Content-Type", "application/json"),
            ("X-API-Key", wallets[call.wallet].key.as_str()),
        ];
        let client = &mut gateways[call.gateway];
        let Ok(answer) = client.request("POST", path, &headers, body.to_string().as_bytes()) else {
            return self.repeat(index);
        };
        match (answer.status, call.step) {
            (200, Step::Admit | Step::Renew) => call.is_granted(&answer.json(), *lease, random),
            (200, Step::Answer) => call.is_answered(*lease, random),
            (200, _) => {
                let receipt = answer.json();
                if call.step == Step::Repeat {
                    assert_eq!(call.end, End::Receipt(receipt.clone()), "another receipt");
                }
                call.is_released(receipt, random);
            }
            (402 | 403, Step::Admit) => {
                let expected = if call.priced.is_some() {
                    "insufficient_balance"
                } else {
                    "destination_blocked"
                };
                assert_eq!(answer.json()["reason"], expected, "{}", call.name);
                (call.end, call.step) = (End::Refused, Step::Done);
            }
            (410, Step::Admit) => {
                // It was admitted by a request that had no answer, and nobody renewed it.
                call.manner = Manner::Unanswered;
                call.release_after(0, random);
            }
            // It is over: its stack says how long it lasted.
            (410, Step::Answer | Step::Renew) => match call.manner {
                Manner::Forgotten => (call.step, call.end) = (Step::Done, End::Live),
                _ => call.release_after(0, random),
            },
            (503, _) => self.repeat(index),
            _ => self.is_odd(index, &answer),
        }
    }

    fn is_odd(&mut self, index: usize, answer: &Response) {
        let call = &self.calls[index];
        let (step, name, text) = (call.step, &call.name, answer.text());
        unreachable!("{name}: {step:?} is answered {}: {text}", answer.status);
    }

    fn repeat(&mut self, index: usize) {
        self.repeated += 1;
        let gateways = self.gateways.len();
        self.calls[index].again(gateways, &mut self.random);
    }
}

/// A count and its name, for what a test says.
pub fn tally(calls: &[&Call]) -> Value {
    let count = |is: &dyn Fn(&Call) -> bool| calls.iter().filter(|call| is(call)).count();
    serde_json::json!({
        "wanted": calls.len(),
        "admitted": count(&|call| call.was_admitted()),
        "refused": count(&|call| call.end == End::Refused),
        "live": count(&|call| call.end == End::Live),
    })
}
