//! Usage by interval and by account is what the calls were, in every shape.

use triomphe::Arc;

use hub::call::{Call, Facts, Outcome, Record, Texts};
use hub::clock::Moment;
use hub::directory::Billing;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::*;
use crate::testing::calls::{call, record};
use crate::testing::reports::{refused, report};
use crate::testing::{Harness, named};

const ISOLATED: Option<Billing> = Some(Billing::Isolated);
const CONSOLIDATED: Option<Billing> = Some(Billing::Consolidated);

/// A harness whose records are being posted; dropping the sender stops it.
async fn posting() -> (Harness, JoinSet<()>, oneshot::Sender<()>) {
    let harness = Harness::new().await;
    let (stop, stopped) = oneshot::channel();
    let mut tasks = JoinSet::new();
    let plane = harness.plane.clone();
    tasks.spawn(async move { plane.post_records(stopped).await });
    (harness, tasks, stop)
}

fn us(text: &str) -> i64 {
    timestamp::read(text).expect("a time")
}

/// A call from one time to another, unanswered if it took under a minute; else it cost 1.20 if billed.
fn finished(harness: &Harness, account: &str, billing: Option<Billing>, (from, to): (&str, &str)) {
    let (admitted_us, ended_us) = (us(from), us(to));
    let account: AccountId = account.parse().expect("an id");
    let like = call(account, "x", billing);
    let facts = Facts { admitted_us, ..like.facts().clone() };
    let texts = Texts { call_id: from, ..like.texts() };
    let made = Call::new(facts, texts).expect("short texts");
    let answered = ended_us - admitted_us >= 60 * SECOND_US;
    let cost = if answered && billing.is_some() { "1.20" } else { "0" };
    harness.admit(&made, cost);
    let like = record(&made, cost, "0", 0);
    harness.end(Arc::new(Record {
        ended_us,
        answered: answered.then(|| Moment::at(admitted_us + SECOND_US)),
        outcome: if answered { Outcome::Completed } else { Outcome::NoAnswer },
        billable_s: if answered { 61 } else { 0 },
        ..Record::clone(&like)
    }));
}

/// One column of the answer's rows.
fn column<'a>(answer: &'a Value, name: &str) -> Vec<&'a Value> {
    answer["data"].as_array().expect("rows").iter().map(|row| &row[name]).collect()
}

#[tokio::test]
async fn days_of_a_zone_count_what_was_admitted_in_them_and_all_that_was_live() {
    let (harness, _tasks, _stop) = posting().await;
    let (account, key) = harness.isolated(9).await;
    harness.recharge(&account, "100").await;
    // In India the 2nd of June begins at half past six in the evening, UTC.
    finished(&harness, &account, ISOLATED, ("2025-05-20T00:00:00Z", "2025-06-01T19:00:00Z"));
    finished(&harness, &account, ISOLATED, ("2025-06-01T18:20:00Z", "2025-06-01T18:40:00Z"));
    finished(&harness, &account, ISOLATED, ("2025-06-01T18:30:00Z", "2025-06-01T18:30:20Z"));
    finished(&harness, &account, ISOLATED, ("2025-06-03T10:00:00Z", "2025-06-03T10:05:00Z"));
    let query = "from=2025-06-01&to=2025-06-03&interval=day&time_zone=Asia/Kolkata";
    let shown = harness.get(&key, &format!("/v1/sub-accounts/{account}/usage?{query}")).await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    let body = &shown.body;
    assert_eq!(
        column(body, "start"),
        ["2025-06-01T00:00:00+05:30", "2025-06-02T00:00:00+05:30", "2025-06-03T00:00:00+05:30"],
    );
    assert_eq!(column(body, "calls"), [1, 1, 1]);
    assert_eq!(column(body, "peak_concurrency"), [2, 3, 1]);
    assert_eq!(column(body, "minutes"), ["1.02", "0.00", "1.02"]);
    assert_eq!(column(body, "cost"), ["1.20", "0.00", "1.20"]);
    assert_eq!(column(body, "outcomes")[1], &json!({"no-answer": 1}));
    assert_eq!((&body["time_zone"], &body["interval"]), (&json!("Asia/Kolkata"), &json!("day")));
    // The organization's is the same, and so is a key's own by the shorter path.
    for key in [&harness.organization, &key] {
        let same = harness.get(key, &format!("/v1/usage?{query}")).await;
        assert_eq!(column(&same.body, "peak_concurrency"), [2, 3, 1]);
    }
    let totals = harness.get(&key, "/v1/usage?from=2025-06-01&to=2025-06-03").await;
    assert_eq!((&totals.body["calls"], &totals.body["data"]), (&json!(3), &Value::Null));
}

#[tokio::test]
async fn accounts_are_told_apart_a_page_at_a_time_and_add_up_to_the_whole() {
    let (harness, _tasks, _stop) = posting().await;
    let mut ids = vec![harness.organization_id.clone()];
    for calls in 0..3 {
        let (account, _) = harness.isolated(9).await;
        for number in 0..calls {
            let from = format!("2025-06-01T10:0{number}:00Z");
            finished(&harness, &account, None, (&from, "2025-06-01T11:00:00Z"));
        }
        ids.push(account);
    }
    ids[1..].sort();
    let path = "/v1/usage?from=2025-06-01&to=2025-06-01&group_by=account";
    let all = harness.get(&harness.organization, path).await;
    assert_eq!(column(&all.body, "account"), ids.iter().collect::<Vec<_>>());
    let mut calls: Vec<i64> =
        column(&all.body, "calls").iter().filter_map(|calls| calls.as_i64()).collect();
    calls.sort_unstable();
    assert_eq!((calls, &all.body["next_cursor"]), (vec![0, 0, 1, 2], &Value::Null));
    let whole = harness
        .get(&harness.organization, "/v1/usage?from=2025-06-01&to=2025-06-01&time_zone=UTC")
        .await;
    assert_eq!(column(&whole.body, "calls"), [3]);
    assert_eq!(column(&whole.body, "peak_concurrency"), [3]);
    let first = harness.get(&harness.organization, &format!("{path}&limit=3&interval=hour")).await;
    assert_eq!(column(&first.body, "account").len(), 3 * 24);
    let cursor = crate::testing::text(&first.body["next_cursor"]);
    let rest = harness.get(&harness.organization, &format!("{path}&limit=3&cursor={cursor}")).await;
    assert_eq!(column(&rest.body, "account"), [&ids[3]]);
}

#[tokio::test]
async fn a_table_has_the_documented_columns_and_no_formula() {
    let (harness, _tasks, _stop) = posting().await;
    let body = json!({"name": "=1+\"1\"", "billing_mode": "consolidated", "concurrency_limit": 1});
    let made = harness.send(&harness.organization, "POST", "/v1/sub-accounts", body).await;
    let id = crate::testing::text(&made.body["sub_account_id"]);
    let path = format!("/v1/organizations/{}/wallet/recharge", harness.organization_id);
    harness.send(&harness.operator, "POST", &path, json!({"amount": 50, "currency": "INR"})).await;
    finished(&harness, &id, CONSOLIDATED, ("2025-06-01T10:00:00Z", "2025-06-01T10:01:01Z"));
    let accept = [("accept", "text/csv")];
    let path = "/v1/usage?from=2025-06-01&to=2025-06-01&group_by=account";
    let table = harness.send_with(&harness.organization, "GET", path, &accept, Vec::new()).await;
    assert_eq!(table.headers["content-type"], "text/csv; charset=utf-8; header=present");
    let organization = &harness.organization_id;
    let times = "2025-06-01T00:00:00Z,2025-06-02T00:00:00Z";
    let none = ",0".repeat(15);
    assert_eq!(
        String::from_utf8(table.bytes).expect("UTF-8"),
        format!(
            "start,end,account,name,calls,answered,billable_s,minutes,cost,debt,currency,peak_concurrency,\
             completed,no-answer,busy,failed,canceled,denied_invalid_request,denied_unauthenticated,\
             denied_insufficient_balance,denied_suspended,denied_destination_blocked,denied_forbidden,\
             denied_unknown_account,denied_unknown_call,denied_no_slot,denied_call_ended,denied_too_large,\
             denied_wrong_region,denied_rate_limited,denied_hub_unavailable,denied_draining\r\n\
             {times},{organization},First organization,0,0,0,0.00,0.00,0.00,INR,0,0,0,0,0,0{none}\r\n\
             {times},{id},\"'=1+\"\"1\"\"\",1,1,61,1.02,1.20,0.00,INR,1,1,0,0,0,0{none}\r\n"
        )
    );
    let path = format!("{path}&limit=1");
    let page = harness.send_with(&harness.organization, "GET", &path, &accept, Vec::new()).await;
    assert!(page.headers.contains_key("x-next-cursor"));
    let path = format!("/v1/sub-accounts/{id}/usage?from=2025-06-01&to=2025-06-01");
    let totals = harness.send_with(&harness.organization, "GET", &path, &accept, Vec::new()).await;
    assert_eq!(totals.bytes.split(|byte| *byte == b'\n').count(), 3);
}

#[tokio::test]
async fn what_is_too_much_or_unknown_is_named() {
    let harness = Harness::new().await;
    let (account, key) = harness.isolated(1).await;
    for (query, expected) in [
        ("interval=week", "interval"),
        ("time_zone=Mars/Olympus", "time_zone"),
        ("time_zone=", "time_zone"),
        ("group_by=agent", "group_by"),
        ("from=2025-01-01&to=2025-03-01&interval=hour", "interval"),
        ("from=2024-01-01&to=2025-03-01&interval=day", "from"),
        ("from=2025-01-02&to=2025-01-01T00:00:00Z&interval=day", "from"),
        ("interval=day&limit=5", "limit"),
        ("from=2025-01-01&to=2025-12-31&interval=day&group_by=account&limit=28", "limit"),
    ] {
        let refused = harness.get(&harness.organization, &format!("/v1/usage?{query}")).await;
        assert_eq!(
            (refused.status, named(&refused.body)),
            (400, vec![expected.to_owned()]),
            "{query}"
        );
    }
    let path = format!("/v1/sub-accounts/{account}/usage?group_by=account");
    assert_eq!(named(&harness.get(&key, &path).await.body), ["group_by"]);
    let named_by_nobody = harness.get(&harness.operator, "/v1/usage?interval=day").await;
    assert_eq!(named_by_nobody.status, 400);
    let year = "/v1/usage?from=2025-01-01&to=2025-12-31&interval=day&group_by=account";
    assert_eq!(harness.get(&harness.organization, year).await.status, 200);
}

#[test]
fn minutes_are_rounded_to_hundredths() {
    let shown = [0, 1, 60, 61, 91, 3_599].map(minutes);
    assert_eq!(shown, ["0.00", "0.02", "1.00", "1.02", "1.52", "59.98"]);
}

#[tokio::test]
async fn denials_are_counted_by_reason_where_their_minute_begins_in_every_shape() {
    use hub::denial::Reason::{NoSlot, RateLimited};

    let harness = Harness::new().await;
    let (account, key) = harness.isolated(9).await;
    let (other, other_key) = harness.isolated(9).await;
    let refused = vec![
        refused(&account, "2025-06-01T18:29:59Z", &[(NoSlot, 1)], 1),
        refused(&account, "2025-06-01T18:30:00Z", &[(NoSlot, 2), (RateLimited, 5)], 2),
        refused(&other, "2025-06-01T18:30:00Z", &[(NoSlot, 10)], 1),
        refused(&account, "2025-06-04T00:00:00Z", &[(NoSlot, 100)], 1),
    ];
    harness.reported(&report(1, refused)).await;
    let query = "from=2025-06-01&to=2025-06-02&interval=day&time_zone=Asia/Kolkata";
    let path = format!("/v1/sub-accounts/{account}/usage");
    let days = harness.get(&key, &format!("{path}?{query}")).await;
    assert_eq!(days.status, 200, "{}", days.body);
    let expected = [json!({"no_slot": 1}), json!({"no_slot": 2, "rate_limited": 5})];
    assert_eq!(column(&days.body, "denials"), expected.iter().collect::<Vec<_>>());
    let all = harness.get(&harness.organization, &format!("/v1/usage?{query}")).await;
    assert_eq!(all.body["data"][1]["denials"], json!({"no_slot": 12, "rate_limited": 5}));
    let each =
        harness.get(&harness.organization, &format!("/v1/usage?{query}&group_by=account")).await;
    let rows = each.body["data"].as_array().expect("rows");
    let of = |id: &str| {
        let rows = rows.iter().filter(|row| row["account"] == *id);
        rows.map(|row| row["denials"]["no_slot"].as_i64()).collect::<Vec<_>>()
    };
    assert_eq!(of(&account), [Some(1), Some(2)]);
    assert_eq!(of(&other), [None, Some(10)]);
    let totals = harness.get(&key, &format!("{path}?from=2025-06-01&to=2025-06-30")).await;
    assert_eq!(totals.body["denials"], json!({"no_slot": 103, "rate_limited": 5}));
    let headers = [("accept", "text/csv")];
    let path = format!("{path}?{query}");
    let table = harness.send_with(&key, "GET", &path, &headers, Vec::new()).await;
    let table = String::from_utf8(table.bytes).expect("UTF-8");
    let mut lines = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    let at = header.iter().position(|name| *name == "denied_no_slot").expect("a column");
    assert_eq!(lines.map(|cells| cells[at]).collect::<Vec<_>>(), ["1", "2"]);
    // A sibling's are nobody else's.
    let own = harness.get(&other_key, &format!("/v1/usage?{query}")).await;
    assert_eq!(own.body["data"][1]["denials"], json!({"no_slot": 10}));
}
