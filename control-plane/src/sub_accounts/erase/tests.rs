//! What is left of a deleted account, and what is not.

use hub::clock::{SECOND_US, now_us};
use hub::directory::Billing;
use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};

use super::*;
use crate::audit::{seal, verify};
use crate::permission::Role;
use crate::retention::purge::Round;
use crate::store::schema::{self, Holds, TABLES};
use crate::testing::calls::call;
use crate::testing::{Harness, settings};

/// Every text of the database that has one of these in it, and where it is.
async fn traces(harness: &Harness, of: &[&str]) -> Vec<String> {
    let url = settings(&harness.directory).database_url;
    let mut connection = AnyConnection::connect(&url).await.expect("connected");
    let mut found = Vec::new();
    for table in TABLES {
        for (column, holds) in schema::columns(&mut connection, table).await.expect("columns") {
            if holds == Holds::Number {
                continue;
            }
            let select =
                AssertSqlSafe(format!("SELECT {column} FROM {table} WHERE {column} IS NOT NULL"));
            for row in sqlx::query(select).fetch_all(&mut connection).await.expect("rows") {
                let text: String = row.get(0);
                if of.iter().any(|trace| text.contains(trace)) {
                    found.push(format!("{table}.{column}: {text}"));
                }
            }
        }
    }
    found
}

/// Gives an account all that says something of people, but for calls.
async fn described(harness: &Harness, id: &str, other: &str) {
    let path = format!("/v1/sub-accounts/{id}");
    let send = async |method: &str, path: &str, body: Value| {
        let answer = harness.send(&harness.organization, method, path, body).await;
        assert!(answer.status < 300, "{method} {path}: {}", answer.body);
        answer
    };
    let members = json!({"name": "Zelda Clinic", "labels": {"crm": "zelda-42"},
        "display_name": "Zelda & Sons", "logo_url": "https://zelda.example.com/x.png"});
    send("PATCH", &path, members).await;
    send("PATCH", &format!("/v1/sub-accounts/{other}"), json!({"name": "The other"})).await;
    send("POST", &format!("{path}/api-keys"), json!({"name": "Zelda's key", "type": "live"})).await;
    send(
        "POST",
        "/v1/phone-numbers",
        json!({"number": "+919812300001", "label": "Zelda's line", "account": id}),
    )
    .await;
    send("POST", "/v1/agents", json!({"name": "Zelda's agent", "account": id})).await;
    send(
        "POST",
        &format!("{path}/invitations"),
        json!({"email": "zelda.new@example.com", "role": "viewer"}),
    )
    .await;
}

#[tokio::test]
async fn nothing_about_people_is_left_of_a_deleted_account_and_the_books_are_as_they_were() {
    let harness = Harness::new().await;
    let (id, _) = harness.isolated(9).await;
    let (other, _) = harness.isolated(9).await;
    let path = format!("/v1/sub-accounts/{id}");
    described(&harness, &id, &other).await;
    let admin = harness.user("zelda@example.com", &id, Role::Admin).await;
    harness.user("both@example.com", &id, Role::Admin).await;
    harness.user("both@example.com", &other, Role::Admin).await;
    let cookie = harness.sign_in("zelda@example.com").await;
    let hook = json!({"url": "https://zelda.example.com/hook", "events": ["call.completed"]});
    assert_eq!(harness.send_by(&cookie, "POST", "/v1/user-webhooks", hook).await.status, 201);
    harness.recharge(&id, "100").await;
    for call_id in ["1", "2", "3"] {
        let made = call(id.parse().expect("an id"), call_id, Some(Billing::Isolated));
        harness.finished(&made, "2.4", "0");
    }
    harness.plane.post_records(std::future::ready(())).await;
    while seal::some(&harness.plane.app.store).await.expect("sealed") > 0 {}
    let at = |hours: i64| crate::timestamp::text(now_us() + hours * 3_600 * SECOND_US);
    let window = format!("/v1/usage?interval=day&from={}&to={}", at(-48), at(1));
    let usage = harness.get(&harness.organization, &window).await.body;

    let path = format!("{path}?balance=refund");
    assert_eq!(harness.send(&harness.organization, "DELETE", &path, Value::Null).await.status, 204);
    let mut round = Round::default();
    while round.some(&harness.plane.app, now_us()).await.expect("purged") {}
    while seal::some(&harness.plane.app.store).await.expect("sealed") > 0 {}
    // What gateways may have to be told again of a number, for some days.
    let mut writing = harness.plane.app.store.write().await.expect("a turn");
    let later_us = now_us() + 8 * 86_400 * SECOND_US;
    crate::resources::sweep(writing.connection(), later_us).await.expect("swept");
    writing.commit().await.expect("committed");

    let of = ["elda", "9812300001", "+9111", "+9122", "kamailio"];
    let left = traces(&harness, &of).await;
    assert_eq!(left, [""; 0], "{left:#?}");
    assert_eq!(harness.get_by(&cookie, "/v1/me").await.status, 401);
    assert!(traces(&harness, &[&admin]).await.iter().all(|trace| trace.starts_with("audit.")));
    harness.sign_in("both@example.com").await;

    harness.assert_ledger_balances().await;
    let after = harness.get(&harness.organization, &window).await.body;
    assert_eq!(after, usage);
    let by_account = harness.get(&harness.organization, "/v1/usage?group_by=account").await;
    let rows = by_account.body["data"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["account"] == json!(id)).expect("its row");
    assert_eq!((&row["name"], &row["calls"]), (&json!(NAME), &json!(3)));

    let url = settings(&harness.directory).database_url;
    let report = verify::run(&url, &[]).await.expect("readable");
    assert_eq!(report.faults, []);
    let audit = format!("/v1/audit?account={id}&limit=1000");
    let audit = harness.get(&harness.organization, &audit).await;
    let entries = audit.body["data"].as_array().expect("entries");
    let actions = entries.iter().filter_map(|entry| entry["action"].as_str());
    assert_eq!(actions.filter(|action| action.starts_with("sub_account.")).count(), 3);
    for entry in entries {
        let of_money = entry["action"].as_str().is_some_and(|action| action.starts_with("wallet."));
        let is_erased =
            entry["after"]["erased"].is_string() || entry["before"]["erased"].is_string();
        assert_ne!(of_money, is_erased, "{entry}");
    }
}

#[tokio::test]
async fn an_account_that_an_earlier_version_deleted_is_erased_by_and_by() {
    let harness = Harness::new().await;
    let (id, _) = harness.isolated(1).await;
    let made = call(id.parse().expect("an id"), "1", None);
    harness.finished(&made, "0", "0");
    harness.plane.post_records(std::future::ready(())).await;
    let path = format!("/v1/sub-accounts/{id}");
    let deleted = harness.send(&harness.organization, "DELETE", &path, Value::Null).await;
    assert_eq!(deleted.status, 204);
    // As it left them: names, and entries of the audit that have no salt.
    for statement in [
        "UPDATE accounts SET name = 'Zelda Clinic', name_folded = 'zelda clinic', labels = '{\"a\":\"Zelda\"}' \
         WHERE status = 'deleted'",
        "UPDATE keys SET name = 'Zelda', last4 = 'elda' WHERE revoked_us IS NOT NULL",
        "UPDATE audit SET salt = NULL",
    ] {
        harness.execute(statement).await;
    }
    let mut round = Round::default();
    while round.some(&harness.plane.app, now_us()).await.expect("purged") {}
    let left = traces(&harness, &["elda", "+9111", "+9122"]).await;
    assert_eq!(left, [""; 0], "{left:#?}");
    assert!(!traces(&harness, &["Acme Corp"]).await.is_empty(), "what is in its seal stays");
}
