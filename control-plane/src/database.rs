//! The database of an installation as a whole: brought up to date, backed up, restored, and thereby
//! moved between SQLite and PostgreSQL. What the commands of an operator do; knows no organization.

mod backup;
mod contents;
mod migrate;
mod restore;

pub use backup::back_up;
pub use migrate::migrate;
pub use restore::restore;

use std::path::PathBuf;

use crate::ledger::Discrepancy;
use crate::settings::OpenError;

/// The versions of a schema before and after it was brought up to date; 0: there was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    pub from: i64,
    pub to: i64,
}

/// What a backup or a restore has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Version of the schema.
    pub version: i64,
    /// Tables with their rows, in no promised order.
    pub tables: Vec<(&'static str, u64)>,
}

impl Copied {
    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|(_, rows)| rows).sum()
    }
}

/// A backup or a restore came to nothing; the text says why. Nothing that was there is changed.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{path}: {error}")]
    File { path: PathBuf, error: std::io::Error },
    #[error("{0} exists: a backup never replaces a file")]
    Exists(PathBuf),
    #[error("{0} is no backup of ringfence: expected what ringfence backup has written")]
    NoBackup(PathBuf),
    #[error(
        "the database holds an installation already: a backup is restored into an empty database only"
    )]
    NotEmpty,
    #[error(
        "the backup has version {backup} of the schema, the empty database version {there}: make a new database, or drop that one's tables"
    )]
    NewerSchema { backup: i64, there: i64 },
    #[error("the ledger of the copy does not agree with itself: {0:?}")]
    Discrepancies(Vec<Discrepancy>),
}

impl From<sqlx::Error> for CopyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Open(error.into())
    }
}

#[cfg(test)]
mod tests;
