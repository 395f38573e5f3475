//! The rows of accounts and organizations: read, written, and told to the hub. Decides nothing.

use hub::deck::Pricing;
use hub::directory::{AccountConfig, AtZero, Billing, OnHubLoss, OrganizationConfig, Status};
use hub::id::AccountId;
use hub::money::{Amount, Currency};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use crate::budget::Budget;
use crate::counters::version_after;
use crate::problem::Problem;

pub(crate) mod floors;
pub(crate) mod folded;
pub(crate) mod owners;
mod pages;
pub(crate) mod presentation;
pub(crate) mod rate;

use presentation::Presentation;

/// An account as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) id: AccountId,
    pub(crate) organization: AccountId,
    pub(crate) name: String,
    pub(crate) status: Status,
    pub(crate) floor: u32,
    pub(crate) cap: Option<u32>,
    pub(crate) outbound_cap: Option<u32>,
    pub(crate) cps_limit: Option<u32>,
    pub(crate) region: Option<String>,
    pub(crate) billing: Billing,
    pub(crate) pricing: Option<Pricing>,
    pub(crate) lease_s: Option<u32>,
    pub(crate) duration_max_s: Option<u32>,
    pub(crate) on_hub_loss: OnHubLoss,
    pub(crate) at_zero: AtZero,
    /// `None`: its calls may cost as much as they like.
    pub(crate) budget: Option<Budget>,
    /// For how many days its call records say who called whom; `None`: as its organization's.
    pub(crate) call_retention_days: Option<u32>,
    pub(crate) presentation: Presentation,
    pub(crate) version: i64,
    pub(crate) created_us: i64,
    pub(crate) updated_us: i64,
}

/// What an organization has beyond its account.
#[derive(Clone, Debug)]
pub(crate) struct Organization {
    pub(crate) id: AccountId,
    pub(crate) total: u32,
    pub(crate) currency: Currency,
    pub(crate) default_pricing: Option<Pricing>,
    pub(crate) recharge_policy: RechargePolicy,
    pub(crate) members_may_allocate: bool,
    /// `None`: every region of the installation.
    pub(crate) regions: Option<Vec<String>>,
    pub(crate) version: i64,
}

/// Whose money an organization may add to its sub-accounts, from lax to strict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RechargePolicy {
    /// The caller has been paid elsewhere.
    External,
    /// Moved from the organization's wallet.
    Transfer,
    /// Only the operator adds money.
    Operator,
}

impl RechargePolicy {
    pub(crate) const WORDS: &'static [(&'static str, Self)] =
        &[("external", Self::External), ("transfer", Self::Transfer), ("operator", Self::Operator)];
}

/// An account whose calls are to end is a suspended one.
pub(crate) const STATUS: &[(&str, Status)] = &[
    ("active", Status::Active),
    ("suspended", Status::Suspended),
    ("suspended", Status::Ending),
    ("deleting", Status::Deleting),
];
/// What becomes of the live calls of an account that is suspended.
pub(crate) const LIVE_CALLS: &[(&str, Status)] =
    &[("drain", Status::Suspended), ("end", Status::Ending)];
pub(crate) const BILLING: &[(&str, Billing)] =
    &[("isolated", Billing::Isolated), ("consolidated", Billing::Consolidated)];

pub(crate) const AT_ZERO: &[(&str, AtZero)] = &[("end", AtZero::End), ("finish", AtZero::Finish)];

pub(crate) const ON_HUB_LOSS: &[(&str, OnHubLoss)] =
    &[("closed", OnHubLoss::Closed), ("open", OnHubLoss::Open)];

/// The word of a value, out of its table.
pub(crate) fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words.iter().find(|(_, known)| known == value).map_or("", |(word, _)| word)
}

const COLUMNS: &str = "SELECT id, organization_id, name, status, floor, cap, cps_limit, region, billing_mode, rate, \
     lease_s, duration_max_s, on_hub_loss, live_calls, labels, display_name, logo_url, outbound_cap, \
     call_retention_days, at_zero, monthly_budget, is_over_budget, version, created_us, updated_us, \
     (SELECT s.spent FROM budget_spending s WHERE s.account_id = accounts.id) AS budget_spent, \
     (SELECT s.month_us FROM budget_spending s WHERE s.account_id = accounts.id) AS budget_month_us FROM accounts";

impl Account {
    /// The account, unless it is unknown or being deleted.
    pub(crate) async fn load(
        connection: &mut AnyConnection,
        id: AccountId,
    ) -> Result<Self, Problem> {
        let sql = const_format(COLUMNS, " WHERE id = $1 AND status IN ('active', 'suspended')");
        let row = sqlx::query(sql).bind(id.to_string()).fetch_optional(connection).await?;
        Self::of_row(&row.ok_or_else(Problem::unknown_account)?)
    }

    /// Every account of the installation or of one shard, deleting ones too, a page at a time.
    pub(crate) async fn every(
        connection: &mut AnyConnection,
        shard: Option<u8>,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Self>, Problem> {
        let tail = match shard {
            None => " WHERE id > $1 AND status <> 'deleted' ORDER BY id LIMIT $2",
            Some(_) => {
                " WHERE id > $1 AND status <> 'deleted' AND organization_id IN \
                 (SELECT id FROM organizations WHERE shard = $3) ORDER BY id LIMIT $2"
            }
        };
        let mut query = sqlx::query(const_format(COLUMNS, tail)).bind(after).bind(limit);
        if let Some(shard) = shard {
            query = query.bind(i64::from(shard));
        }
        let rows = query.fetch_all(connection).await?;
        rows.iter().map(Self::of_row).collect()
    }

    fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        Ok(Self {
            id: identifier(row, "id")?,
            organization: identifier(row, "organization_id")?,
            name: row.try_get("name")?,
            status: match worded(row, "status", STATUS)? {
                Status::Suspended => worded(row, "live_calls", LIVE_CALLS)?,
                status => status,
            },
            floor: number(row.try_get("floor")?)?,
            cap: optional_number(row, "cap")?,
            outbound_cap: optional_number(row, "outbound_cap")?,
            cps_limit: optional_number(row, "cps_limit")?,
            region: row.try_get("region")?,
            billing: worded(row, "billing_mode", BILLING)?,
            pricing: rate::read(row.try_get("rate")?)?,
            lease_s: optional_number(row, "lease_s")?,
            duration_max_s: optional_number(row, "duration_max_s")?,
            on_hub_loss: worded(row, "on_hub_loss", ON_HUB_LOSS)?,
            at_zero: worded(row, "at_zero", AT_ZERO)?,
            budget: budget(row)?,
            call_retention_days: optional_number(row, "call_retention_days")?,
            presentation: Presentation::of_row(row)?,
            version: row.try_get("version")?,
            created_us: row.try_get("created_us")?,
            updated_us: row.try_get("updated_us")?,
        })
    }

    pub(crate) async fn insert(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        floors::set(connection, self).await?;
        sqlx::query(
            "INSERT INTO accounts (id, organization_id, name, status, floor, cap, cps_limit, region, billing_mode, rate, \
             lease_s, duration_max_s, on_hub_loss, version, created_us, updated_us, labels, display_name, logo_url, outbound_cap, \
             name_folded, call_retention_days, at_zero, monthly_budget, is_over_budget) VALUES ($1, $2, $3, $4, $5, $6, \
             $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)",
        )
        .bind(self.id.to_string())
        .bind(self.organization.to_string())
        .bind(self.name.as_str())
        .bind(word(STATUS, &self.status))
        .bind(i64::from(self.floor))
        .bind(self.cap.map(i64::from))
        .bind(self.cps_limit.map(i64::from))
        .bind(self.region.as_deref())
        .bind(word(BILLING, &self.billing))
        .bind(self.pricing.as_ref().map(rate::write))
        .bind(self.lease_s.map(i64::from))
        .bind(self.duration_max_s.map(i64::from))
        .bind(word(ON_HUB_LOSS, &self.on_hub_loss))
        .bind(self.version)
        .bind(self.created_us)
        .bind(self.updated_us)
        .bind(self.presentation.labels_text())
        .bind(self.presentation.display_name.as_deref())
        .bind(self.presentation.logo_url.as_deref())
        .bind(self.outbound_cap.map(i64::from))
        .bind(folded::of(&self.name))
        .bind(self.call_retention_days.map(i64::from))
        .bind(word(AT_ZERO, &self.at_zero))
        .bind(self.budget.map(|budget| budget.monthly.micros()))
        .bind(i64::from(self.is_over_budget()))
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Writes what can change, as the next version.
    pub(crate) async fn update(
        &mut self,
        connection: &mut AnyConnection,
        now_us: i64,
    ) -> Result<(), sqlx::Error> {
        self.version = version_after(self.version, now_us);
        self.updated_us = now_us;
        floors::set(connection, self).await?;
        sqlx::query(
            "UPDATE accounts SET name = $1, status = $2, floor = $3, cap = $4, cps_limit = $5, region = $6, \
             billing_mode = $7, rate = $8, on_hub_loss = $9, version = $10, updated_us = $11, labels = $12, \
             display_name = $13, logo_url = $14, live_calls = $15, outbound_cap = $16, name_folded = $17, \
             call_retention_days = $18, at_zero = $19, monthly_budget = $20, is_over_budget = $21 WHERE id = $22",
        )
        .bind(self.name.as_str())
        .bind(word(STATUS, &self.status))
        .bind(i64::from(self.floor))
        .bind(self.cap.map(i64::from))
        .bind(self.cps_limit.map(i64::from))
        .bind(self.region.as_deref())
        .bind(word(BILLING, &self.billing))
        .bind(self.pricing.as_ref().map(rate::write))
        .bind(word(ON_HUB_LOSS, &self.on_hub_loss))
        .bind(self.version)
        .bind(self.updated_us)
        .bind(self.presentation.labels_text())
        .bind(self.presentation.display_name.as_deref())
        .bind(self.presentation.logo_url.as_deref())
        .bind(self.live_calls().unwrap_or(LIVE_CALLS[0].0))
        .bind(self.outbound_cap.map(i64::from))
        .bind(folded::of(&self.name))
        .bind(self.call_retention_days.map(i64::from))
        .bind(word(AT_ZERO, &self.at_zero))
        .bind(self.budget.map(|budget| budget.monthly.micros()))
        .bind(i64::from(self.is_over_budget()))
        .bind(self.id.to_string())
        .execute(connection)
        .await?;
        Ok(())
    }

    /// What becomes of its live calls; `None` while it is not suspended.
    pub(crate) fn live_calls(&self) -> Option<&'static str> {
        Some(word(LIVE_CALLS, &self.status)).filter(|word| !word.is_empty())
    }

    fn is_over_budget(&self) -> bool {
        self.budget.is_some_and(|budget| budget.is_over)
    }

    /// As the hub is told.
    pub(crate) fn config(&self) -> AccountConfig {
        AccountConfig {
            id: self.id,
            organization: self.organization,
            version: self.version.unsigned_abs(),
            status: self.status,
            floor: self.floor,
            cap: self.cap,
            outbound_cap: self.outbound_cap,
            cps_limit: self.cps_limit,
            region: self.region.as_deref().map(Into::into),
            billing: self.billing,
            pricing: self.pricing,
            lease_s: self.lease_s,
            duration_max_s: self.duration_max_s,
            on_hub_loss: self.on_hub_loss,
            at_zero: self.at_zero,
            is_over_budget: self.is_over_budget(),
        }
    }
}

impl Organization {
    pub(crate) async fn load(
        connection: &mut AnyConnection,
        id: AccountId,
    ) -> Result<Self, Problem> {
        let row = sqlx::query(
            "SELECT id, concurrency_total, currency, default_rate, recharge_policy, members_may_allocate, regions, version \
             FROM organizations WHERE id = $1",
        )
        .bind(id.to_string())
        .fetch_optional(connection)
        .await?;
        Self::of_row(&row.ok_or_else(Problem::unknown_account)?)
    }

    /// Every organization of the installation or of one shard, a page at a time.
    pub(crate) async fn every(
        connection: &mut AnyConnection,
        shard: Option<u8>,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Self>, Problem> {
        const COLUMNS: &str = "SELECT id, concurrency_total, currency, default_rate, recharge_policy, \
             members_may_allocate, regions, version FROM organizations";
        let tail = match shard {
            None => " WHERE id > $1 ORDER BY id LIMIT $2",
            Some(_) => " WHERE id > $1 AND shard = $3 ORDER BY id LIMIT $2",
        };
        let mut query = sqlx::query(const_format(COLUMNS, tail)).bind(after).bind(limit);
        if let Some(shard) = shard {
            query = query.bind(i64::from(shard));
        }
        let rows = query.fetch_all(connection).await?;
        rows.iter().map(Self::of_row).collect()
    }

    fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        let regions: Option<String> = row.try_get("regions")?;
        Ok(Self {
            id: identifier(row, "id")?,
            total: number(row.try_get("concurrency_total")?)?,
            currency: row.try_get::<String, _>("currency")?.parse().map_err(Problem::internal)?,
            default_pricing: rate::read(row.try_get("default_rate")?)?,
            recharge_policy: worded(row, "recharge_policy", RechargePolicy::WORDS)?,
            members_may_allocate: row.try_get::<i64, _>("members_may_allocate")? != 0,
            regions: regions
                .map(|list| serde_json::from_str(&list))
                .transpose()
                .map_err(Problem::internal)?,
            version: row.try_get("version")?,
        })
    }

    pub(crate) async fn insert(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO organizations (id, concurrency_total, currency, default_rate, recharge_policy, \
             members_may_allocate, regions, version, shard) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(self.id.to_string())
        .bind(i64::from(self.total))
        .bind(self.currency.code())
        .bind(self.default_pricing.as_ref().map(rate::write))
        .bind(word(RechargePolicy::WORDS, &self.recharge_policy))
        .bind(i64::from(self.members_may_allocate))
        .bind(self.regions_text())
        .bind(self.version)
        .bind(i64::from(self.id.shard()))
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Writes what can change, as the next version.
    pub(crate) async fn update(
        &mut self,
        connection: &mut AnyConnection,
        now_us: i64,
    ) -> Result<(), sqlx::Error> {
        self.version = version_after(self.version, now_us);
        sqlx::query(
            "UPDATE organizations SET concurrency_total = $1, default_rate = $2, recharge_policy = $3, \
             members_may_allocate = $4, regions = $5, version = $6 WHERE id = $7",
        )
        .bind(i64::from(self.total))
        .bind(self.default_pricing.as_ref().map(rate::write))
        .bind(word(RechargePolicy::WORDS, &self.recharge_policy))
        .bind(i64::from(self.members_may_allocate))
        .bind(self.regions_text())
        .bind(self.version)
        .bind(self.id.to_string())
        .execute(connection)
        .await?;
        Ok(())
    }

    /// As the hub is told.
    pub(crate) fn config(&self) -> OrganizationConfig {
        OrganizationConfig {
            id: self.id,
            version: self.version.unsigned_abs(),
            status: Status::Active,
            total: self.total,
            currency: self.currency,
            default_pricing: self.default_pricing,
        }
    }

    /// The regions that its accounts may be put in, out of those of the installation.
    pub(crate) fn regions<'a>(&'a self, configured: &'a [String]) -> &'a [String] {
        self.regions.as_deref().unwrap_or(configured)
    }

    fn regions_text(&self) -> Option<String> {
        self.regions.as_ref().map(|regions| serde_json::json!(regions).to_string())
    }
}

fn const_format(head: &'static str, tail: &'static str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe([head, tail].concat())
}

fn identifier(row: &AnyRow, column: &str) -> Result<AccountId, Problem> {
    row.try_get::<String, _>(column)?.parse().map_err(Problem::internal)
}

fn number(value: i64) -> Result<u32, Problem> {
    u32::try_from(value).map_err(Problem::internal)
}

fn budget(row: &AnyRow) -> Result<Option<Budget>, Problem> {
    let Some(monthly) = row.try_get::<Option<i64>, _>("monthly_budget")? else { return Ok(None) };
    let counted = |column| row.try_get::<Option<i64>, _>(column).map(Option::unwrap_or_default);
    Ok(Some(Budget {
        monthly: Amount::from_micros(monthly),
        is_over: row.try_get::<i64, _>("is_over_budget")? != 0,
        spent: Amount::from_micros(counted("budget_spent")?),
        month_us: counted("budget_month_us")?,
    }))
}

fn optional_number(row: &AnyRow, column: &str) -> Result<Option<u32>, Problem> {
    row.try_get::<Option<i64>, _>(column)?.map(number).transpose()
}

fn worded<T: Copy>(row: &AnyRow, column: &str, words: &[(&str, T)]) -> Result<T, Problem> {
    let text: String = row.try_get(column)?;
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| Problem::internal(format!("column {column} holds {text:?}")))
}
