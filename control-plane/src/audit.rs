//! The audit trail: who changed what, from what to what. An entry is written in the transaction of
//! its change, numbered within its chain, and never changed, but that contents about a deleted account are
//! erased; [`seal`] makes tampering visible later.

use hub::id::AccountId;
use sqlx::{AnyConnection, AssertSqlSafe};

mod chain;
pub(crate) mod entry;
pub(crate) mod erase;
pub(crate) mod export;
pub(crate) mod list;
pub(crate) mod seal;
pub(crate) mod verify;

pub(crate) struct Row<'a> {
    /// `None`: the whole installation.
    pub(crate) organization: Option<AccountId>,
    /// The account that the entry concerns, if any.
    pub(crate) account: Option<AccountId>,
    pub(crate) at_us: i64,
    pub(crate) actor: &'a str,
    /// `sub_account.created`
    pub(crate) action: &'static str,
    pub(crate) subject: &'a str,
    /// JSON
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

pub(crate) async fn write(
    connection: &mut AnyConnection,
    row: &Row<'_>,
) -> Result<(), sqlx::Error> {
    let id = crate::counters::next(connection, "audit", 1).await?;
    let chain = match row.organization {
        Some(_) => "organization_id = $2",
        None => "organization_id IS NULL",
    };
    let sql = format!(
        "INSERT INTO audit (id, organization_id, at_us, actor, action, subject, before_json, after_json, account_id, salt, \
         sequence) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, (SELECT COALESCE(MAX(sequence), 0) + 1 FROM audit WHERE {chain}))"
    );
    sqlx::query(AssertSqlSafe(sql))
        .bind(id)
        .bind(row.organization.map(|id| id.to_string()))
        .bind(row.at_us)
        .bind(row.actor)
        .bind(row.action)
        .bind(row.subject)
        .bind(row.before.as_deref())
        .bind(row.after.as_deref())
        .bind(row.account.map(|id| id.to_string()))
        .bind(erase::salt())
        .execute(connection)
        .await?;
    Ok(())
}
