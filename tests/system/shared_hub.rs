//! Gateways and a control plane as processes of their own, over a real Redis: what stacks and
//! administrators see of them while they start, stop, and are killed.

use serde_json::{Value, json};
use support::account::{Organization, release};
use support::process::ORGANIZATION_KEY;
use support::redis::Redis;
use support::{Account, Installation, Running, wait_until};

use crate::BINARY;
use crate::several::{SOON, Several, ask, control_plane, end, gateway};

fn posted(plane: &Running) -> u64 {
    let usage = plane.control_plane(ORGANIZATION_KEY).get("/v1/usage").expect(200);
    usage["calls"].as_u64().expect("a number")
}

#[test]
fn a_limit_holds_over_all_gateways_and_a_call_ends_at_any_of_them() {
    let several = Several::start();
    let account = several.limited(10);
    let [one, two] = &several.gateways[..] else { unreachable!("two were started") };
    for call in 0..10 {
        let at = if call % 2 == 0 { one } else { two };
        assert_eq!(ask(at, &account, &format!("c{call}")).0, 200, "there is room");
    }
    for at in [one, two] {
        let (status, refused) = ask(at, &account, "more");
        assert_eq!(
            (status, &refused["reason"], &refused["limit"]),
            (409, &"no_slot".into(), &10.into())
        );
    }
    assert_eq!(ask(two, &account, "c0").1["duplicate"], true, "admitted at the other");
    let receipt = end(two, &account, "c0");
    assert_eq!((&receipt["state"], &receipt["cause"]), (&"ended".into(), &"release".into()));
    assert_eq!(end(one, &account, "c0"), receipt, "the same receipt everywhere");
    assert_eq!(ask(one, &account, "next").0, 200);
    for call in (1..10).map(|call| format!("c{call}")).chain(["next".to_owned()]) {
        end(one, &account, &call);
    }
    wait_until("each call is posted", SOON, || posted(&several.plane) == 11);
    several.stop();
}

#[test]
fn a_wallet_is_spent_once_over_all_gateways() {
    let several = Several::start();
    let account = Account::billed(&several.plane, "prepaid", 100, ("1.20", 60, 60));
    account.recharge(&several.plane, "12.00").success();
    several.know(&account);
    let mut admitted = Vec::new();
    for call in 0..20 {
        let at = &several.gateways[call % 2];
        let body = json!({"call_id": format!("c{call}"), "requested_s": 60});
        let mut answer = at.gateway(&account.key).post("/v1/calls/admit", &body);
        wait_until("the hub answers", SOON, || {
            if answer.status == 503 {
                answer = at.gateway(&account.key).post("/v1/calls/admit", &body);
            }
            answer.status != 503
        });
        if answer.status == 200 {
            admitted.push(call);
        } else {
            assert_eq!(answer.expect(402)["reason"], "insufficient_balance");
        }
    }
    assert_eq!(admitted, (0..10).collect::<Vec<_>>(), "twelve units hold ten minutes at 1.20");
    for call in admitted {
        let body = json!({"call_id": format!("c{call}"), "billable_s": 30});
        several.gateways[(call + 1) % 2]
            .gateway(&account.key)
            .post("/v1/calls/release", &body)
            .expect(200);
    }
    wait_until("each call is charged", SOON, || account.wallet(&several.plane).balance == 0);
    several.stop();
}

#[test]
fn a_suspension_a_new_limit_and_a_revoked_key_reach_every_gateway() {
    let several = Several::start();
    let account = several.limited(1);
    let mut plane = several.plane.control_plane(ORGANIZATION_KEY);
    let path = format!("/v1/sub-accounts/{}", account.id);
    plane.patch(&path, &json!({"concurrency_limit": 3})).expect(200);
    for gateway in &several.gateways {
        wait_until("the new limit is known", SOON, || {
            let known = gateway.gateway(&account.key).get("/v1/concurrency").expect(200);
            known["limit"] == 3
        });
    }
    plane.post(&format!("{path}/suspend"), &json!({})).success();
    let mut calls = 0;
    for gateway in &several.gateways {
        wait_until("it is suspended", SOON, || {
            calls += 1;
            let call_id = format!("c{calls}");
            let (status, answer) = ask(gateway, &account, &call_id);
            if status == 200 {
                end(gateway, &account, &call_id);
            }
            answer["reason"] == "suspended"
        });
    }
    plane.post(&format!("{path}/reactivate"), &json!({})).success();
    let keys = plane.get(&format!("{path}/api-keys")).expect(200);
    let key_id = keys["data"][0]["id"].as_str().expect("it has one").to_owned();
    plane.delete(&format!("{path}/api-keys/{key_id}")).success();
    for gateway in &several.gateways {
        wait_until("the key is gone", SOON, || {
            gateway.gateway(&account.key).get("/v1/concurrency").status == 401
        });
    }
    several.stop();
}

#[test]
fn a_gateway_that_stops_gives_back_its_slots_and_leaves_its_calls_to_the_others() {
    let mut several = Several::start();
    let account = several.limited(4);
    for call in ["a", "b"] {
        assert_eq!(ask(&several.gateways[0], &account, call).0, 200);
    }
    several.gateways.remove(0).stop();
    let left = &several.gateways[0];
    for call in ["c", "d"] {
        assert_eq!(ask(left, &account, call).0, 200, "what lay idle is free at once");
    }
    assert_eq!(ask(left, &account, "e").0, 409, "live calls go on");
    left.gateway(&account.key).post("/v1/calls/renew", &release("a")).expect(200);
    assert_eq!(end(left, &account, "b")["cause"], "release");
    assert_eq!(ask(left, &account, "e").0, 200);
    several.stop();
}

#[test]
fn a_killed_gateways_slots_come_back_and_its_calls_end_by_their_lease_or_their_stack() {
    let mut several = Several::start();
    let account = several.limited(6);
    for call in ["released", "forgotten"] {
        assert_eq!(ask(&several.gateways[0], &account, call).0, 200);
    }
    several.gateways.remove(0).kill();
    let left = &several.gateways[0];
    let mut admitted = 0;
    wait_until("what lay idle is free", SOON, || {
        admitted += u32::from(ask(left, &account, &format!("c{admitted}")).0 == 200);
        admitted == 4
    });
    let mut receipt = Value::Null;
    wait_until("the orphan can be released", SOON, || {
        for call in 0..4 {
            let renewed = release(&format!("c{call}"));
            left.gateway(&account.key).post("/v1/calls/renew", &renewed).expect(200);
        }
        let answer = left.gateway(&account.key).post("/v1/calls/release", &release("released"));
        receipt = answer.json();
        answer.status == 200
    });
    assert_eq!(receipt["state"], "ended", "{receipt}");
    for call in 0..4 {
        end(left, &account, &format!("c{call}"));
    }
    wait_until("both calls are posted", SOON, || posted(&several.plane) == 6);
    several.stop();
}

#[test]
fn a_gateway_waits_for_a_control_plane_and_then_serves_without_it() {
    let redis = Redis::start(&[]);
    let waiting = gateway(&redis).spawn();
    wait_until("it looks for a configuration", SOON, || {
        waiting.stderr().contains("the configuration cannot be read yet")
    });
    assert!(!waiting.listens(), "nothing is served without a configuration");
    let plane = control_plane(&redis);
    let serving = plane.start();
    let account = Account::limited(&serving, "later", 2);
    let gateway = waiting.listening();
    wait_until("the account is known", SOON, || {
        gateway.gateway(&account.key).get("/v1/concurrency").status == 200
    });
    // What a gateway holds has to be known to the database first.
    assert_eq!(ask(&gateway, &account, "first").0, 200);
    serving.stop();
    assert_eq!(ask(&gateway, &account, "without").0, 200, "no control plane is asked");
    assert_eq!(end(&gateway, &account, "first")["state"], "ended");
    assert_eq!(end(&gateway, &account, "without")["state"], "ended");
    let serving = plane.start();
    wait_until("both calls are posted", SOON, || posted(&serving) == 2);
    gateway.stop();
    serving.stop();
}

#[test]
fn a_hub_that_has_lost_its_memory_is_rebuilt_and_every_slot_is_found_again() {
    let several = Several::start();
    let account = several.limited(8);
    for call in 0..4 {
        let at = &several.gateways[call % 2];
        assert_eq!(ask(at, &account, &format!("c{call}")).0, 200);
    }
    several.redis.command(&["FLUSHALL"]);
    for call in 4..8 {
        let at = &several.gateways[call % 2];
        assert_eq!(ask(at, &account, &format!("c{call}")).0, 200, "four are free");
    }
    for gateway in &several.gateways {
        assert_eq!(ask(gateway, &account, "more").0, 409);
    }
    for call in 0..8 {
        end(&several.gateways[(call + 1) % 2], &account, &format!("c{call}"));
    }
    wait_until("each call is posted", SOON, || posted(&several.plane) == 8);
    several.stop();
}

#[test]
fn a_hub_that_has_lost_its_memory_is_told_what_money_lies_where() {
    let several = Several::start();
    let account = Account::billed(&several.plane, "prepaid", 20, ("1.20", 60, 60));
    account.recharge(&several.plane, "12.00").success();
    several.know(&account);
    for call in 0..2 {
        assert_eq!(ask(&several.gateways[call], &account, &format!("c{call}")).0, 200);
    }
    several.redis.command(&["FLUSHALL"]);
    let mut answer = (0, Value::Null);
    wait_until("new money is granted or refused", SOON, || {
        answer = ask(&several.gateways[0], &account, "c2");
        answer.0 != 503
    });
    assert_eq!(
        answer.1["reason"], "insufficient_balance",
        "six units are held by each of two calls"
    );
    for call in 0..2 {
        let body = json!({"call_id": format!("c{call}"), "billable_s": 60});
        let mut stack = several.gateways[call].gateway(&account.key);
        stack.post("/v1/calls/release", &body).expect(200);
    }
    assert_eq!(ask(&several.gateways[1], &account, "c3").0, 200, "what was released is free");
    end(&several.gateways[1], &account, "c3");
    wait_until("each call is charged", SOON, || {
        account.wallet(&several.plane).balance == 9_600_000
    });
    several.stop();
}

#[test]
fn a_second_control_plane_on_the_same_file_is_refused_and_the_first_goes_on() {
    let redis = Redis::start(&[]);
    let plane = control_plane(&redis);
    let first = plane.start();
    let (status, said) = plane.start_refused();
    assert!(!status.success());
    assert!(said.contains("in use by another control plane"), "{said}");
    first.control_plane(ORGANIZATION_KEY).get("/v1/organization").expect(200);
    first.stop();
}

#[test]
fn serve_has_a_hub_of_its_own_and_the_others_need_one() {
    let (status, said) = crate::installation()
        .set("RINGFENCE_HUB_URL", "redis://user:secret-word@127.0.0.1")
        .start_refused();
    assert_eq!(status.code(), Some(2));
    assert!(said.contains("hub_url is set") && !said.contains("secret-word"), "{said}");
    let (status, said) =
        Installation::gateway(BINARY, "redis://:secret-word@host:0").start_refused();
    assert_eq!(status.code(), Some(2));
    assert!(said.contains("hub_url") && said.contains("port"), "{said}");
    assert!(!said.contains("secret-word"), "{said}");
}

#[test]
fn money_that_gateways_have_idle_is_moved_once_they_have_given_it_back_and_never_spent_twice() {
    let several = Several::start();
    let mut administrator = several.plane.control_plane(ORGANIZATION_KEY);
    Organization::recharge(&several.plane, "100.00").success();
    administrator.patch("/v1/organization", &json!({"recharge_policy": "transfer"})).success();
    let consolidated = Account::create(
        &mut administrator,
        &json!({
            "name": "on the organization's wallet", "billing_mode": "consolidated",
            "region": "india", "concurrency_limit": 50,
            "rate": {"per_minute": "1.00", "initial_s": 60, "increment_s": 60},
        }),
    );
    several.know(&consolidated);
    for (call, gateway) in several.gateways.iter().enumerate() {
        let call_id = format!("c{call}");
        assert_eq!(ask(gateway, &consolidated, &call_id).0, 200);
        let nothing = json!({"call_id": call_id, "billable_s": 0});
        gateway.gateway(&consolidated.key).post("/v1/calls/release", &nothing).expect(200);
    }
    let isolated = Account::billed(&several.plane, "takes it all", 10, ("1.00", 60, 60));
    isolated.recharge(&several.plane, "100.00").success();
    for (call, gateway) in several.gateways.iter().enumerate() {
        let (status, refused) = ask(gateway, &consolidated, &format!("later-{call}"));
        assert_eq!((status, &refused["reason"]), (402, &"insufficient_balance".into()));
    }
    assert_eq!(Organization::wallet(&several.plane).available, 0);
    several.stop();
}

#[test]
fn whoever_oversees_calls_sees_those_of_every_gateway_at_any_of_them() {
    let several = Several::start();
    let account = several.limited(10);
    let [one, two] = &several.gateways[..] else { unreachable!("two were started") };
    for (call, at) in [one, two, one, two].into_iter().enumerate() {
        let body = json!({"call_id": format!("c{call}"), "source": "pbx"});
        at.gateway(&account.key).post("/v1/calls/admit", &body).expect(200);
    }
    for at in [one, two] {
        wait_until("all calls are known", SOON, || account.in_use(at) == 4);
        let page = at.gateway(&account.key).get("/v1/calls?source=pbx&limit=3").expect(200);
        let next = page["next_cursor"].as_str().expect("there is more");
        let path = format!("/v1/calls?limit=3&cursor={next}");
        let rest = at.gateway(&account.key).get(&path).expect(200);
        let names = [&page, &rest].map(|page| page["calls"].as_array().expect("a list").len());
        assert_eq!((names, &rest["calls"][0]["call_id"]), ([3, 1], &"c3".into()));
        assert!(rest["next_cursor"].is_null());
    }
    let list = json!({"source": "pbx", "live": ["c0", "c1"], "complete": true});
    let reconciled = one.gateway(&account.key).post("/v1/calls/reconcile", &list).expect(200);
    assert_eq!((&reconciled["renewed"], &reconciled["missing"]), (&2.into(), &2.into()));
    several.stop();
}
