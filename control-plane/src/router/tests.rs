//! Who may use which route, and how requests that fit none are answered.

use serde_json::{Value, json};

use super::*;
use crate::testing::compatibility::uuid;
use crate::testing::{Answered, Harness, named, text};

/// Everyone who might ask, and what each is to the subject.
const OPERATOR: usize = 0;
const ORGANIZATION: usize = 1;
const FOREIGN_ORGANIZATION: usize = 2;
const ACCOUNT: usize = 3;
const FOREIGN_ACCOUNT: usize = 4;
const TEST_KEY: usize = 5;

/// `None`: may. Else the reason of the refusal.
fn expected(who: usize, subject: Subject, permit: Permit) -> Option<&'static str> {
    let up_to = |needed: Permit| (needed > permit).then_some("forbidden");
    let elsewhere = matches!(subject, Subject::Organization | Subject::SubAccount);
    match (who, subject) {
        (OPERATOR, _) => None,
        (FOREIGN_ORGANIZATION | FOREIGN_ACCOUNT, _) if elsewhere => Some("unknown_account"),
        (ACCOUNT | TEST_KEY, Subject::Organization) => Some("unknown_account"),
        (ORGANIZATION | FOREIGN_ORGANIZATION, _) => up_to(Permit::Organization),
        (TEST_KEY, _) => up_to(Permit::TestKey),
        _ => up_to(Permit::Account),
    }
}

fn name(method: MethodFilter) -> &'static str {
    let names = [
        (MethodFilter::GET, "GET"),
        (MethodFilter::POST, "POST"),
        (MethodFilter::PATCH, "PATCH"),
        (MethodFilter::DELETE, "DELETE"),
    ];
    names.into_iter().find(|(filter, _)| *filter == method).expect("a method of the table").1
}

/// A sub-account without slots, made with an organization's key: its id, key and test key.
async fn account(harness: &Harness, organization_key: &str) -> (String, String, String) {
    let body = json!({"name": "x", "billing_mode": "isolated", "concurrency_limit": 0});
    let made = harness.send(organization_key, "POST", "/v1/sub-accounts", body).await;
    let id = text(&made.body["sub_account_id"]);
    let path = format!("/v1/sub-accounts/{id}/api-keys");
    let key =
        harness.send(organization_key, "POST", &path, json!({"name": "t", "type": "test"})).await;
    (id, text(&made.body["api_key"]), text(&key.body["secret"]))
}

/// The reason of a refusal that is about who asks. The second surface has only the status for it.
fn refusal(answered: &Answered) -> Option<&str> {
    let reasons = [(401, "unauthenticated"), (403, "forbidden"), (404, "unknown_account")];
    if answered.headers.get("content-type").is_some_and(|it| it == "application/problem+json") {
        let reason = answered.body["reason"].as_str();
        return reason.filter(|reason| reasons.iter().any(|(_, known)| known == reason));
    }
    let reason = reasons.into_iter().find(|(status, _)| *status == answered.status);
    reason.map(|(_, reason)| reason)
}

#[tokio::test]
async fn every_route_is_open_to_whom_the_table_says_and_to_nobody_else() {
    let harness = Harness::new().await;
    let body = json!({"name": "Other", "concurrency_total": 10, "currency": "USD"});
    let other = harness.send(&harness.operator, "POST", "/v1/organizations", body).await;
    let foreign_organization = text(&other.body["api_key"]);
    let (_, foreign_account, _) = account(&harness, &foreign_organization).await;
    for Route { method, path, subject, permit, .. } in routes() {
        for who in OPERATOR..=TEST_KEY {
            // A fresh one each time: some routes delete it.
            let (id, account_key, test_key) = account(&harness, &harness.organization).await;
            let id = if subject == Subject::Organization { &harness.organization_id } else { &id };
            let path = path
                .replace("{id}", id)
                .replace("{key_id}", "key_unknown")
                .replace("{uuid}", &uuid(id));
            let keys = [
                &harness.operator,
                &harness.organization,
                &foreign_organization,
                &account_key,
                &foreign_account,
                &test_key,
            ];
            let body = if method == MethodFilter::GET { Value::Null } else { json!({}) };
            let answered = harness.send(keys[who], name(method), &path, body.clone()).await;
            let refused = refusal(&answered);
            assert_eq!(
                refused,
                expected(who, subject, permit),
                "{} {path} by {who}: {}",
                name(method),
                answered.body
            );
            let nobody = harness.send("", name(method), &path, body).await;
            assert_eq!((nobody.status, refusal(&nobody)), (401, Some("unauthenticated")));
            assert!(nobody.headers.contains_key("www-authenticate"));
        }
    }
}

#[tokio::test]
async fn what_fits_no_route_is_a_problem_too() {
    let harness = Harness::new().await;
    let key = &harness.organization;
    let unknown = harness.get(key, "/v1/nothing").await;
    assert_eq!((unknown.status, &unknown.body["statusCode"]), (404, &json!(404)));
    assert_eq!(unknown.headers["content-type"], "application/problem+json");
    let wrong = harness.send(key, "PUT", "/v1/sub-accounts", Value::Null).await;
    assert_eq!((wrong.status, &wrong.body["error"]), (405, &json!("Method Not Allowed")));
    assert!(wrong.headers.contains_key("allow"));
    for id in [
        "sa_x",
        "sa_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "org_01arz3ndektsv4rrffq69g5fav",
        "%00",
        "sa_01arz3ndektsv4rrffq69g5fav",
    ] {
        let missing = harness.get(key, &format!("/v1/sub-accounts/{id}")).await;
        assert_eq!(
            (missing.status, &missing.body["reason"]),
            (404, &json!("unknown_account")),
            "{id}"
        );
    }
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_with_their_status() {
    let harness = Harness::new().await;
    let (key, path) = (&harness.organization, "/v1/sub-accounts");
    for body in [&b"{"[..], b"[]", b"null", b"\"\xff\"", b"name=x", b"{\"name\":1}x"] {
        let refused = harness.send_with(key, "POST", path, &[], body.to_vec()).await;
        assert_eq!(
            (refused.status, named(&refused.body)),
            (400, vec!["body".to_owned()]),
            "{body:?}"
        );
    }
    let long = harness
        .send_with(key, "POST", path, &[], vec![b' '; crate::request::BODY_BYTES_MAX + 1])
        .await;
    assert_eq!((long.status, &long.body["reason"]), (413, &json!("too_large")));
    let deep = format!("{{\"name\":{}1{}}}", "[".repeat(500), "]".repeat(500)).into_bytes();
    assert_eq!(harness.send_with(key, "POST", path, &[], deep).await.status, 400);
    for value in ["", "é", &"x".repeat(256)] {
        let refused = harness
            .send_with(key, "POST", path, &[("idempotency-key", value)], b"{}".to_vec())
            .await;
        assert_eq!(
            (refused.status, named(&refused.body)),
            (400, vec!["Idempotency-Key".to_owned()])
        );
    }
}
