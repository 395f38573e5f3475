//! Who may use which route, and how requests that fit none are answered.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::*;
use crate::permission::Role;
use crate::testing::compatibility::uuid;
use crate::testing::people::Cookie;
use crate::testing::{Answered, Harness, named, text};

mod isolation;
mod resources;

/// What is expected: every route, asked by everyone about every object. Read its head first.
const TABLE: &str = include_str!("permissions.txt");
/// In place of any id that nobody has.
const MISSING: [&str; 3] = [
    "org_01arz3ndektsv4rrffq69g5fav",
    "sa_01arz3ndektsv4rrffq69g5fav",
    "ws_01arz3ndektsv4rrffq69g5fav",
];
const MEMBER_KEPT: &str = "member*";

/// Someone who asks.
enum Credential {
    Key(String),
    Session(Cookie),
    /// A session, with the delegation that it is under.
    Delegate(Cookie, String),
}

/// One installation with two organizations, three sub-accounts and three workspaces.
struct World {
    harness: Harness,
    /// In the order of the table's columns.
    principals: Vec<(&'static str, Credential)>,
    /// Ids of organization, sub-account and workspace: own, the other one, of the other organization,
    /// missing.
    objects: [(&'static str, [String; 3]); 4],
}

impl World {
    async fn new() -> Self {
        let harness = Harness::new().await;
        let body = json!({"name": "Other", "concurrency_total": 10, "currency": "USD"});
        let other = harness.send(&harness.operator, "POST", "/v1/organizations", body).await;
        let (own, key, test_key) = account(&harness, &harness.organization).await;
        let (sibling, ..) = account(&harness, &harness.organization).await;
        let (foreign, ..) = account(&harness, &text(&other.body["api_key"])).await;
        let (workspace, workspace_key) = workspace(&harness, &harness.organization).await;
        let (sibling_workspace, _) = self::workspace(&harness, &harness.organization).await;
        let (foreign_workspace, _) = self::workspace(&harness, &text(&other.body["api_key"])).await;
        let organization = harness.organization_id.clone();
        let mut principals = vec![
            ("operator", Credential::Key(harness.operator.clone())),
            ("org-key", Credential::Key(harness.organization.clone())),
        ];
        for (name, role) in [
            ("owner", Role::Owner),
            ("admin", Role::Admin),
            ("member", Role::Member),
            (MEMBER_KEPT, Role::Member),
            ("viewer", Role::Viewer),
        ] {
            principals.push((name, member(&harness, name, &organization, role).await));
        }
        for (name, access) in [("admin-t", "write"), ("admin-t-r", "read")] {
            principals.push((name, token(&harness, "admin@example.com", access).await));
        }
        principals.push(("key", Credential::Key(key)));
        principals.push(("test-key", Credential::Key(test_key)));
        for (name, role) in
            [("sa-admin", Role::Admin), ("sa-member", Role::Member), ("sa-viewer", Role::Viewer)]
        {
            principals.push((name, member(&harness, name, &own, role).await));
        }
        principals.push(("ws-key", Credential::Key(workspace_key)));
        for (name, role) in
            [("ws-admin", Role::Admin), ("ws-member", Role::Member), ("ws-viewer", Role::Viewer)]
        {
            principals.push((name, member(&harness, name, &workspace, role).await));
        }
        for (name, access) in [("deleg-r", "read"), ("deleg-w", "write")] {
            principals.push((name, delegate(&harness, "admin@example.com", &own, access).await));
        }
        principals.push(("expired", expired(&harness, &own).await));
        principals.push(("nobody", Credential::Key(String::new())));
        let objects = [
            ("own", [organization.clone(), own, workspace]),
            ("sibling", [organization, sibling, sibling_workspace]),
            ("foreign", [text(&other.body["organization_id"]), foreign, foreign_workspace]),
            ("missing", MISSING.map(str::to_owned)),
        ];
        Self { harness, principals, objects }
    }

    async fn ask(&self, who: &Credential, method: &str, path: &str, body: Value) -> Answered {
        match who {
            Credential::Key(key) => self.harness.send(key, method, path, body).await,
            Credential::Session(cookie) => self.harness.send_by(cookie, method, path, body).await,
            Credential::Delegate(cookie, delegation) => {
                self.harness.send_under(cookie, delegation, method, path, body).await
            }
        }
    }

    /// What happens when `who` asks. Whoever gets past the table is refused for a field that no
    /// operation knows, so that nothing changes. The second surface ignores such a field: there it finds
    /// nothing to do, or a `force` that is no flag.
    async fn verdict(&self, who: &Credential, method: &str, path: &str) -> &'static str {
        let is_sheet = method == "POST" && path.ends_with("/versions");
        let has_no_fields = method == "GET" || method == "DELETE" && compatibility::owns(path);
        let answered = if has_no_fields || is_sheet {
            let path = format!("{path}?unknown_field=1&force=perhaps");
            self.ask(who, method, &path, Value::Null).await
        } else {
            self.ask(who, method, path, json!({"unknown_field": 1})).await
        };
        match refusal(&answered) {
            Some("unauthenticated") => "who",
            Some("forbidden") => "no",
            Some("unknown_account") => "hidden",
            None if compatibility::owns(path) => "yes",
            None if answered.body["reason"] == "invalid_request"
                && named(&answered.body).contains(&"unknown_field".to_owned()) =>
            {
                "yes"
            }
            _ => panic!("{method} {path}: {} {}", answered.status, answered.body),
        }
    }

    /// The objects that a route is asked about.
    fn objects_of(&self, subject: Subject) -> Vec<(&'static str, Option<&str>)> {
        let of = |index: usize, skipped: &'static str| {
            let objects = self.objects.iter().filter(move |(name, _)| *name != skipped);
            objects.map(move |(name, ids)| (*name, Some(ids[index].as_str()))).collect()
        };
        match subject {
            Subject::Organization => of(0, "sibling"),
            Subject::SubAccount => of(1, ""),
            Subject::Workspace => of(2, ""),
            Subject::Installation | Subject::User | Subject::Own => vec![("-", None)],
        }
    }
}

/// A key of the account whose time is over, and that is not yet retired.
async fn expired(harness: &Harness, account: &str) -> Credential {
    let path = format!("/v1/sub-accounts/{account}/api-keys");
    let made = harness.send(&harness.organization, "POST", &path, json!({"name": "e"})).await;
    let id = text(&made.body["id"]);
    harness.execute(&format!("UPDATE keys SET expires_us = 1 WHERE id = '{id}'")).await;
    Credential::Key(text(&made.body["secret"]))
}

/// An API token of a user.
async fn token(harness: &Harness, email: &str, access: &str) -> Credential {
    let cookie = harness.sign_in(email).await;
    let body = json!({"name": access, "access": access});
    let made = harness.send_by(&cookie, "POST", "/v1/me/tokens", body).await;
    Credential::Key(text(&made.body["secret"]))
}

/// A user in an account by delegation.
async fn delegate(harness: &Harness, email: &str, account: &str, access: &str) -> Credential {
    let cookie = harness.sign_in(email).await;
    let path = format!("/v1/sub-accounts/{account}/delegations");
    let body = json!({"reason": "a test", "access": access});
    let opened = harness.send_by(&cookie, "POST", &path, body).await;
    Credential::Delegate(cookie, text(&opened.body["delegation_id"]))
}

async fn member(harness: &Harness, name: &str, account: &str, role: Role) -> Credential {
    let email = format!("{}@example.com", name.replace('*', "-kept"));
    harness.user(&email, account, role).await;
    Credential::Session(harness.sign_in(&email).await)
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

/// A workspace without slots: its id and key.
async fn workspace(harness: &Harness, organization_key: &str) -> (String, String) {
    let body = json!({"name": "x", "concurrency_limit": 0});
    let made = harness.send(organization_key, "POST", "/v1/workspaces", body).await;
    (text(&made.body["workspace_id"]), text(&made.body["api_key"]))
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

/// A path with its ids in place.
fn filled(path: &str, id: &str) -> String {
    let path = path.replace("{id}", id);
    let path = if path.contains("{uuid}") { path.replace("{uuid}", &uuid(id)) } else { path };
    [
        "key_id",
        "user_id",
        "invitation_id",
        "token_id",
        "delegation_id",
        "webhook_id",
        "delivery_id",
        "resource_id",
        "invoice_id",
        "credit_note_id",
        "attempt_id",
    ]
    .iter()
    .fold(path, |path, name| path.replace(&format!("{{{name}}}"), "unknown"))
}

#[tokio::test]
async fn every_route_is_open_to_whom_the_table_says_and_to_nobody_else() {
    let world = World::new().await;
    let mut found = String::new();
    for line in TABLE.lines().filter(|line| line.starts_with('#')) {
        found.push_str(line);
        found.push('\n');
    }
    write!(found, "{:<69}", "").expect("text");
    for (who, _) in &world.principals {
        write!(found, "{who:<10}").expect("text");
    }
    for Route { method, path, subject, .. } in routes() {
        for (object, id) in world.objects_of(subject) {
            write!(found, "\n{:<7}{path:<53} {object:<8}", document::method_name(method))
                .expect("text");
            for (who, credential) in &world.principals {
                let kept = i32::from(*who != MEMBER_KEPT);
                world
                    .harness
                    .execute(&format!("UPDATE organizations SET members_may_allocate = {kept}"))
                    .await;
                let path = filled(path, id.unwrap_or_default());
                let verdict = world.verdict(credential, document::method_name(method), &path).await;
                write!(found, "{verdict:<10}").expect("text");
            }
        }
    }
    let trimmed = |table: &str| table.lines().map(str::trim_end).map(str::to_owned).collect();
    let (found, expected): (Vec<String>, Vec<String>) = (trimmed(&found), trimmed(TABLE));
    let different = found.iter().zip(&expected).find(|(found, expected)| found != expected);
    let is_same = different.is_none() && found.len() == expected.len();
    assert!(is_same, "{different:?}; what is, in place of permissions.txt:\n{}", found.join("\n"));
}

#[test]
fn every_operation_of_the_document_has_its_lines_in_the_table_and_nothing_else_has() {
    let committed = include_str!("../../openapi.json");
    let document: Value = serde_json::from_str(committed).expect("JSON");
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let methods = item.as_object().expect("methods").keys();
        described.extend(methods.map(|method| (method.to_ascii_uppercase(), path.clone())));
    }
    let lines = TABLE.lines().filter(|line| !line.starts_with(['#', ' ']));
    let stated: BTreeSet<_> = lines
        .map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            (words.next().unwrap_or_default(), words.next().unwrap_or_default())
        })
        .collect();
    assert_eq!(described, stated);
}

#[tokio::test]
async fn what_is_no_text_in_a_path_or_stands_in_a_query_that_nobody_reads_is_refused() {
    let world = World::new().await;
    let (harness, [(_, own), ..]) = (&world.harness, &world.objects);
    let key = &harness.organization;
    let keys = format!("/v1/sub-accounts/{}/api-keys", own[1]);
    for path in [format!("{keys}/%FF"), format!("{keys}/%00"), "/v1/members/a%00b".to_owned()] {
        let refused = harness.send(key, "DELETE", &path, Value::Null).await;
        assert_eq!((refused.status, &refused.body["reason"]), (404, &json!("not_found")), "{path}");
    }
    let body = json!({"name": "k"});
    let refused = harness.send(key, "POST", &format!("{keys}?colour=1"), body).await;
    assert_eq!((refused.status, named(&refused.body)), (400, vec!["colour".to_owned()]));
    // U+0000, as a cursor: no database finds anything before it.
    let refused = harness.get(key, &format!("{keys}?cursor=AA")).await;
    assert_eq!((refused.status, named(&refused.body)), (400, vec!["cursor".to_owned()]));
}

#[tokio::test]
async fn a_key_acts_for_its_own_account_whatever_is_named() {
    let world = World::new().await;
    let [(_, own), _, (_, foreign), _] = &world.objects;
    for (named, status) in [(own[0].as_str(), 200), (&own[1], 404), (&foreign[0], 404), ("x", 404)]
    {
        let header = [("ringfence-account", named)];
        let key = &world.harness.organization;
        let answered =
            world.harness.send_with(key, "GET", "/v1/organization", &header, Vec::new()).await;
        assert_eq!(answered.status, status, "{named}");
    }
}

#[tokio::test]
async fn a_flood_of_one_key_is_refused_and_nobody_elses_is() {
    let harness = Harness::with(|settings| {
        settings.requests_per_s = std::num::NonZeroU32::new(5).expect("above zero");
    })
    .await;
    let (_, account) = harness.isolated(1).await;
    let mut refused = None;
    for _ in 0..50 {
        let answered = harness.get(&account, "/v1/usage").await;
        assert_eq!(answered.headers["x-ratelimit-limit"], "5");
        if answered.status == 429 {
            refused = Some(answered);
            break;
        }
        assert_eq!(answered.status, 200);
    }
    let refused = refused.expect("a refusal");
    assert_eq!(refused.body["reason"], json!("rate_limited"));
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.headers["x-ratelimit-remaining"], "0");
    assert_eq!(harness.get(&harness.organization, "/v1/organization").await.status, 200);
}

#[tokio::test]
async fn what_is_no_credential_any_more_opens_no_route() {
    let world = World::new().await;
    let (id, revoked, _) = account(&world.harness, &world.harness.organization).await;
    let path = format!("/v1/sub-accounts/{id}/api-keys");
    let keys = world.harness.get(&world.harness.organization, &path).await;
    for key in keys.body["data"].as_array().expect("keys") {
        let path = format!("{path}/{}", text(&key["id"]));
        world.harness.send(&world.harness.organization, "DELETE", &path, Value::Null).await;
    }
    let ended = member(&world.harness, "ended", &world.objects[0].1[0], Role::Admin).await;
    let gone = world.ask(&ended, "DELETE", "/v1/sessions/current", Value::Null).await;
    assert_eq!(gone.status, 204);
    let over = delegate(&world.harness, "admin@example.com", &world.objects[0].1[1], "write").await;
    let Credential::Delegate(_, id) = &over else { unreachable!("it is one") };
    let ending = format!("UPDATE delegations SET ended_us = 1 WHERE id = '{id}'");
    world.harness.execute(&ending).await;
    let credentials = [
        over,
        expired(&world.harness, &world.objects[0].1[1]).await,
        Credential::Key(String::new()),
        Credential::Key("rf_live_nothing".to_owned()),
        Credential::Key(revoked),
        ended,
    ];
    for Route { method, path, permit, .. } in routes() {
        for who in credentials.iter().filter(|_| permit != Permit::Anyone) {
            let path = filled(path, &world.objects[0].1[1]);
            let answered = world.ask(who, document::method_name(method), &path, Value::Null).await;
            assert_eq!((answered.status, refusal(&answered)), (401, Some("unauthenticated")));
            assert!(answered.headers.contains_key("www-authenticate"));
        }
    }
}

#[tokio::test]
async fn what_is_named_in_body_query_or_header_opens_no_more_than_a_path() {
    let world = World::new().await;
    let [_, _, (_, foreign), (_, missing)] = &world.objects;
    for organization in [&foreign[0], &missing[0]] {
        let body = json!({"name": "x", "concurrency_limit": 0, "organization_id": organization});
        for (who, credential) in &world.principals[1..5] {
            let answered = world.ask(credential, "POST", "/v1/sub-accounts", body.clone()).await;
            assert_eq!(answered.body["reason"], json!("unknown_account"), "{who}");
            for path in ["/v1/sub-accounts", "/v1/usage"] {
                let path = format!("{path}?organization_id={organization}");
                let answered = world.ask(credential, "GET", &path, Value::Null).await;
                assert_eq!(answered.body["reason"], json!("unknown_account"), "{who} {path}");
            }
        }
    }
    for (who, credential) in &world.principals {
        let Credential::Session(cookie) = credential else { continue };
        for account in [&foreign[0], &foreign[1], &missing[1], &"x".to_owned()] {
            let headers = [("cookie", cookie.header()), ("ringfence-account", account.as_str())];
            let answered =
                world.harness.send_with("", "GET", "/v1/usage", &headers, Vec::new()).await;
            assert_eq!(answered.body["reason"], json!("unknown_account"), "{who}");
        }
    }
}

#[tokio::test]
async fn a_member_of_several_accounts_names_the_one_it_acts_in_and_is_nothing_more_there() {
    let world = World::new().await;
    let [(_, own), ..] = &world.objects;
    let harness = &world.harness;
    harness.user("both@example.com", &own[0], Role::Viewer).await;
    harness.user("both@example.com", &own[1], Role::Admin).await;
    let cookie = harness.sign_in("both@example.com").await;
    let unnamed = harness.get_by(&cookie, "/v1/usage").await;
    assert_eq!((unnamed.status, named(&unnamed.body)), (400, vec!["ringfence-account".to_owned()]));
    assert_eq!(harness.get_by(&cookie, "/v1/me").await.status, 200);
    let keys = format!("/v1/sub-accounts/{}/api-keys", own[1]);
    for (account, path, status) in [
        (&own[0], "/v1/organization", 200),
        (&own[0], &keys, 403),
        (&own[1], "/v1/organization", 403),
        (&own[1], &keys, 200),
    ] {
        let headers = [("cookie", cookie.header()), ("ringfence-account", account.as_str())];
        let answered = harness.send_with("", "GET", path, &headers, Vec::new()).await;
        assert_eq!(answered.status, status, "{account} {path}: {}", answered.body);
    }
}

#[tokio::test]
async fn a_member_who_may_not_allocate_is_told_why() {
    let world = World::new().await;
    let kept = json!({"members_may_allocate": false});
    let harness = &world.harness;
    harness.send(&harness.organization, "PATCH", "/v1/organization", kept).await;
    let (_, member) = &world.principals[4];
    let body = json!({"name": "x", "concurrency_limit": 0});
    let refused = world.ask(member, "POST", "/v1/sub-accounts", body).await;
    assert_eq!((refused.status, &refused.body["reason"]), (403, &json!("forbidden")));
    assert!(text(&refused.body["detail"]).starts_with("members_may_allocate is false"));
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
