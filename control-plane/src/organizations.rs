//! Organizations: what they bought, what they keep for themselves, and how they look in answers.

use hub::id::AccountKind;
use hub::money::Currency;
use serde::Serialize;
use serde_json::json;
use sqlx::AnyConnection;

use crate::App;
use crate::account::{self, Account, Organization, RechargePolicy, STATUS, rate, word};
use crate::description::schema::{self, Schema};
use crate::problem::Problem;
use crate::retention;
use crate::timestamp;
use crate::wallets;

pub(crate) mod create;
pub(crate) mod patch;
pub(crate) mod read;

/// What can be configured, as answers and the audit show it.
#[derive(Clone, Serialize)]
pub(crate) struct Settings {
    organization_id: String,
    name: String,
    status: &'static str,
    concurrency_total: u32,
    reserved_concurrency: u32,
    /// The most slots of outbound calls of its own; null: all.
    max_outbound_concurrency: Option<u32>,
    call_retention_days: Option<u32>,
    currency: String,
    default_rate: Option<rate::Shown>,
    default_rate_deck: Option<String>,
    recharge_policy: &'static str,
    members_may_allocate: bool,
    regions: Vec<String>,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
pub(crate) struct Shown {
    #[serde(flatten)]
    pub(crate) settings: Settings,
    /// Floors of its sub-accounts, without its own reserve.
    allocated_concurrency: u64,
    /// Live calls of the organization's own account; null while the hub does not say.
    in_use: Option<u32>,
    wallet: wallets::Shown,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api_key: Option<String>,
}

impl Settings {
    pub(crate) fn of(app: &App, organization: &Organization, account: &Account) -> Self {
        let currency: Currency = organization.currency;
        let (default_rate, default_rate_deck) = rate::shown(organization.default_pricing, currency);
        Self {
            organization_id: organization.id.to_string(),
            name: account.name.clone(),
            status: word(STATUS, &account.status),
            concurrency_total: organization.total,
            reserved_concurrency: account.floor,
            max_outbound_concurrency: account.outbound_cap,
            call_retention_days: account.call_retention_days,
            currency: currency.to_string(),
            default_rate,
            default_rate_deck,
            recharge_policy: word(RechargePolicy::WORDS, &organization.recharge_policy),
            members_may_allocate: organization.members_may_allocate,
            regions: organization.regions(&app.regions).to_vec(),
            created_at: timestamp::text(account.created_us),
            updated_at: timestamp::text(account.updated_us),
        }
    }
}

impl Shown {
    /// An object that is not a component yet.
    fn members() -> Schema {
        let slots = || schema::count().example(100);
        schema::answered([
            ("organization_id", schema::account_id(AccountKind::Organization)),
            ("name", schema::text().example("Acme Group")),
            ("status", schema::labels(["active", "suspended"])),
            (
                "concurrency_total",
                slots().about("live calls that all its accounts may have together"),
            ),
            ("reserved_concurrency", slots().about("slots that it keeps for calls of its own")),
            (
                "max_outbound_concurrency",
                slots().or_null().about("the most slots of outbound calls of its own; null: all"),
            ),
            retention::shown("for ever"),
            ("currency", schema::currency()),
            (
                "default_rate",
                rate::Shown::schema().or_null().about(
                    "of accounts without a rate or a rate deck; without any calls are not billed",
                ),
            ),
            ("default_rate_deck", rate::deck().or_null().about("in place of `default_rate`")),
            ("recharge_policy", schema::word(RechargePolicy::WORDS)),
            ("members_may_allocate", schema::flag()),
            ("regions", schema::list(schema::text()).example(json!(["india", "us"]))),
            ("created_at", schema::time()),
            ("updated_at", schema::time()),
            (
                "allocated_concurrency",
                slots().about("floors of its sub-accounts, without its own reserve"),
            ),
            (
                "in_use",
                slots().or_null().about(
                    "live calls of the organization's own account; null while the hub does not say",
                ),
            ),
            ("wallet", wallets::Shown::schema()),
        ])
    }

    pub(crate) fn schema() -> Schema {
        Self::members().named("Organization")
    }

    pub(crate) async fn load(
        app: &App,
        connection: &mut AnyConnection,
        organization: &Organization,
        account: &Account,
    ) -> Result<Self, Problem> {
        let id = organization.id;
        Ok(Self {
            settings: Settings::of(app, organization, account),
            allocated_concurrency: account::floors::of_others(connection, id, id).await?,
            in_use: app.hub.account_use(id, id).await.map(|calls| calls.live),
            wallet: wallets::Shown::load(app, connection, id).await?,
            api_key: None,
        })
    }
}
