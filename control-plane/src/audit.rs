//! The audit trail: who changed what, from what to what. Written in the transaction of the change.

use hub::id::AccountId;
use sqlx::AnyConnection;

pub(crate) struct Row<'a> {
    /// `None`: the whole installation.
    pub(crate) organization: Option<AccountId>,
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
    sqlx::query(
        "INSERT INTO audit (id, organization_id, at_us, actor, action, subject, before_json, after_json) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(id)
    .bind(row.organization.map(|id| id.to_string()))
    .bind(row.at_us)
    .bind(row.actor)
    .bind(row.action)
    .bind(row.subject)
    .bind(row.before.as_deref())
    .bind(row.after.as_deref())
    .execute(connection)
    .await?;
    Ok(())
}
