//! Webhooks as their receivers see them: a real one on loopback.

use std::collections::VecDeque;
use std::future::ready;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use hub::denial::Reason;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::send::{SendError, Sender};
use super::{PENDING_MAX, PER_ACCOUNT_MAX, signature};
use crate::testing::calls::call;
use crate::testing::reports::{refused, report};
use crate::testing::{Harness, named, text};
use crate::timestamp;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Someone who listens: it keeps what it gets, and answers what it is told to, else 200.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<(HeaderMap, String)>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Receiver {
    /// Listens until the tasks are dropped; its URL.
    async fn listen(&self, tasks: &mut JoinSet<()>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let router = Router::new().route("/hook", post(receive)).with_state(self.clone());
        tasks.spawn(async move { axum::serve(listener, router).await.expect("served") });
        format!("http://{address}/hook")
    }

    fn bodies(&self) -> Vec<Value> {
        let got = self.got.lock();
        got.iter().map(|(_, body)| serde_json::from_str(body).expect("JSON")).collect()
    }

    fn kinds(&self) -> Vec<String> {
        self.bodies().iter().map(|body| text(&body["type"])).collect()
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    receiver.got.lock().push((headers, String::from_utf8_lossy(&body).into_owned()));
    let answer = receiver.answers.lock().pop_front().unwrap_or(200);
    StatusCode::from_u16(answer).expect("a status")
}

/// An installation, and a receiver of its organization's events.
struct World {
    harness: Harness,
    receiver: Receiver,
    webhook: String,
    _tasks: JoinSet<()>,
}

impl World {
    async fn new(events: &[&str]) -> Self {
        let harness = Harness::new().await;
        let (receiver, mut tasks) = (Receiver::default(), JoinSet::new());
        let url = receiver.listen(&mut tasks).await;
        let key = harness.organization.clone();
        let webhook = subscribe(&harness, &key, &url, events).await;
        Self { harness, receiver, webhook, _tasks: tasks }
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/user-webhooks/{}{rest}", self.webhook)
    }

    async fn send(&self, method: &str, rest: &str, body: Value) -> crate::testing::Answered {
        self.harness.send(&self.harness.organization, method, &self.path(rest), body).await
    }

    /// Sends what is due.
    async fn send_due(&self) {
        self.harness.plane.send_webhooks(ready(())).await;
    }

    /// As if all pauses were over.
    async fn let_time_pass(&self) {
        for sql in [
            "UPDATE webhook_deliveries SET due_us = 0 WHERE due_us IS NOT NULL",
            "UPDATE webhooks SET due_us = 0 WHERE due_us IS NOT NULL",
        ] {
            self.harness.execute(sql).await;
        }
    }

    async fn log(&self) -> Vec<Value> {
        let log = self.send("GET", "/deliveries", Value::Null).await;
        log.body["data"].as_array().expect("a list").clone()
    }
}

async fn subscribe(harness: &Harness, key: &str, url: &str, events: &[&str]) -> String {
    let body = json!({"url": url, "events": events, "secret": SECRET});
    let made = harness.send(key, "POST", "/v1/user-webhooks", body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    text(&made.body["id"])
}

#[tokio::test]
async fn an_event_arrives_signed_and_its_delivery_is_logged() {
    let world = World::new(&["account.suspended", "call.must_end"]).await;
    let (id, _) = world.harness.isolated(1).await;
    let path = format!("/v1/sub-accounts/{id}/suspend");
    let body = json!({"live_calls": "end"});
    world.harness.send(&world.harness.organization, "POST", &path, body).await;
    world.send_due().await;
    let mut kinds = world.receiver.kinds();
    kinds.sort();
    assert_eq!(kinds, ["account.suspended", "call.must_end"]);
    for (headers, body) in world.receiver.got.lock().iter() {
        let header = |name: &str| headers[name].to_str().expect("text").to_owned();
        let sent_s: i64 = header("webhook-timestamp").parse().expect("seconds");
        let expected = signature::headers(SECRET, &header("webhook-id"), sent_s, body);
        for (name, value) in &expected.expect("signed") {
            assert_eq!(&headers[name], value);
        }
        assert_eq!(header("content-type"), "application/json");
    }
    let mut bodies = world.receiver.bodies();
    bodies.sort_by_key(|body| text(&body["type"]));
    assert_eq!(
        (&bodies[0]["account_id"], &bodies[0]["data"]["name"]),
        (&json!(id), &json!("Acme Corp"))
    );
    assert_eq!(bodies[1]["data"], json!({"live_calls": 0, "cause": "suspended"}));
    let log = world.log().await;
    assert_eq!(log.len(), 2);
    for delivery in &log {
        assert_eq!(delivery["status"], json!("delivered"));
        assert_eq!(delivery["attempts"][0]["http_status"], json!(200));
    }
    world.send_due().await;
    assert_eq!(world.receiver.kinds().len(), 2, "each once");
    assert_eq!(world.send("GET", "", Value::Null).await.body["pending"], json!(0));
}

#[tokio::test]
async fn what_fails_is_tried_again_and_can_be_asked_for_again() {
    let world = World::new(&["account.created"]).await;
    world.receiver.answers.lock().extend([500, 302]);
    world.harness.isolated(1).await;
    for attempts in 1..=3 {
        world.send_due().await;
        world.send_due().await;
        assert_eq!(world.receiver.kinds().len(), attempts, "no sooner than it is due");
        world.let_time_pass().await;
    }
    let log = world.log().await;
    let statuses: Vec<&Value> = log[0]["attempts"]
        .as_array()
        .expect("attempts")
        .iter()
        .map(|attempt| &attempt["http_status"])
        .collect();
    assert_eq!(statuses, [&json!(500), &json!(302), &json!(200)]);
    let path = format!("/v1/webhook-deliveries/{}/redeliver", text(&log[0]["id"]));
    let harness = &world.harness;
    let again = harness.send(&harness.organization, "POST", &path, Value::Null).await;
    assert_eq!((again.status, &again.body["status"]), (200, &json!("pending")));
    world.send_due().await;
    let got = world.receiver.got.lock();
    assert_eq!(got.len(), 4);
    assert_eq!(got[0].0["webhook-id"], got[3].0["webhook-id"]);
    assert_eq!(got[0].1, got[3].1);
}

#[tokio::test]
async fn after_ten_attempts_a_delivery_has_failed_for_good() {
    let world = World::new(&["account.created"]).await;
    world.receiver.answers.lock().extend([503; 10]);
    world.harness.isolated(1).await;
    for _ in 0..12 {
        world.send_due().await;
        world.let_time_pass().await;
    }
    let log = world.log().await;
    assert_eq!((&log[0]["status"], &log[0]["next_attempt_at"]), (&json!("failed"), &Value::Null));
    assert_eq!(log[0]["attempts"].as_array().map(Vec::len), Some(10));
    let webhook = world.send("GET", "", Value::Null).await;
    assert_eq!((&webhook.body["pending"], &webhook.body["is_active"]), (&json!(0), &json!(true)));
    assert!(webhook.body["failing_since"].is_string());
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_not_sent_to_again_until_it_is_switched_on() {
    let world = World::new(&["account.created"]).await;
    world.receiver.answers.lock().push_back(410);
    world.harness.isolated(1).await;
    world.send_due().await;
    let webhook = world.send("GET", "", Value::Null).await;
    assert_eq!(webhook.body["is_active"], json!(false));
    assert_eq!(webhook.body["disabled_reason"], json!("the receiver answered 410 Gone"));
    let audit = "/v1/audit?action=webhook.disabled";
    let audit = world.harness.get(&world.harness.organization, audit).await;
    assert_eq!(audit.body["data"][0]["subject"], json!(world.webhook));
    world.let_time_pass().await;
    world.send_due().await;
    assert_eq!(world.receiver.kinds().len(), 1);
    assert_eq!(world.send("POST", "/test", Value::Null).await.status, 400);
    let revived = world.send("PATCH", "", json!({"is_active": true})).await;
    assert_eq!(revived.body["disabled_reason"], Value::Null);
    world.send_due().await;
    assert_eq!(world.receiver.kinds(), ["account.created"; 2]);
}

#[tokio::test]
async fn an_account_is_told_of_itself_only_and_its_organization_of_all() {
    let world = World::new(&["api_key.created"]).await;
    let (id, key) = world.harness.isolated(1).await;
    let (sibling, _) = world.harness.isolated(1).await;
    let (own, mut tasks) = (Receiver::default(), JoinSet::new());
    let url = own.listen(&mut tasks).await;
    let webhook = subscribe(&world.harness, &key, &url, &["api_key.created"]).await;
    for account in [&id, &sibling] {
        let path = format!("/v1/sub-accounts/{account}/api-keys");
        let body = json!({"name": "x"});
        let made = world.harness.send(&world.harness.organization, "POST", &path, body).await;
        assert_eq!(made.status, 201);
    }
    world.send_due().await;
    let accounts = |receiver: &Receiver| -> Vec<String> {
        receiver.bodies().iter().map(|body| text(&body["account_id"])).collect()
    };
    assert_eq!(accounts(&own), std::slice::from_ref(&id));
    let mut all = accounts(&world.receiver);
    all.sort();
    assert_eq!(all, [id.clone(), sibling]);
    for (_, body) in world.receiver.got.lock().iter() {
        assert!(!body.contains("rf_live_"), "no secret leaves");
    }
    let path = format!("/v1/user-webhooks/{webhook}");
    let foreign = world.harness.get(&world.harness.organization, &path).await;
    assert_eq!(foreign.body["reason"], json!("unknown_webhook"));
    let delivery = world.log().await[0]["id"].clone();
    let path = format!("/v1/webhook-deliveries/{}/redeliver", text(&delivery));
    let foreign = world.harness.send(&key, "POST", &path, Value::Null).await;
    assert_eq!(foreign.body["reason"], json!("unknown_delivery"));
    let path = format!("/v1/sub-accounts/{id}?force=true");
    let gone = world.harness.send(&world.harness.organization, "DELETE", &path, Value::Null).await;
    assert_eq!(gone.status, 204);
    world.send_due().await;
    assert_eq!(own.kinds().len(), 1, "its webhooks went with it");
}

#[tokio::test]
async fn the_end_of_a_call_and_a_balance_that_sinks_are_told_once() {
    let kinds = ["call.completed", "balance.low", "balance.empty"];
    let world = World::new(&kinds).await;
    let (id, _) = world.harness.isolated(9).await;
    world.harness.recharge(&id, "10").await;
    let path = format!("/v1/sub-accounts/{id}/wallet");
    let line = json!({"low_balances": ["5"]});
    world.harness.send(&world.harness.organization, "PATCH", &path, line).await;
    let account = id.parse().expect("an id");
    for (call_id, cost) in [("one", "4"), ("two", "1"), ("three", "1"), ("four", "4")] {
        let billed = call(account, call_id, Some(hub::directory::Billing::Isolated));
        world.harness.finished(&billed, cost, "0");
        world.harness.plane.post_records(ready(())).await;
        world.send_due().await;
    }
    let mut told = world.receiver.kinds();
    told.sort();
    let calls = ["call.completed"; 4];
    assert_eq!(told[2..], calls);
    assert_eq!(told[..2], ["balance.empty", "balance.low"]);
    for body in world.receiver.bodies() {
        match body["type"].as_str() {
            Some("balance.low") => assert_eq!(body["data"]["balance"], json!("5.00")),
            Some("balance.empty") => assert_eq!(body["data"]["balance"], json!("0.00")),
            _ => assert_eq!(body["data"]["state"], json!("ended")),
        }
    }
}

#[tokio::test]
async fn each_line_that_a_balance_sinks_to_is_told_once_until_it_was_above_it() {
    let world = World::new(&["balance.low"]).await;
    let (id, _) = world.harness.isolated(9).await;
    let path = format!("/v1/sub-accounts/{id}/wallet");
    let key = world.harness.organization.clone();
    world.harness.recharge(&id, "10").await;
    let lines = json!({"low_balances": ["-1", "2", "8", "5"], "credit_limit": "3"});
    assert_eq!(world.harness.send(&key, "PATCH", &path, lines).await.status, 200);
    let account = id.parse().expect("an id");
    let mut told = Vec::new();
    let mut sinks = async |call_id: &str, cost: &str| {
        let billed = call(account, call_id, Some(hub::directory::Billing::Isolated));
        world.harness.finished(&billed, cost, "0");
        world.harness.plane.post_records(ready(())).await;
        world.send_due().await;
        let all = world.receiver.bodies();
        let new: Vec<String> =
            all.iter().skip(told.len()).map(|body| text(&body["data"]["low_balance"])).collect();
        told.extend(new.iter().cloned());
        new.into_iter().collect::<std::collections::BTreeSet<_>>()
    };
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
    assert_eq!(sinks("one", "5").await, lines(&["5.00", "8.00"]), "one call crosses two");
    assert_eq!(sinks("two", "1").await, lines(&[]), "no line is told again below it");
    world.harness.recharge(&id, "2").await;
    assert_eq!(sinks("three", "1").await, lines(&["5.00"]), "armed by the recharge");
    let debit = json!({"kind": "debit", "amount": "4", "currency": "INR", "reason": "x"});
    let debited = world.harness.send(&key, "POST", &format!("{path}/adjust"), debit).await;
    assert_eq!(debited.body["balance"], json!("1.00"));
    assert_eq!(sinks("four", "2").await, lines(&["-1.00", "2.00"]), "a debit's too; on credit");
}

#[tokio::test]
async fn a_limit_that_is_reached_is_told_once_until_it_was_quiet() {
    let world = World::new(&["limit.reached"]).await;
    let (id, _) = world.harness.isolated(9).await;
    let minutes_ago = |minutes: i64| timestamp::text(hub::clock::now_us() - minutes * 60_000_000);
    let reasons = [(Reason::NoSlot, 3), (Reason::Suspended, 2)];
    for (sequence, minutes) in [(1, 30), (2, 29), (3, 21), (4, 9), (5, 90)] {
        let refused = refused(&id, &minutes_ago(minutes), &reasons, 1);
        world.harness.reported(&report(sequence, vec![refused])).await;
    }
    let limited = refused(&id, &minutes_ago(8), &[(Reason::RateLimited, 1)], 0);
    world.harness.reported(&report(6, vec![limited])).await;
    world.send_due().await;
    let mut told = world.receiver.bodies();
    told.sort_by_key(|body| body["data"]["at"].to_string());
    let told =
        told.iter().map(|body| (body["data"]["reason"].clone(), body["data"]["refused"].clone()));
    let no_slot = (json!("no_slot"), json!(3));
    let expected = [no_slot.clone(), no_slot, (json!("rate_limited"), json!(1))];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn bad_fields_are_named_and_the_secret_is_shown_once() {
    let world = World::new(&["account.created"]).await;
    let key = &world.harness.organization;
    let create =
        async |body: Value| world.harness.send(key, "POST", "/v1/user-webhooks", body).await;
    let bad = json!({"url": "ftp://x", "events": ["call.lost"], "secret": "short", "colour": 1});
    let refused = create(bad).await;
    assert_eq!(named(&refused.body), ["url", "events", "secret", "colour"]);
    assert!(!String::from_utf8_lossy(&refused.bytes).contains("short"));
    for url in ["https://", "https://user:pw@example.com/", "/hook", "https://example.com/#x"] {
        let refused = create(json!({"url": url, "events": ["call.completed"]})).await;
        assert_eq!(named(&refused.body), ["url"], "{url}");
    }
    for events in [json!([]), json!("call.completed"), json!([1])] {
        let refused = create(json!({"url": "https://example.com/", "events": events})).await;
        assert_eq!(named(&refused.body), ["events"]);
    }
    let made = create(json!({"url": "https://example.com/", "events": ["call.completed"]})).await;
    assert!(text(&made.body["secret"]).starts_with("whsec_"));
    let listed = world.harness.get(key, "/v1/user-webhooks").await;
    assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(2));
    assert!(!String::from_utf8_lossy(&listed.bytes).contains("whsec_"));
    for _ in 2..PER_ACCOUNT_MAX {
        create(json!({"url": "https://example.com/", "events": ["call.completed"]})).await;
    }
    let beyond = create(json!({"url": "https://example.com/", "events": ["call.completed"]})).await;
    assert_eq!((beyond.status, &beyond.body["limit"]), (403, &json!(PER_ACCOUNT_MAX)));
    let removed = world.send("DELETE", "", Value::Null).await;
    assert_eq!(removed.status, 204);
    assert_eq!(world.send("GET", "", Value::Null).await.body["reason"], json!("unknown_webhook"));
}

#[tokio::test]
async fn what_too_many_wait_for_is_dropped_and_counted() {
    let world = World::new(&["account.created"]).await;
    world.harness.execute(&format!("UPDATE webhooks SET pending = {PENDING_MAX}")).await;
    world.harness.isolated(1).await;
    let webhook = world.send("GET", "", Value::Null).await;
    assert_eq!((&webhook.body["dropped"], world.log().await.len()), (&json!(1), 0));
    let busy = world.send("POST", "/test", Value::Null).await;
    assert_eq!((busy.status, &busy.body["reason"]), (503, &json!("busy")));
    world.harness.execute("UPDATE webhooks SET pending = 0").await;
    assert_eq!(world.send("POST", "/test", Value::Null).await.status, 201);
    world.send_due().await;
    assert_eq!(world.receiver.kinds(), ["webhook.test"]);
}

#[tokio::test]
async fn private_networks_are_out_of_reach_unless_they_are_allowed() {
    let (receiver, mut tasks) = (Receiver::default(), JoinSet::new());
    let url = receiver.listen(&mut tasks).await;
    let port = url.rsplit(':').next().expect("a port");
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"] {
        let url = format!("http://{host}:{port}");
        let refused = Sender::new(false).post(&url, HeaderMap::new(), "{}".to_owned()).await;
        assert!(
            matches!(refused, Err(SendError::Private | SendError::UnknownHost)),
            "{host}: {refused:?}"
        );
    }
    assert!(receiver.got.lock().is_empty());
    let allowed = Sender::new(true).post(&url, HeaderMap::new(), "{}".to_owned()).await;
    assert_eq!(allowed.expect("answered"), 200);
}
