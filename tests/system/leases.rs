//! Stacks that die: what they held comes back, by the lease or by reconcile.

use std::time::Duration;

use serde_json::json;
use support::wait::timed;
use support::{Account, Client, pause, wait_until};

use crate::installation;

#[test]
fn calls_of_a_stack_that_died_give_slots_and_holds_back_within_the_lease() {
    let running = installation().set("RINGFENCE_CALL_LEASE_S", "3").start();
    let account = Account::billed(&running, "dying", 10, ("1.20", 60, 60));
    account.recharge(&running, "100").success();
    let mut stack = running.gateway(&account.key);
    for call in 0..5 {
        let body = json!({"call_id": format!("c{call}")});
        let admitted = stack.post("/v1/calls/admit", &body).expect(200);
        assert_eq!((&admitted["expires_in_s"], &admitted["renew_every_s"]), (&json!(3), &json!(1)));
    }
    assert!(account.wallet(&running).held > 0);
    let (waited, ()) = timed(|| {
        wait_until("all slots are back", Duration::from_secs(6), || account.in_use(&running) == 0);
    });
    assert!(waited > Duration::from_secs(2), "a lease ended early: {waited:?}");
    assert_eq!(account.wallet(&running).held, 0);
    let receipt = stack.get("/v1/calls/c0").expect(200);
    assert_eq!((&receipt["state"], &receipt["cause"]), (&json!("ended"), &json!("expiry")));
    let renewed = stack.post("/v1/calls/renew", &json!({"call_id": "c0"}));
    assert_eq!(renewed.reason(410), "call_ended");
    running.stop();
}

#[test]
fn a_renewed_call_outlives_its_first_lease() {
    let running = installation().set("RINGFENCE_CALL_LEASE_S", "2").start();
    let account = Account::limited(&running, "renewing", 1);
    let mut stack = running.gateway(&account.key);
    let token =
        stack.post("/v1/calls/admit", &json!({"call_id": "c"})).expect(200)["token"].clone();
    for _ in 0..8 {
        pause(Duration::from_millis(500));
        let renewed = stack.post("/v1/calls/renew", &json!({"call_id": "c", "token": token}));
        assert_eq!(renewed.expect(200)["admitted"], true);
    }
    assert_eq!(account.in_use(&running), 1);
    running.stop();
}

#[test]
fn a_stack_that_cannot_renew_keeps_its_call_for_the_lease_it_asked_for() {
    let running = installation().set("RINGFENCE_CALL_LEASE_S", "2").start();
    let account = Account::limited(&running, "silent", 1);
    let mut stack = running.gateway(&account.key);
    let body = json!({"call_id": "c", "lease_s": 10});
    assert_eq!(stack.post("/v1/calls/admit", &body).expect(200)["expires_in_s"], 10);
    pause(Duration::from_secs(5));
    assert_eq!(account.in_use(&running), 1);
    running.stop();
}

fn reconcile(stack: &mut Client, live: &[&str]) -> u16 {
    let body = json!({"source": "kam-1", "live": live, "complete": true});
    stack.post("/v1/calls/reconcile", &body).status
}

#[test]
fn two_complete_lists_free_the_calls_they_do_not_name_and_no_others() {
    let running = installation().set("RINGFENCE_RECONCILE_GAP_S", "1").start();
    let account = Account::limited(&running, "reconciled", 10);
    let mut stack = running.gateway(&account.key);
    for (call, source) in [("a", "kam-1"), ("b", "kam-1"), ("c", "kam-1"), ("other", "kam-2")] {
        let body = json!({"call_id": call, "source": source});
        stack.post("/v1/calls/admit", &body).expect(200);
    }
    assert_eq!(reconcile(&mut stack, &["a"]), 200);
    assert_eq!(account.in_use(&running), 4, "one list frees nothing");
    assert_eq!(reconcile(&mut stack, &["a"]), 200);
    assert_eq!(account.in_use(&running), 4, "a second list too soon frees nothing");
    // Admitted after the first list: that list cannot have known it.
    let late = json!({"call_id": "late", "source": "kam-1"});
    stack.post("/v1/calls/admit", &late).expect(200);
    pause(Duration::from_millis(1_200));
    assert_eq!(reconcile(&mut stack, &["a"]), 200);
    wait_until("two calls are freed", Duration::from_secs(1), || account.in_use(&running) == 3);
    for (call, state) in
        [("a", "live"), ("b", "ended"), ("c", "ended"), ("late", "live"), ("other", "live")]
    {
        let found = stack.get(&format!("/v1/calls/{call}")).expect(200);
        assert_eq!(found["state"], state, "{call}");
    }
    assert_eq!(stack.get("/v1/calls/b").expect(200)["cause"], "reconcile");
    running.stop();
}

#[test]
fn an_empty_or_malformed_list_frees_nothing() {
    let running = installation().set("RINGFENCE_RECONCILE_GAP_S", "1").start();
    let account = Account::limited(&running, "kept", 10);
    let mut stack = running.gateway(&account.key);
    stack.post("/v1/calls/admit", &json!({"call_id": "a", "source": "kam-1"})).expect(200);
    for round in 0..3 {
        assert!(reconcile(&mut stack, &[]) < 500);
        for malformed in [
            json!({"source": "kam-1", "live": [1], "complete": true}),
            json!({"source": "kam-1", "live": {"b": true}, "complete": true}),
            json!({"source": "kam-1", "live": ["with space"], "complete": true}),
            json!({"source": "kam-1", "live": ["b"], "complete": "perhaps"}),
            json!({"live": ["b"], "complete": true}),
        ] {
            let answer = stack.post("/v1/calls/reconcile", &malformed);
            assert_eq!(answer.reason(400), "invalid_request", "{malformed}");
        }
        for without in [json!(null), json!([])] {
            let body = json!({"source": "kam-1", "live": without, "complete": true});
            assert!(stack.post("/v1/calls/reconcile", &body).status < 500);
        }
        let cut_off = br#"{"source":"kam-1","live":["b"],"complete":true"#;
        let headers = [("Content-Type", "application/json")];
        let answer = stack.request("POST", "/v1/calls/reconcile", &headers, cut_off);
        assert_eq!(answer.expect("an answer").reason(400), "invalid_request");
        let partial = json!({"source": "kam-1", "live": ["b"], "complete": false});
        assert!(stack.post("/v1/calls/reconcile", &partial).status < 500);
        assert_eq!(account.in_use(&running), 1, "round {round}");
        pause(Duration::from_millis(1_100));
    }
    running.stop();
}
