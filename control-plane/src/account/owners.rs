//! Whose accounts are: the organizations of many at once. Reads only.

use std::collections::HashMap;

use hub::id::AccountId;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use crate::problem::Problem;
use crate::store::rows;

/// Accounts read by one statement; shorter last lists are filled up, so it is prepared once.
const ACCOUNTS_PER_READ: usize = 64;

/// The organization of each account that is known, deleted ones too.
pub(crate) async fn of(
    connection: &mut AnyConnection,
    accounts: &[AccountId],
) -> Result<HashMap<AccountId, AccountId>, Problem> {
    let mut owners = HashMap::with_capacity(accounts.len());
    let sql = format!(
        "SELECT id, organization_id FROM accounts WHERE id IN ({})",
        rows::list(connection, ACCOUNTS_PER_READ),
    );
    for chunk in accounts.chunks(ACCOUNTS_PER_READ) {
        let mut query = sqlx::query(AssertSqlSafe(sql.clone()));
        for account in chunk.iter().cycle().take(ACCOUNTS_PER_READ) {
            query = query.bind(account.to_string());
        }
        for row in query.fetch_all(&mut *connection).await? {
            let id = |column| -> Result<AccountId, Problem> {
                row.try_get::<String, _>(column)?.parse().map_err(Problem::internal)
            };
            owners.insert(id("id")?, id("organization_id")?);
        }
    }
    Ok(owners)
}
