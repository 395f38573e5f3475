//! Purges call records whose time is over, and all of deleted accounts, a batch at a time. Never changes
//! what is counted or charged.

use hub::id::AccountId;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::DAY_US;
use crate::App;
use crate::problem::Problem;
use crate::store::rows::{self, Value};
use crate::sub_accounts::erase;
use crate::usage::costs;

/// Calls that are purged in one transaction, so that other writers never wait for long.
const BATCH: usize = if cfg!(test) { 2 } else { 256 };
/// Accounts whose calls are looked at in one transaction.
const ACCOUNTS: i64 = if cfg!(test) { 3 } else { 64 };

/// After every call, and far from what a number can hold: days are added to it.
const EVER_US: i64 = i64::MAX / 2;

/// What is taken from the calls that stand between.
const STRIP: (&str, &str) = (
    "UPDATE calls SET caller = '', callee = '', agent_id = '', source = '', \
     costs = NULLIF(purged.column4, ''), purged_us = purged.column5 FROM (",
    ") AS purged WHERE calls.account_id = purged.column1 AND calls.admitted_us = purged.column2 \
     AND calls.call_id = purged.column3",
);

/// How far the accounts have been gone through, in the order of their ids.
#[derive(Default)]
pub(crate) struct Round {
    after: String,
}

/// An account of which something is to be purged.
struct Due {
    id: AccountId,
    purged_us: i64,
    /// Calls admitted before it.
    before_us: i64,
    is_deleted: bool,
}

impl Round {
    /// Purges the next batch. False: the round is over, nothing is due.
    pub(crate) async fn some(&mut self, app: &App, now_us: i64) -> Result<bool, Problem> {
        let mut connection = app.store.read().await?;
        let is_over = due(&mut connection, &self.after, now_us).await?.is_empty();
        drop(connection);
        if is_over {
            self.after.clear();
            return Ok(false);
        }
        let mut writing = app.store.write().await?;
        let mut room = BATCH;
        // Read again: another control plane may have had its turn since.
        for account in due(writing.connection(), &self.after, now_us).await? {
            let purged = calls(writing.connection(), &account, room, now_us).await?;
            room -= purged.min(room);
            if room == 0 {
                break;
            }
            if account.is_deleted && !erase::some(writing.connection(), account.id).await? {
                break;
            }
            self.after = account.id.to_string();
        }
        writing.commit().await?;
        Ok(true)
    }
}

/// The next accounts of which something is to be purged. Days end at midnight, so that it is asked for
/// each account once a day.
async fn due(
    connection: &mut AnyConnection,
    after: &str,
    now_us: i64,
) -> Result<Vec<Due>, Problem> {
    let today_us = now_us.div_euclid(DAY_US).saturating_mul(DAY_US);
    let sql = format!(
        "SELECT a.id, a.status, a.calls_purged_us, COALESCE(a.call_retention_days, o.call_retention_days) AS days \
         FROM accounts a JOIN accounts o ON o.id = a.organization_id WHERE a.id > $1 AND \
         ((a.status = 'deleted' AND a.erased = 0) OR (a.status <> 'deleted' AND \
         a.calls_purged_us + COALESCE(a.call_retention_days, o.call_retention_days) * {DAY_US} < $2)) \
         ORDER BY a.id LIMIT {ACCOUNTS}"
    );
    let found =
        sqlx::query(AssertSqlSafe(sql)).bind(after).bind(today_us).fetch_all(connection).await?;
    let of_row = |row: &sqlx::any::AnyRow| {
        let is_deleted = row.try_get::<String, _>("status")? == "deleted";
        let days = row.try_get::<Option<i64>, _>("days")?.filter(|_| !is_deleted);
        Ok(Due {
            id: row.try_get::<String, _>("id")?.parse().map_err(Problem::internal)?,
            purged_us: row.try_get("calls_purged_us")?,
            before_us: days.map_or(EVER_US, |days| today_us.saturating_sub(days * DAY_US)),
            is_deleted,
        })
    };
    found.iter().map(of_row).collect()
}

/// Purges at most so many of an account's calls, and returns how many.
async fn calls(
    connection: &mut AnyConnection,
    account: &Due,
    most: usize,
    now_us: i64,
) -> Result<usize, Problem> {
    let found = sqlx::query(
        "SELECT admitted_us, call_id, costs FROM calls WHERE account_id = $1 AND admitted_us >= $2 \
         AND admitted_us < $3 AND purged_us IS NULL ORDER BY admitted_us LIMIT $4",
    )
    .bind(account.id.to_string())
    .bind(account.purged_us)
    .bind(account.before_us)
    .bind(i64::try_from(most).unwrap_or(i64::MAX))
    .fetch_all(&mut *connection)
    .await?;
    let mut purged = Vec::with_capacity(found.len());
    let mut reached_us = account.before_us;
    for row in &found {
        let (admitted_us, call_id): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
        let costs: Option<String> = row.try_get(2)?;
        if found.len() == most {
            reached_us = admitted_us;
        }
        purged.push(vec![
            Value::OwnedText(account.id.to_string()),
            Value::Int(admitted_us),
            Value::OwnedText(call_id),
            Value::OwnedText(costs.as_deref().map(costs::amounts_only).unwrap_or_default()),
            Value::Int(now_us),
        ]);
    }
    rows::write(connection, STRIP.0, &purged, STRIP.1).await?;
    sqlx::query("UPDATE accounts SET calls_purged_us = $1 WHERE id = $2")
        .bind(reached_us)
        .bind(account.id.to_string())
        .execute(connection)
        .await?;
    Ok(found.len())
}

/// Purges a call whose record was just written: its account is closed, or it had been purged before.
pub(crate) async fn one(
    connection: &mut AnyConnection,
    account: AccountId,
    (admitted_us, call_id, costs): (i64, &str, Option<&str>),
    now_us: i64,
) -> Result<(), sqlx::Error> {
    let row = vec![
        Value::OwnedText(account.to_string()),
        Value::Int(admitted_us),
        Value::Text(call_id),
        Value::OwnedText(costs.map(costs::amounts_only).unwrap_or_default()),
        Value::Int(now_us),
    ];
    rows::write(connection, STRIP.0, &[row], STRIP.1).await
}

/// A record came so late that what it says may have to be purged already.
pub(crate) async fn look_again(
    connection: &mut AnyConnection,
    account: AccountId,
    admitted_us: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE accounts SET calls_purged_us = $1 WHERE id = $2 AND calls_purged_us > $1")
        .bind(admitted_us)
        .bind(account.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
