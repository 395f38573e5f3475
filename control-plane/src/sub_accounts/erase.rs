//! What is left of a deleted account: its id, what its calls came to, its ledger, and who did what to it
//! and when. Its names, those of its keys, its people and its resources, and whom its calls were with, go.

use hub::id::AccountId;
use sqlx::AnyConnection;

use crate::audit;
use crate::problem::Problem;

/// The name of every account that is deleted.
const NAME: &str = "(deleted)";

/// What goes with the deletion itself. Hashes of keys stay: no other key may be one that was.
pub(super) async fn at_once(connection: &mut AnyConnection, id: AccountId) -> Result<(), Problem> {
    sqlx::query(
        "UPDATE accounts SET name = $1, name_folded = $1, labels = '{}', display_name = NULL, logo_url = NULL \
         WHERE id = $2",
    )
    .bind(NAME)
    .bind(id.to_string())
    .execute(&mut *connection)
    .await?;
    for sql in [
        "UPDATE keys SET name = '', last4 = '' WHERE account_id = $1",
        "UPDATE resources SET label = '', written = name WHERE account_id = $1",
        "UPDATE recharge_attempts SET reason = NULL WHERE account_id = $1",
        "DELETE FROM delegations WHERE account_id = $1",
    ] {
        sqlx::query(sql).bind(id.to_string()).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Erases some more of a closed account, once its calls are purged. True: nothing is left to be erased.
pub(crate) async fn some(connection: &mut AnyConnection, id: AccountId) -> Result<bool, Problem> {
    if !audit::erase::some(connection, id).await? {
        return Ok(false);
    }
    // Of accounts that an earlier version deleted this is the first time.
    at_once(connection, id).await?;
    sqlx::query("UPDATE accounts SET erased = 1 WHERE id = $1")
        .bind(id.to_string())
        .execute(connection)
        .await?;
    Ok(true)
}

#[cfg(test)]
mod tests;
