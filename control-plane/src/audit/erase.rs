//! Erases what entries about a deleted account say of people, their seals unharmed. Who did what to it
//! and when stays, and so do entries about its money: they are the organization's books.

use sqlx::{AnyConnection, Row as _};

use hub::id::AccountId;

use super::chain;

/// Entries erased in one transaction.
const BATCH: i64 = if cfg!(test) { 3 } else { 256 };

/// A new entry's salt.
pub(super) fn salt() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Erases the next entries about an account. True: none is left.
pub(crate) async fn some(
    connection: &mut AnyConnection,
    account: AccountId,
) -> Result<bool, sqlx::Error> {
    let found = sqlx::query(
        "SELECT id, salt, before_json, after_json FROM audit WHERE account_id = $1 AND salt <> '' \
         AND action NOT LIKE 'wallet.%' LIMIT $2",
    )
    .bind(account.to_string())
    .bind(BATCH)
    .fetch_all(&mut *connection)
    .await?;
    for row in &found {
        let salt: String = row.try_get("salt")?;
        let erased = |column: &str| -> Result<Option<String>, sqlx::Error> {
            let contents: Option<String> = row.try_get(column)?;
            Ok(contents.map(|contents| chain::erased(&salt, &contents)))
        };
        sqlx::query("UPDATE audit SET before_json = $1, after_json = $2, salt = '' WHERE id = $3")
            .bind(erased("before_json")?)
            .bind(erased("after_json")?)
            .bind(row.try_get::<i64, _>("id")?)
            .execute(&mut *connection)
            .await?;
    }
    Ok(found.is_empty())
}
