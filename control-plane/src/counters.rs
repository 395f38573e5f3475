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

/// Moves a counter that follows the clock on to `now_us`, or past where it is, and returns where it then
/// is: later transactions always find it later.
pub(crate) async fn advance(
    connection: &mut AnyConnection,
    name: &'static str,
    now_us: i64,
) -> Result<i64, sqlx::Error> {
    let row = sqlx::query(
        "UPDATE counters SET value = CASE WHEN value < $1 THEN $1 ELSE value + 1 END WHERE name = $2 \
         RETURNING value",
    )
    .bind(now_us)
    .bind(name)
    .fetch_one(connection)
    .await?;
    row.try_get(0)
}

/// The version that follows `version` at `now_us`.
pub(crate) fn version_after(version: i64, now_us: i64) -> i64 {
    now_us.max(version.saturating_add(1))
}
