//! Money: holds are exact, charges are exact, wallets are apart.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use support::account::micros;
use support::process::ORGANIZATION_KEY;
use support::{Account, Organization, Running, say, wait_until};

use crate::installation;

const POSTED_WITHIN: Duration = Duration::from_secs(20);

/// The definition of a charge, second by second, in micro-units; rounded half up.
fn charge(per_minute: i64, initial_s: i64, increment_s: i64, seconds: i64) -> i64 {
    if seconds == 0 {
        return 0;
    }
    let mut billed = initial_s;
    while billed < seconds {
        billed += increment_s;
    }
    (per_minute * billed + 30) / 60
}

#[test]
fn a_balance_admits_exactly_the_parallel_calls_that_it_can_hold() {
    let running = installation().start();
    let account = Account::billed(&running, "ten calls", 100, ("1.20", 60, 60));
    account.recharge(&running, "12.00").success();
    let start = Arc::new(Barrier::new(40));
    let callers: Vec<_> = (0..40)
        .map(|caller| {
            let (mut stack, start) = (running.gateway(&account.key), Arc::clone(&start));
            thread::spawn(move || {
                let body = json!({"call_id": format!("c{caller}"), "requested_s": 60});
                start.wait();
                stack.post("/v1/calls/admit", &body)
            })
        })
        .collect();
    let answers: Vec<_> =
        callers.into_iter().map(|caller| caller.join().expect("a caller fails")).collect();
    let admitted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(admitted, 10);
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        let refused = refused.expect(402);
        assert_eq!(refused["reason"], "insufficient_balance");
        assert_eq!(refused["sip_code"], 402);
    }
    let wallet = account.wallet(&running);
    assert_eq!((wallet.balance, wallet.held, wallet.available), (12_000_000, 12_000_000, 0));
    running.stop();
}

#[test]
fn after_calls_of_random_length_the_balance_is_short_by_their_exact_charges() {
    let running = installation().start();
    let seed: u64 = rand::rng().random();
    say(&format!("seed {seed}"));
    let mut random = StdRng::seed_from_u64(seed);
    for (initial_s, increment_s) in [(60, 60), (60, 1), (1, 1)] {
        let name = format!("{initial_s}/{increment_s}");
        let account = Account::billed(&running, &name, 30, ("1.37", initial_s, increment_s));
        account.recharge(&running, "1000").success();
        let (mut stack, mut spent) = (running.gateway(&account.key), 0);
        for call in 0..100 {
            let call_id = json!(format!("c{call}"));
            stack.post("/v1/calls/admit", &json!({"call_id": call_id})).expect(200);
            let seconds = if call % 10 == 0 { 0 } else { random.random_range(1..400) };
            let release = json!({"call_id": call_id, "billable_s": seconds});
            let receipt = stack.post("/v1/calls/release", &release).expect(200);
            let cost = charge(1_370_000, initial_s.into(), increment_s.into(), seconds);
            assert_eq!(micros(receipt["cost"].as_str().expect("a decimal")), cost, "{receipt}");
            assert_eq!(receipt["currency"], "INR");
            spent += cost;
        }
        wait_until("the charges are posted", POSTED_WITHIN, || {
            let wallet = account.wallet(&running);
            assert_eq!(wallet.available, 1_000_000_000 - spent, "available at once");
            wallet.balance == 1_000_000_000 - spent
        });
        assert_eq!(account.wallet(&running).held, 0);
        assert_eq!(entries_sum(&running, &account), 1_000_000_000 - spent);
    }
    running.stop();
}

/// Follows the pages of the wallet's entries; the sum of their amounts.
fn entries_sum(running: &Running, account: &Account) -> i64 {
    let mut control_plane = running.control_plane(ORGANIZATION_KEY);
    let base = format!("/v1/sub-accounts/{}/wallet/entries", account.id);
    let (mut path, mut sum) = (base.clone(), 0);
    loop {
        let page = control_plane.get(&path).expect(200);
        let entries = page.as_array().or_else(|| page["data"].as_array());
        let entries = entries.unwrap_or_else(|| unreachable!("entries in {page}"));
        let amounts = entries.iter().map(|entry| entry["amount"].as_str().expect("a decimal"));
        sum += amounts.map(micros).sum::<i64>();
        match page.get("next_cursor").and_then(Value::as_str) {
            Some(cursor) => path = format!("{base}?cursor={cursor}"),
            None => return sum,
        }
    }
}

#[test]
fn an_isolated_account_never_touches_the_parents_wallet_nor_the_reverse() {
    let running = installation().start();
    let isolated = Account::billed(&running, "isolated", 10, ("6.00", 60, 60));
    let consolidated = json!({
        "name": "consolidated", "billing_mode": "consolidated", "region": "india",
        "concurrency_limit": 10,
        "rate": {"per_minute": "6.00", "initial_s": 60, "increment_s": 60},
    });
    let consolidated = Account::create(&mut running.control_plane(ORGANIZATION_KEY), &consolidated);

    // The organization has money, the isolated account none.
    Organization::recharge(&running, "100").success();
    let mut stack = running.gateway(&isolated.key);
    let refused = stack.post("/v1/calls/admit", &json!({"call_id": "i"}));
    assert_eq!(refused.reason(402), "insufficient_balance");

    isolated.recharge(&running, "50").success();
    wait_until("the recharge is usable", Duration::from_secs(2), || {
        stack.post("/v1/calls/admit", &json!({"call_id": "i", "requested_s": 60})).status == 200
    });
    assert_eq!(isolated.wallet(&running).held, 6_000_000);
    assert_eq!(Organization::wallet(&running).held, 0);

    let mut other = running.gateway(&consolidated.key);
    other.post("/v1/calls/admit", &json!({"call_id": "c", "requested_s": 60})).expect(200);
    assert_eq!(Organization::wallet(&running).held, 6_000_000);
    other.post("/v1/calls/release", &json!({"call_id": "c", "billable_s": 30})).expect(200);
    stack.post("/v1/calls/release", &json!({"call_id": "i", "billable_s": 61})).expect(200);
    wait_until("both charges are posted", POSTED_WITHIN, || {
        let (own, parents) = (isolated.wallet(&running), Organization::wallet(&running));
        (own.balance, parents.balance) == (38_000_000, 94_000_000)
    });

    let refused = consolidated.recharge(&running, "5");
    assert_eq!(refused.status, 409, "{}", refused.text());
    running.stop();
}

#[test]
fn a_repeated_recharge_with_the_same_idempotency_key_counts_once() {
    let running = installation().start();
    let account = Account::billed(&running, "recharged", 10, ("6.00", 60, 60));
    let path = format!("/v1/sub-accounts/{}/wallet/recharge", account.id);
    let mut control_plane = running.control_plane(ORGANIZATION_KEY);
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "top-up-1")];
    let mut recharge = |body: &str| {
        control_plane.request("POST", &path, &headers, body.as_bytes()).expect("an answer")
    };
    let first = recharge(r#"{"amount":"49.95","currency":"INR"}"#);
    let second = recharge(r#"{"amount":"49.95","currency":"INR"}"#);
    assert_eq!((first.status, &first.body), (second.status, &second.body));
    assert!((200..300).contains(&first.status), "{}", first.text());
    assert_eq!(recharge(r#"{"amount":"50","currency":"INR"}"#).status, 422);
    assert_eq!(account.wallet(&running).balance, 49_950_000);
    running.stop();
}

#[test]
fn a_budget_that_is_spent_refuses_new_calls_and_ends_live_ones_until_there_is_more_of_it() {
    let running = installation().start();
    Organization::recharge(&running, "1000").success();
    let mut organization = running.control_plane(ORGANIZATION_KEY);
    let rate = json!({"per_minute": "1.20", "initial_s": 60, "increment_s": 60});
    let members = json!({
        "name": "team", "billing_mode": "consolidated", "concurrency_limit": 9, "rate": rate,
        "monthly_budget": "2.40",
    });
    let account = Account::create(&mut organization, &members);
    let mut stack = running.gateway(&account.key);
    for call_id in ["ends", "stays"] {
        stack.post("/v1/calls/admit", &json!({"call_id": call_id})).expect(200);
    }
    let release = json!({"call_id": "ends", "billable_s": 61});
    stack.post("/v1/calls/release", &release).expect(200);
    let mut tried = 0;
    wait_until("the budget is spent", POSTED_WITHIN, || {
        let call_id = json!({"call_id": format!("c{tried}")});
        let answer = stack.post("/v1/calls/admit", &call_id);
        if answer.status == 200 {
            stack.post("/v1/calls/release", &call_id).expect(200);
            tried += 1;
            return false;
        }
        let refused = answer.expect(402);
        assert_eq!(refused["reason"], "insufficient_balance");
        assert_eq!(refused["scope"], "budget");
        true
    });
    let renewed = stack.post("/v1/calls/renew", &json!({"call_id": "stays"})).expect(200);
    assert_eq!((&renewed["final"], &renewed["granted_s"]), (&json!(true), &json!(300)));
    let path = format!("/v1/sub-accounts/{}", account.id);
    let shown = organization.get(&path).expect(200);
    assert_eq!(
        (&shown["monthly_budget"], &shown["budget_spent"]),
        (&json!("2.40"), &json!("2.40"))
    );
    organization.patch(&path, &json!({"monthly_budget": "5"})).expect(200);
    wait_until("there is more of it", POSTED_WITHIN, || {
        stack.post("/v1/calls/admit", &json!({"call_id": "again"})).status == 200
    });
    running.stop();
}
