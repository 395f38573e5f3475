//! `POST /v1/sub-accounts` and `POST /v1/workspaces`: an account with its associated key, whose secret is
//! in this answer only, and its wallet when billing is isolated.

use axum::extract::State;
use http::StatusCode;
use hub::directory::{AtZero, Billing, Change as Published, OnHubLoss, Status};
use hub::id::{AccountId, AccountKind};
use hub::key::KeyScope;
use serde_json::{Value, json};

use super::{Deed, Shown, at_zero_asked, billing_mode, note};
use crate::Shared;
use crate::account::presentation::{self, Presentation};
use crate::account::{AT_ZERO, Account, BILLING, ON_HUB_LOSS, Organization, rate};
use crate::allocation;
use crate::answer::Answer;
use crate::budget::{self, Budget};
use crate::change::Begun;
use crate::decks;
use crate::description::Operation;
use crate::description::schema::{self, Schema};
use crate::fields::values;
use crate::id::new_account_id;
use crate::keys::{self, KeyType, NewKey, Origin};
use crate::ledger::{self, Wallet};
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::retention;

/// A sub-account that was just made, and the secret of its associated key.
pub(crate) struct Created {
    pub(crate) account: Account,
    pub(crate) organization: Organization,
    shown: Shown,
    pub(crate) secret: String,
}

pub(crate) fn describe() -> Operation {
    let example = json!({"name": "Acme Corp", "billing_mode": "isolated", "region": "india", "concurrency_limit": 10});
    let billing = schema::word(BILLING)
        .by_default("consolidated")
        .about("isolated: it has a wallet of its own");
    operation([("billing_mode", billing)], example).makes("sub_account_id", "/v1/sub-accounts/{id}")
}

pub(crate) fn describe_workspace() -> Operation {
    let example = json!({"name": "Staging", "min_concurrency": 0, "max_concurrency": 10});
    operation([], example).makes("workspace_id", "/v1/workspaces/{id}")
}

fn operation(
    billing: impl IntoIterator<Item = (&'static str, Schema)>,
    example: Value,
) -> Operation {
    let members = [
        (
            "organization_id",
            schema::account_id(AccountKind::Organization)
                .about("which one, where the operator asks"),
        ),
        ("name", schema::name().required()),
        ("region", schema::region().or_null().about("null: any gateway admits")),
        (
            "cps_limit",
            schema::whole(values::CPS).or_null().about("new calls per second; null: no limit"),
        ),
        ("rate", rate::asked().or_null().about("null: the organization's `default_rate`")),
        ("rate_deck", rate::deck().or_null()),
        (
            "on_hub_loss",
            schema::word(ON_HUB_LOSS)
                .by_default("closed")
                .about("open: its unbilled calls go on while gateways are cut off from the hub"),
        ),
        at_zero_asked(),
        budget::asked(),
        retention::asked("as the organization's"),
    ];
    let members = members.into_iter().chain(allocation::asked()).chain(presentation::asked());
    let members = members.chain([allocation::outbound_asked()]);
    let members = members.chain(billing);
    let shown = Shown::members().with([(
        "api_key",
        schema::text().about("the secret of its associated key, in this answer only"),
    )]);
    Operation::new(
        "Create a sub-account",
        "Give either `concurrency_limit`, or `min_concurrency` and/or `max_concurrency`. The floors of an organization's accounts never exceed its total: a refusal (`over_allocation`) has `floors`, `total`, `over_by`, `requested`, `allocated_to_others` and `available`.",
    )
    .body(
        schema::asked(members).at_least_one_of(&["concurrency_limit", "min_concurrency", "max_concurrency"]),
        example,
    )
    .answers(StatusCode::CREATED, "The sub-account with the secret of its key.", shown.named("NewSubAccount"))
    .refuses([Kind::OverAllocation])
    .shows_tag()
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    create(&app, &request, AccountKind::SubAccount).await
}

pub(crate) async fn workspace(
    State(app): State<Shared>,
    request: Request,
) -> Result<Answer, Problem> {
    create(&app, &request, AccountKind::Workspace).await
}

async fn create(app: &Shared, request: &Request, kind: AccountKind) -> Result<Answer, Problem> {
    let (named, mut account) = read(app, request, kind)?;
    account.organization = request.access.organization_or(named)?;
    let secret = keys::secret(KeyType::Live);
    carry_out(app, request, account, secret, |created| {
        let (tag, api_key) = (created.shown.tag()?, Some(created.secret));
        Answer::created(&Shown { api_key, ..created.shown })?.tagged(&tag)
    })
    .await
}

/// Makes an account, given but for its id and times; `secret` opens it from then on, and
/// `answer` shows it.
pub(crate) async fn carry_out(
    app: &Shared,
    request: &Request,
    mut account: Account,
    secret: String,
    answer: impl FnOnce(Created) -> Result<Answer, Problem>,
) -> Result<Answer, Problem> {
    let mut change = match app.begin(request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    account.id = new_account_id(account.id.kind(), now_us);
    (account.version, account.created_us, account.updated_us) = (now_us, now_us, now_us);
    let organization = Organization::load(change.connection(), account.organization).await?;
    check_region(app, &organization, &account)?;
    decks::refuse_unfit(change.connection(), organization.id, account.pricing, "rate_deck").await?;
    allocation::verify(change.connection(), &account, organization.total).await?;
    account.insert(change.connection()).await?;
    change.publish(Published::Account(account.config()));
    let mut wallet = None;
    if account.billing == Billing::Isolated {
        ledger::open_wallet(
            change.connection(),
            account.id,
            organization.id,
            organization.currency,
            now_us,
        )
        .await?;
        let opened = Wallet::load(change.connection(), account.id).await?;
        change.publish(Published::Wallet(opened.config()));
        wallet = Some(opened);
    }
    let key = NewKey {
        scope: KeyScope::Account(account.id),
        organization: Some(account.organization),
        name: "Associated key",
        key_type: KeyType::Live,
        origin: Origin::Issued,
        expires_us: None,
    };
    let issued = keys::insert(change.connection(), &key, secret, now_us).await?;
    change.publish(issued.change);
    let shown = Shown::now(app, &account, organization.currency, wallet.as_ref()).await;
    note(&mut change, Deed::Created, &account, None, Some(&shown.settings)).await?;
    let answer = answer(Created { account, organization, shown, secret: issued.secret })?;
    change.commit(answer).await
}

/// An account's region must be one of its organization's.
pub(super) fn check_region(
    app: &Shared,
    organization: &Organization,
    account: &Account,
) -> Result<(), Problem> {
    let regions = organization.regions(&app.regions);
    match &account.region {
        Some(region) if !regions.contains(region) => {
            Err(Problem::field("region", format!("expected one of {}", regions.join(", "))))
        }
        _ => Ok(()),
    }
}

/// The organization named, and the account but for its ids and times.
fn read(
    app: &Shared,
    request: &Request,
    kind: AccountKind,
) -> Result<(Option<AccountId>, Account), Problem> {
    let mut fields = request.body()?;
    let named = fields.optional("organization_id", values::account_id);
    let name = fields.required("name", values::name);
    let billing = billing_mode(&mut fields, kind);
    let region = fields.given("region", values::region(&app.regions)).value();
    let allocation = allocation::read(&mut fields, true);
    let outbound_cap = allocation::outbound(&mut fields).value();
    let cps_limit = fields.given("cps_limit", values::whole(values::CPS)).value();
    let pricing = rate::Asked::read(&mut fields, "rate", "rate_deck").merged(None);
    let on_hub_loss = fields.optional("on_hub_loss", values::word(ON_HUB_LOSS));
    let at_zero = fields.optional("at_zero", values::word(AT_ZERO));
    let monthly_budget = budget::read(&mut fields).value();
    if monthly_budget.is_some() && billing == Some(Billing::Isolated) {
        fields.refuse(budget::FIELD, budget::ONLY_CONSOLIDATED);
    }
    let call_retention_days = retention::read(&mut fields).value();
    let presentation = presentation::read(&mut fields);
    fields.finish()?;
    let mut account = Account {
        outbound_cap,
        cps_limit,
        region,
        billing: billing.unwrap_or(Billing::Consolidated),
        pricing,
        on_hub_loss: on_hub_loss.unwrap_or_default(),
        at_zero: at_zero.unwrap_or_default(),
        budget: monthly_budget.map(Budget::new),
        call_retention_days,
        ..draft(kind, name.unwrap_or_default())
    };
    allocation.merge_into(&mut account);
    presentation.merge_into(&mut account.presentation);
    Ok((named, account))
}

/// An account as it is when nothing but its name is said: without ids and times, elastic, billed to
/// its organization.
pub(crate) fn draft(kind: AccountKind, name: String) -> Account {
    let placeholder = new_account_id(kind, 0);
    Account {
        id: placeholder,
        organization: placeholder,
        name,
        status: Status::Active,
        floor: 0,
        cap: None,
        outbound_cap: None,
        cps_limit: None,
        region: None,
        billing: Billing::Consolidated,
        pricing: None,
        lease_s: None,
        duration_max_s: None,
        on_hub_loss: OnHubLoss::default(),
        at_zero: AtZero::default(),
        budget: None,
        call_retention_days: None,
        presentation: Presentation::default(),
        version: 0,
        created_us: 0,
        updated_us: 0,
    }
}

#[cfg(test)]
mod tests {
    use hub::directory::Change;
    use serde_json::{Value, json};

    use crate::testing::{Harness, named, text};

    #[tokio::test]
    async fn the_documented_request_is_answered_as_documented() {
        let harness = Harness::new().await;
        let body = json!({"name": "Acme Corp", "billing_mode": "isolated", "region": "india", "concurrency_limit": 10});
        let created = harness.send(&harness.organization, "POST", "/v1/sub-accounts", body).await;
        assert_eq!(created.status, 201);
        let shown = &created.body;
        assert!(text(&shown["sub_account_id"]).starts_with("sa_"));
        for (field, value) in [
            ("name", json!("Acme Corp")),
            ("status", json!("active")),
            ("billing_mode", json!("isolated")),
            ("region", json!("india")),
            ("concurrency_limit", json!(10)),
            ("min_concurrency", json!(10)),
            (
                "wallet",
                json!({"balance": "0.00", "held": "0.00", "available": "0.00", "currency": "INR"}),
            ),
        ] {
            assert_eq!(shown[field], value, "{field}");
        }
        assert!(text(&shown["created_at"]).ends_with('Z'));
        assert!(text(&shown["api_key"]).starts_with("rf_live_"));
        let read = harness
            .get(
                &text(&shown["api_key"]),
                &format!("/v1/sub-accounts/{}", text(&shown["sub_account_id"])),
            )
            .await;
        assert_eq!(read.status, 200);
        assert_eq!(read.body["api_key"], Value::Null);
        let heard = harness.heard.lock();
        assert!(heard.iter().any(|change| matches!(change, Change::Account(account) if account.floor == 10 && account.cap == Some(10))));
        assert!(heard.iter().any(|change| matches!(change, Change::Key { .. })));
    }

    #[tokio::test]
    async fn a_workspace_is_billed_to_its_organization_and_shares_its_total() {
        let harness = Harness::new().await;
        let path = "/v1/workspaces";
        let body = json!({"name": "Staging", "min_concurrency": 60, "max_concurrency": 80});
        let created = harness.send(&harness.organization, "POST", path, body.clone()).await;
        assert_eq!(created.status, 201, "{}", created.body);
        let (id, key) = (text(&created.body["workspace_id"]), text(&created.body["api_key"]));
        assert!(id.starts_with("ws_"));
        assert_eq!(created.body["sub_account_id"], Value::Null);
        assert_eq!(
            (&created.body["billing_mode"], &created.body["wallet"]),
            (&json!("consolidated"), &Value::Null)
        );
        let beyond = harness.send(&harness.organization, "POST", path, body).await;
        assert_eq!((beyond.status, &beyond.body["over_by"]), (409, &json!(20)));
        let paid = json!({"name": "x", "concurrency_limit": 1, "billing_mode": "isolated"});
        let refused = harness.send(&harness.organization, "POST", path, paid.clone()).await;
        assert_eq!((refused.status, named(&refused.body)), (400, vec!["billing_mode".into()]));
        let own = format!("{path}/{id}");
        let paid = json!({"billing_mode": "isolated"});
        let refused = harness.send(&harness.organization, "PATCH", &own, paid).await;
        assert_eq!((refused.status, named(&refused.body)), (400, vec!["billing_mode".into()]));
        let renamed = json!({"name": "Production", "max_concurrency": 70});
        let patched = harness.send(&harness.organization, "PATCH", &own, renamed).await;
        assert_eq!((patched.status, &patched.body["name"]), (200, &json!("Production")));
        let read = harness.get(&key, &own).await;
        assert_eq!((read.status, &read.body["max_concurrency"]), (200, &json!(70)));
        // Under the other kind's path there is none.
        let mistaken = format!("/v1/sub-accounts/{id}");
        assert_eq!(harness.get(&harness.organization, &mistaken).await.status, 404);
        let usage = harness.get(&key, "/v1/usage").await;
        assert_eq!((usage.status, &usage.body["account"]), (200, &json!(id)));
        let path = format!("{own}/suspend");
        let suspended = harness.send(&harness.organization, "POST", &path, Value::Null).await;
        assert_eq!(suspended.body["status"], json!("suspended"));
        let deleted = harness.send(&harness.organization, "DELETE", &own, Value::Null).await;
        assert_eq!(deleted.status, 204);
        assert_eq!(harness.get(&key, &own).await.status, 401);
        let audit = harness.get(&harness.organization, "/v1/audit?action=workspace").await;
        let actions: Vec<String> = audit.body["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|entry| text(&entry["action"]))
            .collect();
        let verbs = ["deleted", "suspended", "updated", "created"];
        assert_eq!(actions, verbs.map(|verb| format!("workspace.{verb}")));
    }

    #[tokio::test]
    async fn floors_above_the_total_are_refused_with_the_numbers() {
        let harness = Harness::new().await;
        harness.isolated(70).await;
        let body = json!({"name": "Beta", "min_concurrency": 40, "max_concurrency": null});
        let refused = harness.send(&harness.organization, "POST", "/v1/sub-accounts", body).await;
        assert_eq!(refused.status, 409);
        assert_eq!(refused.headers["content-type"], "application/problem+json");
        for (member, value) in [("floors", 110), ("total", 100), ("over_by", 10), ("available", 30)]
        {
            assert_eq!(refused.body[member], json!(value), "{member}");
        }
        let elastic = json!({"name": "Beta", "min_concurrency": 30, "max_concurrency": null});
        let created =
            harness.send(&harness.organization, "POST", "/v1/sub-accounts", elastic).await;
        assert_eq!((created.status, &created.body["max_concurrency"]), (201, &Value::Null));
    }

    #[tokio::test]
    async fn parallel_creates_never_promise_more_than_the_total() {
        let harness = std::sync::Arc::new(Harness::new().await);
        let mut requests = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let harness = std::sync::Arc::clone(&harness);
            requests.spawn(async move {
                let body = json!({"name": "x", "concurrency_limit": 9});
                harness.send(&harness.organization, "POST", "/v1/sub-accounts", body).await.status
            });
        }
        let statuses = requests.join_all().await;
        let created = statuses.iter().filter(|status| **status == 201).count();
        assert_eq!(created, 11);
        let organization = harness.get(&harness.organization, "/v1/organization").await;
        assert_eq!(organization.body["allocated_concurrency"], json!(99));
    }

    #[tokio::test]
    async fn every_bad_field_is_named_with_what_was_expected() {
        let harness = Harness::new().await;
        let body = json!({"name": "", "billing_mode": "free", "region": "mars", "concurrency_limit": 1_000_001,
            "cps_limit": 0, "rate": {"per_minute": "x"}, "colour": 1});
        let refused = harness.send(&harness.organization, "POST", "/v1/sub-accounts", body).await;
        assert_eq!(refused.status, 400);
        assert_eq!(
            named(&refused.body),
            [
                "name",
                "billing_mode",
                "region",
                "concurrency_limit",
                "cps_limit",
                "rate.per_minute",
                "colour"
            ],
        );
        assert_eq!(
            (&refused.body["statusCode"], &refused.body["error"]),
            (&json!(400), &json!("Bad Request"))
        );
        for (body, field) in [
            (json!({"name": "x"}), "concurrency_limit"),
            (
                json!({"name": "x", "concurrency_limit": 1, "max_concurrency": 2}),
                "concurrency_limit",
            ),
            (json!({"name": "x", "min_concurrency": 3, "max_concurrency": 2}), "min_concurrency"),
        ] {
            let refused =
                harness.send(&harness.organization, "POST", "/v1/sub-accounts", body).await;
            assert_eq!((refused.status, named(&refused.body)), (400, vec![field.to_owned()]));
        }
    }

    #[tokio::test]
    async fn an_operator_names_the_organization() {
        let harness = Harness::new().await;
        let body = json!({"name": "x", "concurrency_limit": 1});
        let refused = harness.send(&harness.operator, "POST", "/v1/sub-accounts", body).await;
        assert_eq!(
            (refused.status, named(&refused.body)),
            (400, vec!["organization_id".to_owned()])
        );
        let body = json!({"name": "x", "concurrency_limit": 1, "organization_id": harness.organization_id});
        let created = harness.send(&harness.operator, "POST", "/v1/sub-accounts", body).await;
        assert_eq!(created.status, 201);
    }
}
