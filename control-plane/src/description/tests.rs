//! The document: current, complete, well formed. That answers are what it says is held against every
//! answer that any test gets, by [`contract`].

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use hub::key::KeyHash;
use serde_json::{Value, json};

use super::document::{self, method_name, operation_id, path_parameters};
use crate::keys::hex;
use crate::permission::Role;
use crate::router::routes;
use crate::testing::calls::{call, record};
use crate::testing::compatibility::account;
use crate::testing::people::PASSWORD;
use crate::testing::{Harness, contract, text};

mod attempts;
mod decks;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
/// Writes the committed document anew.
const RENEW: &str = "RINGFENCE_RENEW=1";

fn default_document() -> Value {
    document::document(&["india", "us", "eu"].map(str::to_owned))
}

#[test]
#[expect(clippy::disallowed_methods, reason = "only here the environment says what to do")]
fn the_committed_document_is_what_the_routes_say() {
    let current = default_document();
    if std::env::var("RINGFENCE_RENEW").is_ok() {
        let text = serde_json::to_string_pretty(&current).expect("JSON") + "\n";
        fs::write(COMMITTED, text).expect("written");
        return;
    }
    let committed = fs::read_to_string(Path::new(COMMITTED)).expect("the committed document");
    let committed: Value = serde_json::from_str(&committed).expect("JSON");
    assert!(
        committed == current,
        "control-plane/openapi.json is not current: run `make openapi` ({RENEW})"
    );
}

#[test]
fn every_route_is_in_the_document_once_and_nothing_else_is() {
    let of_routes: BTreeSet<_> = routes()
        .iter()
        .map(|route| (route.path.to_owned(), method_name(route.method).to_ascii_lowercase()))
        .collect();
    let described: BTreeSet<_> = contract::paths()
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("methods").keys();
            methods.map(|method| (path.clone(), method.clone()))
        })
        .collect();
    assert_eq!(of_routes, described);
    assert_eq!(of_routes.len(), routes().len());
}

#[test]
fn operations_have_names_tags_words_and_described_parameters() {
    let ids: BTreeSet<String> = routes().iter().map(operation_id).collect();
    assert_eq!(ids.len(), routes().len(), "two operations have one name");
    let document = default_document();
    for route in routes() {
        let method = method_name(route.method).to_ascii_lowercase();
        let operation = &document["paths"][route.path][&method];
        let says = |name: &str| operation[name].as_str().is_some_and(|text| text.len() > 5);
        assert!(says("summary") && says("description"), "{method} {}", route.path);
        assert!(!operation["tags"][0].as_str().expect("a tag").is_empty(), "{}", route.path);
        let parameters = operation["parameters"].as_array().expect("parameters");
        for parameter in parameters {
            let is_said = parameter["description"].as_str().is_some_and(|text| !text.is_empty());
            let is_known = parameter["schema"]["enum"].is_array();
            assert!(is_said || is_known, "{method} {}: {parameter}", route.path);
        }
        for name in path_parameters(route.path) {
            assert!(parameters.iter().any(|parameter| parameter["name"] == name), "{name}");
        }
    }
}

#[test]
fn examples_fit_their_schemas() {
    let document = default_document();
    for (path, item) in contract::paths() {
        for (method, operation) in item.as_object().expect("methods") {
            let body = &operation["requestBody"]["content"]["application/json"];
            if body.is_object() {
                let mut root = body["schema"].clone();
                root["components"] = document["components"].clone();
                let fits = jsonschema::draft202012::is_valid(&root, &body["example"]);
                assert!(fits, "{method} {path}: {}", body["example"]);
            }
        }
    }
}

#[tokio::test]
async fn everybody_reads_the_document() {
    let harness = Harness::new().await;
    let read = harness.get("", "/openapi.json").await;
    assert_eq!((read.status, &read.body["openapi"]), (200, &json!("3.1.0")));
    assert_eq!(read.body, default_document());
}

/// Everything once, successfully; each answer is held against the document where it is read.
#[tokio::test]
async fn every_operation_is_carried_out_as_the_document_says() {
    let harness = Harness::new().await;
    organizations(&harness).await;
    organization_keys(&harness).await;
    let account = accounts(&harness).await;
    let workspace = workspaces(&harness).await;
    delegations(&harness, &account).await;
    webhooks(&harness).await;
    invoices(&harness, &account).await;
    resources(&harness).await;
    decks::carry_out_all(&harness).await;
    attempts::carry_out_all(&harness).await;
    people(&harness, "/v1").await;
    people(&harness, &format!("/v1/workspaces/{workspace}")).await;
    people(&harness, &format!("/v1/sub-accounts/{account}")).await;
    reports(&harness, &account).await;
    second_surface(&harness).await;
    let kept = harness.kept.lock().clone();
    let all =
        routes().into_iter().map(|route| format!("{} {}", method_name(route.method), route.path));
    let missing: Vec<_> = all.filter(|operation| !kept.contains(operation)).collect();
    assert!(missing.is_empty(), "carry out here, too: {missing:#?}");
}

/// Carries out one request after the other; each must succeed.
async fn all(harness: &Harness, key: &str, requests: &[(&str, &str, Value)]) -> Value {
    let mut last = Value::Null;
    for (method, path, body) in requests {
        let answered = harness.send(key, method, path, body.clone()).await;
        assert!(answered.status < 300, "{method} {path}: {} {}", answered.status, answered.body);
        last = answered.body;
    }
    last
}

async fn organizations(harness: &Harness) {
    let body = json!({"name": "Other", "concurrency_total": 10, "currency": "KWD", "regions": ["us"],
        "default_rate": {"per_minute": "0.5"}});
    let made = all(harness, &harness.operator, &[("POST", "/v1/organizations", body)]).await;
    let path = format!("/v1/organizations/{}", text(&made["organization_id"]));
    let below = |rest: &str| format!("{path}{rest}");
    let [wallet, entries, recharge, members, invitations] =
        ["/wallet", "/wallet/entries", "/wallet/recharge", "/members", "/invitations"].map(below);
    let owner = json!({"email": "eve@example.com", "role": "owner"});
    all(
        harness,
        &harness.operator,
        &[
            ("GET", "/openapi.json", Value::Null),
            ("GET", "/docs", Value::Null),
            ("GET", "/docs/start.js", Value::Null),
            ("GET", "/docs/swagger-ui-bundle.js", Value::Null),
            ("GET", "/docs/swagger-ui.css", Value::Null),
            ("GET", &path, Value::Null),
            ("PATCH", &path, json!({"concurrency_total": 20, "regions": null})),
            ("POST", &recharge, json!({"amount": 49.95, "currency": "KWD"})),
            (
                "POST",
                &below("/wallet/adjust"),
                json!({"kind": "credit", "amount": 1, "currency": "KWD", "reason": "x"}),
            ),
            (
                "POST",
                &below("/wallet/refund"),
                json!({"amount": 1, "currency": "KWD", "reason": "x"}),
            ),
            ("GET", &wallet, Value::Null),
            ("GET", &entries, Value::Null),
            ("POST", &invitations, owner),
            ("GET", &invitations, Value::Null),
            ("GET", &members, Value::Null),
        ],
    )
    .await;
    let rate = json!({"per_minute": 1, "initial_s": 30, "increment_s": 6});
    let changed =
        json!({"default_rate": rate, "reserved_concurrency": 1, "recharge_policy": "external"});
    all(
        harness,
        &harness.organization,
        &[
            ("GET", "/v1/organization", Value::Null),
            ("PATCH", "/v1/organization", changed),
            ("GET", "/v1/organization/wallet", Value::Null),
            ("GET", "/v1/organization/wallet/entries", Value::Null),
        ],
    )
    .await;
}

/// Keys of the organization, by itself and by the operator.
async fn organization_keys(harness: &Harness) {
    let by_operator = format!("/v1/organizations/{}/api-keys", harness.organization_id);
    let own = "/v1/organization/api-keys".to_owned();
    for (key, keys) in [(&harness.organization, own), (&harness.operator, by_operator)] {
        let made = [("GET", &*keys, Value::Null), ("POST", &keys, json!({"name": "Second"}))];
        let made = all(harness, key, &made).await;
        let key_path = format!("{keys}/{}", text(&made["id"]));
        let rotate = format!("{key_path}/rotate");
        let rotated = json!({"old_key_ends": "in_24_hours"});
        all(harness, key, &[("POST", &rotate, rotated), ("DELETE", &key_path, Value::Null)]).await;
    }
}

async fn accounts(harness: &Harness) -> String {
    let key = &harness.organization;
    let (id, _) = harness.isolated(5).await;
    let path = format!("/v1/sub-accounts/{id}");
    let below = |rest: &str| format!("{path}{rest}");
    let [suspend, reactivate, recharge, wallet, entries, keys] =
        ["/suspend", "/reactivate", "/wallet/recharge", "/wallet", "/wallet/entries", "/api-keys"]
            .map(below);
    let changed = json!({"max_concurrency": null, "cps_limit": 5, "rate": {"per_minute": "1.20"},
        "labels": {"tier": "gold"}, "display_name": "Acme", "logo_url": "https://example.com/a.png"});
    let made = all(
        harness,
        key,
        &[
            ("GET", "/v1/sub-accounts?limit=1", Value::Null),
            ("GET", &path, Value::Null),
            ("PATCH", &path, changed),
            ("POST", &suspend, Value::Null),
            ("POST", &reactivate, json!({})),
            ("POST", &recharge, json!({"amount": "5000", "currency": "INR"})),
            (
                "POST",
                &below("/wallet/adjust"),
                json!({"kind": "debit", "amount": 1, "currency": "INR", "reason": "x"}),
            ),
            (
                "POST",
                &below("/wallet/refund"),
                json!({"amount": 1, "currency": "INR", "reason": "x"}),
            ),
            ("GET", &wallet, Value::Null),
            ("GET", &entries, Value::Null),
            ("GET", &keys, Value::Null),
            ("POST", &keys, json!({"name": "Test key", "type": "test"})),
        ],
    )
    .await;
    let key_path = format!("{keys}/{}", text(&made["id"]));
    let rotate = (&*format!("{key_path}/rotate"), json!({"old_key_ends": "in_24_hours"}));
    all(harness, key, &[("POST", rotate.0, rotate.1), ("DELETE", &key_path, Value::Null)]).await;
    let (gone, _) = harness.isolated(1).await;
    harness.recharge(&gone, "1").await;
    let path = format!("/v1/sub-accounts/{gone}?force=true&balance=refund");
    all(harness, key, &[("DELETE", &path, Value::Null)]).await;
    id
}

async fn invoices(harness: &Harness, account: &str) {
    let key = &harness.organization;
    let operators = format!("/v1/organizations/{}/invoicing", harness.organization_id);
    let all_by = json!({"issuer": {"legal_name": "Acme", "address": ["1 Road"], "tax_id": null, "email": "a@example.com"},
        "recipient": null, "taxes": [{"name": "GST", "rate_bp": 1_800}], "starts_at": "2020-01-01", "note": "Thanks"});
    all(
        harness,
        &harness.operator,
        &[("PATCH", &operators, all_by), ("GET", &operators, Value::Null)],
    )
    .await;
    let earlier = format!(
        "INSERT INTO calls (account_id, admitted_us, call_id, ended_us, direction, caller, callee, agent_id, source, \
         outcome, cause, billable_s, cost, debt, currency, billing_mode, revision, organization_id, posted_us) \
         VALUES ('{account}', 1583020800000000, 'c', 1583020900000000, 'outbound', '', '', '', '', 'completed', 'release', \
         60, 1000000, 0, 'INR', 'isolated', 0, '{}', 0)",
        harness.organization_id
    );
    harness.execute(&earlier).await;
    let details = format!("/v1/sub-accounts/{account}/billing-details");
    let asked = json!({"account": account, "from": "2020-03-01", "to": "2020-03-31T12:00:00Z"});
    let issued = all(
        harness,
        key,
        &[
            ("PATCH", "/v1/organization/invoicing", json!({"automatic": false})),
            ("GET", "/v1/organization/invoicing", Value::Null),
            ("PATCH", &details, json!({"recipient": {"legal_name": "Client"}})),
            ("GET", &details, Value::Null),
            ("GET", "/v1/credit-notes", Value::Null),
            ("POST", "/v1/invoices", asked),
        ],
    )
    .await;
    let invoice = format!("/v1/invoices/{}", text(&issued["invoice_id"]));
    let notes = format!("{invoice}/credit-notes");
    let body = json!({"reason": "Outage", "net": "0.5"});
    let credited = all(harness, key, &[("POST", &notes, body)]).await;
    let note = format!("/v1/credit-notes/{}", text(&credited["credit_note_id"]));
    all(
        harness,
        key,
        &[
            ("GET", "/v1/invoices?limit=1", Value::Null),
            ("GET", &invoice, Value::Null),
            ("GET", "/v1/credit-notes", Value::Null),
            ("GET", &note, Value::Null),
        ],
    )
    .await;
    for path in [&invoice, &note] {
        for accept in ["text/csv", "application/pdf"] {
            let accept = [("accept", accept)];
            let read = harness.send_with(key, "GET", path, &accept, Vec::new()).await;
            assert_eq!(read.status, 200, "{path}");
        }
    }
}

async fn delegations(harness: &Harness, account: &str) {
    let lena = harness.user("lena@example.com", &harness.organization_id, Role::Admin).await;
    let cookie = harness.sign_in("lena@example.com").await;
    let path = format!("/v1/sub-accounts/{account}/delegations");
    let body = json!({"reason": "Ticket 4711"});
    let opened = harness.send_by(&cookie, "POST", &path, body).await;
    assert_eq!(opened.status, 201, "{}", opened.body);
    for list in [path.as_str(), "/v1/delegations"] {
        assert_eq!(harness.get_by(&cookie, list).await.status, 200);
    }
    let own = format!("{path}/{}", text(&opened.body["delegation_id"]));
    assert_eq!(harness.send_by(&cookie, "DELETE", &own, Value::Null).await.status, 204);
    let email = json!({"email": "lena@example.com"});
    all(harness, "", &[("POST", "/v1/password-resets", email)]).await;
    let hash = hex(KeyHash::of(b"the link"));
    let noted = format!(
        "INSERT INTO password_resets (user_id, hash, expires_us) VALUES ('{lena}', '{hash}', {})",
        i64::MAX
    );
    harness.execute(&noted).await;
    let body = json!({"token": "the link", "password": PASSWORD});
    all(harness, "", &[("POST", "/v1/password-resets/complete", body)]).await;
}

async fn workspaces(harness: &Harness) -> String {
    let key = &harness.organization;
    let body = json!({"name": "Staging", "concurrency_limit": 2});
    let mut ids = Vec::new();
    for _ in 0..2 {
        let made = all(harness, key, &[("POST", "/v1/workspaces", body.clone())]).await;
        ids.push(text(&made["workspace_id"]));
    }
    let path = format!("/v1/workspaces/{}", ids[0]);
    let below = |rest: &str| format!("{path}{rest}");
    let [suspend, reactivate, keys, calls, usage, audit, export] =
        ["/suspend", "/reactivate", "/api-keys", "/calls", "/usage", "/audit", "/audit/export"]
            .map(below);
    let made = all(
        harness,
        key,
        &[
            ("GET", "/v1/workspaces", Value::Null),
            ("GET", &path, Value::Null),
            ("PATCH", &path, json!({"name": "Production"})),
            ("POST", &suspend, json!({"live_calls": "end"})),
            ("POST", &reactivate, Value::Null),
            ("GET", &calls, Value::Null),
            ("GET", &usage, Value::Null),
            ("GET", &audit, Value::Null),
            ("GET", &export, Value::Null),
            ("GET", &keys, Value::Null),
            ("POST", &keys, json!({"name": "Dialer"})),
        ],
    )
    .await;
    let rotate = format!("{keys}/{}/rotate", text(&made["id"]));
    let made = all(harness, key, &[("POST", &rotate, json!({"old_key_ends": "now"}))]).await;
    let gone = format!("/v1/workspaces/{}", ids[1]);
    all(
        harness,
        key,
        &[
            ("DELETE", &format!("{keys}/{}", text(&made["id"])), Value::Null),
            ("DELETE", &gone, Value::Null),
        ],
    )
    .await;
    ids.swap_remove(0)
}

async fn webhooks(harness: &Harness) {
    let key = &harness.organization;
    let path = "/v1/user-webhooks";
    let body = json!({"url": "https://example.com/", "events": ["call.completed"]});
    let made = all(harness, key, &[("POST", path, body)]).await;
    let own = format!("{path}/{}", text(&made["id"]));
    let below = |rest: &str| format!("{own}{rest}");
    let [test, deliveries] = ["/test", "/deliveries"].map(below);
    let sent = all(harness, key, &[("POST", &test, Value::Null)]).await;
    let again = format!("/v1/webhook-deliveries/{}/redeliver", text(&sent["id"]));
    all(
        harness,
        key,
        &[
            ("GET", path, Value::Null),
            ("GET", &own, Value::Null),
            ("PATCH", &own, json!({"is_active": true, "secret": "0123456789abcdef"})),
            ("GET", &deliveries, Value::Null),
            ("POST", &again, Value::Null),
            ("DELETE", &own, Value::Null),
            ("PATCH", "/v1/organization/wallet", json!({"low_balances": ["10", "-0"]})),
            ("PATCH", "/v1/organization/wallet", json!({"low_balances": null})),
        ],
    )
    .await;
    let (id, _) = harness.isolated(0).await;
    let wallet = format!("/v1/sub-accounts/{id}/wallet");
    all(harness, key, &[("PATCH", &wallet, json!({"low_balances": [5]}))]).await;
    let wallet = format!("/v1/organizations/{}/wallet", harness.organization_id);
    all(harness, &harness.operator, &[("PATCH", &wallet, json!({}))]).await;
}

async fn resources(harness: &Harness) {
    let key = &harness.organization;
    for (path, body, patch) in [
        ("/v1/agents", json!({"agent_id": "bot", "name": "Bot"}), json!({"name": ""})),
        (
            "/v1/phone-numbers",
            json!({"number": "+91 98123-45678", "label": "Sales", "account": null, "concurrency_limit": 5}),
            json!({"concurrency_limit": null}),
        ),
        (
            "/v1/providers",
            json!({"name": "carrier-a"}),
            json!({"label": "A", "concurrency_limit": 5}),
        ),
    ] {
        let made = all(harness, key, &[("POST", path, body)]).await;
        let own = format!("{path}/{}", text(&made["id"]));
        let requests = [
            ("GET", path, Value::Null),
            ("GET", &own, Value::Null),
            ("PATCH", &own, patch),
            ("DELETE", &own, Value::Null),
        ];
        all(harness, key, &requests).await;
    }
    let outbound = json!({"max_outbound_concurrency": 5});
    all(harness, key, &[("PATCH", "/v1/organization", outbound)]).await;
}

/// Invitations, members and their sessions, of an organization or of an account.
async fn people(harness: &Harness, path: &str) {
    let key = &harness.organization;
    let (members, invitations) = (format!("{path}/members"), format!("{path}/invitations"));
    let email = format!("ana@{}.example", path.trim_start_matches('/').replace(['/', '_'], "-"));
    let invite = |email: &str| json!({"email": email, "role": "admin"});
    let invited = all(harness, key, &[("POST", &invitations, invite(&email))]).await;
    let accept = json!({"token": invited["token"], "name": "Ana", "password": PASSWORD});
    let user = all(harness, "", &[("POST", "/v1/invitations/accept", accept)]).await;
    let another = all(harness, key, &[("POST", &invitations, invite("bob@example.com"))]).await;
    let member = format!("{members}/{}", text(&user["user_id"]));
    let invitation = format!("{invitations}/{}", text(&another["invitation_id"]));
    all(
        harness,
        key,
        &[
            ("GET", &invitations, Value::Null),
            ("DELETE", &invitation, Value::Null),
            ("GET", &members, Value::Null),
            ("PATCH", &member, json!({"role": "viewer"})),
        ],
    )
    .await;
    let cookie = harness.sign_in(&email).await;
    let same = json!({"password": PASSWORD, "new_password": PASSWORD});
    assert_eq!(harness.send_by(&cookie, "POST", "/v1/me/password", same).await.status, 204);
    let token = json!({"name": "Nightly report", "access": "read"});
    let made = harness.send_by(&cookie, "POST", "/v1/me/tokens", token).await;
    assert_eq!(harness.get_by(&cookie, "/v1/me/tokens").await.status, 200);
    let own = format!("/v1/me/tokens/{}", text(&made.body["token_id"]));
    assert_eq!(harness.send_by(&cookie, "DELETE", &own, Value::Null).await.status, 204);
    for (method, end) in [("DELETE", "/v1/sessions/current"), ("DELETE", "/v1/sessions")] {
        let cookie = harness.sign_in(&email).await;
        assert_eq!(harness.get_by(&cookie, "/v1/me").await.status, 200);
        assert_eq!(harness.send_by(&cookie, method, end, Value::Null).await.status, 204);
    }
    if path == "/v1" {
        let owner = harness.user("old@example.com", &harness.organization_id, Role::Owner).await;
        let transfer = format!("{member}/transfer-ownership");
        all(harness, key, &[("POST", &transfer, Value::Null)]).await;
        all(harness, key, &[("DELETE", &format!("{members}/{owner}"), Value::Null)]).await;
    } else {
        all(harness, key, &[("DELETE", &member, Value::Null)]).await;
    }
}

async fn reports(harness: &Harness, account: &str) {
    let key = &harness.organization;
    let call = call(account.parse().expect("an id"), "one", None);
    harness.admit(&call, "0");
    harness.end(record(&call, "1.5", "1.5", 0));
    harness.plane.post_records(std::future::ready(())).await;
    let workspace = all(harness, key, &[("GET", "/v1/workspaces", Value::Null)]).await;
    let workspace = text(&workspace["data"][0]["workspace_id"]);
    let demand = format!("/v1/workspaces/{workspace}/usage/refused-demand");
    all(harness, key, &[("GET", &demand, Value::Null)]).await;
    for prefix in ["/v1".to_owned(), format!("/v1/sub-accounts/{account}")] {
        for path in [
            "/calls",
            "/usage/refused-demand?duration_s=60",
            "/usage",
            "/usage?interval=day&time_zone=Asia/Kolkata",
            "/audit",
            "/audit/export",
        ] {
            all(harness, key, &[("GET", &format!("{prefix}{path}"), Value::Null)]).await;
        }
        let csv = [("accept", "text/csv")];
        let path = format!("{prefix}/usage");
        let table = harness.send_with(key, "GET", &path, &csv, Vec::new()).await;
        assert_eq!(table.headers["content-type"], "text/csv; charset=utf-8; header=present");
    }
    let calls = format!("/v1/sub-accounts/{account}/calls?outcome=completed&call_id=o");
    let calls = all(harness, key, &[("GET", &calls, Value::Null)]).await;
    assert_eq!(calls["data"].as_array().map(Vec::len), Some(1));
}

async fn second_surface(harness: &Harness) {
    let made = account(harness, json!({"min_concurrency": 1, "max_concurrency": null})).await;
    let usage = format!("{}/usage?from=2025-06-25&to=2025-06-27", made.path);
    let key = &harness.organization;
    all(
        harness,
        key,
        &[
            ("GET", "/sub-accounts/all?page_number=1&page_size=10", Value::Null),
            ("GET", "/sub-accounts/all/usage", Value::Null),
            ("GET", "/user/me", Value::Null),
            ("GET", &usage, Value::Null),
            ("PATCH", &made.path, json!({"name": "beta", "metadata": {}})),
            ("DELETE", &made.path, Value::Null),
        ],
    )
    .await;
}
