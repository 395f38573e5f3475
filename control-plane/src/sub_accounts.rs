//! Sub-accounts: isolated tenants of an organization, and how they look in answers.

use hub::directory::Billing;
use hub::money::Currency;
use serde::Serialize;

use crate::App;
use crate::account::presentation::Presentation;
use crate::account::{Account, BILLING, ON_HUB_LOSS, STATUS, rate, word};
use crate::hub::Use;
use crate::ledger::Wallet;
use crate::timestamp;
use crate::wallets;

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod list;
pub(crate) mod patch;
pub(crate) mod read;
pub(crate) mod status;

/// What can be configured, as answers and the audit show it.
#[derive(Clone, Serialize)]
pub(crate) struct Settings {
    sub_account_id: String,
    organization_id: String,
    name: String,
    status: &'static str,
    billing_mode: &'static str,
    region: Option<String>,
    /// The most slots; null when elastic.
    concurrency_limit: Option<u32>,
    min_concurrency: u32,
    max_concurrency: Option<u32>,
    cps_limit: Option<u32>,
    rate: Option<rate::Shown>,
    on_hub_loss: &'static str,
    #[serde(flatten)]
    presentation: Presentation,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
pub(crate) struct Shown {
    #[serde(flatten)]
    settings: Settings,
    /// Live calls; null while the hub does not say.
    in_use: Option<u32>,
    wallet: Option<wallets::Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
}

impl Settings {
    pub(crate) fn of(account: &Account, currency: Currency) -> Self {
        Self {
            sub_account_id: account.id.to_string(),
            organization_id: account.organization.to_string(),
            name: account.name.clone(),
            status: word(STATUS, &account.status),
            billing_mode: word(BILLING, &account.billing),
            region: account.region.clone(),
            concurrency_limit: account.cap,
            min_concurrency: account.floor,
            max_concurrency: account.cap,
            cps_limit: account.cps_limit,
            rate: account.rate.as_ref().map(|rate| rate::Shown::of(rate, currency)),
            on_hub_loss: word(ON_HUB_LOSS, &account.on_hub_loss),
            presentation: account.presentation.clone(),
            created_at: timestamp::text(account.created_us),
            updated_at: timestamp::text(account.updated_us),
        }
    }
}

impl Shown {
    /// `wallet`: the account's own, if it ever had one; shown while billing is isolated.
    pub(crate) fn of(
        account: &Account,
        currency: Currency,
        wallet: Option<&Wallet>,
        calls: Use,
    ) -> Self {
        let wallet = wallet.filter(|_| account.billing == Billing::Isolated);
        Self {
            settings: Settings::of(account, currency),
            in_use: calls.account.map(|account| account.live),
            wallet: wallet.map(|wallet| wallets::Shown::of(wallet, calls.wallet)),
            api_key: None,
        }
    }

    /// With what its calls use now.
    pub(crate) async fn now(
        app: &App,
        account: &Account,
        currency: Currency,
        wallet: Option<&Wallet>,
    ) -> Self {
        let uses = app.hub.uses(account.organization, &[account.id]).await;
        Self::of(account, currency, wallet, uses.first().copied().unwrap_or_default())
    }
}
