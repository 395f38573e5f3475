//! Who may have something of a shared hub's shards, by the database: what a hub that loses its memory
//! has to ask before it grants anything. Also the numbers of its incarnations, and the installation's
//! key for call tokens. Each in the transaction of its caller; asks no hub.

use hub::id::HolderId;
use hub::key::KeyHash;
use sqlx::{AnyConnection, Row as _};

use crate::counters;
use crate::problem::Problem;

const TOKEN_KEY: &str = "token_key";

/// The holders of a shard.
pub(crate) async fn list(
    connection: &mut AnyConnection,
    shard: u8,
) -> Result<Vec<HolderId>, Problem> {
    let rows = sqlx::query("SELECT id FROM holders WHERE shard = $1 ORDER BY id")
        .bind(i64::from(shard))
        .fetch_all(connection)
        .await?;
    let id = |text: String| u128::from_str_radix(&text, 16).map(HolderId);
    rows.iter().map(|row| id(row.try_get(0)?).map_err(Problem::internal)).collect()
}

/// A holder may be granted something once this is committed.
pub(crate) async fn add(
    connection: &mut AnyConnection,
    shard: u8,
    id: HolderId,
    now_us: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO holders (shard, id, since_us) VALUES ($1, $2, $3) ON CONFLICT (shard, id) DO NOTHING",
    )
    .bind(i64::from(shard))
    .bind(text(id))
    .bind(now_us)
    .execute(connection)
    .await?;
    Ok(())
}

/// A holder has nothing any more, but for calls that may outlive it.
pub(crate) async fn strike_out(
    connection: &mut AnyConnection,
    shard: u8,
    id: HolderId,
    now_us: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM holders WHERE shard = $1 AND id = $2")
        .bind(i64::from(shard))
        .bind(text(id))
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO struck_out (shard, last_us) VALUES ($1, $2) \
         ON CONFLICT (shard) DO UPDATE SET last_us = excluded.last_us WHERE struck_out.last_us < excluded.last_us",
    )
    .bind(i64::from(shard))
    .bind(now_us)
    .execute(connection)
    .await?;
    Ok(())
}

/// When a holder of the shard was struck out last, if ever.
pub(crate) async fn struck_out_us(
    connection: &mut AnyConnection,
    shard: u8,
) -> Result<Option<i64>, sqlx::Error> {
    let row = sqlx::query("SELECT last_us FROM struck_out WHERE shard = $1")
        .bind(i64::from(shard))
        .fetch_optional(connection)
        .await?;
    row.map(|row| row.try_get(0)).transpose()
}

/// Greater than any before, of whatever shard.
pub(crate) async fn next_incarnation(connection: &mut AnyConnection) -> Result<u64, sqlx::Error> {
    Ok(counters::next(connection, "incarnation", 1).await?.unsigned_abs())
}

/// The key of the installation's call tokens, made at its first use. The transaction must be one that
/// writes.
pub(crate) async fn token_key(connection: &mut AnyConnection) -> Result<[u8; 32], Problem> {
    let known = sqlx::query("SELECT value FROM installation WHERE name = $1")
        .bind(TOKEN_KEY)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(row) = known {
        return of_hex(&row.try_get::<String, _>(0)?);
    }
    let key: [u8; 32] = rand::random();
    let hex = crate::keys::hex(KeyHash::from_bytes(key));
    sqlx::query("INSERT INTO installation (name, value) VALUES ($1, $2)")
        .bind(TOKEN_KEY)
        .bind(hex)
        .execute(connection)
        .await?;
    Ok(key)
}

fn of_hex(text: &str) -> Result<[u8; 32], Problem> {
    crate::keys::of_hex(text).map(|bytes| *bytes.as_bytes())
}

fn text(id: HolderId) -> String {
    format!("{:032x}", id.0)
}
