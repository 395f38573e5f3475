//! The second surface as its clients use it: the documented requests by curl, with another host and key,
//! over accounts, calls and money that the native API and the gateway know too.

use std::time::Duration;

use serde_json::{Value, json};
use support::command::{quoted, shell};
use support::process::ORGANIZATION_KEY;
use support::{Account, Organization, Running, wait_until};

use crate::installation;

const POSTED_WITHIN: Duration = Duration::from_secs(20);

/// What curl was answered.
#[derive(Debug)]
struct Said {
    status: u16,
    body: Value,
}

/// One request as the reference shows it: always with a `Content-Type`, with a body or without.
fn curl(running: &Running, key: &str, method: &str, path: &str, body: &str) -> Said {
    let data = if body.is_empty() { String::new() } else { format!("-d {}", quoted(body)) };
    let line = format!(
        "curl -sS -X {method} {} -H {} -H 'Content-Type: application/json' -w '\\n%{{http_code}}' {data}",
        quoted(&format!("http://{}{path}", running.control_plane)),
        quoted(&format!("Authorization: Bearer {key}")),
    );
    let said = shell(&line, &[]);
    let (body, status) = said.rsplit_once('\n').expect("a status");
    let body = serde_json::from_str(body).unwrap_or_else(|_| unreachable!("no JSON: {body}"));
    Said { status: status.parse().expect("a status"), body }
}

/// The same with the organization's key; the status must be 200.
#[track_caller]
fn done(running: &Running, method: &str, path: &str, body: &str) -> Value {
    let said = curl(running, ORGANIZATION_KEY, method, path, body);
    assert_eq!(said.status, 200, "{method} {path}: {}", said.body);
    said.body
}

/// The same, refused with this body.
#[track_caller]
fn refused(running: &Running, request: (&str, &str, &str), status: u16, body: &Value) {
    let (method, path, sent) = request;
    let said = curl(running, ORGANIZATION_KEY, method, path, sent);
    assert_eq!((said.status, &said.body), (status, body), "{method} {path}");
}

/// The native id of a UUID: the same 128 bits.
fn native(uuid: &Value) -> String {
    let digits = uuid.as_str().expect("a UUID").replace('-', "");
    let mut number = u128::from_str_radix(&digits, 16).expect("hexadecimal");
    let mut text = [b'0'; 26];
    for digit in text.iter_mut().rev() {
        *digit = b"0123456789abcdefghjkmnpqrstvwxyz"[(number & 31) as usize];
        number >>= 5;
    }
    format!("sa_{}", String::from_utf8_lossy(&text))
}

#[test]
fn the_documented_requests_are_answered_as_documented() {
    let running = installation().set("RINGFENCE_CONCURRENCY_TOTAL", "50").start();
    let alpha = r#"{"name":"alpha-007","min_concurrency":5,"max_concurrency":20}"#;
    let made = done(&running, "POST", "/sub-accounts/create", alpha);
    let is_uuid = |value: &Value| value.as_str().is_some_and(|text| text.len() == 36);
    for id in ["id", "user_id", "organization_id"] {
        assert!(is_uuid(&made[id]), "{id} in {made}");
    }
    let key = made["api_key"].as_str().expect("the key, once").to_owned();
    assert!(key.starts_with("sa-") && key.len() == 35, "{key}");
    for (name, value) in [
        ("name", json!("alpha-007")),
        ("allow_concurrent_calls", json!(20)),
        ("min_concurrency", json!(5)),
        ("max_concurrency", json!(20)),
        ("multi_tenant", json!(false)),
        ("db_host", Value::Null),
    ] {
        assert_eq!(made[name], value, "{name} in {made}");
    }
    let beta =
        r#"{"name":"beta","allow_concurrent_calls":30,"db_port":"5432","metadata":{"tier":1}}"#;
    done(&running, "POST", "/sub-accounts/create", beta);
    let message = "Sum of account minimums (60) exceeds the org minimum (50) by 10; lower an account minimum first.";
    let create = |body| ("POST", "/sub-accounts/create", body);
    let gamma = r#"{"name":"gamma","min_concurrency":25}"#;
    refused(&running, create(gamma), 400, &json!({"message": message}));
    let message = "Bad request. Please provide min_concurrency and/or max_concurrency.";
    refused(&running, create(r#"{"name":"gamma"}"#), 400, &json!({"message": message}));
    let made_gamma =
        done(&running, "POST", "/sub-accounts/create", r#"{"name":"gamma","max_concurrency":5}"#);
    let gamma = format!("/sub-accounts/{}", made_gamma["id"].as_str().expect("an id"));
    let details =
        json!({"requested": 50, "available": 15, "account_limit": 50, "subaccount_usage": 35});
    let exceeded = json!({"message": "Concurrency limit exceeded", "details": details});
    refused(&running, ("PATCH", &gamma, r#"{"allow_concurrent_calls":50}"#), 400, &exceeded);
    let nothing = json!({"error": "No valid fields provided", "status": "failure"});
    refused(&running, ("PATCH", &gamma, r#"{"colour":"red"}"#), 400, &nothing);
    let updated = done(&running, "PATCH", &gamma, r#"{"name":"gamma-2","max_concurrency":null}"#);
    assert_eq!(updated, json!({"message": "success", "state": "updated"}));

    let forbidden = curl(&running, &key, "POST", "/sub-accounts/create", alpha);
    let message = "Forbidden: only organization admins can manage sub-account concurrency";
    assert_eq!((forbidden.status, forbidden.body), (403, json!({"message": message})));
    let denied = curl(&running, "sa-unknown", "GET", "/user/me", "");
    let body = json!({"error": 401, "message": "Access denied"});
    assert_eq!((denied.status, denied.body), (401, body));

    let listed = done(&running, "GET", "/sub-accounts/all?page_number=1&page_size=10", "");
    let listed = listed.as_array().expect("a bare array");
    let names: Vec<_> = listed.iter().map(|shown| shown["name"].as_str()).collect();
    assert_eq!(names, [Some("alpha-007"), Some("beta"), Some("gamma-2")]);
    assert_eq!(listed[2]["allow_concurrent_calls"], 50, "elastic up to the total");
    let masked = listed[0]["api_key"].as_str().expect("a masked key");
    assert!(masked != key && masked.ends_with(&key[31..]), "{masked}");

    let deleted = done(&running, "DELETE", &gamma, "");
    assert_eq!(deleted, json!({"message": "success", "state": "deleted"}));
    let gone = curl(&running, ORGANIZATION_KEY, "DELETE", &gamma, "");
    assert_eq!((gone.status, &gone.body["error"]), (404, &json!(404)));
    running.stop();
}

#[test]
fn a_key_made_here_is_admitted_at_the_gateway_and_usage_here_is_usage_there() {
    let running = installation().start();
    let mut plane = running.control_plane(ORGANIZATION_KEY);
    let rate = json!({"per_minute": "1.20", "initial_s": 60, "increment_s": 60});
    plane.patch("/v1/organization", &json!({"default_rate": rate})).expect(200);
    Organization::recharge(&running, "42.42").success();
    let made = done(
        &running,
        "POST",
        "/sub-accounts/create",
        r#"{"name":"a","allow_concurrent_calls":2}"#,
    );
    done(&running, "POST", "/sub-accounts/create", r#"{"name":"idle","allow_concurrent_calls":1}"#);
    let key = made["api_key"].as_str().expect("a key");
    let (id, path) =
        (native(&made["id"]), format!("/sub-accounts/{}", made["id"].as_str().expect("an id")));

    let mut stack = running.gateway(key);
    for call in ["one", "two"] {
        let admitted = stack.post("/v1/calls/admit", &json!({"call_id": call})).expect(200);
        assert_eq!((&admitted["account"], &admitted["limit"]), (&json!(id), &json!(2)));
    }
    assert_eq!(stack.post("/v1/calls/admit", &json!({"call_id": "three"})).reason(409), "no_slot");
    let me = done(&running, "GET", "/user/me", "");
    assert_eq!(me["concurrency"], json!({"max": 100, "current": 2}));
    assert_eq!((&me["wallet"], &me["id"]), (&json!(42.42), &made["organization_id"]));
    let own = curl(&running, key, "GET", "/user/me", "");
    assert_eq!(own.body["concurrency"], json!({"max": 2, "current": 2}));
    let costs = json!({
        "llm": {"gpt-4o-mini": 0.05}, "synthesizer": {"elevenlabs": "0.0125"}, "transcriber": 0.01,
        "platform": 0.22, "telephony": 0.02673, "comment": "anything else",
    });
    let ended = json!({"call_id": "one", "billable_s": 151, "costs": costs});
    stack.post("/v1/calls/release", &ended).expect(200);
    stack.post("/v1/calls/release", &json!({"call_id": "two", "outcome": "no-answer"})).expect(200);

    let mut used = Value::Null;
    wait_until("both calls are posted", POSTED_WITHIN, || {
        used = done(&running, "GET", &format!("{path}/usage"), "");
        used["total_records"] == 2
    });
    for (name, value) in [
        ("total_duration", json!(151.0)),
        ("total_cost", json!(360.0)),
        ("total_platform_cost", json!(22.0)),
        ("total_telephony_cost", json!(2.673)),
        ("status_map", json!({"completed": 1, "no-answer": 1})),
        ("synthesizer_cost_map", json!({"elevenlabs": 1.25})),
        ("transcriber_cost_map", json!({"unknown": 1.0})),
        ("llm_cost_map", json!({"gpt-4o-mini": 5.0})),
    ] {
        assert_eq!(used[name], value, "{name} in {used}");
    }
    let there = plane.get(&format!("/v1/sub-accounts/{id}/usage")).expect(200);
    assert_eq!(
        (&there["calls"], &there["billable_s"], &there["cost"]),
        (&json!(2), &json!(151), &json!("3.60"))
    );
    let all = done(&running, "GET", "/sub-accounts/all/usage", "");
    let all = all.as_array().expect("a bare array");
    assert_eq!(all.len(), 2);
    assert_eq!(
        (&all[0]["sub_account_id"], &all[0]["total_cost"]),
        (&made["id"], &used["total_cost"])
    );
    assert_eq!(
        (&all[1]["sub_account_name"], &all[1]["total_records"]),
        (&json!("idle"), &json!(0))
    );
    let me = done(&running, "GET", "/user/me", "");
    assert_eq!(me["wallet"], json!(38.82));
    running.stop();
}

#[test]
fn an_account_of_one_surface_is_an_account_of_the_other() {
    let running = installation().start();
    let account = Account::limited(&running, "native", 3);
    let listed = done(&running, "GET", "/sub-accounts/all", "");
    assert_eq!((&listed[0]["name"], &listed[0]["max_concurrency"]), (&json!("native"), &json!(3)));
    assert_eq!(native(&listed[0]["id"]), account.id);
    let path = format!("/sub-accounts/{}", listed[0]["id"].as_str().expect("an id"));
    done(&running, "PATCH", &path, r#"{"min_concurrency":0,"max_concurrency":0}"#);
    let mut stack = running.gateway(&account.key);
    assert_eq!(stack.post("/v1/calls/admit", &json!({"call_id": "paused"})).reason(409), "no_slot");
    done(&running, "PATCH", &path, r#"{"allow_concurrent_calls":1}"#);
    stack.post("/v1/calls/admit", &json!({"call_id": "live"})).expect(200);
    let busy = curl(&running, ORGANIZATION_KEY, "DELETE", &path, "");
    assert_eq!((busy.status, &busy.body["error"]), (409, &json!(409)));
    stack.post("/v1/calls/release", &json!({"call_id": "live"})).expect(200);
    done(&running, "DELETE", &path, "");
    let native_path = format!("/v1/sub-accounts/{}", account.id);
    assert_eq!(running.control_plane(ORGANIZATION_KEY).get(&native_path).status, 404);
    let refused = stack.post("/v1/calls/admit", &json!({"call_id": "late"}));
    assert_eq!(refused.reason(401), "unauthenticated");
    running.stop();
}
