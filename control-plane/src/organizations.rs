//! Organizations: what they bought, what they keep for themselves, and how they look in answers.

use hub::money::Currency;
use serde::Serialize;
use sqlx::AnyConnection;

use crate::App;
use crate::account::{self, Account, Organization, RechargePolicy, STATUS, rate, word};
use crate::problem::Problem;
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
    currency: String,
    default_rate: Option<rate::Shown>,
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
        Self {
            organization_id: organization.id.to_string(),
            name: account.name.clone(),
            status: word(STATUS, &account.status),
            concurrency_total: organization.total,
            reserved_concurrency: account.floor,
            currency: currency.to_string(),
            default_rate: organization
                .default_rate
                .as_ref()
                .map(|rate| rate::Shown::of(rate, currency)),
            recharge_policy: word(RechargePolicy::WORDS, &organization.recharge_policy),
            members_may_allocate: organization.members_may_allocate,
            regions: organization.regions(&app.regions).to_vec(),
            created_at: timestamp::text(account.created_us),
            updated_at: timestamp::text(account.updated_us),
        }
    }
}

impl Shown {
    pub(crate) async fn load(
        app: &App,
        connection: &mut AnyConnection,
        organization: &Organization,
        account: &Account,
    ) -> Result<Self, Problem> {
        let id = organization.id;
        Ok(Self {
            settings: Settings::of(app, organization, account),
            allocated_concurrency: account::floors_of_others(connection, id, id).await?,
            in_use: app.hub.account_use(id, id).await.map(|calls| calls.live),
            wallet: wallets::Shown::load(app, connection, id).await?,
            api_key: None,
        })
    }
}
