//! What SQLite and PostgreSQL do differently: how a connection is set up, how a writer gets its turn
//! before all others, and which errors pass by themselves. Knows no table.

use sqlx::{Any, AnyConnection, AnyPool, Executor as _, Transaction};

/// Money is only taken as posted once it is on disk: `synchronous = FULL`.
const SQLITE_WRITER: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000; PRAGMA cache_size = -65536;";
const SQLITE_READER: &str = "PRAGMA query_only = ON; PRAGMA busy_timeout = 5000;";

/// Money is only taken as posted once it is on disk: `synchronous_commit`. A process that stands still
/// within its turn loses it.
const POSTGRES_WRITER: &str = "SET synchronous_commit = on; SET lock_timeout = '5s'; \
     SET idle_in_transaction_session_timeout = '15s';";
const POSTGRES_READER: &str = "SET default_transaction_read_only = on;";

/// PostgreSQL's name of the writer's turn: `ringfenc` in ASCII.
const TURN: &str = "SELECT pg_advisory_xact_lock(8244241983257013859)";

/// SQLSTATEs of PostgreSQL that pass: no lock in time, an ended session, a server that stops or starts.
const PASSING: [&str; 6] = ["55P03", "25P03", "57P01", "57P02", "57P03", "53300"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
}

impl Backend {
    pub(crate) fn of_url(database_url: &str) -> Self {
        if database_url.starts_with("sqlite:") { Self::Sqlite } else { Self::Postgres }
    }

    pub(crate) fn of(connection: &AnyConnection) -> Self {
        if connection.backend_name() == "SQLite" { Self::Sqlite } else { Self::Postgres }
    }

    pub(super) const fn writer_settings(self) -> &'static str {
        match self {
            Self::Sqlite => SQLITE_WRITER,
            Self::Postgres => POSTGRES_WRITER,
        }
    }

    pub(super) const fn reader_settings(self) -> &'static str {
        match self {
            Self::Sqlite => SQLITE_READER,
            Self::Postgres => POSTGRES_READER,
        }
    }

    /// The URL for a first connection: SQLite is told by it that it may create the file.
    pub(super) fn creating(self, database_url: &str) -> String {
        match self {
            Self::Sqlite if !database_url.contains('?') => format!("{database_url}?mode=rwc"),
            Self::Sqlite | Self::Postgres => database_url.to_owned(),
        }
    }

    /// Begins a transaction that no other writer's overlaps.
    pub(crate) async fn begin(
        self,
        writer: &AnyPool,
    ) -> Result<Transaction<'static, Any>, sqlx::Error> {
        match self {
            Self::Sqlite => writer.begin_with("BEGIN IMMEDIATE").await,
            Self::Postgres => {
                let mut transaction = writer.begin().await?;
                transaction.execute(TURN).await?;
                Ok(transaction)
            }
        }
    }
}

/// Whether the same request may succeed in a moment.
pub(crate) fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| PASSING.contains(&code.as_ref()))
        }
        _ => false,
    }
}
