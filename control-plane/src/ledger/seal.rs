//! Seals transactions into the ledger's chain, a run at a time, soon after they were posted and after a
//! restart. A run is read beside other writers: what is posted does not change. The seal is written in a
//! turn of its own, if nobody has sealed the run meanwhile; so nothing is sealed twice, by however many
//! control planes.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use hub::clock::now_us;
use sqlx::{AnyConnection, Row as _};

use super::chain::{self, Sealed};
use crate::App;
use crate::problem::Problem;
use crate::store::Store;

/// How soon a transaction is sealed; each run is a row that stays.
const EVERY: Duration = Duration::from_secs(5);
/// Transactions under one seal.
const RUN_MAX: i64 = if cfg!(test) { 4 } else { 1_000 };
/// Runs of a stop; what is left is sealed after the next start.
const LAST_RUNS_MAX: usize = 16;

/// Seals until `shutdown`, then what was posted before it.
pub(crate) async fn run(app: &App, shutdown: impl Future) {
    let mut shutdown = pin!(shutdown);
    loop {
        let pause = match some(&app.store).await {
            Ok(true) => Duration::ZERO,
            Ok(false) => EVERY,
            Err(problem) => {
                tracing::warn!(?problem, "the ledger could not be sealed; trying again");
                EVERY
            }
        };
        tokio::select! {
            _ = &mut shutdown => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
    for _ in 0..LAST_RUNS_MAX {
        if !matches!(some(&app.store).await, Ok(true)) {
            break;
        }
    }
}

/// Seals the next run. True: it was a whole one, there may be more.
pub(crate) async fn some(store: &Store) -> Result<bool, Problem> {
    let mut connection = store.read().await?;
    let former = last(&mut connection).await?;
    let posted: i64 = sqlx::query("SELECT value FROM counters WHERE name = 'ledger_transaction'")
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    let through = posted.min(former.through.saturating_add(RUN_MAX));
    if through <= former.through {
        return Ok(false);
    }
    let (sealed, _) = chain::seal(&mut connection, &former, through).await?;
    drop(connection);
    let mut writing = store.write().await?;
    if last(writing.connection()).await? == former {
        sqlx::query("INSERT INTO ledger_seals (through, seal, sealed_us) VALUES ($1, $2, $3)")
            .bind(sealed.through)
            .bind(sealed.seal)
            .bind(now_us())
            .execute(writing.connection())
            .await?;
        writing.commit().await?;
    }
    Ok(through.saturating_sub(former.through) == RUN_MAX)
}

/// Up to where the ledger is sealed.
async fn last(connection: &mut AnyConnection) -> Result<Sealed, sqlx::Error> {
    let row = sqlx::query("SELECT through, seal FROM ledger_seals ORDER BY through DESC LIMIT 1")
        .fetch_optional(connection)
        .await?;
    row.as_ref().map_or_else(|| Ok(Sealed::none()), Sealed::of_row)
}
