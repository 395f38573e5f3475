//! The schema by its versions: what each adds, which one a database has, and the tables there are.
//! Versions only add, so that a database can always be brought forward; never edit one that was
//! released.

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, AnyPool, Row as _, SqlSafeStr};

use super::backend::Backend;
use crate::settings::OpenError;

const STEPS: [(i64, &str, &str); 26] = [
    (1, "first", include_str!("../../migrations/0001_first.sql")),
    (2, "shared_hub", include_str!("../../migrations/0002_shared_hub.sql")),
    (3, "publications", include_str!("../../migrations/0003_publications.sql")),
    (4, "on_hub_loss", include_str!("../../migrations/0004_on_hub_loss.sql")),
    (5, "people", include_str!("../../migrations/0005_people.sql")),
    (6, "presentation", include_str!("../../migrations/0006_presentation.sql")),
    (7, "audit_chain", include_str!("../../migrations/0007_audit_chain.sql")),
    (8, "usage", include_str!("../../migrations/0008_usage.sql")),
    (9, "credentials", include_str!("../../migrations/0009_credentials.sql")),
    (10, "live_calls", include_str!("../../migrations/0010_live_calls.sql")),
    (11, "webhooks", include_str!("../../migrations/0011_webhooks.sql")),
    (12, "reports", include_str!("../../migrations/0012_reports.sql")),
    (13, "call_history", include_str!("../../migrations/0013_call_history.sql")),
    (14, "resources", include_str!("../../migrations/0014_resources.sql")),
    (15, "floors", include_str!("../../migrations/0015_floors.sql")),
    (16, "folded_names", include_str!("../../migrations/0016_folded_names.sql")),
    (17, "retention", include_str!("../../migrations/0017_retention.sql")),
    (18, "denials_age", include_str!("../../migrations/0018_denials_age.sql")),
    (19, "ledger_chain", include_str!("../../migrations/0019_ledger_chain.sql")),
    (20, "invoices", include_str!("../../migrations/0020_invoices.sql")),
    (21, "rate_decks", include_str!("../../migrations/0021_rate_decks.sql")),
    (22, "at_zero", include_str!("../../migrations/0022_at_zero.sql")),
    (23, "credit", include_str!("../../migrations/0023_credit.sql")),
    (24, "low_balances", include_str!("../../migrations/0024_low_balances.sql")),
    (25, "recharge_attempts", include_str!("../../migrations/0025_recharge_attempts.sql")),
    (26, "budgets", include_str!("../../migrations/0026_budgets.sql")),
];

/// The version that this program works with.
pub(crate) const LATEST: i64 = STEPS[STEPS.len() - 1].0;

/// All tables, each after those that it refers to.
pub(crate) const TABLES: [&str; 45] = [
    "installation",
    "counters",
    "organizations",
    "accounts",
    "budget_spending",
    "resources",
    "rate_decks",
    "rate_deck_versions",
    "rate_deck_parts",
    "keys",
    "users",
    "memberships",
    "sessions",
    "user_tokens",
    "password_resets",
    "delegations",
    "invitations",
    "mails",
    "wallets",
    "recharge_attempts",
    "ledger_accounts",
    "ledger_transactions",
    "ledger_entries",
    "ledger_seals",
    "calls",
    "call_corrections",
    "invoicing",
    "billing_details",
    "invoices",
    "invoice_lines",
    "credit_notes",
    "watermarks",
    "idempotency",
    "audit",
    "audit_seals",
    "audit_chains",
    "holders",
    "struck_out",
    "publications",
    "webhooks",
    "webhook_deliveries",
    "webhook_attempts",
    "reporters",
    "denials",
    "refused_calls",
];

/// Brings a database forward to `version`; one that is there already stays as it is.
pub(crate) async fn migrate(writer: &AnyPool, version: i64) -> Result<(), OpenError> {
    let step = |(version, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let migrator = Migrator::with_migrations(STEPS.map(step).to_vec());
    match migrator.run_to(version, writer).await {
        Err(MigrateError::VersionMissing(found) | MigrateError::VersionTooNew(found, _)) => {
            Err(OpenError::Newer { found, known: LATEST })
        }
        migrated => Ok(migrated?),
    }
}

/// The version of a database; 0: it has no schema yet.
pub(crate) async fn version(connection: &mut AnyConnection) -> Result<i64, sqlx::Error> {
    let applied = "SELECT CAST(COUNT(*) AS BIGINT) FROM";
    let known = match Backend::of(connection) {
        Backend::Sqlite => {
            format!("{applied} sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'")
        }
        Backend::Postgres => format!(
            "{applied} information_schema.tables \
             WHERE table_schema = current_schema() AND table_name = '_sqlx_migrations'"
        ),
    };
    let known = sqlx::query(sqlx::AssertSqlSafe(known)).fetch_one(&mut *connection).await?;
    if known.try_get::<i64, _>(0)? == 0 {
        return Ok(0);
    }
    let last = "SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) FROM _sqlx_migrations";
    sqlx::query(last).fetch_one(connection).await?.try_get(0)
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Number,
    Text,
}

/// The columns of a table, in their order.
pub(crate) async fn columns(
    connection: &mut AnyConnection,
    table: &str,
) -> Result<Vec<(String, Holds)>, OpenError> {
    let sql = match Backend::of(connection) {
        Backend::Sqlite => "SELECT name, type FROM pragma_table_info($1) ORDER BY cid",
        Backend::Postgres => {
            "SELECT CAST(column_name AS TEXT), CAST(data_type AS TEXT) FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position"
        }
    };
    let rows = sqlx::query(sql).bind(table).fetch_all(connection).await?;
    let column = |row: &sqlx::any::AnyRow| {
        let kind: String = row.try_get(1)?;
        let holds = match kind.to_ascii_lowercase().as_str() {
            "bigint" | "integer" => Holds::Number,
            "text" => Holds::Text,
            _ => return Err(OpenError::Unreadable("a column of another type")),
        };
        Ok((row.try_get(0)?, holds))
    };
    rows.iter().map(column).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[tokio::test]
    async fn accounts_that_were_deleted_before_are_numbered_and_nothing_of_theirs_is_purged_yet() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = crate::testing::settings(&directory).database_url;
        let writer = crate::store::writer(&url).await.expect("connected");
        migrate(&writer, 15).await.expect("as it was");
        let organization = "INSERT INTO organizations (id, concurrency_total, currency, recharge_policy, \
             members_may_allocate, version) VALUES ('org_1', 9, 'INR', 'external', 1, 1)";
        sqlx::query(organization).execute(&writer).await.expect("written");
        for (id, status) in [("sa_1", "deleted"), ("sa_2", "active"), ("sa_3", "deleted")] {
            sqlx::query(
                "INSERT INTO accounts (id, organization_id, name, status, floor, billing_mode, version, \
                 created_us, updated_us) VALUES ($1, 'org_1', 'Ana', $2, 0, 'consolidated', 1, 1, 1)",
            )
            .bind(id)
            .bind(status)
            .execute(&writer)
            .await
            .expect("written");
        }
        migrate(&writer, LATEST).await.expect("migrated");
        let rows = sqlx::query("SELECT closing, erased FROM accounts ORDER BY id")
            .fetch_all(&writer)
            .await
            .expect("readable");
        let shown = |row: &sqlx::any::AnyRow| -> (Option<i64>, i64) {
            (row.try_get(0).expect("a number"), row.try_get(1).expect("a number"))
        };
        let numbered: Vec<_> = rows.iter().map(shown).collect();
        assert_eq!(numbered, [(Some(1), 0), (None, 0), (Some(2), 0)]);
        let mut connection = writer.acquire().await.expect("a connection");
        let next = crate::counters::next(&mut connection, "closing", 1).await.expect("a number");
        assert_eq!(next, 3);
    }

    #[tokio::test]
    async fn the_one_line_of_a_low_balance_is_the_first_of_several() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = crate::testing::settings(&directory).database_url;
        let writer = crate::store::writer(&url).await.expect("connected");
        migrate(&writer, 23).await.expect("as it was");
        for sql in [
            "INSERT INTO organizations (id, concurrency_total, currency, recharge_policy, members_may_allocate, version) \
             VALUES ('org_1', 9, 'INR', 'external', 1, 1)",
            "INSERT INTO accounts (id, organization_id, name, status, floor, billing_mode, version, created_us, updated_us) \
             VALUES ('sa_1', 'org_1', 'Ana', 'active', 0, 'isolated', 1, 1, 1), \
             ('sa_2', 'org_1', 'Bob', 'active', 0, 'isolated', 1, 1, 1)",
            "INSERT INTO wallets (account_id, organization_id, currency, escrow, posted, sequence, low_balance) \
             VALUES ('sa_1', 'org_1', 'INR', 0, 0, 1, 5000000), ('sa_2', 'org_1', 'INR', 0, 0, 1, NULL)",
        ] {
            sqlx::query(sql).execute(&writer).await.expect("written");
        }
        migrate(&writer, LATEST).await.expect("migrated");
        let rows =
            sqlx::query("SELECT low_balances, recharge_armed FROM wallets ORDER BY account_id")
                .fetch_all(&writer)
                .await
                .expect("readable");
        let shown = |row: &sqlx::any::AnyRow| -> (Option<String>, i64) {
            (row.try_get(0).expect("a text"), row.try_get(1).expect("a number"))
        };
        let expected = [(Some("[5000000]".to_owned()), 1), (None, 1)];
        assert_eq!(rows.iter().map(shown).collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn every_table_of_the_schema_is_named_and_has_columns_that_can_be_copied() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = crate::testing::settings(&directory).database_url;
        let writer = crate::store::writer(&url).await.expect("connected");
        migrate(&writer, LATEST).await.expect("migrated");
        let mut connection = writer.acquire().await.expect("a connection");
        let all = match Backend::of(&connection) {
            Backend::Sqlite => {
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            }
            Backend::Postgres => {
                "SELECT CAST(table_name AS TEXT) FROM information_schema.tables \
                 WHERE table_schema = current_schema()"
            }
        };
        let rows = sqlx::query(all).fetch_all(&mut *connection).await.expect("the tables");
        let mut tables: BTreeSet<String> =
            rows.iter().map(|row| row.try_get(0).expect("a name")).collect();
        assert!(tables.remove("_sqlx_migrations"));
        assert_eq!(tables, TABLES.map(str::to_owned).into_iter().collect());
        for table in TABLES {
            assert!(!columns(&mut connection, table).await.expect("known types").is_empty());
        }
        assert_eq!(version(&mut connection).await.expect("a version"), LATEST);
    }
}
