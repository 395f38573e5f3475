//! Slots: a limit is never passed, and a refusal is true.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use support::history::{Answer, Event, Limits, Share, check};
use support::process::ORGANIZATION_KEY;
use support::{Account, Client, Running, now, pause, say, wait_until};

use crate::installation;

#[test]
fn the_eleventh_call_is_refused_with_the_numbers_and_a_release_makes_room() {
    let running = installation().start();
    let account = Account::limited(&running, "ten", 10);
    let mut stack = running.gateway(&account.key);
    for call in 0..10 {
        let admitted =
            stack.post("/v1/calls/admit", &json!({"call_id": format!("c{call}")})).expect(200);
        assert_eq!(admitted["admitted"], true, "{admitted}");
        assert_eq!(admitted["duplicate"], false);
        assert_eq!(admitted["account"], account.id.as_str());
        assert_eq!((&admitted["in_use"], &admitted["limit"]), (&json!(call + 1), &json!(10)));
    }

    let refusal = stack.post("/v1/calls/admit", &json!({"call_id": "c10"}));
    assert_eq!(refusal.header("content-type"), Some("application/problem+json"));
    let refused = refusal.expect(409);
    assert_eq!(refused["reason"], "no_slot");
    assert_eq!((&refused["sip_code"], &refused["statusCode"]), (&json!(486), &json!(409)));
    assert_eq!((&refused["limit"], &refused["in_use"]), (&json!(10), &json!(10)), "{refused}");
    assert_eq!(refused["scope"], "account");
    assert!(refused["message"].is_string() && refused["error"].is_string(), "{refused}");

    let again = stack.post("/v1/calls/admit", &json!({"call_id": "c3"})).expect(200);
    assert_eq!(again["duplicate"], true);
    assert_eq!(account.in_use(&running), 10, "a repeated admit takes no second slot");

    let receipt = stack.post("/v1/calls/release", &json!({"call_id": "c3"})).expect(200);
    assert_eq!(receipt["state"], "ended");
    assert_eq!(receipt["cause"], "release");
    let repeated = stack.post("/v1/calls/release", &json!({"call_id": "c3"})).expect(200);
    assert_eq!(repeated, receipt);
    assert_eq!(account.in_use(&running), 9, "a repeated release frees no second slot");

    stack.post("/v1/calls/admit", &json!({"call_id": "c10"})).expect(200);
    let ended = stack.post("/v1/calls/admit", &json!({"call_id": "c3"}));
    assert_eq!(ended.reason(410), "call_ended");
    running.stop();
}

/// What one client of the history tests does in its rounds.
struct Caller {
    account: usize,
    stack: Client,
    random: StdRng,
    /// Distinguishes the callers' calls.
    number: u64,
    events: Vec<Event>,
}

impl Caller {
    /// Admits, holds for a while and releases; some requests are sent twice, as stacks do.
    fn rounds(mut self, rounds: u64) -> Vec<Event> {
        for round in 0..rounds {
            let call = self.number * 1_000_000 + round;
            let mut answer = self.admit(call);
            if answer != Answer::NoSlot && self.random.random_bool(0.1) {
                answer = self.admit(call);
                assert_eq!(answer, Answer::Admitted { duplicate: true });
            }
            pause(Duration::from_micros(self.random.random_range(0..3_000)));
            if answer == Answer::NoSlot {
                continue;
            }
            let receipt = self.release(call);
            if self.random.random_bool(0.1) {
                assert_eq!(self.release(call), receipt);
            }
        }
        self.events
    }

    fn admit(&mut self, call: u64) -> Answer {
        let body = json!({"call_id": call.to_string()});
        let from = now();
        let response = self.stack.post("/v1/calls/admit", &body);
        let to = now();
        let answer = if response.status == 200 {
            Answer::Admitted { duplicate: response.json()["duplicate"] == true }
        } else {
            assert_eq!(response.reason(409), "no_slot");
            Answer::NoSlot
        };
        self.events.push(Event::Admit { account: self.account, call, from, to, answer });
        answer
    }

    fn release(&mut self, call: u64) -> serde_json::Value {
        let body = json!({"call_id": call.to_string()});
        let from = now();
        let receipt = self.stack.post("/v1/calls/release", &body).expect(200);
        self.events.push(Event::Release { call, from, to: Some(now()) });
        receipt
    }
}

/// Runs `callers` clients of each account at once; what they saw.
fn history(running: &Running, accounts: &[Account], callers: u64, rounds: u64) -> Vec<Event> {
    let seed: u64 = rand::rng().random();
    say(&format!("seed {seed}"));
    let total = usize::try_from(callers).expect("few") * accounts.len();
    let start = Arc::new(Barrier::new(total));
    let mut threads = Vec::new();
    for (account, tenant) in accounts.iter().enumerate() {
        for caller in 0..callers {
            let number = u64::try_from(account).expect("few") * callers + caller;
            let caller = Caller {
                account,
                stack: running.gateway(&tenant.key),
                random: StdRng::seed_from_u64(seed ^ number),
                number,
                events: Vec::new(),
            };
            let start = Arc::clone(&start);
            threads.push(thread::spawn(move || {
                start.wait();
                caller.rounds(rounds)
            }));
        }
    }
    threads.into_iter().flat_map(|thread| thread.join().expect("a caller fails")).collect()
}

#[test]
fn two_hundred_clients_never_pass_a_limit_of_fifty_and_are_never_refused_falsely() {
    let running = installation().start();
    let account = Account::limited(&running, "fifty", 50);
    let events = history(&running, std::slice::from_ref(&account), 200, 200);
    let summary = check(&Limits::fixed(50), &events)
        .unwrap_or_else(|violations| unreachable!("{} of {violations:#?}", violations.len()));
    assert!(summary.admitted > 1_000 && summary.refused > 1_000, "{summary:?}");
    // A slot is taken for longer than its client knows: on a busy machine they see fewer.
    assert!(summary.most_live > 20, "{summary:?}: the limit was never near");
    assert_eq!(account.in_use(&running), 0);
    running.stop();
}

#[test]
fn floors_caps_and_the_total_of_three_accounts_hold_together() {
    let running = installation().set("RINGFENCE_CONCURRENCY_TOTAL", "40").start();
    let shares = [(5, 40), (10, 20), (0, 30)];
    let accounts: Vec<Account> = shares
        .iter()
        .map(|(floor, cap)| {
            let members = json!({
                "name": format!("{floor}-{cap}"), "billing_mode": "consolidated",
                "region": "india", "min_concurrency": floor, "max_concurrency": cap,
            });
            Account::create(&mut running.control_plane(ORGANIZATION_KEY), &members)
        })
        .collect();
    let events = history(&running, &accounts, 40, 200);
    let limits = Limits {
        total: 40,
        accounts: shares.iter().map(|(floor, cap)| Share { floor: *floor, cap: *cap }).collect(),
    };
    let summary = check(&limits, &events)
        .unwrap_or_else(|violations| unreachable!("{} of {violations:#?}", violations.len()));
    assert!(summary.admitted > 1_000 && summary.refused > 100, "{summary:?}");
    for account in &accounts {
        assert_eq!(account.in_use(&running), 0);
    }
    running.stop();
}

#[test]
fn a_lowered_limit_drops_no_call_and_admits_none_until_use_has_fallen() {
    let running = installation().start();
    let account = Account::limited(&running, "shrinking", 3);
    let mut stack = running.gateway(&account.key);
    for call in ["a", "b", "c"] {
        stack.post("/v1/calls/admit", &json!({"call_id": call})).expect(200);
    }
    let path = format!("/v1/sub-accounts/{}", account.id);
    let lowered = json!({"concurrency_limit": 1});
    running.control_plane(ORGANIZATION_KEY).patch(&path, &lowered).expect(200);
    wait_until("the new limit is in force", Duration::from_secs(2), || {
        stack.get("/v1/concurrency").expect(200)["limit"] == 1
    });
    assert_eq!(account.in_use(&running), 3);
    for call in ["a", "b", "c"] {
        let refused = stack.post("/v1/calls/admit", &json!({"call_id": "next"}));
        assert_eq!(refused.reason(409), "no_slot");
        stack.post("/v1/calls/release", &json!({"call_id": call})).expect(200);
    }
    stack.post("/v1/calls/admit", &json!({"call_id": "next"})).expect(200);
    running.stop();
}
