//! Every operation of the served document, about everything that another tenant has: whatever a path, a
//! query or a body names, the answer says nothing of it. A new operation is asked by itself; a new kind of
//! object is missing here by name.

use std::collections::BTreeMap;

use hub::clock::now_us;
use serde_json::{Value, json};

use super::{Credential, World, member, uuid};
use crate::id::new_id;
use crate::permission::Role;
use crate::testing::{Answered, Harness, text};

/// Members of queries and bodies that name an object, and where such objects stand in paths.
const NAMES: [(&str, &str); 4] = [
    ("account", "/v1/sub-accounts/{id}"),
    ("organization_id", "/v1/organizations/{id}"),
    ("rate_deck", "/v1/rate-decks/{deck_id}"),
    ("default_rate_deck", "/v1/rate-decks/{deck_id}"),
];
const PROVIDER: &str = "/v1/providers/{resource_id}";

/// What a sub-account and its organization have, by where it stands in paths.
struct Tenant {
    /// Stands in all its names and addresses.
    mark: &'static str,
    ids: BTreeMap<&'static str, String>,
}

/// Makes things in an organization.
struct Planter<'h> {
    harness: &'h Harness,
    key: String,
    organization: String,
    mark: &'static str,
}

impl Planter<'_> {
    async fn post(&self, key: &str, path: &str, body: Value) -> Value {
        let made = self.harness.send(key, "POST", path, body).await;
        assert!(made.status < 300, "{path}: {}", made.body);
        made.body
    }

    async fn id(&self, path: &str, body: Value, name: &str) -> String {
        text(&self.post(&self.key, path, body).await[name])
    }

    /// People, keys and the like, which an account of any kind has.
    async fn account(
        &self,
        ids: &mut BTreeMap<&'static str, String>,
        of: [&'static str; 4],
        path: &str,
        id: &str,
    ) {
        let Self { harness, mark, .. } = self;
        let [keys, members, invitations, _] = of;
        let key = json!({"name": format!("{mark} key")});
        ids.insert(keys, self.id(&format!("{path}/api-keys"), key, "id").await);
        let invited =
            json!({"email": format!("{mark}{}@example.org", ids.len()), "role": "viewer"});
        let invitation = self.id(&format!("{path}/invitations"), invited, "invitation_id").await;
        ids.insert(invitations, invitation);
        let email = format!("{mark}-{}@example.net", ids.len());
        ids.insert(members, harness.user(&email, id, Role::Viewer).await);
    }

    async fn plant(&self) -> Tenant {
        let Self { key, organization, mark, .. } = self;
        let mut ids = BTreeMap::from([("/v1/organizations/{id}", organization.clone())]);
        let name = format!("{mark} account");
        let body = json!({"name": name, "billing_mode": "isolated", "concurrency_limit": 0,
            "display_name": name, "labels": {"of": mark}});
        let made = self.post(key, "/v1/sub-accounts", body).await;
        let (account, secret) = (text(&made["sub_account_id"]), text(&made["api_key"]));
        let body = json!({"name": format!("{mark} workspace"), "concurrency_limit": 0});
        let workspace = self.id("/v1/workspaces", body, "workspace_id").await;
        self.account(&mut ids, SUB_ACCOUNT, &format!("/v1/sub-accounts/{account}"), &account).await;
        self.account(&mut ids, WORKSPACE, &format!("/v1/workspaces/{workspace}"), &workspace).await;
        self.organization(&mut ids).await;
        self.documents(&mut ids, &account).await;
        self.delegation(&mut ids, &account).await;
        let attempt = self.recharge_attempt(&account).await;
        ids.insert("/v1/sub-accounts/{id}/wallet/recharge-attempts/{attempt_id}", attempt);
        let attempt = self.recharge_attempt(organization).await;
        ids.insert("/v1/organization/wallet/recharge-attempts/{attempt_id}", attempt.clone());
        ids.insert("/v1/organizations/{id}/wallet/recharge-attempts/{attempt_id}", attempt);

        let body = json!({"url": format!("https://{mark}.example/"), "events": ["call.completed"]});
        let webhook = text(&self.post(&secret, "/v1/user-webhooks", body).await["id"]);
        let tested = format!("/v1/user-webhooks/{webhook}/test");
        let delivery = text(&self.post(&secret, &tested, Value::Null).await["id"]);
        ids.insert("/v1/user-webhooks/{webhook_id}", webhook);
        ids.insert("/v1/webhook-deliveries/{delivery_id}", delivery);
        for (place, path, body) in [
            ("/v1/agents/{resource_id}", "/v1/agents", json!({"account": account, "name": name})),
            (
                "/v1/phone-numbers/{resource_id}",
                "/v1/phone-numbers",
                json!({"account": account, "number": format!("9{}", mark.len()), "label": name}),
            ),
        ] {
            ids.insert(place, self.id(path, body, "id").await);
        }
        // Those of the organization are for all its accounts to see.
        if *mark != SIBLING {
            let body = json!({"name": format!("{mark}-carrier"), "label": name});
            ids.insert(PROVIDER, self.id("/v1/providers", body, "id").await);
        }
        let recharge = json!({"amount": 5, "currency": "INR"});
        self.post(key, &format!("/v1/sub-accounts/{account}/wallet/recharge"), recharge).await;
        ids.insert("/sub-accounts/{uuid}", uuid(&account));
        ids.insert("/v1/sub-accounts/{id}", account);
        ids.insert("/v1/workspaces/{id}", workspace);
        Tenant { mark, ids }
    }

    async fn organization(&self, ids: &mut BTreeMap<&'static str, String>) {
        let Self { harness, organization, mark, .. } = self;
        let body = json!({"name": format!("{mark} key")});
        let key = self.id("/v1/organization/api-keys", body, "id").await;
        ids.insert("/v1/organizations/{id}/api-keys/{key_id}", key.clone());
        ids.insert("/v1/organization/api-keys/{key_id}", key);
        let body = json!({"email": format!("{mark}@example.org"), "role": "viewer"});
        let invitation = self.id("/v1/invitations", body, "invitation_id").await;
        ids.insert("/v1/invitations/{invitation_id}", invitation);
        let user = harness.user(&format!("{mark}@example.net"), organization, Role::Viewer).await;
        ids.insert("/v1/members/{user_id}", user);
        let deck = self.id("/v1/rate-decks", json!({"name": format!("{mark} deck")}), "id").await;
        // Whoever has one version has the first.
        for _ in 0..if *mark == OWN { 1 } else { 2 } {
            let path = format!("/v1/rate-decks/{deck}/versions");
            let sheet = b"prefix,per_minute\n91,1.20\n".to_vec();
            let made = harness.send_with(&self.key, "POST", &path, &[], sheet).await;
            assert_eq!(made.status, 201, "{}", made.body);
        }
        ids.insert("/v1/rate-decks/{deck_id}", deck);
        ids.insert("/v1/rate-decks/{deck_id}/versions/{version}", "2".to_owned());
    }

    async fn documents(&self, ids: &mut BTreeMap<&'static str, String>, account: &str) {
        let Self { harness, key, organization, mark } = self;
        let issuer = json!({"legal_name": format!("{mark} Limited"), "address": ["1 Road"],
            "tax_id": null, "email": "a@example.com"});
        let body = json!({"issuer": issuer, "automatic": false, "starts_at": "2020-01-01"});
        let set = harness.send(key, "PATCH", "/v1/organization/invoicing", body).await;
        assert!(set.status < 300 || set.body["errors"][0]["field"] == "starts_at", "{}", set.body);
        let call = format!(
            "INSERT INTO calls (account_id, admitted_us, call_id, ended_us, direction, caller, callee, agent_id, \
             source, outcome, cause, billable_s, cost, debt, currency, billing_mode, revision, organization_id, \
             posted_us) VALUES ('{account}', 1583020800000000, '{mark} call', 1583020900000000, 'outbound', '{mark}', \
             '', '', '', 'completed', 'release', 60, 1000000, 0, 'INR', 'isolated', 0, '{organization}', 0)"
        );
        harness.execute(&call).await;
        let asked = json!({"account": account, "from": "2020-03-01", "to": "2020-03-31T12:00:00Z"});
        let invoice = self.id("/v1/invoices", asked, "invoice_id").await;
        let body = json!({"reason": format!("{mark} outage"), "net": "0.5"});
        let notes = format!("/v1/invoices/{invoice}/credit-notes");
        ids.insert(
            "/v1/credit-notes/{credit_note_id}",
            self.id(&notes, body, "credit_note_id").await,
        );
        ids.insert("/v1/invoices/{invoice_id}", invoice);
    }

    /// One that somebody declined.
    async fn recharge_attempt(&self, account: &str) -> String {
        let Self { harness, organization, mark, .. } = self;
        let id = new_id("rca", now_us());
        let attempt = format!(
            "INSERT INTO recharge_attempts (id, account_id, organization_id, currency, amount, balance, status, reason, \
             opened_us, closed_us) VALUES ('{id}', '{account}', '{organization}', 'INR', 1000000, 0, 'declined', \
             '{mark} card', 1, 2)"
        );
        harness.execute(&attempt).await;
        id
    }

    /// And an API token of who has opened it.
    async fn delegation(&self, ids: &mut BTreeMap<&'static str, String>, account: &str) {
        let Self { harness, organization, mark, .. } = self;
        let email = format!("{mark}-admin@example.net");
        harness.user(&email, organization, Role::Admin).await;
        let cookie = harness.sign_in(&email).await;
        let path = format!("/v1/sub-accounts/{account}/delegations");
        let body = json!({"reason": format!("{mark} reason")});
        let opened = harness.send_by(&cookie, "POST", &path, body).await;
        ids.insert(SUB_ACCOUNT[3], text(&opened.body["delegation_id"]));
        let body = json!({"name": format!("{mark} token"), "access": "read"});
        let token = harness.send_by(&cookie, "POST", "/v1/me/tokens", body).await;
        ids.insert("/v1/me/tokens/{token_id}", text(&token.body["token_id"]));
    }
}

const OWN: &str = "own";
const SIBLING: &str = "curlew-canary";
const SUB_ACCOUNT: [&str; 4] = [
    "/v1/sub-accounts/{id}/api-keys/{key_id}",
    "/v1/sub-accounts/{id}/members/{user_id}",
    "/v1/sub-accounts/{id}/invitations/{invitation_id}",
    "/v1/sub-accounts/{id}/delegations/{delegation_id}",
];
const WORKSPACE: [&str; 4] = [
    "/v1/workspaces/{id}/api-keys/{key_id}",
    "/v1/workspaces/{id}/members/{user_id}",
    "/v1/workspaces/{id}/invitations/{invitation_id}",
    "",
];

impl Tenant {
    fn id(&self, place: &str) -> &str {
        let planted = self.ids.get(place).map(String::as_str);
        planted.unwrap_or_else(|| panic!("nothing is planted for {place}: do so in this file"))
    }

    fn has(&self, id: &str) -> bool {
        self.ids.values().any(|known| known == id)
    }

    /// What an answer has of this tenant that the request did not name, and that is not also `own`.
    fn shown<'t>(&'t self, own: &Self, asked: &str, answered: &Answered) -> Option<&'t str> {
        let said = String::from_utf8_lossy(&answered.bytes);
        let ids = self.ids.values().map(String::as_str).filter(|id| !own.has(id) && id.len() > 2);
        let mut marks = ids.chain([self.mark]);
        marks.find(|mark| said.contains(mark) && !asked.contains(mark))
    }
}

/// A path whose last object is one's, and all before it another's.
fn filled(path: &str, outer: &Tenant, last: &Tenant) -> String {
    let mut filled = path.to_owned();
    let ends: Vec<usize> = path.match_indices('}').map(|(at, _)| at + 1).collect();
    for (index, end) in ends.iter().enumerate() {
        let of = if index + 1 == ends.len() { last } else { outer };
        let name = &path[path[..*end].rfind('{').expect("it begins")..*end];
        filled = filled.replacen(name, of.id(&path[..*end]), 1);
    }
    filled
}

/// An operation of the document.
struct Operation<'d> {
    method: String,
    path: &'d str,
    described: &'d Value,
    document: &'d Value,
}

impl Operation<'_> {
    /// The query that it cannot do without, as its examples are.
    fn query(&self) -> String {
        let parameters = self.described["parameters"].as_array().into_iter().flatten();
        let required = parameters.filter(|it| it["in"] == "query" && it["required"] == true);
        let pair = |it: &Value| {
            let example = it["schema"]["example"].as_str().or(it["example"].as_str());
            format!("{}={}", it["name"].as_str().expect("a name"), example.unwrap_or("1"))
        };
        required.map(pair).collect::<Vec<_>>().join("&")
    }

    fn body(&self) -> Value {
        self.described["requestBody"]["content"]["application/json"]["example"].clone()
    }

    fn is_read(&self) -> bool {
        self.method == "GET"
    }

    /// Those of [`NAMES`] that its query or its body has.
    fn names(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let schema = &self.described["requestBody"]["content"]["application/json"]["schema"];
        let named = schema["$ref"].as_str().and_then(|it| self.document.pointer(&it[1..]));
        let properties = named.unwrap_or(schema)["properties"].as_object();
        let in_body = move |name: &str| properties.is_some_and(|all| all.contains_key(name));
        let parameters = self.described["parameters"].as_array();
        let in_query = move |name: &str| {
            let mut all = parameters.into_iter().flatten();
            all.any(|it| it["in"] == "query" && it["name"] == name)
        };
        NAMES.into_iter().filter(move |(name, _)| in_body(name) || in_query(name))
    }
}

/// Sends what an operation is asked with; the answer, and all that was asked.
async fn ask(
    world: &World,
    who: &Credential,
    operation: &Operation<'_>,
    path: &str,
    body: &Value,
) -> (Answered, String) {
    let query = operation.query();
    let joint = if path.contains('?') { '&' } else { '?' };
    let path = if query.is_empty() { path.to_owned() } else { format!("{path}{joint}{query}") };
    let sheet = &operation.described["requestBody"]["content"]["text/csv"]["example"];
    let asked = format!("{path} {body}");
    let answered = match (who, sheet.as_str()) {
        (Credential::Key(key), Some(sheet)) => {
            world.harness.send_with(key, &operation.method, &path, &[], sheet.into()).await
        }
        (Credential::Session(cookie), Some(sheet)) => {
            let headers = [("cookie", cookie.header()), ("x-requested-with", "fetch")];
            world.harness.send_with("", &operation.method, &path, &headers, sheet.into()).await
        }
        _ => world.ask(who, &operation.method, &path, body.clone()).await,
    };
    (answered, asked)
}

#[tokio::test]
async fn no_operation_of_the_document_says_or_does_anything_about_what_another_tenant_has() {
    let world = World::new().await;
    let harness = &world.harness;
    let body = json!({"name": "heron company", "concurrency_total": 10, "currency": "INR"});
    let other = harness.send(&harness.operator, "POST", "/v1/organizations", body).await.body;
    let planter = |key: &str, organization: &str, mark| Planter {
        harness,
        key: key.to_owned(),
        organization: organization.to_owned(),
        mark,
    };
    let (key, organization) = (harness.organization.clone(), harness.organization_id.clone());
    let own = planter(&key, &organization, OWN).plant().await;
    let mut sibling = planter(&key, &organization, SIBLING).plant().await;
    let other = (text(&other["api_key"]), text(&other["organization_id"]));
    let foreign = planter(&other.0, &other.1, "heron-canary").plant().await;
    sibling.ids.insert(PROVIDER, foreign.id(PROVIDER).to_owned());
    let account = own.id("/v1/sub-accounts/{id}");
    let keys = format!("/v1/sub-accounts/{account}/api-keys");
    let made = harness.send(&key, "POST", &keys, json!({"name": "asks"})).await;
    let principals = [
        ("key of the organization", Credential::Key(key), &[&foreign][..]),
        (
            "Admin of the organization",
            member(harness, "asks", &organization, Role::Admin).await,
            &[&foreign],
        ),
        ("key of the account", Credential::Key(text(&made.body["secret"])), &[&foreign, &sibling]),
        (
            "Admin of the account",
            member(harness, "asks-below", account, Role::Admin).await,
            &[&foreign, &sibling],
        ),
    ];
    let document = harness.get("", "/openapi.json").await.body;
    let (mut faults, mut asked) = (Vec::new(), 0);
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, described) in item.as_object().expect("methods") {
            let method = method.to_ascii_uppercase();
            let operation = Operation { method, path, described, document: &document };
            for (name, who, others) in &principals {
                for other in *others {
                    let (count, found) = faults_of(&world, who, &operation, (&own, other)).await;
                    asked += count;
                    faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
                }
            }
        }
    }
    assert!(asked > 500, "{asked} paths were asked");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// What an operation says or does that it should not; and of how many paths it was asked.
async fn faults_of(
    world: &World,
    who: &Credential,
    operation: &Operation<'_>,
    (own, other): (&Tenant, &Tenant),
) -> (usize, Vec<String>) {
    let say = |what: &str, (answered, asked): &(Answered, String)| {
        let (method, status) = (&operation.method, answered.status);
        let said: String = answered.body.to_string().chars().take(200).collect();
        format!("{method} {asked}: {what}: {status} {said}")
    };
    let mut faults = Vec::new();
    let mut paths = Vec::new();
    let path = operation.path;
    paths.extend(path.contains('{').then(|| filled(path, other, other)));
    paths.extend((path.matches('{').count() > 1).then(|| filled(path, own, other)));
    for path in &paths {
        let found = ask(world, who, operation, path, &operation.body()).await;
        if ![403, 404].contains(&found.0.status) {
            faults.push(say("is not hidden", &found));
        }
        faults.extend(other.shown(own, &found.1, &found.0).map(|mark| say(mark, &found)));
    }
    for found in named(world, who, operation, own, other).await {
        if !operation.is_read() && found.0.status < 300 {
            faults.push(say("is carried out", &found));
        }
        faults.extend(other.shown(own, &found.1, &found.0).map(|mark| say(mark, &found)));
    }
    (paths.len(), faults)
}

/// What is read without naming anybody, and what is asked with another's name in query or body.
async fn named(
    world: &World,
    who: &Credential,
    operation: &Operation<'_>,
    own: &Tenant,
    other: &Tenant,
) -> Vec<(Answered, String)> {
    let mut found = Vec::new();
    let path = filled(operation.path, own, own);
    if operation.is_read() {
        found.push(ask(world, who, operation, &path, &Value::Null).await);
    }
    let others = operation.names().map(|(name, place)| (name, other.id(place)));
    for (name, id) in others.filter(|(_, id)| !own.has(id)) {
        if operation.is_read() {
            let path = format!("{path}?{name}={id}");
            found.push(ask(world, who, operation, &path, &Value::Null).await);
        } else if !operation.path.contains('{') {
            let mut body = operation.body();
            body[name] = json!(id);
            found.push(ask(world, who, operation, &path, &body).await);
        }
    }
    found
}
