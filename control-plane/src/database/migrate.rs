//! Brings the schema of a database up to date, as every start of a control plane does.

use super::Migrated;
use crate::settings::OpenError;
use crate::store::{schema, writer};

/// Several programs may do so at once: one of them does, the others wait.
pub async fn migrate(database_url: &str) -> Result<Migrated, OpenError> {
    let writer = writer(database_url).await?;
    let from = schema::version(&mut *writer.acquire().await?).await?;
    schema::migrate(&writer, schema::LATEST).await?;
    writer.close().await;
    Ok(Migrated { from, to: schema::LATEST })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn a_schema_is_brought_up_to_date_once_and_a_newer_one_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let url = testing::settings(&directory).database_url;
        let latest = schema::LATEST;
        let first = migrate(&url).await.expect("migrated");
        assert_eq!(first, Migrated { from: 0, to: latest });
        let again = migrate(&url).await.expect("nothing to do");
        assert_eq!(again, Migrated { from: latest, to: latest });
        let writer = writer(&url).await.expect("connected");
        let newer = "INSERT INTO _sqlx_migrations SELECT version + 1000, description, installed_on, \
             success, checksum, execution_time FROM _sqlx_migrations WHERE version = $1";
        sqlx::query(newer).bind(latest).execute(&writer).await.expect("written");
        writer.close().await;
        let refused = migrate(&url).await.expect_err("of a newer program");
        assert!(
            matches!(refused, OpenError::Newer { found, known } if found == latest + 1000 && known == latest),
            "{refused}"
        );
    }
}
