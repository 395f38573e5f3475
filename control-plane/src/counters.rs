//! Numbers without gaps, given out inside the transaction that uses them; and versions, which grow
//! with every change and with time, so that they grow across a restore from a backup too.

use sqlx::{AnyConnection, Row as _};

/// Takes `count` numbers of a counter and returns the first.
pub(crate) async fn next(
    connection: &mut AnyConnection,
    name: &'static str,
    count: i64,
) -> Result<i64, sqlx::Error> {
    let row = sqlx::query("UPDATE counters SET value = value + $1 WHERE name = $2 RETURNING value")
        .bind(count)
        .bind(name)
        .fetch_one(connection)
        .await?;
    Ok(row.try_get::<i64, _>(0)? - count + 1)
}

/// The version that follows `version` at `now_us`.
pub(crate) fn version_after(version: i64, now_us: i64) -> i64 {
    now_us.max(version.saturating_add(1))
}
