//! `POST /v1/organizations`: an organization with its wallet and its owner's key, by the operator.

use axum::extract::State;
use http::StatusCode;
use hub::deck::Pricing;
use hub::directory::{AtZero, Billing, Change as Published, OnHubLoss, Status};
use hub::id::AccountKind;
use hub::key::KeyScope;
use hub::money::{Currency, Rate};
use serde_json::json;
use sqlx::AnyConnection;

use super::{Settings, Shown};
use crate::Shared;
use crate::account::presentation::Presentation;
use crate::account::{Account, Organization, RechargePolicy, rate};
use crate::allocation;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::Operation;
use crate::description::schema::{self, Schema};
use crate::fields::values;
use crate::id::new_account_id;
use crate::keys::{self, KeyType, NewKey, Origin};
use crate::ledger;
use crate::precondition::Tag;
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::retention;

/// What an organization begins with.
pub(crate) struct NewOrganization {
    pub(crate) name: String,
    pub(crate) total: u32,
    pub(crate) reserved: u32,
    pub(crate) outbound_cap: Option<u32>,
    pub(crate) call_retention_days: Option<u32>,
    pub(crate) currency: Currency,
    pub(crate) default_rate: Option<Rate>,
    pub(crate) recharge_policy: RechargePolicy,
    pub(crate) members_may_allocate: bool,
    pub(crate) regions: Option<Vec<String>>,
}

pub(crate) fn describe() -> Operation {
    let members = [
        ("name", schema::name().required()),
        (
            "concurrency_total",
            schema::whole(values::CONCURRENCY)
                .required()
                .about("live calls that all its accounts may have together")
                .example(100),
        ),
        ("currency", schema::currency().required()),
        ("regions", regions()),
    ];
    let shown = Shown::members()
        .with([("api_key", schema::text().about("the secret of its key, in this answer only"))]);
    Operation::new(
        "Create an organization",
        "With its wallet and its key. It has no members yet: invite its Owner.",
    )
    .body(
        schema::asked(members.into_iter().chain(settings())),
        json!({"name": "Acme Group", "concurrency_total": 100, "currency": "INR"}),
    )
    .answers(
        StatusCode::CREATED,
        "The organization with the secret of its key.",
        shown.named("NewOrganization"),
    )
    .refuses([Kind::OverAllocation])
    .shows_tag()
    .makes("organization_id", "/v1/organizations/{id}")
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let new = read(&app, &request)?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let (organization, account) = insert(change.connection(), new, now_us).await?;
    let key = NewKey {
        scope: KeyScope::Organization(organization.id),
        organization: Some(organization.id),
        name: "Owner key",
        key_type: KeyType::Live,
        origin: Origin::Issued,
        expires_us: None,
    };
    let issued = keys::issue(change.connection(), &key, now_us).await?;
    let wallet = ledger::Wallet::load(change.connection(), organization.id).await?;
    change.publish(Published::Organization(organization.config()));
    change.publish(Published::Account(account.config()));
    change.publish(Published::Wallet(wallet.config()));
    change.publish(issued.change);
    let mut shown = Shown::load(&app, change.connection(), &organization, &account).await?;
    let id = organization.id.to_string();
    change
        .audit(
            Some(organization.id),
            "organization.created",
            &id,
            None::<&Settings>,
            Some(&shown.settings),
        )
        .await?;
    shown.api_key = Some(issued.secret);
    change.commit(Answer::created(&shown)?.tagged(&Tag::of(&shown.settings)?)?).await
}

/// What requests may set, beside what only the creation or only the operator can.
pub(super) fn settings() -> [(&'static str, Schema); 6] {
    [
        ("reserved_concurrency", schema::whole(values::CONCURRENCY).about("slots that it keeps for calls of its own").example(10)),
        allocation::outbound_asked(),
        ("default_rate", rate::asked().or_null().about("of accounts without a rate; with neither calls are not billed")),
        ("recharge_policy", schema::word(RechargePolicy::WORDS).about("whose money the organization may add to its sub-accounts: `external`, it was paid elsewhere; `transfer`, its own; `operator`, none")),
        retention::asked("for ever"),
        ("members_may_allocate", schema::flag().about("whether its Members create and change accounts")),
    ]
}

/// Regions that its accounts may be in.
pub(super) fn regions() -> Schema {
    schema::list(schema::region())
        .items(1..=16)
        .or_null()
        .about("null: all of the installation")
        .example(json!(["india"]))
}

/// Writes an organization, its account and its wallet.
pub(crate) async fn insert(
    connection: &mut AnyConnection,
    new: NewOrganization,
    now_us: i64,
) -> Result<(Organization, Account), Problem> {
    let id = new_account_id(AccountKind::Organization, now_us);
    let organization = Organization {
        id,
        total: new.total,
        currency: new.currency,
        default_pricing: new.default_rate.map(Pricing::Flat),
        recharge_policy: new.recharge_policy,
        members_may_allocate: new.members_may_allocate,
        regions: new.regions,
        version: now_us,
    };
    let account = Account {
        id,
        organization: id,
        name: new.name,
        status: Status::Active,
        floor: new.reserved,
        cap: None,
        outbound_cap: new.outbound_cap,
        cps_limit: None,
        region: None,
        billing: Billing::Isolated,
        pricing: None,
        lease_s: None,
        duration_max_s: None,
        on_hub_loss: OnHubLoss::Closed,
        at_zero: AtZero::End,
        budget: None,
        call_retention_days: new.call_retention_days,
        presentation: Presentation::default(),
        version: now_us,
        created_us: now_us,
        updated_us: now_us,
    };
    organization.insert(connection).await?;
    account.insert(connection).await?;
    allocation::verify(connection, &account, organization.total).await?;
    ledger::open_wallet(connection, id, id, organization.currency, now_us).await?;
    Ok((organization, account))
}

fn read(app: &Shared, request: &Request) -> Result<NewOrganization, Problem> {
    let mut fields = request.body()?;
    let name = fields.required("name", values::name);
    let total = fields.required("concurrency_total", values::whole(values::CONCURRENCY));
    let currency = fields.required("currency", values::currency);
    let reserved =
        fields.optional("reserved_concurrency", values::whole(values::CONCURRENCY)).unwrap_or(0);
    let outbound_cap = allocation::outbound(&mut fields).value();
    let call_retention_days = retention::read(&mut fields).value();
    let regions = fields.given("regions", values::regions(&app.regions)).value();
    let default_rate = values::rate(&mut fields, "default_rate").value();
    let recharge_policy = fields.optional("recharge_policy", values::word(RechargePolicy::WORDS));
    let members_may_allocate =
        fields.optional("members_may_allocate", values::flag).unwrap_or(true);
    fields.finish()?;
    Ok(NewOrganization {
        name: name.unwrap_or_default(),
        total: total.unwrap_or_default(),
        reserved,
        outbound_cap,
        call_retention_days,
        currency: currency.unwrap_or(Currency::INR),
        default_rate,
        recharge_policy: recharge_policy.unwrap_or(RechargePolicy::External),
        members_may_allocate,
        regions,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{Harness, named, text};

    #[tokio::test]
    async fn a_new_organization_has_its_key_its_wallet_and_nobody_elses_accounts() {
        let harness = Harness::new().await;
        harness.isolated(1).await;
        let body = json!({"name": "Beta", "concurrency_total": 200, "currency": "USD", "regions": ["us", "eu"],
            "reserved_concurrency": 100});
        let made = harness.send(&harness.operator, "POST", "/v1/organizations", body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let (id, key) = (text(&made.body["organization_id"]), text(&made.body["api_key"]));
        assert!(id.starts_with("org_"));
        let read = harness.get(&key, "/v1/organization").await;
        assert_eq!(
            (&read.body["reserved_concurrency"], &read.body["currency"]),
            (&json!(100), &json!("USD"))
        );
        assert_eq!(harness.get(&key, "/v1/sub-accounts").await.body["data"], json!([]));
        let path = format!("/v1/organizations/{id}/wallet/recharge");
        let money = json!({"amount": "0.5", "currency": "USD"});
        let recharged = harness.send(&harness.operator, "POST", &path, money).await;
        assert_eq!((recharged.status, &recharged.body["balance"]), (200, &json!("0.50")));
        let elsewhere = json!({"name": "x", "region": "india", "concurrency_limit": 1});
        let refused = harness.send(&key, "POST", "/v1/sub-accounts", elsewhere).await;
        assert_eq!((refused.status, named(&refused.body)), (400, vec!["region".to_owned()]));
        let over = json!({"name": "x", "concurrency_limit": 101});
        assert_eq!(
            harness.send(&key, "POST", "/v1/sub-accounts", over).await.body["available"],
            json!(100)
        );
    }

    #[tokio::test]
    async fn what_is_missing_or_wrong_is_named() {
        let harness = Harness::new().await;
        let refused = harness.send(&harness.operator, "POST", "/v1/organizations", json!({})).await;
        assert_eq!(named(&refused.body), ["name", "concurrency_total", "currency"]);
        let body = json!({"name": "x", "concurrency_total": 10, "currency": "XYZ", "regions": ["moon"],
            "recharge_policy": "free", "members_may_allocate": 1});
        let refused = harness.send(&harness.operator, "POST", "/v1/organizations", body).await;
        assert_eq!(
            named(&refused.body),
            ["currency", "regions", "recharge_policy", "members_may_allocate"]
        );
        let body = json!({"name": "x", "concurrency_total": 10, "currency": "INR", "reserved_concurrency": 11});
        let refused = harness.send(&harness.operator, "POST", "/v1/organizations", body).await;
        assert_eq!((refused.status, &refused.body["over_by"]), (409, &json!(1)));
    }
}
