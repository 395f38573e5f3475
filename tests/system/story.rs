//! The life of a sub-account, from its creation to its deletion: each answer on the way, and each entry of
//! the audit at its end.

use serde_json::{Value, json};
use support::http::Response;
use support::process::ORGANIZATION_KEY;
use support::{Client, Running, wait_until};

use crate::installation;
use crate::several::SOON;

struct Story {
    running: Running,
    parent: Client,
    account: String,
    path: String,
    key: String,
}

impl Story {
    fn stack(&self) -> Client {
        self.running.gateway(&self.key)
    }

    fn at(&self, rest: &str) -> String {
        format!("{}{rest}", self.path)
    }

    fn with(&mut self, method: &str, path: &str, header: (&str, &str), body: &Value) -> Response {
        let headers = [("Content-Type", "application/json"), header];
        let body = body.to_string();
        self.parent.request(method, path, &headers, body.as_bytes()).expect("an answer")
    }

    fn shown(&mut self) -> Value {
        let path = self.path.clone();
        self.parent.get(&path).expect(200)
    }
}

#[test]
fn the_life_of_a_sub_account() {
    let running = installation().start();
    let mut story = created(running);
    configured(&mut story);
    paid(&mut story);
    equipped(&mut story);
    called(&mut story);
    suspended(&mut story);
    noted(&mut story);
    deleted(&mut story);
    audited(&mut story);
    erased(&mut story);
    story.running.stop();
}

fn created(running: Running) -> Story {
    let mut parent = running.control_plane(ORGANIZATION_KEY);
    let members = json!({
        "name": "Acme", "billing_mode": "isolated", "min_concurrency": 1, "max_concurrency": 3,
        "rate": {"per_minute": "1.20", "initial_s": 60, "increment_s": 60},
        "labels": {"crm": "42"},
    });
    let made = parent.post("/v1/sub-accounts", &members).expect(201);
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    let (account, key) = (text("sub_account_id"), text("api_key"));
    assert_eq!((&made["status"], &made["in_use"]), (&json!("active"), &json!(0)), "{made}");
    assert_eq!((&made["min_concurrency"], &made["max_concurrency"]), (&json!(1), &json!(3)));
    let wallet = json!({
        "balance": "0.00", "held": "0.00", "available": "0.00", "currency": "INR",
    });
    assert_eq!(made["wallet"], wallet);
    let path = format!("/v1/sub-accounts/{account}");
    let shown = parent.get(&path).expect(200);
    assert_eq!((&shown["labels"], &shown["api_key"]), (&json!({"crm": "42"}), &Value::Null));
    Story { running, parent, account, path, key }
}

fn configured(story: &mut Story) {
    let path = story.path.clone();
    let tag = story.parent.get(&path).header("etag").expect("a tag").to_owned();
    let change = json!({"display_name": "Acme Voice", "max_concurrency": 2});
    let changed = story.with("PATCH", &path, ("If-Match", &tag), &change).expect(200);
    assert_eq!(
        (&changed["display_name"], &changed["max_concurrency"]),
        (&json!("Acme Voice"), &json!(2))
    );
    let stale = story.with("PATCH", &path, ("If-Match", &tag), &json!({"name": "Other"}));
    assert_eq!(stale.reason(412), "precondition_failed");
    let over = story.parent.patch(&path, &json!({"min_concurrency": 3}));
    assert_eq!(over.status, 400, "a floor above the cap: {}", over.text());
    assert_eq!(story.shown()["name"], "Acme", "what is refused changes nothing");
}

fn paid(story: &mut Story) {
    let (path, body) =
        (story.at("/wallet/recharge"), json!({"amount": "10.00", "currency": "INR"}));
    let once = story.with("POST", &path, ("Idempotency-Key", "bill-1"), &body).success();
    let again = story.with("POST", &path, ("Idempotency-Key", "bill-1"), &body).success();
    assert_eq!(once, again, "the stored answer");
    let other = json!({"amount": "11.00", "currency": "INR"});
    assert_eq!(story.with("POST", &path, ("Idempotency-Key", "bill-1"), &other).status, 422);
    let wallet = story.at("/wallet");
    assert_eq!(story.parent.get(&wallet).expect(200)["balance"], "10.00");
}

fn equipped(story: &mut Story) {
    let (path, account) = (story.at("/api-keys"), story.account.clone());
    let key = story.parent.post(&path, &json!({"name": "second"})).expect(201);
    let id = key["id"].as_str().expect("an id");
    let body = json!({"old_key_ends": "now"});
    let rotated = story.parent.post(&format!("{path}/{id}/rotate"), &body).success();
    assert_ne!(rotated["secret"], key["secret"]);
    let id = rotated["id"].as_str().expect("an id").to_owned();
    assert_eq!(story.parent.delete(&format!("{path}/{id}")).status, 204);
    let agent = json!({"agent_id": "acme-bot", "account": account});
    story.parent.post("/v1/agents", &agent).expect(201);
    let number = json!({"number": "+919812345678", "account": account, "concurrency_limit": 1});
    story.parent.post("/v1/phone-numbers", &number).expect(201);
}

fn called(story: &mut Story) {
    let mut stack = story.stack();
    let call = json!({"call_id": "first", "from": "+919812345678", "agent_id": "acme-bot"});
    stack.post("/v1/calls/admit", &call).expect(200);
    let more = json!({"call_id": "second", "from": "+919812345678"});
    assert_eq!(stack.post("/v1/calls/admit", &more).reason(409), "no_slot");
    stack.post("/v1/calls/answer", &json!({"call_id": "first"})).expect(200);
    let end = json!({"call_id": "first", "billable_s": 61});
    let receipt = stack.post("/v1/calls/release", &end).expect(200);
    assert_eq!((&receipt["cost"], &receipt["cause"]), (&json!("2.40"), &json!("release")));
    let (wallet, calls, usage) = (story.at("/wallet"), story.at("/calls"), story.at("/usage"));
    wait_until("the call is charged", SOON, || {
        story.parent.get(&wallet).expect(200)["balance"] == "7.60"
    });
    assert_eq!(story.parent.get(&calls).expect(200)["data"][0]["call_id"], "first");
    let usage = story.parent.get(&usage).expect(200);
    assert_eq!((&usage["calls"], &usage["cost"]), (&json!(1), &json!("2.40")), "{usage}");
}

fn suspended(story: &mut Story) {
    let mut stack = story.stack();
    let call = json!({"call_id": "cut"});
    stack.post("/v1/calls/admit", &call).expect(200);
    let (suspend, reactivate) = (story.at("/suspend"), story.at("/reactivate"));
    let answer = story.parent.post(&suspend, &json!({"live_calls": "end"})).success();
    assert_eq!(answer["status"], "suspended");
    assert_eq!(stack.post("/v1/calls/renew", &call).status, 410);
    assert_eq!(stack.post("/v1/calls/admit", &json!({"call_id": "late"})).reason(403), "suspended");
    stack.post("/v1/calls/release", &call).expect(200);
    assert_eq!(story.parent.post(&reactivate, &json!({})).success()["status"], "active");
}

/// Each change says what was and what is.
fn noted(story: &mut Story) {
    let page = story.parent.get("/v1/audit?action=sub_account").expect(200);
    let entries = page["data"].as_array().expect("a list");
    let first = entries.last().expect("its creation");
    assert_eq!((&first["before"], &first["after"]["name"]), (&Value::Null, &json!("Acme")));
    let changed = entries.iter().find(|entry| entry["action"] == "sub_account.updated");
    let changed = changed.expect("its change");
    assert_eq!(changed["before"]["max_concurrency"], 3);
    assert_eq!(changed["after"]["max_concurrency"], 2);
}

fn deleted(story: &mut Story) {
    let mut stack = story.stack();
    stack.post("/v1/calls/admit", &json!({"call_id": "last"})).expect(200);
    let path = story.path.clone();
    let live = story.parent.delete(&path);
    assert_eq!((live.reason(409), &live.json()["live_calls"]), ("live_calls".into(), &json!(1)));
    let paid = story.parent.delete(&format!("{path}?force=true"));
    assert_eq!(paid.reason(409), "balance_left");
    assert_eq!(story.parent.delete(&format!("{path}?force=true&balance=refund")).status, 204);
    assert_eq!(story.parent.get(&path).status, 404);
    assert_eq!(story.parent.delete(&path).status, 404, "there is none any more");
    wait_until("its key opens nothing", SOON, || {
        stack.post("/v1/calls/admit", &json!({"call_id": "more"})).status == 401
    });
    let mut parent = story.running.gateway(ORGANIZATION_KEY);
    let last = json!({"call_id": "last", "account": story.account});
    assert_eq!(parent.post("/v1/calls/renew", &last).status, 410);
    let receipt = parent.post("/v1/calls/release", &last).expect(200);
    assert_eq!((&receipt["cause"], &receipt["cost"]), (&json!("deleted"), &json!("0.00")));
    let next = json!({"call_id": "next", "account": story.account});
    assert_eq!(parent.post("/v1/calls/admit", &next).reason(404), "unknown_account");
    let usage = story.parent.get("/v1/usage").expect(200);
    assert_eq!(usage["cost"], "2.40", "the organization's books stay: {usage}");
    let number = json!({"number": "+919812345678"});
    story.parent.post("/v1/phone-numbers", &number).expect(201);
}

/// The organization reads what was done in the account after it is gone, oldest last.
fn audited(story: &mut Story) {
    let page = story.parent.get("/v1/audit?limit=100").expect(200);
    let entries = page["data"].as_array().expect("a list");
    let of_account = |entry: &&Value| {
        entry["account"] == story.account.as_str() || entry["subject"] == story.account.as_str()
    };
    let actions: Vec<&str> = entries
        .iter()
        .filter(of_account)
        .map(|entry| entry["action"].as_str().expect("an action"))
        .collect();
    let expected = [
        "sub_account.deleted",
        "sub_account.reactivated",
        "sub_account.suspended",
        "phone_number.created",
        "agent.created",
        "api_key.revoked",
        "api_key.created",
        "api_key.rotated",
        "api_key.created",
        "wallet.recharged",
        "sub_account.updated",
        "sub_account.created",
    ];
    assert_eq!(actions, expected);
    let sequences = entries.iter().map(|entry| entry["sequence"].as_u64().expect("a number"));
    let sequences: Vec<u64> = sequences.collect();
    assert!(sequences.windows(2).all(|pair| pair[0] == pair[1] + 1), "no gap: {sequences:?}");
}

/// What the books say stays, and nobody's name or number.
fn erased(story: &mut Story) {
    let account = story.account.clone();
    let audit = format!("/v1/audit?account={account}&limit=100");
    wait_until("what is known of people is erased", SOON, || {
        let page = story.parent.get(&audit).expect(200);
        let entries = page["data"].as_array().expect("a list");
        let of_money = |entry: &Value| entry["action"] == "wallet.recharged";
        entries.iter().all(|entry| of_money(entry) || entry["salt"] == "")
    });
    let page = story.parent.get(&audit).expect(200).to_string();
    assert!(!page.contains("Acme") && !page.contains("9812345678"), "{page}");
    let calls = story.parent.get(&format!("/v1/calls?account={account}")).expect(200);
    assert_eq!(calls["data"], json!([]));
    let usage = story.parent.get("/v1/usage?group_by=account").expect(200);
    let rows = usage["data"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["account"] == account.as_str()).expect("its row");
    assert_eq!((&row["name"], &row["cost"]), (&json!("(deleted)"), &json!("2.40")));
}
