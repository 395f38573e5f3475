//! The accounts below an organization, and how they look in answers: sub-accounts (isolated tenants) and
//! workspaces (parts of the organization itself, always billed to it). What is said of one is said of the
//! other, but where money is concerned.

use hub::directory::Billing;
use hub::id::{AccountId, AccountKind};
use hub::money::Currency;
use serde::Serialize;

use crate::App;
use crate::account::presentation::{self, Presentation};
use crate::account::{AT_ZERO, Account, BILLING, LIVE_CALLS, ON_HUB_LOSS, STATUS, rate, word};
use crate::budget;
use crate::change::Change;
use crate::description::schema::{self, Schema};
use crate::fields::{Fields, values};
use crate::hub::Use;
use crate::ledger::Wallet;
use crate::precondition::Tag;
use crate::problem::Problem;
use crate::retention;
use crate::timestamp;
use crate::wallets;
use crate::webhooks::EventKind;

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod erase;
pub(crate) mod list;
pub(crate) mod patch;
pub(crate) mod read;
pub(crate) mod status;

/// What can be configured, as answers and the audit show it.
#[derive(Clone, Serialize)]
pub(crate) struct Settings {
    /// Under the name that its kind has.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_account_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace_id: Option<String>,
    organization_id: String,
    name: String,
    status: &'static str,
    /// Null while the account is not suspended.
    live_calls: Option<&'static str>,
    billing_mode: &'static str,
    region: Option<String>,
    /// The most slots; null when elastic.
    concurrency_limit: Option<u32>,
    min_concurrency: u32,
    max_concurrency: Option<u32>,
    /// The most slots of outbound calls; null: all.
    max_outbound_concurrency: Option<u32>,
    cps_limit: Option<u32>,
    rate: Option<rate::Shown>,
    rate_deck: Option<String>,
    on_hub_loss: &'static str,
    at_zero: &'static str,
    monthly_budget: Option<String>,
    call_retention_days: Option<u32>,
    #[serde(flatten)]
    presentation: Presentation,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
pub(crate) struct Shown {
    #[serde(flatten)]
    settings: Settings,
    /// Of this month's budget; null where there is none.
    budget_spent: Option<String>,
    /// Live calls; null while the hub does not say.
    in_use: Option<u32>,
    wallet: Option<wallets::Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<String>,
}

/// What was done to an account, as the audit names it.
#[derive(Clone, Copy)]
pub(crate) enum Deed {
    Created,
    Updated,
    Suspended,
    Reactivated,
    Deleted,
}

impl Deed {
    const fn to(self, account: AccountId) -> &'static str {
        let is_workspace = matches!(account.kind(), AccountKind::Workspace);
        match (self, is_workspace) {
            (Self::Created, false) => "sub_account.created",
            (Self::Updated, false) => "sub_account.updated",
            (Self::Suspended, false) => "sub_account.suspended",
            (Self::Reactivated, false) => "sub_account.reactivated",
            (Self::Deleted, false) => "sub_account.deleted",
            (Self::Created, true) => "workspace.created",
            (Self::Updated, true) => "workspace.updated",
            (Self::Suspended, true) => "workspace.suspended",
            (Self::Reactivated, true) => "workspace.reactivated",
            (Self::Deleted, true) => "workspace.deleted",
        }
    }

    /// What webhooks are told of it.
    const fn event(self) -> EventKind {
        match self {
            Self::Created => EventKind::AccountCreated,
            Self::Updated => EventKind::AccountUpdated,
            Self::Suspended => EventKind::AccountSuspended,
            Self::Reactivated => EventKind::AccountReactivated,
            Self::Deleted => EventKind::AccountDeleted,
        }
    }
}

/// Notes in the audit what was done to an account, and tells webhooks.
async fn note(
    change: &mut Change<'_>,
    deed: Deed,
    account: &Account,
    before: Option<&Settings>,
    after: Option<&Settings>,
) -> Result<(), Problem> {
    let (id, organization) = (account.id, account.organization);
    change.audit(Some(organization), deed.to(id), &id.to_string(), before, after).await?;
    change.tell(deed.event(), id, organization, &after.or(before))
}

/// `at_zero` as requests give it.
fn at_zero_asked() -> (&'static str, Schema) {
    let about = "what becomes of its live calls when the money is gone: `end`, each ends where what it holds ends; `finish`, they go on, and what cannot be paid is debt. New calls are refused in any case";
    ("at_zero", schema::word(AT_ZERO).by_default(AT_ZERO[0].0).about(about))
}

/// Reads `billing_mode`, which only sub-accounts have.
fn billing_mode(fields: &mut Fields, kind: AccountKind) -> Option<Billing> {
    if kind == AccountKind::Workspace && fields.has("billing_mode") {
        fields.refuse("billing_mode", "a workspace is billed to its organization: leave it out");
    }
    fields.optional("billing_mode", values::word(BILLING))
}

impl Settings {
    pub(crate) fn of(account: &Account, currency: Currency) -> Self {
        let id = |kind| (account.id.kind() == kind).then(|| account.id.to_string());
        let (rate, rate_deck) = rate::shown(account.pricing, currency);
        Self {
            sub_account_id: id(AccountKind::SubAccount),
            workspace_id: id(AccountKind::Workspace),
            organization_id: account.organization.to_string(),
            name: account.name.clone(),
            status: word(STATUS, &account.status),
            live_calls: account.live_calls(),
            billing_mode: word(BILLING, &account.billing),
            region: account.region.clone(),
            concurrency_limit: account.cap,
            min_concurrency: account.floor,
            max_concurrency: account.cap,
            max_outbound_concurrency: account.outbound_cap,
            cps_limit: account.cps_limit,
            rate,
            rate_deck,
            on_hub_loss: word(ON_HUB_LOSS, &account.on_hub_loss),
            at_zero: word(AT_ZERO, &account.at_zero),
            monthly_budget: account
                .budget
                .map(|budget| budget.monthly.in_currency(currency).to_string()),
            call_retention_days: account.call_retention_days,
            presentation: account.presentation.clone(),
            created_at: timestamp::text(account.created_us),
            updated_at: timestamp::text(account.updated_us),
        }
    }
}

impl Shown {
    /// An object that is not a component yet.
    fn members() -> Schema {
        let slots = || schema::count().example(10);
        schema::answered([
            ("sub_account_id", schema::account_id(AccountKind::SubAccount).may_be_missing()),
            (
                "workspace_id",
                schema::account_id(AccountKind::Workspace)
                    .may_be_missing()
                    .about("in place of sub_account_id, where the account is a workspace"),
            ),
            ("organization_id", schema::account_id(AccountKind::Organization)),
            ("name", schema::text().example("Acme Corp")),
            ("status", schema::labels(["active", "suspended"])),
            (
                "live_calls",
                schema::word(LIVE_CALLS)
                    .or_null()
                    .about("what becomes of them; null while the account is not suspended"),
            ),
            ("billing_mode", schema::word(BILLING)),
            ("region", schema::text().or_null().about("null: any gateway admits").example("india")),
            ("concurrency_limit", slots().or_null().about("the most slots; null when elastic")),
            ("min_concurrency", slots()),
            ("max_concurrency", slots().or_null()),
            (
                "max_outbound_concurrency",
                slots().or_null().about("the most slots of outbound calls; null: all"),
            ),
            ("cps_limit", schema::count().or_null().about("new calls per second; null: no limit")),
            (
                "rate",
                rate::Shown::schema().or_null().about(
                    "null, and no rate deck: the organization's `default_rate`, or its deck",
                ),
            ),
            ("rate_deck", rate::deck().or_null()),
            ("on_hub_loss", schema::word(ON_HUB_LOSS)),
            ("at_zero", schema::word(AT_ZERO)),
            ("monthly_budget", schema::money().or_null()),
            retention::shown("as the organization's"),
            ("created_at", schema::time()),
            ("updated_at", schema::time()),
            budget::spent_shown(),
            ("in_use", slots().or_null().about("live calls; null while the hub does not say")),
            (
                "wallet",
                wallets::Shown::schema()
                    .or_null()
                    .about("its own; null when billing is consolidated"),
            ),
        ])
        .with(presentation::shown())
    }

    pub(crate) fn schema() -> Schema {
        Self::members().named("SubAccount")
    }

    /// The tag of what can be configured.
    pub(crate) fn tag(&self) -> Result<Tag, Problem> {
        Tag::of(&self.settings)
    }

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
            budget_spent: account.budget.map(|budget| {
                budget.spent_at(hub::clock::now_us()).in_currency(currency).to_string()
            }),
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
