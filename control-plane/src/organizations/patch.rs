//! `PATCH /v1/organization` by the organization, `PATCH /v1/organizations/{id}` by the operator.
//! What the organization bought, and loosening who may add money, are the operator's alone.

use axum::extract::State;
use hub::directory::Change as Published;
use hub::money::Rate;

use super::{Settings, Shown};
use crate::Shared;
use crate::account::{Account, Organization, RechargePolicy};
use crate::allocation;
use crate::answer::Answer;
use crate::change::Begun;
use crate::fields::{Given, values};
use crate::problem::{Kind, Problem};
use crate::request::Request;

/// Fields that only the operator may give.
const OPERATOR_FIELDS: [&str; 2] = ["concurrency_total", "regions"];

struct Patch {
    name: Option<String>,
    total: Option<u32>,
    reserved: Option<u32>,
    default_rate: Given<Rate>,
    recharge_policy: Option<RechargePolicy>,
    members_may_allocate: Option<bool>,
    regions: Given<Vec<String>>,
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
    let allocates = patch.total.is_some() || patch.reserved.is_some();
    patch.merge_into(&mut organization, &mut account);
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
    change.commit(Answer::ok(&shown)?).await
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
        default_rate: values::rate(&mut fields, "default_rate"),
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
        organization.total = self.total.unwrap_or(organization.total);
        organization.default_rate = self.default_rate.merged(organization.default_rate);
        organization.recharge_policy = self.recharge_policy.unwrap_or(organization.recharge_policy);
        organization.members_may_allocate = self
            .members_may_allocate
            .unwrap_or(organization.members_may_allocate);
        organization.regions = self.regions.merged(organization.regions.take());
    }
}
