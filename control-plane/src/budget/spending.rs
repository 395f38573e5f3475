//! What calls of accounts with a budget have cost in a month: a sum that grows with every record that is
//! posted, in its transaction.

use std::collections::BTreeMap;

use hub::id::AccountId;
use hub::money::Amount;
use sqlx::{AnyConnection, Row as _};

use super::month_us;
use crate::problem::Problem;
use crate::store::rows::{self, Value};

/// What a call, or the correction of one, adds to what its account has spent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    pub(crate) account: AccountId,
    pub(crate) admitted_us: i64,
    pub(crate) cost: Amount,
}

/// Begins to add up, with what the calls of this month that are posted have cost.
pub(super) async fn begin(
    connection: &mut AnyConnection,
    account: AccountId,
    now_us: i64,
) -> Result<Amount, Problem> {
    let month_us = month_us(now_us);
    let spent = "SELECT CAST(COALESCE(SUM(cost), 0) AS BIGINT) FROM calls \
                 WHERE account_id = $1 AND admitted_us >= $2 AND billing_mode = 'consolidated'";
    let account = account.to_string();
    let found = sqlx::query(spent).bind(&account).bind(month_us).fetch_one(&mut *connection);
    let spent: i64 = found.await?.try_get(0)?;
    sqlx::query(
        "INSERT INTO budget_spending (account_id, month_us, spent) VALUES ($1, $2, $3) \
         ON CONFLICT (account_id) DO UPDATE SET month_us = excluded.month_us, spent = excluded.spent",
    )
    .bind(&account)
    .bind(month_us)
    .bind(spent)
    .execute(connection)
    .await?;
    Ok(Amount::from_micros(spent))
}

/// Adds up no longer.
pub(super) async fn forget(
    connection: &mut AnyConnection,
    account: AccountId,
) -> Result<(), sqlx::Error> {
    let forget = sqlx::query("DELETE FROM budget_spending WHERE account_id = $1");
    forget.bind(account.to_string()).execute(connection).await.map(drop)
}

/// Adds what was posted; true when a budget is spent by it, of which gateways are yet to be told.
pub(crate) async fn add(connection: &mut AnyConnection, posted: &[Spent]) -> Result<bool, Problem> {
    let sums = sums(posted);
    let any = "SELECT 1 FROM accounts WHERE monthly_budget IS NOT NULL LIMIT 1";
    if sums.is_empty() || sqlx::query(any).fetch_optional(&mut *connection).await?.is_none() {
        return Ok(false);
    }
    let accounts: Vec<AccountId> = sums.keys().copied().collect();
    let with_budget = select(
        connection,
        "SELECT id FROM accounts WHERE monthly_budget IS NOT NULL AND id IN",
        &accounts,
    )
    .await?;
    let row = |id: &AccountId| {
        let (month_us, spent) = sums.get(id).copied().unwrap_or_default();
        vec![Value::OwnedText(id.to_string()), Value::Int(month_us), Value::Int(spent.micros())]
    };
    let spent: Vec<_> = with_budget.iter().map(row).collect();
    // A call of a month that is over changes nothing once one of a later month was counted.
    rows::write(
        connection,
        "INSERT INTO budget_spending (account_id, month_us, spent)",
        &spent,
        " ON CONFLICT (account_id) DO UPDATE SET month_us = excluded.month_us, spent = excluded.spent + \
         CASE WHEN budget_spending.month_us = excluded.month_us THEN budget_spending.spent ELSE 0 END \
         WHERE excluded.month_us >= budget_spending.month_us",
    )
    .await?;
    let reached = select(
        connection,
        "SELECT a.id FROM accounts a JOIN budget_spending s ON s.account_id = a.id \
         WHERE a.is_over_budget = 0 AND s.spent >= a.monthly_budget AND a.id IN",
        &with_budget,
    )
    .await?;
    Ok(!reached.is_empty())
}

/// What was posted of each account's latest month.
fn sums(posted: &[Spent]) -> BTreeMap<AccountId, (i64, Amount)> {
    let mut sums: BTreeMap<AccountId, (i64, Amount)> = BTreeMap::new();
    for spent in posted.iter().filter(|spent| spent.cost != Amount::ZERO) {
        let month_us = month_us(spent.admitted_us);
        let sum = sums.entry(spent.account).or_insert((month_us, Amount::ZERO));
        if sum.0 < month_us {
            *sum = (month_us, Amount::ZERO);
        }
        if sum.0 == month_us {
            sum.1 = sum.1.saturating_add(spent.cost);
        }
    }
    sums
}

/// The accounts of a list that a statement finds, which ends before it.
async fn select(
    connection: &mut AnyConnection,
    statement: &str,
    accounts: &[AccountId],
) -> Result<Vec<AccountId>, Problem> {
    let found = rows::named(connection, statement, accounts).await?;
    let id = |text: String| text.parse().map_err(Problem::internal);
    found.iter().map(|row| id(row.try_get(0)?)).collect()
}
