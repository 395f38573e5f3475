//! What becomes of call records: posted once, whatever happens in between.

use hub::directory::Billing;
use hub::id::AccountId;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::*;
use crate::testing::calls::{call, record};
use crate::testing::{Harness, open_hub, settings};

/// A harness whose records are being posted; dropping the sender stops it.
async fn posting() -> (Harness, JoinSet<()>, oneshot::Sender<()>) {
    let harness = Harness::new().await;
    let (stop, stopped) = oneshot::channel();
    let mut tasks = JoinSet::new();
    let plane = harness.plane.clone();
    tasks.spawn(async move { plane.post_records(stopped).await });
    (harness, tasks, stop)
}

fn id(text: &str) -> AccountId {
    text.parse().expect("an id")
}

async fn balance(harness: &Harness, path: &str) -> Value {
    harness.get(&harness.organization, path).await.body["balance"].clone()
}

#[tokio::test]
async fn a_charge_is_in_balance_entries_calls_and_usage_once_the_call_has_ended() {
    let (harness, _tasks, _stop) = posting().await;
    let (account, key) = harness.isolated(5).await;
    harness.recharge(&account, "100").await;
    let path = format!("/v1/sub-accounts/{account}");
    let held = call(id(&account), "held", Some(Billing::Isolated));
    harness.admit(&held, "6");
    harness.finished(&call(id(&account), "a/b@c", Some(Billing::Isolated)), "2.4", "0");

    let wallet = harness.get(&key, &format!("{path}/wallet")).await;
    assert_eq!(
        wallet.body,
        json!({"balance": "97.60", "held": "6.00", "available": "91.60", "currency": "INR"}),
    );
    let entries = harness.get(&key, &format!("{path}/wallet/entries")).await;
    let entry = &entries.body["data"][0];
    assert_eq!(
        (&entry["cause"], &entry["amount"], &entry["balance_after"], &entry["reference"]),
        (&json!("call"), &json!("-2.40"), &json!("97.60"), &json!("a/b@c")),
    );
    let calls = harness.get(&key, &format!("{path}/calls")).await;
    let shown = &calls.body["data"][0];
    assert_eq!((&shown["call_id"], &shown["cost"]), (&json!("a/b@c"), &json!("2.40")));
    assert_eq!((&shown["costs"], &shown["billed"]), (&json!({"llm": "0.1"}), &json!(true)));
    let usage = harness.get(&key, "/v1/usage").await;
    assert_eq!(
        (&usage.body["calls"], &usage.body["cost"], &usage.body["outcomes"]["completed"]),
        (&json!(1), &json!("2.40"), &json!(1)),
    );
    let shown = harness.get(&key, &path).await;
    assert_eq!((shown.status, &shown.body["in_use"]), (200, &json!(1)));
    harness.assert_ledger_balances().await;
}

#[tokio::test]
async fn consolidated_calls_cost_the_organization_and_isolated_ones_their_account() {
    let (harness, _tasks, _stop) = posting().await;
    let (isolated, _) = harness.isolated(1).await;
    harness.recharge(&isolated, "10").await;
    let body = json!({"name": "x", "billing_mode": "consolidated", "concurrency_limit": 1});
    let created = harness.send(&harness.organization, "POST", "/v1/sub-accounts", body).await;
    let consolidated = crate::testing::text(&created.body["sub_account_id"]);
    let path = format!("/v1/organizations/{}/wallet/recharge", harness.organization_id);
    harness.send(&harness.operator, "POST", &path, json!({"amount": 50, "currency": "INR"})).await;

    harness.finished(&call(id(&isolated), "1", Some(Billing::Isolated)), "1", "0");
    harness.finished(&call(id(&consolidated), "2", Some(Billing::Consolidated)), "2", "0");
    let organization = id(&harness.organization_id);
    harness.finished(&call(organization, "3", Some(Billing::Isolated)), "4", "0");
    assert_eq!(balance(&harness, &format!("/v1/sub-accounts/{isolated}/wallet")).await, "9.00");
    assert_eq!(balance(&harness, "/v1/organization/wallet").await, "44.00");
    let usage = harness.get(&harness.organization, "/v1/usage").await;
    assert_eq!((&usage.body["calls"], &usage.body["cost"]), (&json!(3), &json!("7.00")));
    harness.assert_ledger_balances().await;
}

#[tokio::test]
async fn debt_is_counted_beside_the_wallet_and_a_correction_posts_the_difference() {
    let (harness, _tasks, _stop) = posting().await;
    let (account, _) = harness.isolated(1).await;
    harness.recharge(&account, "6").await;
    let path = format!("/v1/sub-accounts/{account}");
    let first = call(id(&account), "1", Some(Billing::Isolated));
    harness.finished(&first, "10", "4");
    assert_eq!(balance(&harness, &format!("{path}/wallet")).await, "0.00");
    harness.assert_ledger_balances().await;

    harness.end(record(&first, "3.5", "0", 1));
    assert_eq!(balance(&harness, &format!("{path}/wallet")).await, "2.50");
    let calls = harness.get(&harness.organization, &format!("{path}/calls")).await;
    assert_eq!(calls.body["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(calls.body["data"][0]["cost"], json!("3.50"));
    let entries = harness.get(&harness.organization, &format!("{path}/wallet/entries")).await;
    assert_eq!(entries.body["data"][0]["cause"], json!("adjustment"));
    harness.assert_ledger_balances().await;
}

#[tokio::test]
async fn test_calls_are_in_no_usage_and_unbilled_ones_in_no_ledger() {
    let (harness, _tasks, _stop) = posting().await;
    let (account, _) = harness.isolated(1).await;
    harness.finished(&call(id(&account).shadow(), "test", None), "0", "0");
    harness.finished(&call(id(&account), "free", None), "0", "0");
    let path = format!("/v1/sub-accounts/{account}");
    let calls = harness.get(&harness.organization, &format!("{path}/calls")).await;
    assert_eq!(calls.body["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(calls.body["data"][0]["billed"], json!(false));
    let entries = harness.get(&harness.organization, &format!("{path}/wallet/entries")).await;
    assert_eq!(entries.body["data"], json!([]));
    harness.assert_ledger_balances().await;
}

#[tokio::test]
async fn a_repeated_batch_changes_nothing() {
    let harness = Harness::new().await;
    let (account, _) = harness.isolated(1).await;
    harness.recharge(&account, "100").await;
    let organization = id(&harness.organization_id);
    let (one, two) = (
        record(&call(id(&account), "1", Some(Billing::Isolated)), "1", "0", 0),
        record(&call(id(&account), "2", Some(Billing::Isolated)), "2", "0", 0),
    );
    let app = &harness.plane.app;
    let mut writing = app.store.write().await.expect("a turn");
    let records = [(organization, &*one)];
    post::write(writing.connection(), &records, &HashSet::new(), post::Care::Quick, 1)
        .await
        .expect("posted");
    writing.commit().await.expect("committed");

    let both = [(organization, &*one), (organization, &*two)];
    let mut writing = app.store.write().await.expect("a turn");
    let refused =
        post::write(writing.connection(), &both, &HashSet::new(), post::Care::Quick, 2).await;
    assert!(refused.is_err(), "a repeated record fails the quick way");
    drop(writing);
    for _ in 0..2 {
        let mut writing = app.store.write().await.expect("a turn");
        post::write(writing.connection(), &both, &HashSet::new(), post::Care::Each, 3)
            .await
            .expect("posted");
        writing.commit().await.expect("committed");
    }
    assert_eq!(balance(&harness, &format!("/v1/sub-accounts/{account}/wallet")).await, "97.00");
    harness.assert_ledger_balances().await;
}

#[tokio::test]
async fn a_repeated_record_that_says_another_charge_is_not_posted() {
    let harness = Harness::new().await;
    let (account, _) = harness.isolated(1).await;
    harness.recharge(&account, "100").await;
    let ended = call(id(&account), "1", Some(Billing::Isolated));
    let organization = id(&harness.organization_id);
    for cost in ["5", "9"] {
        let said = record(&ended, cost, "0", 0);
        let mut writing = harness.plane.app.store.write().await.expect("a turn");
        let records = [(organization, &*said)];
        post::write(writing.connection(), &records, &HashSet::new(), post::Care::Each, 1)
            .await
            .expect("posted");
        writing.commit().await.expect("committed");
    }
    assert_eq!(balance(&harness, &format!("/v1/sub-accounts/{account}/wallet")).await, "95.00");
    harness.assert_ledger_balances().await;
}

/// Posts as a batch would be, and then with care where that fails.
async fn post_at(harness: &Harness, record: &Record, closed: &HashSet<AccountId>) -> bool {
    let records = [(id(&harness.organization_id), record)];
    for care in [post::Care::Quick, post::Care::Each] {
        let mut writing = harness.plane.app.store.write().await.expect("a turn");
        let written = post::write(writing.connection(), &records, closed, care, now_us()).await;
        if let Ok(written) = written {
            writing.commit().await.expect("committed");
            return !written.records.is_empty();
        }
    }
    panic!("neither way");
}

#[tokio::test]
async fn a_purged_call_is_never_charged_again_and_its_correction_stays_purged() {
    let harness = Harness::new().await;
    let (account, _) = harness.isolated(1).await;
    harness.recharge(&account, "100").await;
    let path = format!("/v1/sub-accounts/{account}");
    let ended = call(id(&account), "1", Some(Billing::Isolated));
    let none = HashSet::new();
    assert!(post_at(&harness, &record(&ended, "5", "0", 0), &none).await);
    harness.execute("UPDATE calls SET admitted_us = admitted_us - 864000000000").await;
    let set = json!({"call_retention_days": 1});
    harness.send(&harness.organization, "PATCH", &path, set).await;
    let mut round = crate::retention::purge::Round::default();
    while round.some(&harness.plane.app, now_us()).await.expect("purged") {}

    let facts = hub::call::Facts {
        admitted_us: ended.facts().admitted_us - 864_000_000_000,
        ..ended.facts().clone()
    };
    let ended = hub::call::Call::new(facts, ended.texts()).expect("short texts");
    assert!(!post_at(&harness, &record(&ended, "5", "0", 0), &none).await, "it is known");
    assert_eq!(balance(&harness, &format!("{path}/wallet")).await, "95.00");
    assert!(post_at(&harness, &record(&ended, "3", "0", 1), &none).await);
    assert_eq!(balance(&harness, &format!("{path}/wallet")).await, "97.00");
    let calls = harness.get(&harness.organization, &format!("{path}/calls")).await;
    assert_eq!(calls.body["data"], json!([]));
    harness.assert_ledger_balances().await;
}

#[tokio::test]
async fn what_calls_of_a_closed_account_are_found_to_cost_is_on_its_organization() {
    let (harness, mut tasks, stop) = posting().await;
    let (account, _) = harness.isolated(9).await;
    harness.recharge(&account, "100").await;
    let first = call(id(&account), "first", Some(Billing::Isolated));
    harness.finished(&first, "5", "0");
    let path = format!("/v1/sub-accounts/{account}?balance=refund");
    assert_eq!(harness.send(&harness.organization, "DELETE", &path, Value::Null).await.status, 204);
    let before = harness.get(&harness.organization, "/v1/usage").await;
    assert_eq!(before.body["cost"], "5.00");
    drop(stop);
    while tasks.join_next().await.is_some() {}

    let mut writing = harness.plane.app.store.write().await.expect("a turn");
    let mut closed = Closed::default();
    closed.learn(writing.connection()).await.expect("learnt");
    drop(writing);
    assert_eq!(closed.accounts, HashSet::from([id(&account)]));
    let late = call(id(&account), "late", Some(Billing::Isolated));
    assert!(post_at(&harness, &record(&late, "3", "1", 0), &closed.accounts).await);
    assert!(!post_at(&harness, &record(&late, "3", "1", 0), &closed.accounts).await);
    assert!(post_at(&harness, &record(&first, "4.5", "0", 1), &closed.accounts).await);
    harness.assert_ledger_balances().await;

    let usage = harness.get(&harness.organization, "/v1/usage").await;
    assert_eq!((&usage.body["calls"], &usage.body["cost"]), (&json!(2), &json!("7.50")));
    let calls = harness.get(&harness.organization, "/v1/calls?call_id=late").await;
    assert_eq!(calls.body["data"], json!([]), "purged as it was written");
    let mut connection = harness.plane.app.store.read().await.expect("a connection");
    let balance = async |connection: &mut AnyConnection, owner: &str, kind: &str| -> i64 {
        sqlx::query("SELECT balance FROM ledger_accounts WHERE owner_id = $1 AND kind = $2")
            .bind(owner.to_owned())
            .bind(kind.to_owned())
            .fetch_one(connection)
            .await
            .expect("a ledger account")
            .try_get(0)
            .expect("a balance")
    };
    let organization = harness.organization_id.as_str();
    assert_eq!(balance(&mut connection, organization, "closed").await, -2_500_000);
    assert_eq!(balance(&mut connection, &account, "revenue").await, 7_500_000);
    assert_eq!(balance(&mut connection, &account, "wallet").await, 0);
}

#[tokio::test]
async fn every_record_is_posted_once_across_restarts_of_either_side() {
    const CALLS: usize = 5_000;
    let harness = Harness::new().await;
    let (account, _) = harness.isolated(1).await;
    harness.recharge(&account, "10000").await;
    for part in 0..10 {
        let events = (0..CALLS / 10).map(|number| {
            let ended = call(id(&account), &format!("{part}-{number}"), Some(Billing::Isolated));
            hub::state::request::Event::Ended(record(&ended, "1", "0", 0))
        });
        let events: Vec<_> = events.collect();
        // An end without an admission is no record: admit first, at the same holder.
        for event in &events {
            if let hub::state::request::Event::Ended(record) = event {
                harness.admit(&record.call, "1");
            }
        }
        harness.report(events, Vec::new());
    }
    assert_eq!(harness.plane.posting_backlog(), CALLS as u64);

    // The first consumer stops after one batch; the acknowledgement of it is lost with the hub.
    let mut consumer = Consumer::new(&harness.plane.app);
    let batch = consumer.post_some().await.expect("posted").expect("a batch");
    assert_eq!(batch.records, consumer.pace.records());
    let Harness { plane, router, directory, .. } = harness;
    drop(router);
    plane.close().await;
    let hub = open_hub(&directory);
    let (plane, first) = crate::ControlPlane::open(settings(&directory), hub).await.expect("opens");
    assert!(first.is_none());
    plane.post_records(std::future::ready(())).await;
    assert_eq!(plane.posting_backlog(), 0);
    assert_eq!(plane.verify_ledger().await.expect("readable"), []);
    let mut connection = plane.app.store.read().await.expect("a connection");
    let wallet = crate::ledger::Wallet::load(&mut connection, id(&account)).await.expect("there");
    assert_eq!(wallet.balance(), crate::testing::calls::amount("5000"));
}

#[tokio::test]
async fn one_batch_charges_the_wallets_of_many_accounts() {
    let harness = Harness::new().await;
    let mut accounts = Vec::new();
    for _ in 0..7 {
        let (account, _) = harness.isolated(1).await;
        harness.recharge(&account, "10").await;
        accounts.push(account);
    }
    for (account, cost) in accounts.iter().zip(["1", "2", "3", "4", "5", "6", "7"]) {
        harness.finished(&call(id(account), "1", Some(Billing::Isolated)), cost, "0");
    }
    let mut consumer = Consumer::new(&harness.plane.app);
    let batch = consumer.post_some().await.expect("posted").expect("a batch");
    assert_eq!(batch.records, accounts.len());
    for (account, left) in accounts.iter().zip(["9", "8", "7", "6", "5", "4", "3"]) {
        let balance = balance(&harness, &format!("/v1/sub-accounts/{account}/wallet")).await;
        assert_eq!(balance, format!("{left}.00"));
    }
    harness.assert_ledger_balances().await;
}

#[tokio::test]
async fn posting_rests_while_calls_end_and_drains_at_full_speed_when_none_do() {
    let harness = Harness::new().await;
    let (account, _) = harness.isolated(10).await;
    let finish = |call_id| harness.finished(&call(id(&account), call_id, None), "0", "0");
    finish("1");
    finish("2");
    let mut consumer = Consumer::new(&harness.plane.app);
    consumer.pace = Pace::new(Some(5));
    // Batches as a busy processor would have it; what they really took depends on the machine.
    let busy = |batch: Batch| Batch { spent_us: 100_000, ..batch };
    let backlog = consumer.post_some().await.expect("posted").expect("a batch");
    assert_eq!((backlog.records, consumer.rest_after(busy(backlog))), (2, Duration::ZERO));

    finish("3");
    let fresh = consumer.post_some().await.expect("posted").expect("a batch");
    assert!(consumer.rest_after(busy(fresh)) > Duration::from_secs(1));
    assert!(consumer.post_some().await.expect("nothing to post").is_none());
}
