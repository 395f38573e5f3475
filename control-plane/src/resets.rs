//! Password resets: a link by mail, good once and for an hour, by which a user sets another password
//! without the old one. Stored is its hash; one more link takes the place of the one before.

use hub::clock::SECOND_US;
use sqlx::{AnyConnection, Row as _};

pub(crate) mod complete;
pub(crate) mod request;

/// How long a link is good.
pub(crate) const LIFE_US: i64 = 3_600 * SECOND_US;

/// Notes the link that is about to be sent.
pub(crate) async fn note(
    connection: &mut AnyConnection,
    user_id: &str,
    hash: &str,
    expires_us: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO password_resets (user_id, hash, expires_us) VALUES ($1, $2, $3) \
         ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, expires_us = excluded.expires_us",
    )
    .bind(user_id)
    .bind(hash)
    .bind(expires_us)
    .execute(connection)
    .await?;
    Ok(())
}

/// The user who has the link of this hash, while it is good.
async fn user(
    connection: &mut AnyConnection,
    hash: &str,
    now_us: i64,
) -> Result<Option<(String, String)>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT r.user_id, u.email FROM password_resets r JOIN users u ON u.id = r.user_id \
         WHERE r.hash = $1 AND r.expires_us > $2",
    )
    .bind(hash)
    .bind(now_us)
    .fetch_optional(connection)
    .await?;
    row.map(|row| Ok((row.try_get("user_id")?, row.try_get("email")?))).transpose()
}

/// No link of the user is good any more.
pub(crate) async fn forget(
    connection: &mut AnyConnection,
    user_id: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM password_resets WHERE user_id = $1")
        .bind(user_id)
        .execute(connection)
        .await?;
    Ok(())
}
