//! A backup is one SQLite file with everything as it stood at one instant, made while control planes go
//! on working: of a SQLite database by SQLite itself, of PostgreSQL by one snapshot. It is complete
//! when it has its name.

use std::fs::{File, OpenOptions, rename};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sqlx::{AnyConnection, Connection as _, Executor as _};

use super::{Copied, CopyError, contents};
use crate::ledger;
use crate::store::backend::Backend;
use crate::store::{schema, writer};

/// Writes a backup of the database to a new file, which only its owner may read: it holds hashes of
/// keys and passwords. Checks the ledger of what it has written.
pub async fn back_up(database_url: &str, file: &Path) -> Result<Copied, CopyError> {
    if file.exists() {
        return Err(CopyError::Exists(file.to_owned()));
    }
    let partial = with_suffix(file, ".partial");
    let failed = |error| CopyError::File { path: partial.clone(), error };
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .map_err(failed)?;
    let written = write(database_url, &partial).await;
    let kept = written.and_then(|copied| keep(&partial, file).map(|()| copied).map_err(failed));
    if kept.is_err()
        && let Err(error) = std::fs::remove_file(&partial)
    {
        tracing::warn!(path = %partial.display(), %error, "a part of a backup is left");
    }
    kept
}

async fn write(database_url: &str, partial: &Path) -> Result<Copied, CopyError> {
    sqlx::any::install_default_drivers();
    let mut from = AnyConnection::connect(database_url).await?;
    let version = schema::version(&mut from).await?;
    if version == 0 {
        return Err(CopyError::Open(crate::OpenError::Unreadable("no schema of ringfence")));
    }
    let copy = sqlite_url(partial);
    if Backend::of(&from) == Backend::Sqlite {
        let path = partial.to_string_lossy().into_owned();
        sqlx::query("VACUUM INTO $1").bind(path).execute(&mut from).await?;
    } else {
        let writer = writer(&copy).await?;
        schema::migrate(&writer, version).await?;
        from.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let mut to = writer.begin().await?;
        contents::copy(&mut from, &mut to).await?;
        to.commit().await?;
        // One file, without a log beside it.
        writer.acquire().await?.execute("PRAGMA journal_mode = DELETE").await?;
        writer.close().await;
    }
    from.close().await?;
    let mut written = AnyConnection::connect(&copy).await?;
    let found = ledger::verify(&mut written).await?;
    if !found.is_empty() {
        return Err(CopyError::Discrepancies(found));
    }
    let tables = contents::count(&mut written).await?;
    written.close().await?;
    Ok(Copied { version, tables })
}

/// Gives what was written its name, once it is on disk.
fn keep(partial: &Path, file: &Path) -> io::Result<()> {
    File::open(partial)?.sync_all()?;
    rename(partial, file)?;
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(super) fn sqlite_url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}
