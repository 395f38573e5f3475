//! Resources through the router, and what the hub is told of them.

use hub::directory::{Change, ResourceConfig, ResourceKind};
use serde_json::{Value, json};

use super::{PER_ACCOUNT_MAX, PER_KIND_MAX, sweep};
use crate::publish::{self, Reading};
use crate::testing::{Answered, Harness, named, text};

const KINDS: [(&str, ResourceKind); 3] = [
    ("/v1/agents", ResourceKind::Agent),
    ("/v1/phone-numbers", ResourceKind::Number),
    ("/v1/providers", ResourceKind::Provider),
];

/// Makes a resource; its id.
async fn made(harness: &Harness, key: &str, path: &str, body: Value) -> String {
    let made = harness.send(key, "POST", path, body).await;
    assert_eq!(made.status, 201, "{path}: {}", made.body);
    text(&made.body["id"])
}

fn refused(answered: &Answered) -> (u16, &str) {
    (answered.status, answered.body["reason"].as_str().unwrap_or_default())
}

/// What a list has in one of its members.
async fn listed(harness: &Harness, key: &str, path: &str, member: &str) -> Vec<String> {
    let page = harness.get(key, path).await;
    assert_eq!(page.status, 200, "{path}: {}", page.body);
    page.body["data"].as_array().expect("a list").iter().map(|one| text(&one[member])).collect()
}

/// What the hub was told last of the resource of a name; `None`: that it is gone.
fn told(harness: &Harness, name: &str) -> Option<ResourceConfig> {
    let heard = harness.heard.lock();
    let told = heard.iter().rev().find_map(|change| match change {
        Change::Resource(config) if *config.name == *name => Some(Some(config.clone())),
        Change::ResourceGone { name: gone, .. } if **gone == *name => Some(None),
        _ => None,
    });
    told.expect("the hub was told of it")
}

#[tokio::test]
async fn each_kind_is_made_listed_read_changed_and_deleted_and_the_hub_is_told() {
    let harness = Harness::new().await;
    let key = &harness.organization;
    let organization = harness.organization_id.as_str();
    for ((path, kind), (name, body, shown, patch, changed, cap)) in KINDS.into_iter().zip([
        (
            "support-bot",
            json!({"agent_id": "support-bot", "name": "Support"}),
            json!({"agent_id": "support-bot", "name": "Support", "account": organization}),
            json!({"name": ""}),
            json!({"agent_id": "support-bot", "name": "", "account": organization}),
            None,
        ),
        (
            "919812345678",
            json!({"number": "+91 98123 45678", "concurrency_limit": 3}),
            json!({"number": "+91 98123 45678", "label": "", "account": null, "concurrency_limit": 3}),
            json!({"concurrency_limit": 0, "label": "Sales"}),
            json!({"number": "+91 98123 45678", "label": "Sales", "account": null, "concurrency_limit": 0}),
            Some(0),
        ),
        (
            "carrier-a",
            json!({"name": "carrier-a", "label": "A", "concurrency_limit": 200}),
            json!({"name": "carrier-a", "label": "A", "concurrency_limit": 200}),
            json!({"concurrency_limit": null}),
            json!({"name": "carrier-a", "label": "A", "concurrency_limit": null}),
            None,
        ),
    ]) {
        let created = harness.send(key, "POST", path, body).await;
        assert_eq!(created.status, 201, "{}", created.body);
        let own = format!("{path}/{}", text(&created.body["id"]));
        let first = told(&harness, name).expect("it is there");
        assert_eq!((first.kind, first.organization.to_string().as_str()), (kind, organization));
        assert_eq!(first.account.map(|id| id.to_string()), shown["account"].as_str().map(str::to_owned));
        let read = harness.get(key, &own).await;
        assert_eq!(read.body, created.body);
        assert_eq!(read.headers["etag"], created.headers["etag"]);
        for (member, value) in shown.as_object().expect("members") {
            assert_eq!(read.body[member], *value, "{path} {member}");
        }
        assert_eq!(listed(&harness, key, path, "id").await, [text(&created.body["id"])]);

        let stale = [("if-match", "\"000000000000000000000000\"")];
        let bytes = patch.to_string().into_bytes();
        let late = harness.send_with(key, "PATCH", &own, &stale, bytes.clone()).await;
        assert_eq!(refused(&late), (412, "precondition_failed"));
        let seen = [("if-match", read.headers["etag"].to_str().expect("text"))];
        let patched = harness.send_with(key, "PATCH", &own, &seen, bytes).await;
        assert_eq!(patched.status, 200, "{}", patched.body);
        for (member, value) in changed.as_object().expect("members") {
            assert_eq!(patched.body[member], *value, "{path} {member}");
        }
        let second = told(&harness, name).expect("it is there");
        assert!(second.version > first.version);
        assert_eq!((second.cap, second.id), (cap, first.id));
        let known = [("if-none-match", patched.headers["etag"].to_str().expect("text"))];
        assert_eq!(harness.send_with(key, "GET", &own, &known, Vec::new()).await.status, 304);

        let late = harness.send_with(key, "DELETE", &own, &stale, Vec::new()).await;
        assert_eq!(late.status, 412);
        assert_eq!(harness.send(key, "DELETE", &own, Value::Null).await.status, 204);
        assert_eq!(told(&harness, name), None);
        for method in ["GET", "PATCH", "DELETE"] {
            let gone = harness.send(key, method, &own, Value::Null).await;
            assert_eq!(gone.status, 404, "{method} {own}");
        }
        assert!(listed(&harness, key, path, "id").await.is_empty());
    }
    for sort in ["agent", "phone_number", "provider"] {
        assert_eq!(harness.audit(sort).await, ["created", "updated", "deleted"], "{sort}");
    }
}

#[tokio::test]
async fn a_name_is_one_of_its_kind_in_an_organization_however_a_number_is_written() {
    let harness = Harness::new().await;
    let key = &harness.organization;
    made(&harness, key, "/v1/phone-numbers", json!({"number": "+919812345678"})).await;
    let again = json!({"number": "0091 98123-45678"});
    let taken = harness.send(key, "POST", "/v1/phone-numbers", again.clone()).await;
    assert_eq!(refused(&taken), (409, "name_taken"));
    assert!(text(&taken.body["detail"]).contains("0091 98123-45678"));
    for (path, body) in
        [("/v1/agents", json!({"agent_id": "one"})), ("/v1/providers", json!({"name": "one"}))]
    {
        made(&harness, key, path, body.clone()).await;
        assert_eq!(refused(&harness.send(key, "POST", path, body).await), (409, "name_taken"));
    }
    let other = json!({"name": "Other", "concurrency_total": 10, "currency": "USD"});
    let other = harness.send(&harness.operator, "POST", "/v1/organizations", other).await;
    made(&harness, &text(&other.body["api_key"]), "/v1/phone-numbers", again).await;
}

#[tokio::test]
async fn what_cannot_be_is_named() {
    let harness = Harness::new().await;
    let long = "x".repeat(129);
    for (path, body, fields) in [
        ("/v1/agents", json!({"agent_id": ""}), &["agent_id"][..]),
        ("/v1/agents", json!({"agent_id": "a b"}), &["agent_id"]),
        ("/v1/agents", json!({"agent_id": "é", "account": null}), &["agent_id", "account"]),
        (
            "/v1/agents",
            json!({"agent_id": long, "concurrency_limit": 1}),
            &["agent_id", "concurrency_limit"],
        ),
        ("/v1/phone-numbers", json!({}), &["number"]),
        ("/v1/phone-numbers", json!({"number": "sip:1@a", "label": long}), &["number", "label"]),
        (
            "/v1/phone-numbers",
            json!({"number": " ".repeat(40) + "1", "label": "a\nb"}),
            &["number", "label"],
        ),
        (
            "/v1/phone-numbers",
            json!({"number": 1800, "concurrency_limit": -1}),
            &["number", "concurrency_limit"],
        ),
        (
            "/v1/phone-numbers",
            json!({"number": "1", "account": "x", "name": "x"}),
            &["account", "name"],
        ),
        ("/v1/providers", json!({"label": ""}), &["name"]),
        ("/v1/providers", json!({"name": "x".repeat(65), "account": null}), &["name", "account"]),
    ] {
        let refused = harness.send(&harness.organization, "POST", path, body.clone()).await;
        assert_eq!(refused.status, 400, "{body}");
        assert_eq!(named(&refused.body), fields, "{body}");
    }
    let own = made(&harness, &harness.organization, "/v1/agents", json!({})).await;
    let path = format!("/v1/agents/{own}");
    let read = harness.get(&harness.organization, &path).await;
    assert_eq!(read.body["agent_id"], json!(own), "made up");
    for (body, field) in [
        (json!({"agent_id": "other"}), "agent_id"),
        (json!({"account": null}), "account"),
        (json!({"concurrency_limit": 1}), "concurrency_limit"),
    ] {
        let refused = harness.send(&harness.organization, "PATCH", &path, body).await;
        assert_eq!((refused.status, named(&refused.body)), (400, vec![field.to_owned()]));
    }
    let refused = harness.get(&harness.organization, "/v1/providers?account=x&limit=0").await;
    assert_eq!(named(&refused.body), ["limit", "account"]);
}

#[tokio::test]
async fn an_account_sees_its_own_and_what_is_shared_and_changes_its_own_only() {
    let harness = Harness::new().await;
    let organization = &harness.organization;
    let (own, key) = harness.isolated(1).await;
    let (sibling, sibling_key) = harness.isolated(1).await;
    let numbers = "/v1/phone-numbers";
    let shared = json!({"number": "1800", "concurrency_limit": 7});
    let shared = made(&harness, organization, numbers, shared).await;
    let given = json!({"number": "1801", "account": own, "concurrency_limit": 2});
    let given = made(&harness, organization, numbers, given).await;
    let theirs = made(&harness, &sibling_key, numbers, json!({"number": "1802"})).await;
    let agent = made(&harness, &key, "/v1/agents", json!({"agent_id": "a"})).await;
    let their_agent = made(&harness, &sibling_key, "/v1/agents", json!({})).await;
    let provider = json!({"name": "p", "concurrency_limit": 9});
    let provider = made(&harness, organization, "/v1/providers", provider).await;

    assert_eq!(listed(&harness, &key, numbers, "id").await, [shared.as_str(), &given]);
    assert_eq!(listed(&harness, &key, "/v1/agents", "id").await, [agent.as_str()]);
    assert_eq!(listed(&harness, &key, "/v1/providers", "id").await, [provider.as_str()]);
    assert_eq!(listed(&harness, organization, numbers, "number").await, ["1800", "1801", "1802"]);
    let filtered = format!("{numbers}?account={sibling}");
    assert_eq!(listed(&harness, organization, &filtered, "id").await, [theirs.as_str()]);
    assert_eq!(named(&harness.get(&key, &filtered).await.body), ["account"]);

    // The limit of what is shared is the organization's.
    for (path, limit) in [
        (format!("{numbers}/{shared}"), None),
        (format!("/v1/providers/{provider}"), None),
        (format!("{numbers}/{given}"), Some(&json!(2))),
    ] {
        assert_eq!(harness.get(&key, &path).await.body.get("concurrency_limit"), limit, "{path}");
        let read = harness.get(organization, &path).await;
        assert!(read.body["concurrency_limit"].is_u64(), "{path}");
    }

    for (path, reason) in [
        (format!("{numbers}/{shared}"), (403, "forbidden")),
        (format!("/v1/providers/{provider}"), (403, "forbidden")),
        (format!("{numbers}/{theirs}"), (404, "unknown_phone_number")),
        (format!("/v1/agents/{their_agent}"), (404, "unknown_agent")),
        (format!("/v1/agents/{given}"), (404, "unknown_agent")),
    ] {
        for method in ["PATCH", "DELETE"] {
            let answered = harness.send(&key, method, &path, json!({})).await;
            assert_eq!(refused(&answered), reason, "{method} {path}");
        }
    }

    let path = format!("{numbers}/{given}");
    for (method, path) in [("PATCH", path.as_str()), ("POST", numbers)] {
        for (account, reason) in [
            (json!(sibling), (404, "unknown_account")),
            (json!(harness.organization_id), (404, "unknown_account")),
            (Value::Null, (403, "forbidden")),
        ] {
            let mut body = json!({"account": account});
            if method == "POST" {
                body["number"] = json!("1803");
            }
            let answered = harness.send(&key, method, path, body.clone()).await;
            assert_eq!(refused(&answered), reason, "{method} {body}");
        }
    }
    let body = json!({"account": own, "label": "Ours"});
    assert_eq!(harness.send(&key, "PATCH", &path, body).await.body["label"], json!("Ours"));
    assert_eq!(
        told(&harness, "1801").and_then(|told| told.account).map(|id| id.to_string()),
        Some(own)
    );
    let fresh = made(&harness, &key, numbers, json!({"number": "1803"})).await;
    assert_eq!(
        harness.send(&key, "DELETE", &format!("{numbers}/{fresh}"), Value::Null).await.status,
        204
    );
    let provider = harness.send(&key, "POST", "/v1/providers", json!({"name": "q"})).await;
    assert_eq!(refused(&provider), (403, "forbidden"));
}

#[tokio::test]
async fn an_organization_moves_them_between_its_accounts_and_to_no_others() {
    let harness = Harness::new().await;
    let key = &harness.organization;
    let (own, account_key) = harness.isolated(1).await;
    let other = json!({"name": "Other", "concurrency_total": 10, "currency": "USD"});
    let other = harness.send(&harness.operator, "POST", "/v1/organizations", other).await;
    let (foreign, foreign_key) =
        (text(&other.body["organization_id"]), text(&other.body["api_key"]));
    let id = made(&harness, key, "/v1/phone-numbers", json!({"number": "1800"})).await;
    let path = format!("/v1/phone-numbers/{id}");
    for account in [json!(own), Value::Null, json!(harness.organization_id)] {
        let moved = harness.send(key, "PATCH", &path, json!({"account": account})).await;
        assert_eq!((moved.status, &moved.body["account"]), (200, &account));
        let told = told(&harness, "1800").expect("it is there").account;
        assert_eq!(json!(told.map(|id| id.to_string())), account);
        let is_seen = account != json!(harness.organization_id);
        assert_eq!(harness.get(&account_key, &path).await.status == 200, is_seen, "{account}");
    }
    for account in [foreign.as_str(), "sa_01arz3ndektsv4rrffq69g5fav"] {
        let body = json!({"account": account});
        assert_eq!(
            refused(&harness.send(key, "PATCH", &path, body).await),
            (404, "unknown_account")
        );
        let body = json!({"account": account});
        assert_eq!(
            refused(&harness.send(key, "POST", "/v1/agents", body).await),
            (404, "unknown_account")
        );
    }
    for method in ["GET", "PATCH", "DELETE"] {
        let hidden = harness.send(&foreign_key, method, &path, Value::Null).await;
        assert_eq!(refused(&hidden), (404, "unknown_phone_number"), "{method}");
    }
    assert!(listed(&harness, &foreign_key, "/v1/phone-numbers", "id").await.is_empty());
}

#[tokio::test]
async fn an_operator_names_the_organization_and_reads_by_id() {
    let harness = Harness::new().await;
    let key = &harness.operator;
    let body = json!({"name": "carrier-a"});
    let unnamed = harness.send(key, "POST", "/v1/providers", body).await;
    assert_eq!(named(&unnamed.body), ["organization_id"]);
    let body = json!({"name": "carrier-a", "organization_id": harness.organization_id});
    let id = made(&harness, key, "/v1/providers", body).await;
    let path = format!("/v1/providers/{id}");
    assert_eq!(
        harness.get(key, &path).await.body["organization_id"],
        json!(harness.organization_id)
    );
    assert_eq!(named(&harness.get(key, "/v1/providers").await.body), ["organization_id"]);
    let list = format!("/v1/providers?organization_id={}", harness.organization_id);
    assert_eq!(listed(&harness, key, &list, "id").await, [id.as_str()]);
    assert_eq!(harness.send(key, "PATCH", &path, json!({"label": "A"})).await.status, 200);
    assert_eq!(harness.send(key, "DELETE", &path, Value::Null).await.status, 204);
    let body = json!({"organization_id": "org_01arz3ndektsv4rrffq69g5fav"});
    assert_eq!(
        refused(&harness.send(key, "POST", "/v1/agents", body).await),
        (404, "unknown_account")
    );
}

#[tokio::test]
async fn a_later_one_of_a_name_has_a_later_version_whatever_the_clock_says() {
    let harness = Harness::new().await;
    let key = &harness.organization;
    let body = json!({"name": "carrier-a"});
    let first = made(&harness, key, "/v1/providers", body.clone()).await;
    let ahead = hub::clock::now_us() + 3_600_000_000;
    harness.execute(&format!("UPDATE resources SET version = {ahead}")).await;
    let path = format!("/v1/providers/{first}");
    assert_eq!(harness.send(key, "DELETE", &path, Value::Null).await.status, 204);
    let second = made(&harness, key, "/v1/providers", body).await;
    assert_ne!(first, second);
    let told = told(&harness, "carrier-a").expect("it is there");
    assert!(told.version > ahead.unsigned_abs() + 1);
}

#[tokio::test]
async fn a_hub_is_told_again_what_is_there_and_what_is_gone() {
    let harness = Harness::new().await;
    let key = &harness.organization;
    let (account, _) = harness.isolated(1).await;
    let body = json!({"number": "1800", "account": account, "concurrency_limit": 4});
    made(&harness, key, "/v1/phone-numbers", body).await;
    let gone = made(&harness, key, "/v1/providers", json!({"name": "gone"})).await;
    harness.send(key, "DELETE", &format!("/v1/providers/{gone}"), Value::Null).await;
    let before = told(&harness, "1800");
    harness.heard.lock().clear();
    publish::everything(&harness.plane.app).await.expect("told");
    assert_eq!(told(&harness, "1800"), before);
    assert_eq!(told(&harness, "gone"), None);
    let heard = harness.heard.lock().clone();
    let place = |is_it: fn(&Change) -> bool| heard.iter().position(is_it).expect("told");
    let accounts = place(|change| matches!(change, Change::Account(_)));
    assert!(accounts < place(|change| matches!(change, Change::Resource(_))));

    // A directory that is told anew as a whole names what is there only.
    let app = &harness.plane.app;
    let shard = harness.organization_id.parse::<hub::id::AccountId>().expect("an id").shard();
    for (shard, expected) in [(shard, 1), (shard ^ 1, 0)] {
        let mut connection = app.store.read().await.expect("a connection");
        let told = |wallet: &crate::ledger::Wallet| Change::Wallet(wallet.config());
        let all = Reading::new(Some(shard)).rest(&mut connection, told).await.expect("read");
        let resources = all
            .iter()
            .filter(|change| matches!(change, Change::Resource(_) | Change::ResourceGone { .. }));
        assert_eq!(resources.count(), expected);
    }

    let long_after = hub::clock::now_us() + super::DELETED_KEPT_US + 1_000_000;
    for (now_us, left) in [(hub::clock::now_us(), 2), (long_after, 1)] {
        let mut writing = app.store.write().await.expect("a turn");
        sweep(writing.connection(), now_us).await.expect("swept");
        let rows = sqlx::query("SELECT 1 FROM resources").fetch_all(writing.connection()).await;
        assert_eq!(rows.expect("readable").len(), left);
        writing.commit().await.expect("committed");
    }
}

#[tokio::test]
async fn what_is_an_accounts_goes_with_it() {
    let harness = Harness::new().await;
    let key = &harness.organization;
    let (account, account_key) = harness.isolated(1).await;
    made(&harness, &account_key, "/v1/agents", json!({"agent_id": "bot"})).await;
    made(&harness, &account_key, "/v1/phone-numbers", json!({"number": "1800"})).await;
    made(&harness, key, "/v1/phone-numbers", json!({"number": "1801"})).await;
    let path = format!("/v1/sub-accounts/{account}");
    assert_eq!(harness.send(key, "DELETE", &path, Value::Null).await.status, 204);
    assert_eq!((told(&harness, "bot"), told(&harness, "1800")), (None, None));
    assert!(told(&harness, "1801").is_some());
    assert!(listed(&harness, key, "/v1/agents", "id").await.is_empty());
    assert_eq!(listed(&harness, key, "/v1/phone-numbers", "number").await, ["1801"]);
    made(&harness, key, "/v1/agents", json!({"agent_id": "bot"})).await;
}

#[tokio::test]
async fn the_audit_of_an_account_has_what_became_of_its_resources() {
    let harness = Harness::new().await;
    let (account, key) = harness.isolated(1).await;
    let id = made(&harness, &key, "/v1/agents", json!({"agent_id": "bot"})).await;
    let path = format!("/v1/agents/{id}");
    harness.send(&harness.organization, "PATCH", &path, json!({"name": "Bot"})).await;
    let audit = format!("/v1/sub-accounts/{account}/audit?action=agent");
    let audit = harness.get(&harness.organization, &audit).await;
    let entries = audit.body["data"].as_array().expect("entries");
    let actions: Vec<_> = entries.iter().map(|entry| text(&entry["action"])).collect();
    assert_eq!(actions, ["agent.updated", "agent.created"]);
    assert_eq!(
        (&entries[0]["before"]["name"], &entries[0]["after"]["name"]),
        (&json!(""), &json!("Bot"))
    );
}

#[tokio::test]
async fn a_repeated_request_makes_no_second_one() {
    let harness = Harness::new().await;
    let once = [("idempotency-key", "one")];
    let key = &harness.organization;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let made = harness.send_with(key, "POST", "/v1/agents", &once, b"{}".to_vec()).await;
        assert_eq!(made.status, 201, "{}", made.body);
        ids.push(text(&made.body["id"]));
    }
    assert_eq!(ids[0], ids[1]);
    assert_eq!(listed(&harness, key, "/v1/agents", "id").await, [ids[0].as_str()]);
}

#[tokio::test]
async fn lists_are_read_page_by_page_and_have_an_end() {
    let harness = Harness::new().await;
    let key = &harness.organization;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(made(&harness, key, "/v1/providers", json!({"name": name})).await);
    }
    ids.sort();
    let first = harness.get(key, "/v1/providers?limit=2").await;
    let next = format!("/v1/providers?limit=2&cursor={}", text(&first.body["next_cursor"]));
    let second = harness.get(key, &next).await;
    assert_eq!(second.body["next_cursor"], Value::Null);
    let pages = [&first, &second].into_iter().filter_map(|page| page.body["data"].as_array());
    let seen: Vec<_> = pages.flatten().map(|shown| text(&shown["id"])).collect();
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn there_is_a_most_of_a_kind_in_an_organization() {
    let harness = Harness::new().await;
    harness
        .execute(&format!(
            "INSERT INTO resources (id, organization_id, kind, name, written, label, version, created_us, updated_us) \
             WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {PER_KIND_MAX}) \
             SELECT 'prv_' || CAST(n AS TEXT), '{}', 'provider', CAST(n AS TEXT), '', '', 1, 1, 1 FROM numbers",
            harness.organization_id,
        ))
        .await;
    let key = &harness.organization;
    let body = json!({"name": "one-more"});
    let full = harness.send(key, "POST", "/v1/providers", body.clone()).await;
    assert_eq!((refused(&full), &full.body["limit"]), ((403, "forbidden"), &json!(PER_KIND_MAX)));
    made(&harness, key, "/v1/agents", json!({})).await;
    harness.execute("UPDATE resources SET deleted_us = 1 WHERE id = 'prv_1'").await;
    made(&harness, key, "/v1/providers", body).await;
}

#[tokio::test]
async fn an_account_leaves_room_for_its_siblings() {
    let harness = Harness::new().await;
    let (account, own) = harness.isolated(1).await;
    harness
        .execute(&format!(
            "INSERT INTO resources (id, organization_id, account_id, kind, name, written, label, version, \
             created_us, updated_us) \
             WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {PER_ACCOUNT_MAX}) \
             SELECT 'agt_' || CAST(n AS TEXT), '{}', '{account}', 'agent', CAST(n AS TEXT), '', '', 1, 1, 1 FROM numbers",
            harness.organization_id,
        ))
        .await;
    let full = harness.send(&own, "POST", "/v1/agents", json!({})).await;
    assert_eq!(
        (refused(&full), &full.body["limit"]),
        ((403, "forbidden"), &json!(PER_ACCOUNT_MAX))
    );
    let (_, sibling) = harness.isolated(1).await;
    made(&harness, &sibling, "/v1/agents", json!({})).await;
    // The organization knows what it does.
    made(&harness, &harness.organization, "/v1/agents", json!({"account": account})).await;
}

#[tokio::test]
async fn outbound_calls_have_a_limit_of_their_own_where_that_is_set() {
    let harness = Harness::new().await;
    let key = &harness.organization;
    let told = |id: &str| {
        let heard = harness.heard.lock();
        let configs = heard.iter().rev().filter_map(|change| match change {
            Change::Account(config) if config.id.to_string() == *id => Some(config.outbound_cap),
            _ => None,
        });
        configs.into_iter().next().expect("the hub was told")
    };
    for (path, id) in [("/v1/sub-accounts", "sub_account_id"), ("/v1/workspaces", "workspace_id")] {
        let body = json!({"name": "x", "concurrency_limit": 10, "max_outbound_concurrency": 6});
        let created = harness.send(key, "POST", path, body).await;
        assert_eq!((created.status, &created.body["max_outbound_concurrency"]), (201, &json!(6)));
        let id = text(&created.body[id]);
        assert_eq!(told(&id), Some(6));
        let own = format!("{path}/{id}");
        for (body, expected) in [
            (json!({"max_outbound_concurrency": 0}), Some(0)),
            (json!({"name": "y"}), Some(0)),
            (json!({"max_outbound_concurrency": null}), None),
        ] {
            let patched = harness.send(key, "PATCH", &own, body).await;
            assert_eq!(patched.body["max_outbound_concurrency"], json!(expected));
            assert_eq!(
                harness.get(key, &own).await.body["max_outbound_concurrency"],
                json!(expected)
            );
            assert_eq!(told(&id), expected);
        }
        let refused =
            harness.send(key, "PATCH", &own, json!({"max_outbound_concurrency": -1})).await;
        assert_eq!(named(&refused.body), ["max_outbound_concurrency"]);
    }
    let body = json!({"max_outbound_concurrency": 5});
    let patched = harness.send(key, "PATCH", "/v1/organization", body).await;
    assert_eq!((patched.status, &patched.body["max_outbound_concurrency"]), (200, &json!(5)));
    assert_eq!(told(&harness.organization_id), Some(5));
    let audit = harness.get(key, "/v1/audit?action=organization.updated").await;
    assert_eq!(audit.body["data"][0]["after"]["max_outbound_concurrency"], json!(5));
    let path = format!("/v1/organizations/{}", harness.organization_id);
    let body = json!({"max_outbound_concurrency": null});
    let patched = harness.send(&harness.operator, "PATCH", &path, body).await;
    assert_eq!(patched.body["max_outbound_concurrency"], Value::Null);
    assert_eq!(told(&harness.organization_id), None);
}
