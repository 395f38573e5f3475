//! Budgets as they are spent, reached and renewed.

use hub::call::{Call, Facts};
use hub::clock::now_us;
use hub::directory::Change;
use serde_json::{Value, json};

use super::*;
use crate::testing::calls::{call, record};
use crate::testing::{Harness, named, text};

/// A sub-account that is billed to its organization, with a budget of 5.
async fn budgeted(harness: &Harness) -> AccountId {
    let body = json!({"name": "Acme Corp", "concurrency_limit": 5, "monthly_budget": "5"});
    let created = harness.send(&harness.organization, "POST", "/v1/sub-accounts", body).await;
    assert_eq!(created.status, 201, "{}", created.body);
    assert_eq!(
        (&created.body["monthly_budget"], &created.body["budget_spent"]),
        (&json!("5.00"), &json!("0.00")),
    );
    text(&created.body["sub_account_id"]).parse().expect("an id")
}

/// A call of this moment.
fn now(account: AccountId, call_id: &str) -> Call {
    let call = call(account, call_id, Some(Billing::Consolidated));
    let facts = Facts { admitted_us: now_us(), ..call.facts().clone() };
    Call::new(facts, call.texts()).expect("short texts")
}

impl Harness {
    /// Posts what waits and tells gateways how budgets stand.
    async fn posted(&self) {
        self.plane.post_records(std::future::ready(())).await;
        review(&self.plane.app).await.expect("reviewed");
    }

    /// What gateways were told last, and how often.
    fn told_of(&self, account: AccountId) -> (bool, usize) {
        let heard = self.heard.lock();
        let told = heard.iter().filter_map(|change| match change {
            Change::Account(config) if config.id == account => Some(config.is_over_budget),
            _ => None,
        });
        let told: Vec<bool> = told.collect();
        (told.last().copied().unwrap_or_default(), told.len())
    }

    async fn shown(&self, account: AccountId) -> Value {
        self.get(&self.organization, &format!("/v1/sub-accounts/{account}")).await.body
    }

    async fn set_budget(&self, account: AccountId, body: Value) -> crate::testing::Answered {
        let path = format!("/v1/sub-accounts/{account}");
        self.send(&self.organization, "PATCH", &path, body).await
    }
}

#[tokio::test]
async fn gateways_hear_of_a_budget_when_it_is_spent_and_when_there_is_more_of_it() {
    let harness = Harness::new().await;
    let account = budgeted(&harness).await;
    let webhook = json!({"url": "https://example.com/hook", "events": ["budget.reached"]});
    let made = harness.send(&harness.organization, "POST", "/v1/user-webhooks", webhook).await;
    assert_eq!(made.status, 201, "{}", made.body);
    harness.finished(&now(account, "1"), "3", "0");
    harness.posted().await;
    assert_eq!(harness.shown(account).await["budget_spent"], "3.00");
    assert_eq!(harness.told_of(account), (false, 1));
    let second = now(account, "2");
    harness.finished(&second, "2", "0");
    harness.posted().await;
    assert_eq!(harness.told_of(account), (true, 2));
    harness.posted().await;
    assert_eq!(harness.told_of(account), (true, 2), "once");
    assert_eq!(harness.audit("budget").await, ["reached"]);
    let deliveries = sqlx::query("SELECT body FROM webhook_deliveries");
    let mut connection = harness.plane.app.store.read().await.expect("a connection");
    let delivered = deliveries.fetch_all(&mut *connection).await.expect("readable");
    let body: String = delivered[0].try_get("body").expect("a text");
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(delivered.len(), 1);
    assert_eq!(
        (&body["type"], &body["data"]["budget_spent"], &body["data"]["currency"]),
        (&json!("budget.reached"), &json!("5.00"), &json!("INR")),
    );
    drop(connection);
    // What turned out to cost less is there to be spent.
    harness.end(record(&second, "1.5", "0", 1));
    harness.posted().await;
    assert_eq!(harness.shown(account).await["budget_spent"], "4.50");
    assert_eq!(harness.told_of(account), (false, 3));
    assert_eq!(harness.audit("budget").await, ["reached", "renewed"]);
    for (monthly, is_over) in [(json!("4.5"), true), (json!("4.51"), false), (json!(1), true)] {
        let patched = harness.set_budget(account, json!({"monthly_budget": monthly})).await;
        assert_eq!((patched.status, &patched.body["budget_spent"]), (200, &json!("4.50")));
        assert_eq!(harness.told_of(account).0, is_over, "{monthly}");
    }
    let removed = harness.set_budget(account, json!({"monthly_budget": null})).await;
    assert_eq!(
        (&removed.body["monthly_budget"], &removed.body["budget_spent"]),
        (&Value::Null, &Value::Null),
    );
    assert!(!harness.told_of(account).0);
    let again = harness.set_budget(account, json!({"monthly_budget": 4})).await;
    assert_eq!(again.body["budget_spent"], "4.50", "what calls have cost is not forgotten");
    assert!(harness.told_of(account).0);
}

#[tokio::test]
async fn another_month_begins_with_nothing_spent() {
    let harness = Harness::new().await;
    let account = budgeted(&harness).await;
    harness.finished(&now(account, "1"), "7", "0");
    harness.posted().await;
    assert!(harness.told_of(account).0);
    harness.execute("UPDATE budget_spending SET month_us = month_us - 2678400000000").await;
    review(&harness.plane.app).await.expect("reviewed");
    assert!(!harness.told_of(account).0);
    assert_eq!(harness.shown(account).await["budget_spent"], "0.00");
    harness.finished(&now(account, "2"), "1", "0");
    harness.posted().await;
    assert_eq!(harness.shown(account).await["budget_spent"], "1.00", "of this month alone");
}

#[tokio::test]
async fn only_what_is_billed_to_the_organization_has_a_budget() {
    let harness = Harness::new().await;
    let body = json!({"name": "x", "billing_mode": "isolated", "concurrency_limit": 1, "monthly_budget": 1});
    let refused = harness.send(&harness.organization, "POST", "/v1/sub-accounts", body).await;
    assert_eq!((refused.status, named(&refused.body)), (400, vec![FIELD.to_owned()]));
    let account = budgeted(&harness).await;
    let refused = harness.set_budget(account, json!({"billing_mode": "isolated"})).await;
    assert_eq!((refused.status, named(&refused.body)), (400, vec![FIELD.to_owned()]));
    let isolated = json!({"billing_mode": "isolated", "monthly_budget": null});
    assert_eq!(harness.set_budget(account, isolated).await.status, 200);
    for bad in [json!(0), json!("-1"), json!(true)] {
        let refused = harness.set_budget(account, json!({FIELD: bad})).await;
        assert_eq!((refused.status, named(&refused.body)), (400, vec![FIELD.to_owned()]));
    }
    let body = json!({"name": "Staging", "concurrency_limit": 1, "monthly_budget": "0.5"});
    let made = harness.send(&harness.organization, "POST", "/v1/workspaces", body).await;
    assert_eq!((made.status, &made.body[FIELD]), (201, &json!("0.50")));
}
