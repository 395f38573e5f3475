//! A backup into an empty database of either kind: at first with the schema that the backup has, then
//! brought up to date. All of it or nothing.

use std::path::Path;

use sqlx::{AnyConnection, Connection as _, Row as _};

use super::backup::sqlite_url;
use super::{Copied, CopyError, contents};
use crate::ledger;
use crate::settings::OpenError;
use crate::store::backend::Backend;
use crate::store::{schema, writer};

/// What an installation has from its first start on.
const FIRST: &str = "SELECT CAST(COUNT(*) AS BIGINT) FROM organizations";

/// Copies a backup into a database that holds no installation, and checks its ledger there.
pub async fn restore(file: &Path, database_url: &str) -> Result<Copied, CopyError> {
    if !file.is_file() {
        return Err(CopyError::NoBackup(file.to_owned()));
    }
    sqlx::any::install_default_drivers();
    let no_backup = |_| CopyError::NoBackup(file.to_owned());
    let source = format!("{}?mode=ro", sqlite_url(file));
    let mut from = AnyConnection::connect(&source).await.map_err(no_backup)?;
    let version = schema::version(&mut from).await.map_err(no_backup)?;
    if version == 0 {
        return Err(CopyError::NoBackup(file.to_owned()));
    }
    if version > schema::LATEST {
        return Err(OpenError::Newer { found: version, known: schema::LATEST }.into());
    }
    let writer = writer(database_url).await?;
    let there = schema::version(&mut *writer.acquire().await?).await?;
    // An older schema is brought forward with what is in it: by the steps that came after it.
    schema::migrate(&writer, version.max(there)).await?;
    let mut to = Backend::of_url(database_url).begin(&writer).await?;
    let organizations: i64 = sqlx::query(FIRST).fetch_one(&mut *to).await?.try_get(0)?;
    if organizations > 0 {
        return Err(CopyError::NotEmpty);
    }
    if there > version {
        return Err(CopyError::NewerSchema { backup: version, there });
    }
    let tables = contents::copy(&mut from, &mut to).await?;
    let found = ledger::verify(&mut to).await?;
    if !found.is_empty() {
        return Err(CopyError::Discrepancies(found));
    }
    to.commit().await?;
    schema::migrate(&writer, schema::LATEST).await?;
    writer.close().await;
    Ok(Copied { version, tables })
}
