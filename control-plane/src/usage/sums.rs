//! Sums over the records of finished calls: of one account, of an organization with all it ever had, or
//! of each of several accounts. Reads only.

use std::collections::{BTreeMap, HashMap};

use hub::id::AccountId;
use hub::money::Amount;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::Window;
use crate::problem::Problem;

/// What is summed, for each outcome.
const SUMMED: &str = "outcome, CAST(COUNT(*) AS BIGINT), CAST(COUNT(answered_us) AS BIGINT), \
     CAST(SUM(billable_s) AS BIGINT), CAST(SUM(cost) AS BIGINT), CAST(SUM(debt) AS BIGINT), \
     CAST(COUNT(costs) AS BIGINT)";

/// Several sub-accounts of one organization: those whose ids lie between two, both included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Between {
    pub(crate) organization: AccountId,
    pub(crate) first: AccountId,
    pub(crate) last: AccountId,
}

#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub(crate) calls: i64,
    pub(crate) answered: i64,
    pub(crate) billable_s: i64,
    pub(crate) cost: Amount,
    /// The part of the cost that neither holds nor wallets could pay.
    pub(crate) debt: Amount,
    /// Calls whose release carried a cost breakdown.
    pub(crate) breakdowns: i64,
    /// Calls by outcome.
    pub(crate) outcomes: BTreeMap<String, i64>,
}

impl Sums {
    /// Of one account; `None`: of the organization, deleted accounts too.
    pub(crate) async fn load(
        connection: &mut AnyConnection,
        organization: AccountId,
        account: Option<AccountId>,
        window: Window,
    ) -> Result<Self, Problem> {
        let accounts = match account {
            Some(_) => "account_id = $1",
            None => "organization_id = $1",
        };
        let sql = format!(
            "SELECT {SUMMED} FROM calls \
             WHERE {accounts} AND admitted_us >= $2 AND admitted_us < $3 GROUP BY outcome",
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(account.unwrap_or(organization).to_string())
            .bind(window.from_us)
            .bind(window.to_us)
            .fetch_all(connection)
            .await?;
        let mut sums = Self::default();
        for row in rows {
            sums.add(&row)?;
        }
        Ok(sums)
    }

    /// Of each account that had calls.
    pub(crate) async fn of_each(
        connection: &mut AnyConnection,
        accounts: Between,
        window: Window,
    ) -> Result<HashMap<AccountId, Self>, Problem> {
        let sql = format!(
            "SELECT {SUMMED}, account_id FROM accounts JOIN calls ON account_id = id \
             WHERE accounts.organization_id = $1 AND id >= $2 AND id <= $3 \
             AND admitted_us >= $4 AND admitted_us < $5 GROUP BY account_id, outcome",
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(accounts.organization.to_string())
            .bind(accounts.first.to_string())
            .bind(accounts.last.to_string())
            .bind(window.from_us)
            .bind(window.to_us)
            .fetch_all(connection)
            .await?;
        let mut each: HashMap<AccountId, Self> = HashMap::new();
        for row in rows {
            let account: String = row.try_get("account_id")?;
            each.entry(account.parse().map_err(Problem::internal)?).or_default().add(&row)?;
        }
        Ok(each)
    }

    /// Adds a row of [`SUMMED`].
    fn add(&mut self, row: &AnyRow) -> Result<(), sqlx::Error> {
        let (outcome, calls): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        self.calls = self.calls.saturating_add(calls);
        self.answered = self.answered.saturating_add(row.try_get(2)?);
        self.billable_s = self.billable_s.saturating_add(row.try_get(3)?);
        self.cost = self.cost.saturating_add(Amount::from_micros(row.try_get(4)?));
        self.debt = self.debt.saturating_add(Amount::from_micros(row.try_get(5)?));
        self.breakdowns = self.breakdowns.saturating_add(row.try_get(6)?);
        self.outcomes.insert(outcome, calls);
        Ok(())
    }
}
