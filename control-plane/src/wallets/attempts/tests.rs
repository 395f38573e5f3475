//! Attempts, from the balance that sinks to the recharge that settles them.

use std::future::ready;
use std::sync::Arc;

use hub::clock::SECOND_US;
use hub::directory::Billing;
use serde_json::{Value, json};

use crate::permission::Role;
use crate::testing::calls::call;
use crate::testing::gateway::Gateway;
use crate::testing::sharing::{Sharing, eventually, server};
use crate::testing::{Answered, Harness, named, text};

/// An installation with a wallet that asks for 50 at 10, and a webhook that hears of it.
struct World {
    harness: Arc<Harness>,
    id: String,
    wallet: String,
    attempts: String,
}

impl World {
    async fn new() -> Self {
        let harness = Arc::new(Harness::new().await);
        let (id, _) = harness.isolated(9).await;
        let wallet = format!("/v1/sub-accounts/{id}/wallet");
        let attempts = format!("{wallet}/recharge-attempts");
        let world = Self { harness, id, wallet, attempts };
        world.listen("recharge.wanted").await;
        world.harness.recharge(&world.id, "20").await;
        let set = world.set(json!({"below": "10", "amount": "50"})).await;
        assert_eq!(set.status, 200, "{}", set.body);
        assert_eq!(set.body["auto_recharge"], json!({"below": "10.00", "amount": "50.00"}));
        world
    }

    async fn listen(&self, event: &str) {
        let body = json!({"url": "https://example.com/", "events": [event]});
        let path = "/v1/user-webhooks";
        let made = self.harness.send(&self.harness.organization, "POST", path, body).await;
        assert_eq!(made.status, 201);
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Answered {
        self.harness.send(&self.harness.organization, method, path, body).await
    }

    async fn set(&self, auto_recharge: Value) -> Answered {
        self.send("PATCH", &self.wallet, json!({"auto_recharge": auto_recharge})).await
    }

    /// A call that costs so much ends.
    async fn spend(&self, call_id: &str, cost: &str) {
        let account = self.id.parse().expect("an id");
        let billed = call(account, call_id, Some(Billing::Isolated));
        self.harness.finished(&billed, cost, "0");
        self.harness.plane.post_records(ready(())).await;
    }

    /// All attempts, latest first.
    async fn attempts(&self) -> Vec<Value> {
        let listed = self.harness.get(&self.harness.organization, &self.attempts).await;
        listed.body["data"].as_array().expect("a list").clone()
    }

    /// What became of all of them, latest first.
    async fn statuses(&self) -> Vec<String> {
        self.attempts().await.iter().map(|attempt| text(&attempt["status"])).collect()
    }

    async fn open(&self) -> String {
        let all = self.attempts().await;
        assert_eq!(all[0]["status"], json!("open"));
        text(&all[0]["attempt_id"])
    }

    async fn settle(&self, attempt: &str, amount: &str) -> Answered {
        let body = json!({"amount": amount, "currency": "INR", "attempt": attempt});
        self.send("POST", &format!("{}/recharge", self.wallet), body).await
    }

    /// The events that were stored, in their order.
    async fn told(&self, event: &str) -> Vec<Value> {
        let mut connection = self.harness.plane.app.store.read().await.expect("a connection");
        let sql = "SELECT body FROM webhook_deliveries WHERE event = $1 ORDER BY id";
        let rows =
            sqlx::query(sql).bind(event).fetch_all(&mut *connection).await.expect("readable");
        let body = |row: &sqlx::any::AnyRow| -> Value {
            let body: String = sqlx::Row::try_get(row, 0).expect("text");
            serde_json::from_str(&body).expect("JSON")
        };
        rows.iter().map(body).collect()
    }

    async fn actions(&self) -> Vec<(String, String)> {
        let path = format!("/v1/audit?account={}&action=wallet", self.id);
        let audit = self.harness.get(&self.harness.organization, &path).await;
        let entries = audit.body["data"].as_array().expect("a list").clone();
        let shown = |entry: &Value| (text(&entry["action"]), text(&entry["actor"]));
        let of_attempts = |entry: &&Value| text(&entry["action"]).starts_with("wallet.recharge_");
        entries.iter().rev().filter(of_attempts).map(shown).collect()
    }
}

#[tokio::test]
async fn a_balance_that_sinks_to_the_line_asks_once_until_a_recharge_settles_it() {
    let world = World::new().await;
    world.spend("one", "9").await;
    assert_eq!(world.statuses().await, [""; 0], "above its line");
    world.spend("two", "1").await;
    world.spend("three", "1").await;
    let attempt = world.open().await;
    let told = world.told("recharge.wanted").await;
    assert_eq!(told.len(), 1, "one attempt, one event");
    assert_eq!(told[0]["account_id"], json!(world.id));
    let wanted =
        json!({"attempt_id": attempt, "amount": "50.00", "currency": "INR", "balance": "10.00"});
    assert_eq!(told[0]["data"], wanted);
    world.harness.recharge(&world.id, "1").await;
    assert_eq!(
        world.statuses().await,
        ["open"],
        "a recharge that does not name it settles nothing"
    );

    let settled = world.settle(&attempt, "45").await;
    assert_eq!(settled.status, 200, "{}", settled.body);
    assert_eq!(settled.body["balance"], json!("55.00"));
    let shown = &settled.body["attempt"];
    assert_eq!((&shown["status"], &shown["recharged"]), (&json!("settled"), &json!("45.00")));
    assert_eq!(settled.body["entry"]["reference"], json!(attempt));
    let again = world.settle(&attempt, "45").await;
    assert_eq!((again.status, &again.body["reason"]), (409, &json!("recharge_attempt_closed")));
    assert_eq!(again.body["attempt_status"], json!("settled"));
    world.spend("four", "45").await;
    assert_eq!(world.statuses().await, ["open", "settled"], "the next one");
    let by_organization = |action: &str| action == "wallet.recharge_settled";
    for (action, actor) in world.actions().await {
        assert_eq!(actor != "ringfence", by_organization(&action), "{action} by {actor}");
    }
    world.harness.assert_ledger_balances().await;
}

#[tokio::test]
async fn money_that_does_not_suffice_asks_for_more_and_a_wallet_below_its_line_asks_when_it_is_set()
{
    let world = World::new().await;
    assert_eq!(world.set(json!({"below": "100", "amount": "50"})).await.status, 200);
    let first = world.open().await;
    assert_eq!(world.set(json!({"below": "100", "amount": "60"})).await.status, 200);
    assert_eq!(world.statuses().await, ["open"], "as it was asked for");
    assert_eq!(world.settle(&first, "50").await.body["balance"], json!("70.00"));
    let second = world.open().await;
    assert_eq!(world.attempts().await[0]["amount"], json!("60.00"));
    assert_eq!(world.settle(&second, "60").await.body["balance"], json!("130.00"));
    assert_eq!(world.statuses().await, ["settled", "settled"]);
    let removed = world.set(Value::Null).await;
    assert_eq!(removed.body.get("auto_recharge"), None);
    world.spend("one", "40").await;
    assert_eq!(world.statuses().await.len(), 2, "asks nobody any more");
}

#[tokio::test]
async fn after_a_refusal_nothing_is_asked_for_until_the_balance_was_above_or_somebody_asks() {
    let world = World::new().await;
    world.spend("one", "15").await;
    let attempt = world.open().await;
    let decline = format!("{}/{attempt}/decline", world.attempts);
    let refused = world.send("POST", &decline, json!({})).await;
    assert_eq!(named(&refused.body), ["reason"]);
    let declined = world.send("POST", &decline, json!({"reason": "card_expired"})).await;
    assert_eq!((declined.status, &declined.body["reason"]), (200, &json!("card_expired")));
    assert_eq!(world.send("POST", &decline, json!({"reason": "x"})).await.status, 409);
    assert_eq!(world.settle(&attempt, "50").await.status, 409, "and takes no money");
    world.spend("two", "1").await;
    assert_eq!(world.set(json!({"below": "10", "amount": "50"})).await.status, 200);
    assert_eq!(world.statuses().await, ["declined"], "not by itself");

    let asked = world.send("POST", &world.attempts, Value::Null).await;
    assert_eq!((asked.status, &asked.body["status"]), (201, &json!("open")));
    let again = world.send("POST", &world.attempts, json!({})).await;
    assert_eq!((again.status, &again.body["reason"]), (409, &json!("recharge_attempt_open")));
    assert_eq!(again.body["attempt_id"], asked.body["attempt_id"]);
    let cancel = format!("{}/{}/cancel", world.attempts, text(&asked.body["attempt_id"]));
    let canceled = world.send("POST", &cancel, json!({})).await;
    assert_eq!((canceled.status, &canceled.body["status"]), (200, &json!("canceled")));
    world.spend("three", "1").await;
    assert_eq!(world.statuses().await, ["canceled", "declined"]);
    world.harness.recharge(&world.id, "20").await;
    world.spend("four", "20").await;
    assert_eq!(world.statuses().await, ["open", "canceled", "declined"], "was above its line");
    let actions: Vec<String> =
        world.actions().await.into_iter().map(|(action, _)| action).collect();
    let expected = ["wanted", "declined", "wanted", "canceled", "wanted"];
    assert_eq!(actions, expected.map(|what| format!("wallet.recharge_{what}")));
}

#[tokio::test]
async fn an_attempt_is_of_one_wallet_and_ids_that_are_none_are_named() {
    let world = World::new().await;
    world.spend("one", "15").await;
    let attempt = world.open().await;
    let (other, _) = world.harness.isolated(1).await;
    let path = format!("/v1/sub-accounts/{other}/wallet/recharge");
    let body = json!({"amount": 1, "currency": "INR", "attempt": attempt});
    let refused = world.send("POST", &path, body).await;
    assert_eq!(refused.body["reason"], json!("unknown_recharge_attempt"));
    let path = format!("/v1/sub-accounts/{other}/wallet/recharge-attempts/{attempt}/cancel");
    assert_eq!(world.send("POST", &path, json!({})).await.status, 404);
    let path = format!("/v1/sub-accounts/{other}/wallet");
    let read = world.harness.get(&world.harness.organization, &path).await;
    assert_eq!(read.body["balance"], json!("0.00"));
    assert_eq!(named(&world.settle("key_1", "1").await.body), ["attempt"]);
    let unset = world
        .send("POST", &format!("/v1/sub-accounts/{other}/wallet/recharge-attempts"), json!({}))
        .await;
    assert_eq!((unset.status, &unset.body["reason"]), (409, &json!("auto_recharge_off")));
    for (body, field) in [
        (json!({"below": 1}), "auto_recharge.amount"),
        (json!({"below": 1, "amount": 0}), "auto_recharge.amount"),
        (json!({"below": "-1", "amount": 1}), "auto_recharge.below"),
        (json!(5), "auto_recharge"),
    ] {
        let refused = world.set(body).await;
        assert_eq!((refused.status, named(&refused.body)), (400, vec![field.to_owned()]));
    }
}

#[tokio::test]
async fn without_a_listener_nothing_is_set_or_asked_for_and_later_it_is() {
    let harness = Arc::new(Harness::new().await);
    let (id, _) = harness.isolated(9).await;
    let wallet = format!("/v1/sub-accounts/{id}/wallet");
    let world = World { attempts: format!("{wallet}/recharge-attempts"), harness, id, wallet };
    let refused = world.set(json!({"below": "10", "amount": "50"})).await;
    assert_eq!((refused.status, &refused.body["reason"]), (409, &json!("nobody_listens")));
    world.listen("recharge.wanted").await;
    world.harness.recharge(&world.id, "20").await;
    assert_eq!(world.set(json!({"below": "10", "amount": "50"})).await.status, 200);
    world.harness.execute("UPDATE webhooks SET is_active = 0").await;
    world.spend("one", "15").await;
    let asked = world.send("POST", &world.attempts, json!({})).await;
    assert_eq!((asked.status, &asked.body["reason"]), (409, &json!("nobody_listens")));
    assert_eq!(world.statuses().await, [""; 0]);
    world.harness.execute("UPDATE webhooks SET is_active = 1").await;
    world.spend("two", "1").await;
    assert_eq!(world.statuses().await, ["open"]);
}

#[tokio::test]
async fn who_is_paid_says_when_money_is_asked_for() {
    let world = World::new().await;
    let harness = &world.harness;
    harness.user("boss@acme.example", &world.id, Role::Admin).await;
    let boss = harness.sign_in("boss@acme.example").await;
    let asks = json!({"auto_recharge": {"below": 1, "amount": 1}});
    let by_account = harness.send_by(&boss, "PATCH", &world.wallet, asks.clone()).await;
    assert_eq!(by_account.status, 403, "not the account's own");
    assert_eq!(harness.get_by(&boss, &world.attempts).await.status, 200);
    let policy = json!({"recharge_policy": "transfer"});
    assert_eq!(world.send("PATCH", "/v1/organization", policy).await.status, 200);
    assert_eq!(world.set(json!({"below": 1, "amount": 1})).await.status, 403);
    assert_eq!(world.set(Value::Null).await.status, 200, "asks for nothing");
    let operator = &harness.operator;
    assert_eq!(harness.send(operator, "PATCH", &world.wallet, asks.clone()).await.status, 200);

    let own = "/v1/organization/wallet";
    assert_eq!(world.send("PATCH", own, asks).await.status, 200);
    let listed = harness.get(&harness.organization, &format!("{own}/recharge-attempts")).await;
    let attempt = text(&listed.body["data"][0]["attempt_id"]);
    let recharge = format!("/v1/organizations/{}/wallet/recharge", harness.organization_id);
    let body = json!({"amount": 5, "currency": "INR", "attempt": attempt});
    assert_eq!(world.send("POST", &recharge, body.clone()).await.status, 403);
    let settled = harness.send(operator, "POST", &recharge, body).await;
    assert_eq!(settled.body["attempt"]["status"], json!("settled"));
}

#[tokio::test]
async fn two_control_planes_tell_each_crossing_once_and_open_one_attempt() {
    let redis = server();
    let mut sharing = Sharing::new(&redis.url()).await;
    let (id, _) = sharing.harness.isolated(2).await;
    sharing.harness.recharge(&id, "60").await;
    let organization = sharing.organization();
    let account = id.parse().expect("an id");
    let wallet = format!("/v1/sub-accounts/{id}/wallet");
    let world = World {
        attempts: format!("{wallet}/recharge-attempts"),
        harness: Arc::clone(&sharing.harness),
        id,
        wallet,
    };
    world.listen("recharge.wanted").await;
    world.listen("balance.low").await;
    let lines = json!({"low_balances": [50, 40, 30], "auto_recharge": {"below": 45, "amount": 50}});
    assert_eq!(world.send("PATCH", &world.wallet, lines).await.status, 200);
    let _other = sharing.another(&redis.url()).await;
    let mut gateway = Gateway::join(&sharing.hub, organization, account).await;
    for number in 0..40 {
        let call = call(account, &number.to_string(), Some(Billing::Isolated));
        gateway.admit(&call, "1").await;
        gateway.end(&call, "1").await;
    }
    gateway.all_in_the_ledger().await;
    eventually("all is posted", async || {
        let read = world.harness.get(&world.harness.organization, &world.wallet).await;
        read.body["balance"] == "20.00"
    })
    .await;
    assert_eq!(world.statuses().await, ["open"]);
    assert_eq!(
        (world.told("recharge.wanted").await.len(), world.told("balance.low").await.len()),
        (1, 3)
    );
    sharing.rest().await;
}

#[tokio::test]
async fn a_list_goes_on_by_cursor_and_an_account_takes_its_attempts_with_it() {
    let world = World::new().await;
    for _ in 0..3 {
        let asked = world.send("POST", &world.attempts, json!({})).await;
        let cancel = format!("{}/{}/cancel", world.attempts, text(&asked.body["attempt_id"]));
        world.send("POST", &cancel, json!({"reason": "Ana said so"})).await;
    }
    world.spend("one", "15").await;
    let key = &world.harness.organization;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.harness.get(key, &format!("{}?limit=3{cursor}", world.attempts)).await;
        let data = page.body["data"].as_array().expect("a list");
        seen.extend(data.iter().map(|attempt| text(&attempt["attempt_id"])));
        let Some(next) = page.body["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen.len(), 4);
    assert!(seen.is_sorted_by(|a, b| a > b));
    let open = world.harness.get(key, &format!("{}?status=open", world.attempts)).await;
    assert_eq!(open.body["data"].as_array().map(Vec::len), Some(1));
    super::measure(&world.harness.plane.app, hub::clock::now_us() + SECOND_US).await.expect("read");
    let path = format!("/v1/sub-accounts/{}?force=true&balance=forfeit", world.id);
    assert_eq!(world.send("DELETE", &path, Value::Null).await.status, 204);
    let mut connection = world.harness.plane.app.store.read().await.expect("a connection");
    let left = "SELECT 1 FROM recharge_attempts WHERE status = 'open' OR reason IS NOT NULL";
    let left = sqlx::query(left).fetch_all(&mut *connection).await.expect("readable");
    assert!(left.is_empty(), "nothing is wanted, and nobody is named");
}
