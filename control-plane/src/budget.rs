//! Budgets: what the calls of an account that is billed to its organization may cost in a calendar month,
//! UTC. A call counts in the month in which it was admitted, as in the usage. What calls cost is known
//! once it is posted: those that are live when a budget is spent may exceed it by what they cost.

use hub::directory::{Billing, Change as Published};
use hub::id::AccountId;
use hub::money::{Amount, Currency};
use jiff::tz::TimeZone;
use serde::Serialize;
use sqlx::{AnyConnection, Row as _};

use crate::App;
use crate::account::{Account, Organization};
use crate::answer::Answer;
use crate::description::schema::{self, Schema};
use crate::fields::{Fields, Given, values};
use crate::problem::Problem;
use crate::usage::interval;
use crate::webhooks::EventKind;

pub(crate) mod spending;

pub(crate) const FIELD: &str = "monthly_budget";
pub(crate) const ONLY_CONSOLIDATED: &str =
    "expected null: an isolated account spends what its own wallet has";
/// Accounts that are looked at before others get their turn.
const ACCOUNTS_MAX: i64 = 100;

/// What an account's calls may cost in a month, and what of it is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) monthly: Amount,
    /// As gateways are told.
    pub(crate) is_over: bool,
    /// What its calls of the month that begins at `month_us` have cost.
    pub(crate) spent: Amount,
    pub(crate) month_us: i64,
}

/// As the audit and webhooks show it.
#[derive(Serialize)]
struct Shown {
    monthly_budget: String,
    budget_spent: String,
    currency: String,
}

impl Budget {
    /// One of which nothing is spent.
    pub(crate) const fn new(monthly: Amount) -> Self {
        Self { monthly, is_over: false, spent: Amount::ZERO, month_us: 0 }
    }

    pub(crate) fn spent_at(&self, now_us: i64) -> Amount {
        if self.month_us == month_us(now_us) { self.spent } else { Amount::ZERO }
    }

    /// Says anew whether it is spent; whether that is a change.
    fn judge(&mut self, now_us: i64) -> bool {
        let is_over = self.spent_at(now_us) >= self.monthly;
        std::mem::replace(&mut self.is_over, is_over) != is_over
    }

    fn shown(&self, currency: Currency, now_us: i64) -> Shown {
        let shown = |amount: Amount| amount.in_currency(currency).to_string();
        Shown {
            monthly_budget: shown(self.monthly),
            budget_spent: shown(self.spent_at(now_us)),
            currency: currency.code().to_owned(),
        }
    }
}

/// When the month began in which an instant lies.
pub(crate) fn month_us(at_us: i64) -> i64 {
    interval::month_start_us(at_us, &TimeZone::UTC)
}

/// Reads `monthly_budget`.
pub(crate) fn read(fields: &mut Fields) -> Given<Amount> {
    fields.given(FIELD, values::amount_above_zero)
}

/// The member of requests that [`read`] reads.
pub(crate) fn asked() -> (&'static str, Schema) {
    let about = "what its calls may cost in a calendar month (UTC), where they are billed to its organization; then new calls are refused (402), and live ones end as `at_zero` says. Calls that are live meanwhile may exceed it by what they cost. null: no budget";
    (FIELD, schema::amount(Amount::MAX).or_null().about(about).example("500"))
}

/// The member of answers that says what is spent.
pub(crate) fn spent_shown() -> (&'static str, Schema) {
    let about = "what the calls admitted in this month have cost; null where there is no budget";
    ("budget_spent", schema::money().or_null().about(about))
}

/// Gives the account the budget that was asked for, with what its calls have cost this month.
pub(crate) async fn set(
    connection: &mut AnyConnection,
    account: &mut Account,
    asked: Given<Amount>,
    now_us: i64,
) -> Result<(), Problem> {
    if let Some(monthly) = asked.merged(account.budget.map(|budget| budget.monthly)) {
        if account.billing == Billing::Isolated {
            return Err(Problem::field(FIELD, ONLY_CONSOLIDATED));
        }
        let mut budget = if let Some(before) = account.budget {
            Budget { monthly, ..before }
        } else {
            let spent = spending::begin(connection, account.id, now_us).await?;
            Budget { spent, month_us: month_us(now_us), ..Budget::new(monthly) }
        };
        budget.judge(now_us);
        account.budget = Some(budget);
    } else if account.budget.take().is_some() {
        spending::forget(connection, account.id).await?;
    }
    Ok(())
}

/// Tells gateways of budgets that are spent since the last time, and of those that are no longer: another
/// month has begun.
pub(crate) async fn review(app: &App) -> Result<(), Problem> {
    let mut after = String::new();
    loop {
        let due = due(app, &after).await?;
        let Some(last) = due.last() else { return Ok(()) };
        after = last.to_string();
        for id in due {
            turn(app, id).await?;
        }
    }
}

/// Some of the accounts whose gateways do not know how their budget stands.
async fn due(app: &App, after: &str) -> Result<Vec<AccountId>, Problem> {
    let mut connection = app.store.read().await?;
    let rows = sqlx::query(
        "SELECT a.id FROM accounts a LEFT JOIN budget_spending s ON s.account_id = a.id AND s.month_us = $1 \
         WHERE a.monthly_budget IS NOT NULL AND a.status IN ('active', 'suspended') AND a.id > $2 AND \
         a.is_over_budget <> CASE WHEN COALESCE(s.spent, 0) >= a.monthly_budget THEN 1 ELSE 0 END \
         ORDER BY a.id LIMIT $3",
    )
    .bind(month_us(hub::clock::now_us()))
    .bind(after)
    .bind(ACCOUNTS_MAX)
    .fetch_all(&mut *connection)
    .await?;
    let id = |text: String| text.parse().map_err(Problem::internal);
    rows.into_iter().map(|row| id(row.try_get(0)?)).collect()
}

/// Judges the budget of one account, unless somebody else did.
async fn turn(app: &App, id: AccountId) -> Result<(), Problem> {
    let mut change = app.begin_own().await?;
    let now_us = change.now_us;
    let mut account = Account::load(change.connection(), id).await?;
    let Some(budget) = &mut account.budget else { return Ok(()) };
    if !budget.judge(now_us) {
        return Ok(());
    }
    let budget = *budget;
    let organization = Organization::load(change.connection(), account.organization).await?;
    account.update(change.connection(), now_us).await?;
    change.publish(Published::Account(account.config()));
    change.concern(Some(id));
    let shown = budget.shown(organization.currency, now_us);
    let action = if budget.is_over { "budget.reached" } else { "budget.renewed" };
    let subject = id.to_string();
    change.audit(Some(organization.id), action, &subject, None::<&Shown>, Some(&shown)).await?;
    if budget.is_over {
        change.tell(EventKind::BudgetReached, id, organization.id, &shown)?;
    }
    change.commit(Answer::no_content()).await.map(drop)
}

#[cfg(test)]
mod tests;
