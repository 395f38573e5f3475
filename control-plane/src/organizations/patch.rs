//! `PATCH /v1/organization` by the organization, `PATCH /v1/organizations/{id}` by the operator.
//! What the organization bought, and loosening who may add money, are the operator's alone.

use axum::extract::State;
use http::StatusCode;
use hub::directory::Change as Published;
use serde_json::json;

use super::{Settings, Shown, create};
use crate::Shared;
use crate::account::{Account, Organization, RechargePolicy, rate};
use crate::allocation;
use crate::answer::Answer;
use crate::change::Begun;
use crate::decks;
use crate::description::{Operation, schema};
use crate::fields::{Given, values};
use crate::precondition::Tag;
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::retention;

/// Fields that only the operator may give.
const OPERATOR_FIELDS: [&str; 2] = ["concurrency_total", "regions"];

struct Patch {
    name: Option<String>,
    total: Option<u32>,
    reserved: Option<u32>,
    outbound_cap: Given<u32>,
    default_pricing: rate::Asked,
    call_retention_days: Given<u32>,
    recharge_policy: Option<RechargePolicy>,
    members_may_allocate: Option<bool>,
    regions: Given<Vec<String>>,
}

pub(crate) fn describe() -> Operation {
    let members = [
        ("name", schema::name()),
        ("concurrency_total", schema::whole(values::CONCURRENCY).about("the operator's alone")),
        ("regions", create::regions().about("the operator's alone; null: all of the installation")),
    ];
    let deck = ("default_rate_deck", rate::deck().or_null().about("in place of `default_rate`"));
    Operation::new(
        "Change an organization",
        "Merges what is given; null removes. `concurrency_total`, `regions` and a laxer `recharge_policy` are the operator's alone. A total below the floors that are promised is refused with the numbers.",
    )
    .body(
        schema::asked(members.into_iter().chain([deck]).chain(create::settings())),
        json!({"reserved_concurrency": 20}),
    )
    .answers(StatusCode::OK, "The organization as it is now.", Shown::schema())
    .refuses([Kind::OverAllocation])
        .tagged()
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let patch = read(&app, &request)?;
    let id = request.access.organization()?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let mut organization = Organization::load(change.connection(), id).await?;
    let mut account = Account::load(change.connection(), id).await?;
    if let Some(policy) = patch.recharge_policy
        && policy < organization.recharge_policy
        && !request.access.is_operator()
    {
        return Err(Problem::new(
            Kind::Forbidden,
            "recharge_policy: only the operator may make it less strict",
        ));
    }
    let before = Settings::of(&app, &organization, &account);
    request.preconditions.check(&Tag::of(&before)?)?;
    let allocates = patch.total.is_some() || patch.reserved.is_some();
    let reprices = !patch.default_pricing.is_absent();
    patch.merge_into(&mut organization, &mut account);
    if reprices {
        decks::refuse_unfit(
            change.connection(),
            id,
            organization.default_pricing,
            "default_rate_deck",
        )
        .await?;
    }
    if allocates {
        allocation::verify(change.connection(), &account, organization.total).await?;
    }
    organization.update(change.connection(), now_us).await?;
    account.update(change.connection(), now_us).await?;
    change.publish(Published::Organization(organization.config()));
    change.publish(Published::Account(account.config()));
    let shown = Shown::load(&app, change.connection(), &organization, &account).await?;
    change
        .audit(
            Some(id),
            "organization.updated",
            &id.to_string(),
            Some(&before),
            Some(&shown.settings),
        )
        .await?;
    change.commit(Answer::ok(&shown)?.tagged(&Tag::of(&shown.settings)?)?).await
}

fn read(app: &Shared, request: &Request) -> Result<Patch, Problem> {
    let mut fields = request.body()?;
    if !request.access.is_operator()
        && let Some(field) = OPERATOR_FIELDS.into_iter().find(|field| fields.has(field))
    {
        return Err(Problem::new(
            Kind::Forbidden,
            format!("{field}: only the operator may change it"),
        ));
    }
    let patch = Patch {
        name: fields.optional("name", values::name),
        total: fields.optional("concurrency_total", values::whole(values::CONCURRENCY)),
        reserved: fields.optional("reserved_concurrency", values::whole(values::CONCURRENCY)),
        outbound_cap: allocation::outbound(&mut fields),
        default_pricing: rate::Asked::read(&mut fields, "default_rate", "default_rate_deck"),
        call_retention_days: retention::read(&mut fields),
        recharge_policy: fields.optional("recharge_policy", values::word(RechargePolicy::WORDS)),
        members_may_allocate: fields.optional("members_may_allocate", values::flag),
        regions: fields.given("regions", values::regions(&app.regions)),
    };
    fields.finish()?;
    Ok(patch)
}

impl Patch {
    fn merge_into(self, organization: &mut Organization, account: &mut Account) {
        account.name = self.name.unwrap_or_else(|| account.name.clone());
        account.floor = self.reserved.unwrap_or(account.floor);
        account.outbound_cap = self.outbound_cap.merged(account.outbound_cap);
        account.call_retention_days = self.call_retention_days.merged(account.call_retention_days);
        organization.total = self.total.unwrap_or(organization.total);
        organization.default_pricing = self.default_pricing.merged(organization.default_pricing);
        organization.recharge_policy = self.recharge_policy.unwrap_or(organization.recharge_policy);
        organization.members_may_allocate =
            self.members_may_allocate.unwrap_or(organization.members_may_allocate);
        organization.regions = self.regions.merged(organization.regions.take());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::Harness;

    #[tokio::test]
    async fn a_total_below_what_is_promised_is_refused_with_the_numbers() {
        let harness = Harness::new().await;
        harness.isolated(60).await;
        let own = harness
            .send(
                &harness.organization,
                "PATCH",
                "/v1/organization",
                json!({"reserved_concurrency": 40}),
            )
            .await;
        assert_eq!((own.status, &own.body["allocated_concurrency"]), (200, &json!(60)));
        let path = format!("/v1/organizations/{}", harness.organization_id);
        let refused =
            harness.send(&harness.operator, "PATCH", &path, json!({"concurrency_total": 99})).await;
        assert_eq!(refused.status, 409);
        for (member, value) in [("floors", 100), ("total", 99), ("over_by", 1)] {
            assert_eq!(refused.body[member], json!(value), "{member}");
        }
        let raised = harness
            .send(&harness.operator, "PATCH", &path, json!({"concurrency_total": 150}))
            .await;
        assert_eq!((raised.status, &raised.body["concurrency_total"]), (200, &json!(150)));
    }

    #[tokio::test]
    async fn an_organization_changes_its_rate_but_not_what_it_bought() {
        let harness = Harness::new().await;
        let (_, unbilled) = harness.plane.unbilled_accounts().await.expect("readable");
        assert_eq!(unbilled, 1);
        let rate = json!({"default_rate": {"per_minute": "0.9"}});
        let patched = harness.send(&harness.organization, "PATCH", "/v1/organization", rate).await;
        assert_eq!(patched.body["default_rate"]["per_minute"], json!("0.90"));
        assert_eq!(patched.body["default_rate"]["increment_s"], json!(60));
        assert_eq!(harness.plane.unbilled_accounts().await.expect("readable").1, 0);
        let removed = harness
            .send(&harness.organization, "PATCH", "/v1/organization", json!({"default_rate": null}))
            .await;
        assert_eq!(removed.body["default_rate"], Value::Null);
        let refused = harness
            .send(
                &harness.organization,
                "PATCH",
                "/v1/organization",
                json!({"concurrency_total": 1_000}),
            )
            .await;
        assert_eq!((refused.status, &refused.body["reason"]), (403, &json!("forbidden")));
        let refused = harness
            .send(&harness.organization, "PATCH", "/v1/organization", json!({"currency": "USD"}))
            .await;
        assert_eq!(refused.status, 400);
    }
}
