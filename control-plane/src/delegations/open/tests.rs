//! What a delegation opens, what it never does, and who sees it.

use serde_json::{Value, json};

use crate::permission::Role;
use crate::testing::people::Cookie;
use crate::testing::{Answered, Harness, named, text};

/// An organization's Admin, and the Admin of an account of it.
struct Both {
    harness: Harness,
    account: String,
    ana: String,
    parent: Cookie,
    own: Cookie,
}

impl Both {
    async fn new() -> Self {
        let harness = Harness::new().await;
        let (account, _) = harness.isolated(1).await;
        let ana = harness.user("ana@example.com", &harness.organization_id, Role::Admin).await;
        harness.user("bob@example.com", &account, Role::Admin).await;
        let parent = harness.sign_in("ana@example.com").await;
        let own = harness.sign_in("bob@example.com").await;
        Self { harness, account, ana, parent, own }
    }

    fn path(&self, rest: &str) -> String {
        format!("/v1/sub-accounts/{}{rest}", self.account)
    }

    async fn open(&self, access: &str) -> String {
        let body = json!({"reason": "ticket 4711", "access": access});
        let path = self.path("/delegations");
        let opened = self.harness.send_by(&self.parent, "POST", &path, body).await;
        assert_eq!(opened.status, 201, "{}", opened.body);
        text(&opened.body["delegation_id"])
    }

    async fn send(&self, id: &str, method: &str, path: &str, body: Value) -> Answered {
        self.harness.send_under(&self.parent, id, method, path, body).await
    }

    async fn get(&self, id: &str, path: &str) -> u16 {
        self.send(id, "GET", path, Value::Null).await.status
    }

    /// Action and actor of the latest entries, as a cookie is shown them.
    async fn audit(&self, cookie: &Cookie, path: &str) -> Vec<(String, String)> {
        let listed = self.harness.get_by(cookie, path).await;
        assert_eq!(listed.status, 200, "{}", listed.body);
        let entries = listed.body["data"].as_array().expect("entries");
        entries.iter().map(|entry| (text(&entry["action"]), text(&entry["actor"]))).collect()
    }
}

#[tokio::test]
async fn a_delegation_reads_its_account_alone_and_changes_nothing_unless_asked_for() {
    let both = Both::new().await;
    let (sibling, _) = both.harness.isolated(1).await;
    let id = both.open("read").await;
    for (path, status) in [
        (both.path(""), 200),
        (both.path("/wallet"), 200),
        (both.path("/api-keys"), 200),
        ("/v1/usage".to_owned(), 200),
        (format!("/v1/sub-accounts/{sibling}"), 404),
        ("/v1/organization".to_owned(), 403),
        ("/v1/sub-accounts".to_owned(), 403),
        ("/v1/me".to_owned(), 403),
    ] {
        assert_eq!(both.get(&id, &path).await, status, "{path}");
    }
    let body = json!({"name": "Renamed"});
    let refused = both.send(&id, "PATCH", &both.path(""), body.clone()).await;
    assert_eq!((refused.status, &refused.body["reason"]), (403, &json!("forbidden")));
    let id = both.open("write").await;
    let changed = both.send(&id, "PATCH", &both.path(""), body).await;
    assert_eq!((changed.status, &changed.body["name"]), (200, &json!("Renamed")));
    for (method, path) in [
        ("POST", both.path("/api-keys")),
        ("POST", both.path("/api-keys/key_1/rotate")),
        ("DELETE", both.path("/api-keys/key_1")),
        ("POST", both.path("/invitations")),
        ("DELETE", both.path("/members/user_1")),
        ("POST", both.path("/delegations")),
        ("POST", both.path("/wallet/recharge")),
        ("DELETE", both.path("")),
        ("POST", "/v1/me/tokens".to_owned()),
        ("DELETE", "/v1/sessions".to_owned()),
    ] {
        let refused = both.send(&id, method, &path, json!({})).await;
        assert_eq!(refused.status, 403, "{method} {path}: {}", refused.body);
    }
}

#[tokio::test]
async fn everything_done_under_a_delegation_stands_in_both_audits() {
    let both = Both::new().await;
    let id = both.open("write").await;
    both.get(&id, &both.path("/wallet")).await;
    both.send(&id, "PATCH", &both.path(""), json!({"name": "Renamed"})).await;
    let opener = format!("{} by {}", both.harness.organization_id, both.ana);
    let delegate = format!("{} by {} under {id}", both.account, both.ana);
    let expected = [
        ("sub_account.updated", &delegate),
        ("delegation.read", &delegate),
        ("delegation.opened", &opener),
    ];
    let expected = expected.map(|(action, actor)| (action.to_owned(), actor.clone()));
    let above = both.audit(&both.parent, "/v1/audit?limit=3").await;
    assert_eq!(above, expected);
    let below = both.audit(&both.own, &both.path("/audit")).await;
    assert_eq!(below, expected, "and nothing of what else the organization did");
    let found = both.audit(&both.parent, &format!("/v1/audit?actor={id}")).await;
    assert_eq!(found.len(), 2);
    let read = both.harness.get_by(&both.own, &both.path("/audit?action=delegation.read")).await;
    assert_eq!(read.body["data"][0]["after"]["path"], json!(both.path("/wallet")));
    let export = both.harness.get_by(&both.own, &both.path("/audit/export")).await;
    assert_eq!(String::from_utf8_lossy(&export.bytes).lines().count(), 3);
}

#[tokio::test]
async fn both_sides_list_delegations_and_the_organization_ends_them() {
    let both = Both::new().await;
    let id = both.open("read").await;
    for (cookie, path) in [
        (&both.parent, "/v1/delegations".to_owned()),
        (&both.parent, both.path("/delegations")),
        (&both.own, both.path("/delegations")),
    ] {
        let listed = both.harness.get_by(cookie, &path).await;
        let shown = &listed.body["data"][0];
        assert_eq!(shown["delegation_id"], json!(id), "{path}: {}", listed.body);
        assert_eq!((&shown["reason"], &shown["access"]), (&json!("ticket 4711"), &json!("read")));
        assert_eq!((&shown["user_id"], &shown["ended_at"]), (&json!(both.ana), &Value::Null));
    }
    let path = both.path(&format!("/delegations/{id}"));
    assert_eq!(both.harness.send_by(&both.own, "DELETE", &path, Value::Null).await.status, 403);
    assert_eq!(both.harness.send_by(&both.parent, "DELETE", &path, Value::Null).await.status, 204);
    let again = both.harness.send_by(&both.parent, "DELETE", &path, Value::Null).await;
    assert_eq!((again.status, &again.body["reason"]), (404, &json!("unknown_delegation")));
    assert_eq!(both.get(&id, &both.path("")).await, 401);
    let listed = both.harness.get_by(&both.own, &both.path("/delegations")).await;
    assert!(listed.body["data"][0]["ended_at"].is_string(), "{}", listed.body);
    assert_eq!(both.harness.audit("delegation").await, ["opened", "ended"]);
}

#[tokio::test]
async fn a_delegation_is_its_users_alone_and_lasts_no_longer_than_what_allows_it() {
    let both = Both::new().await;
    let harness = &both.harness;
    harness.user("eve@example.com", &harness.organization_id, Role::Owner).await;
    let eve = harness.sign_in("eve@example.com").await;
    let id = both.open("read").await;
    let path = both.path("");
    for cookie in [&eve, &both.own] {
        assert_eq!(harness.send_under(cookie, &id, "GET", &path, Value::Null).await.status, 401);
    }
    assert_eq!(both.get("delegation_unknown", &path).await, 401);
    harness.execute("UPDATE memberships SET role = 'member' WHERE role = 'admin'").await;
    assert_eq!(both.get(&id, &path).await, 401, "a Member has none");
    harness.execute("UPDATE memberships SET role = 'admin' WHERE role = 'member'").await;
    assert_eq!(both.get(&id, &path).await, 200);
    harness.execute("UPDATE delegations SET expires_us = 1").await;
    assert_eq!(both.get(&id, &path).await, 401, "its half hour is over");
    let id = both.open("read").await;
    let other = harness.sign_in("ana@example.com").await;
    harness.send_by(&other, "DELETE", "/v1/sessions", Value::Null).await;
    let again = harness.sign_in("ana@example.com").await;
    assert_eq!(harness.send_under(&again, &id, "GET", &path, Value::Null).await.status, 401);
}

#[tokio::test]
async fn only_people_who_administer_the_organization_open_one_and_say_why() {
    let both = Both::new().await;
    let path = both.path("/delegations");
    let body = json!({"reason": "x"});
    assert_eq!(both.harness.send_by(&both.own, "POST", &path, body.clone()).await.status, 403);
    let by_key = both.harness.send(&both.harness.organization, "POST", &path, body).await;
    assert_eq!(by_key.status, 403, "a key is nobody who could say why");
    let bad = json!({"reason": " ", "access": "all", "minutes": 60});
    let refused = both.harness.send_by(&both.parent, "POST", &path, bad).await;
    assert_eq!(named(&refused.body), ["reason", "access", "minutes"]);
    let headers = [
        ("cookie", both.parent.header()),
        ("ringfence-delegation", "delegation_1"),
        ("ringfence-account", both.account.as_str()),
    ];
    let refused = both.harness.send_with("", "GET", "/v1/usage", &headers, Vec::new()).await;
    assert_eq!(named(&refused.body), ["ringfence-account"]);
    let header = [("ringfence-delegation", "delegation_1")];
    let key = &both.harness.organization;
    let refused = both.harness.send_with(key, "GET", "/v1/usage", &header, Vec::new()).await;
    assert_eq!(named(&refused.body), ["ringfence-delegation"], "never as if it were not there");
}
