//! An account is deleted while its calls are live: their stacks have no key any more, and their tokens.

use serde_json::{Value, json};
use support::process::ORGANIZATION_KEY;
use support::{Account, Response, Running, wait_until};

use crate::installation;
use crate::several::{SOON, Several};

/// The token of a new call.
fn admitted(at: &Running, account: &Account, call_id: &str) -> String {
    let mut answer = Value::Null;
    wait_until("a call is admitted", SOON, || {
        let body = json!({"call_id": call_id, "requested_s": 60});
        let admit = at.gateway(&account.key).post("/v1/calls/admit", &body);
        answer = admit.json();
        admit.status == 200
    });
    answer["token"].as_str().expect("a token").to_owned()
}

fn delete(plane: &Running, account: &Account) {
    let path = format!("/v1/sub-accounts/{}?force=true&balance=forfeit", account.id);
    plane.control_plane(ORGANIZATION_KEY).delete(&path).success();
}

fn release(at: &Running, key: &str, call_id: &str, token: &str) -> Response {
    at.gateway(key).post("/v1/calls/release", &json!({"call_id": call_id, "token": token}))
}

fn is_gone(at: &Running, account: &Account) {
    wait_until("its key opens nothing", SOON, || {
        at.gateway(&account.key).get("/v1/concurrency").status == 401
    });
}

fn refused(answer: &Response) {
    assert_eq!(answer.reason(401), "unauthenticated", "{}", answer.text());
    assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"ringfence\""));
}

#[test]
fn the_call_of_a_deleted_account_is_released_by_its_token_alone_and_by_no_other() {
    let installation = installation();
    let running = installation.start();
    let account = Account::billed(&running, "leaving", 10, ("1.20", 60, 60));
    account.recharge(&running, "50").success();
    let staying = Account::limited(&running, "staying", 10);
    let (token, other) = (admitted(&running, &account, "a"), admitted(&running, &staying, "a"));
    let earlier = admitted(&running, &account, "earlier");
    running.gateway(&account.key).post("/v1/calls/answer", &json!({"call_id": "a"})).expect(200);
    let ended = release(&running, &account.key, "earlier", &earlier).expect(200);
    refused(&release(&running, "", "a", &token));
    refused(&release(&running, "", "earlier", &earlier));
    delete(&running, &account);
    is_gone(&running, &account);

    let receipt = release(&running, "", "a", &token).expect(200);
    assert_eq!((&receipt["state"], &receipt["cause"]), (&json!("ended"), &json!("deleted")));
    assert_eq!((&receipt["account"], &receipt["currency"]), (&json!(account.id), &json!("INR")));
    assert_eq!(release(&running, &account.key, "a", &token).expect(200), receipt, "its former key");
    let forged = format!("{}{}", if token.starts_with('A') { 'B' } else { 'A' }, &token[1..]);
    for (call_id, token) in
        [("a", ""), ("a", &forged), ("a", &other), ("a", &earlier), ("b", &token)]
    {
        refused(&release(&running, "", call_id, token));
    }
    let named = |members: Value| {
        let mut body = json!({"call_id": "a", "token": token});
        body.as_object_mut().expect("an object").extend(members.as_object().cloned().expect("one"));
        running.gateway("").post("/v1/calls/release", &body)
    };
    assert_eq!(named(json!({"account": account.id})).expect(200), receipt);
    refused(&named(json!({"account": staying.id})));
    assert_eq!(named(json!({"billable_s": -1})).reason(400), "invalid_request");
    for operation in ["admit", "renew", "answer"] {
        let body = json!({"call_id": "a", "token": token});
        refused(&running.gateway("").post(&format!("/v1/calls/{operation}"), &body));
    }
    refused(&release(&running, "", "a", &"x".repeat(300)));
    refused(&running.gateway("").request("POST", "/v1/calls/release", &[], b"{").expect("one"));
    refused(&release(&running, "", "a", &other));
    running.kill();

    let running = installation.start();
    for key in ["", &account.key] {
        assert_eq!(release(&running, key, "a", &token).expect(200), receipt, "after a restart");
        assert_eq!(release(&running, key, "earlier", &earlier).expect(200), ended);
    }
    refused(&release(&running, "", "a", &other));
    refused(&release(&running, "", "a", &forged));
    let mut stack = running.gateway(&staying.key);
    assert_eq!(stack.get("/v1/calls/a").expect(200)["state"], "live");
    running.stop();
}

#[test]
fn a_token_is_enough_at_every_gateway_of_a_shared_hub() {
    let several = Several::start();
    let account = several.limited(10);
    let token = admitted(&several.gateways[0], &account, "a");
    delete(&several.plane, &account);
    several.gateways.iter().for_each(|gateway| is_gone(gateway, &account));
    let mut receipts = Vec::new();
    for gateway in several.gateways.iter().rev() {
        let receipt = release(gateway, "", "a", &token).expect(200);
        assert_eq!(receipt["cause"], "deleted", "{receipt}");
        receipts.push(receipt);
        refused(&release(gateway, "", "b", &token));
    }
    assert_eq!(receipts[0], receipts[1]);
    several.stop();
}
