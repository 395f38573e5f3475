//! The database: one connection that writes, a pool that reads, and the schema's migrations.
//! Knows no table; hands out transactions that exclude each other, also those of other processes.

use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Executor, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::settings::OpenError;

pub(crate) mod backend;
pub(crate) mod conditions;
pub(crate) mod rows;
pub(crate) mod schema;

use backend::Backend;

/// Readers at the same time.
const READERS_MAX: u32 = 8;
/// How long a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
pub(crate) struct Store {
    backend: Backend,
    writer: AnyPool,
    readers: AnyPool,
    turn: Arc<Mutex<()>>,
}

/// A transaction that may write. No other begins before it is dropped, so what its owner does after
/// the commit (publishing to the hub) happens in the order of the commits.
pub(crate) struct Writing {
    transaction: Transaction<'static, Any>,
    turn: OwnedMutexGuard<()>,
}

/// The right to be the only writer, still held after a commit.
pub(crate) struct Turn(#[expect(dead_code, reason = "held, not read")] OwnedMutexGuard<()>);

impl Store {
    /// Opens the database, creates it when missing, and brings its schema up to date.
    pub(crate) async fn open(database_url: &str) -> Result<Self, OpenError> {
        let backend = Backend::of_url(database_url);
        let writer = writer(database_url).await?;
        schema::migrate(&writer, schema::LATEST).await?;
        let readers = Self::readers(database_url).await?;
        Ok(Self { backend, writer, readers, turn: Arc::default() })
    }

    /// Connections that only read a database that is there, also while others use it.
    pub(crate) async fn readers(database_url: &str) -> Result<AnyPool, sqlx::Error> {
        sqlx::any::install_default_drivers();
        let backend = Backend::of_url(database_url);
        pool(backend, READERS_MAX, backend.reader_settings()).connect(database_url).await
    }

    /// Waits for its turn (first come, first served) and begins a transaction that may write.
    pub(crate) async fn write(&self) -> Result<Writing, sqlx::Error> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let transaction = self.backend.begin(&self.writer).await?;
        Ok(Writing { transaction, turn })
    }

    /// A connection for reading.
    pub(crate) async fn read(&self) -> Result<PoolConnection<Any>, sqlx::Error> {
        self.readers.acquire().await
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

impl Writing {
    pub(crate) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }

    /// The number of a publication: grows with the order of commits.
    pub(crate) async fn publication(&mut self) -> Result<u64, sqlx::Error> {
        let number = crate::counters::next(self.connection(), "publication", 1).await?;
        Ok(number.unsigned_abs())
    }

    /// Makes everything written durable.
    pub(crate) async fn commit(self) -> Result<Turn, sqlx::Error> {
        self.transaction.commit().await?;
        Ok(Turn(self.turn))
    }
}

/// The one connection that writes to a database, which is created when it is a missing file.
pub(crate) async fn writer(database_url: &str) -> Result<AnyPool, sqlx::Error> {
    sqlx::any::install_default_drivers();
    let backend = Backend::of_url(database_url);
    let writer = pool(backend, 1, backend.writer_settings());
    writer.connect(&backend.creating(database_url)).await
}

fn pool(backend: Backend, connections_max: u32, settings: &'static str) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections_max)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        // A server may have been restarted since.
        .test_before_acquire(backend == Backend::Postgres)
        .after_connect(move |connection, _| {
            Box::pin(async move { connection.execute(settings).await.map(drop) })
        })
}
