//! Pages of an organization's accounts, as its lists show them.

use hub::id::{AccountId, AccountKind};
use sqlx::{AnyConnection, AssertSqlSafe};

use super::{Account, COLUMNS, const_format, folded};
use crate::problem::Problem;
use crate::store::backend::Backend;
use crate::store::conditions::literal_after;

impl Account {
    /// At most `limit` accounts of one kind in an organization whose id follows `after`, in order. `named`:
    /// those in whose names it stands, upper and lower case alike; empty: all.
    pub(crate) async fn page(
        connection: &mut AnyConnection,
        (organization, kind): (AccountId, AccountKind),
        named: &str,
        (after, limit): (&str, i64),
    ) -> Result<Vec<Self>, Problem> {
        let folded = folded::of(named);
        let (stands, sought) = match (named, Backend::of(connection)) {
            ("", _) => ("", folded),
            (_, Backend::Sqlite) => (
                "AND (INSTR(name_folded, $5) > 0 OR name_folded IS NULL AND INSTR(LOWER(name), $5) > 0)",
                folded,
            ),
            // There this takes half the time of anything else; with another escape than the usual one, more.
            (_, Backend::Postgres) => (
                "AND (name_folded LIKE $5 OR name_folded IS NULL AND LOWER(name) LIKE $5)",
                format!("%{}%", literal_after(&folded, '\\')),
            ),
        };
        let sql = format!(
            "{COLUMNS} WHERE organization_id = $1 AND id > $2 AND id < $3 \
             AND status IN ('active', 'suspended') {stands} ORDER BY id LIMIT $4"
        );
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(organization.to_string())
            .bind(after.max(kind.prefix()))
            // A ULID begins with one of 0 to 7, in every collation.
            .bind(format!("{}8", kind.prefix()))
            .bind(limit);
        if !named.is_empty() {
            query = query.bind(sought);
        }
        let rows = query.fetch_all(connection).await?;
        rows.iter().map(Self::of_row).collect()
    }

    /// At most `limit` sub-accounts of an organization that follow its first `skipped`, in order.
    pub(crate) async fn numbered(
        connection: &mut AnyConnection,
        organization: AccountId,
        skipped: i64,
        limit: i64,
    ) -> Result<Vec<Self>, Problem> {
        let sql = const_format(
            COLUMNS,
            " WHERE organization_id = $1 AND id LIKE 'sa%' AND status IN ('active', 'suspended') \
             ORDER BY id LIMIT $2 OFFSET $3",
        );
        let rows = sqlx::query(sql)
            .bind(organization.to_string())
            .bind(limit)
            .bind(skipped)
            .fetch_all(connection)
            .await?;
        rows.iter().map(Self::of_row).collect()
    }
}
