//! Rate decks, from an imported sheet to the price of a call: with one process over a crash, and with
//! gateways that share a hub over the loss of its memory.

use std::fmt::Write as _;

use serde_json::{Value, json};
use support::process::ORGANIZATION_KEY;
use support::{Account, Running, wait_until};

use crate::installation;
use crate::several::{SOON, Several, gateway, know};

/// A prefix for each of so many numbers, each a micro-unit dearer than the one before, and one that is
/// blocked.
fn sheet(rows: u32) -> String {
    let mut sheet = "prefix,per_minute,initial_s,increment_s,blocked\n447700,,,,true\n".to_owned();
    for row in 0..rows {
        writeln!(sheet, "91{row:05},0.{:06},60,1,", row + 1).expect("memory");
    }
    sheet
}

/// A deck of the first organization, with a first version.
fn deck(at: &Running, sheet: &str) -> String {
    let mut parent = at.control_plane(ORGANIZATION_KEY);
    let made = parent.post("/v1/rate-decks", &json!({"name": "Retail"})).expect(201);
    let id = made["id"].as_str().expect("an id").to_owned();
    import(at, &id, sheet);
    id
}

fn import(at: &Running, deck: &str, sheet: &str) {
    let path = format!("/v1/rate-decks/{deck}/versions");
    let headers = [("Content-Type", "text/csv")];
    let mut parent = at.control_plane(ORGANIZATION_KEY);
    parent.request("POST", &path, &headers, sheet.as_bytes()).expect("an answer").expect(201);
}

fn admit(at: &Running, account: &Account, call_id: &str, to: &str) -> (u16, Value) {
    let body = json!({"call_id": call_id, "to": to, "requested_s": 60});
    let answer = at.gateway(&account.key).post("/v1/calls/admit", &body);
    (answer.status, answer.json())
}

/// What a call of so many seconds came to.
fn charged(at: &Running, account: &Account, call_id: &str, billable_s: u32) -> Value {
    let body = json!({"call_id": call_id, "billable_s": billable_s});
    at.gateway(&account.key).post("/v1/calls/release", &body).expect(200)["cost"].clone()
}

/// An account with money that is priced by a deck.
fn account(at: &Running, deck: &str) -> Account {
    let mut parent = at.control_plane(ORGANIZATION_KEY);
    let account = Account::create(
        &mut parent,
        &json!({"name": "Agency", "billing_mode": "isolated", "concurrency_limit": 10, "rate_deck": deck}),
    );
    account.recharge(at, "50").success();
    account
}

#[test]
fn a_call_costs_what_the_longest_prefix_of_its_version_says_before_and_after_a_crash() {
    let installation = installation();
    let running = installation.start();
    let deck = deck(&running, &sheet(9_000));
    let account = account(&running, &deck);
    assert_eq!(admit(&running, &account, "a", "+91 04999 12345").0, 200);
    let (status, refused) = admit(&running, &account, "b", "+447700900123");
    assert_eq!((status, &refused["reason"]), (403, &json!("destination_blocked")));
    assert_eq!(admit(&running, &account, "c", "+4915123456789").0, 403, "no prefix of it");
    running.kill();

    let running = installation.start();
    assert_eq!(charged(&running, &account, "a", 120), json!("0.01"));
    assert_eq!(admit(&running, &account, "d", "910000042").0, 200, "the deck is known again");
    import(&running, &deck, "prefix,per_minute\n*,30\n");
    assert_eq!(
        charged(&running, &account, "d", 60),
        json!("0.000001"),
        "the price of its admission"
    );
    assert_eq!(admit(&running, &account, "e", "+4915123456789").0, 200, "the new version");
    assert_eq!(admit(&running, &account, "f", "+4915123456789").0, 402, "there is money for one");
    assert_eq!(charged(&running, &account, "e", 1), json!("30.00"));
    let mut parent = running.control_plane(ORGANIZATION_KEY);
    let calls = format!("/v1/sub-accounts/{}/calls", account.id);
    let mut listed = Value::Null;
    wait_until("the records are posted", SOON, || {
        listed = parent.get(&calls).expect(200)["data"].clone();
        listed.as_array().is_some_and(|calls| calls.len() == 3)
    });
    let of = |call_id: &str| {
        let calls = listed.as_array().expect("a list").iter();
        calls.into_iter().find(|call| call["call_id"] == call_id).expect("listed").clone()
    };
    assert_eq!(
        (&of("a")["rate_deck_version"], &of("e")["rate_deck_version"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(of("a")["rate"]["per_minute"], "0.005");
    running.stop();
}

#[test]
fn gateways_that_share_a_hub_price_by_the_same_deck_also_after_the_hub_has_forgotten_it() {
    let several = Several::start();
    let deck = deck(&several.plane, &sheet(9_000));
    let account = account(&several.plane, &deck);
    several.know(&account);
    let mut calls = 0;
    let mut price = |at: usize, to: &str| {
        let mut found = (0, Value::Null);
        wait_until("the hub answers", SOON, || {
            calls += 1;
            let call_id = format!("call-{calls}");
            found = admit(&several.gateways[at], &account, &call_id, to);
            if found.0 == 200 {
                found.1 = charged(&several.gateways[at], &account, &call_id, 60);
            }
            found.0 != 503
        });
        found
    };
    for at in [0, 1] {
        assert_eq!(price(at, "+910499912345"), (200, json!("0.005")));
        assert_eq!(price(at, "+447700900123").0, 403);
    }
    import(&several.plane, &deck, "prefix,per_minute\n9104999,0.25\n");
    for at in [0, 1] {
        wait_until("the new version is known", SOON, || {
            price(at, "+910499912345").1 == json!("0.25")
        });
        assert_eq!(price(at, "+910500012345").0, 403, "it is the whole version");
    }
    several.redis.command(&["FLUSHALL"]);
    for at in [0, 1] {
        assert_eq!(price(at, "+910499912345"), (200, json!("0.25")));
    }
    let newcomer = gateway(&several.redis).start();
    know(&newcomer, &account);
    let mut found = (0, Value::Null);
    wait_until("the hub is told the deck again", SOON, || {
        found = admit(&newcomer, &account, "newcomer", "+910499912345");
        found.0 != 503
    });
    assert_eq!(found.0, 200, "{}", found.1);
    assert_eq!(charged(&newcomer, &account, "newcomer", 60), json!("0.25"));
    newcomer.stop();
    several.stop();
}
