//! What is purged, and that nothing that is counted or charged changes by it.

use hub::call::{Call, Facts, Outcome, Record, Texts};
use hub::clock::{Moment, SECOND_US, now_us};
use hub::directory::Billing;
use serde_json::{Value, json};
use triomphe::Arc;

use super::*;
use crate::testing::calls::{call, record};
use crate::testing::compatibility::uuid_path;
use crate::testing::{Harness, named};
use crate::timestamp;

/// A billed call that was admitted so many days and seconds ago and lasted so long; its record.
fn ended(account: &str, call_id: &str, (days, seconds): (i64, i64), lasted_s: i64) -> Arc<Record> {
    let like = call(account.parse().expect("an id"), call_id, Some(Billing::Isolated));
    let admitted_us = now_us() - days * DAY_US - seconds * SECOND_US;
    let facts = Facts { admitted_us, ..like.facts().clone() };
    let texts = Texts { call_id, from: "+9111", to: "+9122", agent_id: "anabel", source: "kam-1" };
    let made = Call::new(facts, texts).expect("short texts");
    let ended_us = admitted_us + lasted_s * SECOND_US;
    Arc::new(Record {
        ended_us,
        answered: Some(Moment::at(admitted_us + SECOND_US)),
        outcome: if lasted_s % 2 == 0 { Outcome::Completed } else { Outcome::Busy },
        costs: Some(r#"{"llm":{"gpt":"0.25"},"caller":"+9111"}"#.into()),
        ..Record::clone(&record(&made, "1.2", "0", 0))
    })
}

/// Posts them as a stream would bring them.
async fn posted(harness: &Harness, records: &[Arc<Record>]) {
    for record in records {
        harness.admit(&record.call, "1.2");
        harness.end(Arc::clone(record));
    }
    harness.plane.post_records(std::future::ready(())).await;
}

/// Purges until nothing is due, and returns in how many batches.
pub(crate) async fn purged(harness: &Harness) -> usize {
    let (mut round, mut batches) = (Round::default(), 0);
    while round.some(&harness.plane.app, now_us()).await.expect("purged") {
        batches += 1;
    }
    batches
}

async fn call_ids(harness: &Harness, account: &str) -> Vec<String> {
    let path = format!("/v1/sub-accounts/{account}/calls");
    let listed = harness.get(&harness.organization, &path).await;
    let rows = listed.body["data"].as_array().expect("a list");
    rows.iter().map(|row| crate::testing::text(&row["call_id"])).collect()
}

/// All that usage says, on both surfaces, by several windows and zones.
async fn usage(harness: &Harness, accounts: &[&str], now_us: i64) -> Vec<Value> {
    let from = timestamp::text(now_us - 100 * DAY_US);
    let odd = timestamp::text(now_us - 41 * DAY_US - 17 * SECOND_US);
    let to = timestamp::text(now_us + 3_600 * SECOND_US);
    let mut paths = Vec::new();
    for window in [format!("from={from}&to={to}"), format!("from={odd}&to={to}")] {
        for query in ["", "&interval=day", "&interval=month&time_zone=Asia/Kathmandu"] {
            paths.push(format!("/v1/usage?{window}{query}"));
            paths.push(format!("/v1/usage?{window}{query}&group_by=account"));
            paths.extend(
                accounts.iter().map(|id| format!("/v1/sub-accounts/{id}/usage?{window}{query}")),
            );
        }
    }
    for (from, to) in [(100, 69), (45, 15)] {
        let at = |days: i64| timestamp::text(now_us - days * DAY_US);
        let window = format!("from={}&to={}", at(from), at(to));
        paths.extend(accounts.iter().map(|id| format!("{}/usage?{window}", uuid_path(id))));
    }
    let mut answers = Vec::new();
    for path in paths {
        let answer = harness.get(&harness.organization, &path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answers.push(answer.body);
    }
    answers
}

#[tokio::test]
async fn usage_is_the_same_before_and_after_a_purge_and_the_history_says_what_is_missing() {
    let harness = Harness::new().await;
    let (one, _) = harness.isolated(50).await;
    let (other, key) = harness.isolated(50).await;
    harness.recharge(&one, "100").await;
    harness.recharge(&other, "100").await;
    let records = [
        ended(&one, "a", (95, 0), 600),
        ended(&one, "b", (95, -60), 601),
        ended(&one, "long", (90, 0), 3 * 86_400),
        ended(&one, "c", (41, 30), 15),
        ended(&one, "d", (40, 0), 61),
        ended(&one, "kept", (2, 0), 60),
        ended(&other, "e", (95, -30), 600),
        ended(&other, "f", (20, 0), 60),
    ];
    posted(&harness, &records).await;
    let asked_us = now_us();
    let before = usage(&harness, &[&one, &other], asked_us).await;
    assert_eq!(purged(&harness).await, 0, "nobody asked for it");

    let path = format!("/v1/sub-accounts/{one}");
    let set = json!({"call_retention_days": 30});
    let set = harness.send(&harness.organization, "PATCH", &path, set).await;
    assert_eq!((set.status, &set.body["call_retention_days"]), (200, &json!(30)));
    assert!(purged(&harness).await > 2, "five calls in batches of two");
    assert_eq!(call_ids(&harness, &one).await, ["kept"]);
    assert_eq!(call_ids(&harness, &other).await, ["f", "e"]);
    assert_eq!(usage(&harness, &[&one, &other], asked_us).await, before);
    harness.assert_ledger_balances().await;

    let listed = harness.get(&harness.organization, &format!("{path}/calls")).await;
    let midnight = now_us().div_euclid(DAY_US) * DAY_US - 30 * DAY_US;
    assert_eq!(listed.body["purged_before"], json!(timestamp::text(midnight)));
    let others = harness.get(&key, "/v1/calls").await;
    assert_eq!(others.body["purged_before"], Value::Null, "it is not told of its sibling's");
    for (media_type, lines) in [("text/csv", 4), ("application/x-ndjson", 3)] {
        let headers = [("accept", media_type)];
        let whole = harness
            .send_with(&harness.organization, "GET", "/v1/calls", &headers, Vec::new())
            .await;
        assert_eq!(whole.headers["x-purged-before"], timestamp::text(midnight).as_str());
        let body = String::from_utf8(whole.bytes).expect("UTF-8");
        assert_eq!(body.lines().count(), lines, "{body}");
    }

    // An account that says nothing follows its organization.
    let set = json!({"call_retention_days": 10});
    let set = harness.send(&harness.organization, "PATCH", "/v1/organization", set).await;
    assert_eq!((set.status, &set.body["call_retention_days"]), (200, &json!(10)));
    purged(&harness).await;
    assert_eq!(call_ids(&harness, &one).await, ["kept"]);
    assert!(call_ids(&harness, &other).await.is_empty());
    assert_eq!(usage(&harness, &[&one, &other], asked_us).await, before);
    assert_eq!(purged(&harness).await, 0);
    let mut connection = harness.plane.app.store.read().await.expect("a connection");
    let left = "SELECT call_id FROM calls WHERE caller <> '' OR callee <> '' OR agent_id <> '' OR source <> '' \
         OR costs LIKE '%9111%'";
    let left = sqlx::query(left).fetch_all(&mut *connection).await.expect("readable");
    assert_eq!(left.len(), 1, "the one that is kept");
}

#[tokio::test]
async fn a_record_that_comes_late_is_purged_when_its_account_is_looked_at_again() {
    let harness = Harness::new().await;
    let (account, _) = harness.isolated(50).await;
    let path = format!("/v1/sub-accounts/{account}");
    let set = json!({"call_retention_days": 1});
    harness.send(&harness.organization, "PATCH", &path, set).await;
    purged(&harness).await;
    posted(&harness, &[ended(&account, "late", (9, 0), 60)]).await;
    assert_eq!(call_ids(&harness, &account).await, ["late"]);
    purged(&harness).await;
    assert!(call_ids(&harness, &account).await.is_empty());
    harness.assert_ledger_balances().await;
}

#[tokio::test]
async fn days_out_of_range_are_named_and_null_is_for_ever() {
    let harness = Harness::new().await;
    let (account, _) = harness.isolated(1).await;
    let path = format!("/v1/sub-accounts/{account}");
    for path in [path.as_str(), "/v1/organization"] {
        for days in [json!(0), json!(3_654), json!("x")] {
            let set = json!({"call_retention_days": days});
            let refused = harness.send(&harness.organization, "PATCH", path, set).await;
            assert_eq!(
                (refused.status, named(&refused.body)),
                (400, vec!["call_retention_days".into()])
            );
        }
        for days in [json!(3_653), Value::Null] {
            let set = json!({"call_retention_days": days});
            let shown = harness.send(&harness.organization, "PATCH", path, set).await;
            assert_eq!((shown.status, &shown.body["call_retention_days"]), (200, &days));
        }
    }
    let body = json!({"name": "x", "concurrency_limit": 1, "call_retention_days": 7});
    let made = harness.send(&harness.organization, "POST", "/v1/sub-accounts", body).await;
    assert_eq!((made.status, &made.body["call_retention_days"]), (201, &json!(7)));
}
