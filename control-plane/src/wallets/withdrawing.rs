//! Which wallets have a withdrawal under way: the hub may have been told of it, and a crash may have kept the
//! ledger from moving the money. The next start then tells the hub the ledger's word under a later number.

use hub::id::AccountId;
use sqlx::{AnyConnection, Row as _};

use crate::store::Store;

const NAME: &str = "withdrawing ";

/// To be noted before the hub is told.
pub(super) async fn note(store: &Store, owner: AccountId) -> Result<(), sqlx::Error> {
    let mut writing = store.write().await?;
    sqlx::query(
        "INSERT INTO installation (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
    )
    .bind(format!("{NAME}{owner}"))
    .bind(owner.to_string())
    .execute(writing.connection())
    .await?;
    writing.commit().await?;
    Ok(())
}

/// Within the transaction that moves the money.
pub(super) async fn forget(
    connection: &mut AnyConnection,
    owner: AccountId,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM installation WHERE name = $1")
        .bind(format!("{NAME}{owner}"))
        .execute(connection)
        .await?;
    Ok(())
}

/// Gives the wallets whose withdrawal was cut off a later number than the hub may have heard.
pub(crate) async fn overtake(
    connection: &mut AnyConnection,
    now_us: i64,
) -> Result<(), sqlx::Error> {
    let cut_off =
        sqlx::query("SELECT name, value FROM installation WHERE name LIKE 'withdrawing %'")
            .fetch_all(&mut *connection)
            .await?;
    for row in cut_off {
        let (name, owner): (String, String) = (row.try_get("name")?, row.try_get("value")?);
        sqlx::query(
            "UPDATE wallets SET sequence = CASE WHEN sequence < $1 THEN $1 ELSE sequence + 2 END \
             WHERE account_id = $2",
        )
        .bind(now_us)
        .bind(owner)
        .execute(&mut *connection)
        .await?;
        sqlx::query("DELETE FROM installation WHERE name = $1")
            .bind(name)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
