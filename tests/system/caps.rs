//! Agents, phone numbers, providers and outbound calls, from the administrator's request to the refusal of
//! a call: with one process, and with gateways that share a hub.

use serde_json::{Value, json};
use support::process::ORGANIZATION_KEY;
use support::{Account, Running, wait_until};

use crate::installation;
use crate::several::{SOON, Several};

const NUMBER: &str = "+91 98123 45678";

/// Status and answer to an admit with these members.
fn admit(at: &Running, account: &Account, call_id: &str, members: &Value) -> (u16, Value) {
    let mut body = members.clone();
    body["call_id"] = call_id.into();
    let answer = at.gateway(&account.key).post("/v1/calls/admit", &body);
    (answer.status, answer.json())
}

fn from_number(at: &Running, account: &Account, call_id: &str) -> (u16, Value) {
    admit(at, account, call_id, &json!({"from": "+919812345678"}))
}

fn end(at: &Running, account: &Account, call_id: &str) {
    at.gateway(&account.key).post("/v1/calls/release", &json!({"call_id": call_id})).expect(200);
}

#[test]
fn a_shared_number_has_room_for_so_many_calls_before_and_after_a_crash() {
    let installation = installation();
    let running = installation.start();
    let (one, two) = (Account::limited(&running, "one", 10), Account::limited(&running, "two", 10));
    let mut parent = running.control_plane(ORGANIZATION_KEY);
    let shared = json!({"number": NUMBER, "label": "Hotline", "concurrency_limit": 2});
    let number = parent.post("/v1/phone-numbers", &shared).expect(201);
    let path = format!("/v1/phone-numbers/{}", number["id"].as_str().expect("an id"));
    assert_eq!(from_number(&running, &one, "a").0, 200);
    assert_eq!(from_number(&running, &two, "b").0, 200);
    let (status, refused) = from_number(&running, &one, "c");
    assert_eq!((status, &refused["scope"]), (409, &json!("phone_number")), "{refused}");
    assert_eq!(one.in_use(&running), 1, "the refusal has left nothing");

    running.kill();
    let running = installation.start();
    assert_eq!(from_number(&running, &two, "c").0, 409, "both are live");
    end(&running, &one, "a");
    assert_eq!(from_number(&running, &two, "c").0, 200);

    let mut parent = running.control_plane(ORGANIZATION_KEY);
    parent.patch(&path, &json!({"concurrency_limit": null})).expect(200);
    assert_eq!(from_number(&running, &one, "d").0, 200, "no limit any more");
    parent.patch(&path, &json!({"account": one.id})).expect(200);
    let (status, refused) = from_number(&running, &two, "e");
    assert_eq!((status, &refused["reason"]), (403, &json!("forbidden")), "another's number");
    parent.delete(&path).success();
    assert_eq!(from_number(&running, &two, "e").0, 200, "nobody's number");
    running.stop();
}

#[test]
fn outbound_calls_leave_room_for_inbound_ones_and_providers_are_the_organizations() {
    let running = installation().start();
    let account = Account::limited(&running, "agency", 3);
    let mut parent = running.control_plane(ORGANIZATION_KEY);
    let path = format!("/v1/sub-accounts/{}", account.id);
    let patched = parent.patch(&path, &json!({"max_outbound_concurrency": 1})).expect(200);
    assert_eq!(patched["max_outbound_concurrency"], 1);
    let outbound = json!({});
    assert_eq!(admit(&running, &account, "a", &outbound).0, 200);
    let (status, refused) = admit(&running, &account, "b", &outbound);
    assert_eq!(
        (status, &refused["scope"], &refused["limit"]),
        (409, &json!("outbound"), &json!(1))
    );
    for call_id in ["in-1", "in-2"] {
        assert_eq!(admit(&running, &account, call_id, &json!({"direction": "inbound"})).0, 200);
    }
    end(&running, &account, "a");

    let through = json!({"direction": "inbound", "provider": "carrier"});
    assert_eq!(admit(&running, &account, "p", &through).0, 400, "there is none of that name");
    parent.post("/v1/providers", &json!({"name": "carrier", "concurrency_limit": 0})).expect(201);
    let (status, refused) = admit(&running, &account, "p", &through);
    assert_eq!((status, &refused["scope"]), (409, &json!("provider")));
    running.stop();
}

#[test]
fn gateways_that_share_a_hub_count_a_number_together() {
    let several = Several::start();
    let account = several.limited(20);
    let mut parent = several.plane.control_plane(ORGANIZATION_KEY);
    let shared = json!({"number": NUMBER, "concurrency_limit": 0});
    let number = parent.post("/v1/phone-numbers", &shared).expect(201);
    let mut tries = 0;
    for gateway in &several.gateways {
        wait_until("the number is known", SOON, || {
            tries += 1;
            let call_id = format!("try-{tries}");
            let status = from_number(gateway, &account, &call_id).0;
            if status == 200 {
                end(gateway, &account, &call_id);
            }
            status == 409
        });
    }
    let path = format!("/v1/phone-numbers/{}", number["id"].as_str().expect("an id"));
    parent.patch(&path, &json!({"concurrency_limit": 4})).expect(200);
    let ask = |at: usize, call_id: &str| {
        let mut answer = (503, Value::Null);
        wait_until("the hub answers", SOON, || {
            answer = from_number(&several.gateways[at], &account, call_id);
            answer.0 != 503
        });
        answer
    };
    wait_until("there is room", SOON, || ask(0, "c0").0 == 200);
    for call in 1..4 {
        assert_eq!(ask(call % 2, &format!("c{call}")).0, 200, "there is room");
    }
    for at in [0, 1] {
        let (status, refused) = ask(at, "more");
        assert_eq!((status, &refused["scope"]), (409, &json!("phone_number")), "{refused}");
    }
    end(&several.gateways[1], &account, "c0");
    assert_eq!(ask(1, "more").0, 200, "one has ended");
    for call_id in ["c1", "c2", "c3", "more"] {
        end(&several.gateways[0], &account, call_id);
    }
    several.stop();
}
