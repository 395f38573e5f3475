//! kill -9: nothing that was answered is lost, nothing else is held back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use support::account::micros;
use support::process::ORGANIZATION_KEY;
use support::{Account, Client, Running, pause, say, wait_until};

use crate::installation;

const KILLS: u32 = 50;
const CALLERS: usize = 8;

/// What is known of a call from the answers that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Live,
    Ended,
    /// The last answer was lost.
    Unknown,
}

/// Everything asked so far, shared by the callers of one account.
#[derive(Default)]
struct Asked {
    calls: HashMap<String, Known>,
    /// Micro-units of all recharges; each has been answered, sooner or later.
    recharged: i64,
    /// Micro-units that the receipts of ended calls show.
    charged: i64,
    unanswered_recharge: Option<(String, i64)>,
}

type Shared = Arc<Mutex<Asked>>;

/// Admits, releases and recharges until the process is gone.
struct Caller {
    stack: Client,
    control_plane: Client,
    account: Account,
    asked: Shared,
    next: Arc<AtomicU64>,
    random: StdRng,
    recharges: bool,
}

impl Caller {
    fn run(mut self) {
        // A lost answer ends the loop: the process has been killed.
        while self.step().is_some() {}
    }

    fn step(&mut self) -> Option<()> {
        match self.random.random_range(0..10) {
            0..5 => self.admit(),
            5..9 => self.release(),
            _ if self.recharges => self.recharge(),
            _ => Some(()),
        }
    }

    fn know(&self, call_id: &str, known: Known) {
        self.asked.lock().expect("no caller fails").calls.insert(call_id.to_owned(), known);
    }

    fn admit(&mut self) -> Option<()> {
        let call_id = format!("call-{}", self.next.fetch_add(1, Ordering::Relaxed));
        self.know(&call_id, Known::Unknown);
        let body = json!({"call_id": call_id, "requested_s": 60});
        let answer = self.stack.try_post("/v1/calls/admit", &body).ok()?;
        answer.expect(200);
        self.know(&call_id, Known::Live);
        Some(())
    }

    fn release(&mut self) -> Option<()> {
        let call_id = {
            let mut asked = self.asked.lock().expect("no caller fails");
            let live = asked.calls.iter_mut().find(|(_, known)| **known == Known::Live);
            let Some((call_id, known)) = live else {
                return Some(());
            };
            *known = Known::Unknown;
            call_id.clone()
        };
        let body = json!({"call_id": call_id, "billable_s": self.random.random_range(0..90)});
        let answer = self.stack.try_post("/v1/calls/release", &body).ok()?;
        answer.expect(200);
        self.know(&call_id, Known::Ended);
        Some(())
    }

    fn recharge(&mut self) -> Option<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let amount = self.random.random_range(1..100);
        let key = format!("recharge-{number}");
        let micros = amount * 1_000_000;
        self.asked.lock().expect("no caller fails").unanswered_recharge =
            Some((key.clone(), micros));
        let answer = recharge(&mut self.control_plane, &self.account, &key, micros)?;
        assert!((200..300).contains(&answer), "{answer}");
        let mut asked = self.asked.lock().expect("no caller fails");
        asked.recharged += micros;
        asked.unanswered_recharge = None;
        Some(())
    }
}

/// The status; nothing when the answer was lost.
fn recharge(control_plane: &mut Client, account: &Account, key: &str, micros: i64) -> Option<u16> {
    let path = format!("/v1/sub-accounts/{}/wallet/recharge", account.id);
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
    let body = json!({"amount": micros / 1_000_000, "currency": "INR"}).to_string();
    let answer = control_plane.request("POST", &path, &headers, body.as_bytes()).ok()?;
    Some(answer.status)
}

/// Loads the process for a moment and kills it under the load.
fn load_and_kill(running: Running, account: &Account, asked: &Shared, next: &Arc<AtomicU64>) {
    let callers: Vec<_> = (0..CALLERS)
        .map(|number| {
            let caller = Caller {
                stack: running.gateway(&account.key),
                control_plane: running.control_plane(ORGANIZATION_KEY),
                account: account.clone(),
                asked: Arc::clone(asked),
                next: Arc::clone(next),
                random: StdRng::seed_from_u64(rand::rng().random()),
                recharges: number == 0,
            };
            thread::spawn(move || caller.run())
        })
        .collect();
    pause(Duration::from_millis(rand::rng().random_range(20..250)));
    running.kill();
    for caller in callers {
        caller.join().expect("a caller got a wrong answer");
    }
}

/// Compares what the new process knows with what was answered; learns what was not.
fn verify(running: &Running, account: &Account, asked: &Shared) {
    let mut stack = running.gateway(&account.key);
    let mut asked = asked.lock().expect("no caller fails");
    let (mut live, mut charged) = (0, 0);
    for (call_id, known) in &mut asked.calls {
        let found = stack.get(&format!("/v1/calls/{call_id}"));
        let call = if found.status == 404 { json!({}) } else { found.expect(200) };
        match (*known, call["state"].as_str()) {
            (Known::Live | Known::Unknown, Some("live")) => {
                *known = Known::Live;
                live += 1;
            }
            (Known::Ended | Known::Unknown, Some("ended")) => {
                *known = Known::Ended;
                charged += micros(call["cost"].as_str().expect("a decimal"));
            }
            // The admit was not answered and has left nothing.
            (Known::Unknown, None) => *known = Known::Ended,
            _ => unreachable!("{call_id} was answered {known:?}, after the kill it is {call}"),
        }
    }
    asked.charged += charged;
    // Each end is counted once.
    asked.calls.retain(|_, known| *known == Known::Live);
    assert_eq!(account.in_use(running), live, "slots held back or lost");
    if let Some((key, micros)) = asked.unanswered_recharge.take() {
        let mut control_plane = running.control_plane(ORGANIZATION_KEY);
        let status = recharge(&mut control_plane, account, &key, micros).expect("an answer");
        assert!((200..300).contains(&status), "{status}");
        asked.recharged += micros;
    }
}

/// Releases what is live, and counts what it costs.
fn release_all(running: &Running, account: &Account, asked: &Shared) {
    let mut stack = running.gateway(&account.key);
    let mut asked = asked.lock().expect("no caller fails");
    let live: Vec<String> = asked.calls.drain().map(|(call_id, _)| call_id).collect();
    for call_id in live {
        let body = json!({"call_id": call_id, "billable_s": 1});
        let receipt = stack.post("/v1/calls/release", &body).expect(200);
        asked.charged += micros(receipt["cost"].as_str().expect("a decimal"));
    }
}

#[test]
fn fifty_kills_under_load_lose_no_answered_call_release_or_money_and_hold_nothing_back() {
    let installation = installation()
        .set("RINGFENCE_CONCURRENCY_TOTAL", "100000")
        .set("RINGFENCE_CALL_LEASE_S", "3600")
        .set("RINGFENCE_POSTING_CPU_PERCENT", "100");
    let mut running = installation.start();
    let account = Account::billed(&running, "killed", 100_000, ("1.20", 60, 1));
    account.recharge(&running, "1000000").success();
    let asked = Shared::default();
    asked.lock().expect("nobody else yet").recharged = 1_000_000_000_000;
    let next = Arc::default();
    for kill in 0..KILLS {
        load_and_kill(running, &account, &asked, &next);
        running = installation.start();
        verify(&running, &account, &asked);
        say(&format!("kill {kill}: {} live", asked.lock().expect("no caller fails").calls.len()));
    }
    release_all(&running, &account, &asked);
    let asked = asked.lock().expect("no caller fails");
    let expected = asked.recharged - asked.charged;
    wait_until("the balance is what recharges and receipts say", Duration::from_mins(1), || {
        account.wallet(&running).balance == expected
    });
    let wallet = account.wallet(&running);
    assert_eq!((wallet.balance, wallet.held, wallet.available), (expected, 0, expected));
    drop(asked);
    running.stop();
}
