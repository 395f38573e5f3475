//! Seals entries into the chains, a batch at a time, soon after they were written and after a
//! restart. A batch is sealed while no other writer of the database has its turn, in one transaction
//! with how far everything is sealed: so nothing is sealed twice, by however many control planes.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::chain::{COLUMNS, Content, NO_SEAL};
use crate::App;
use crate::problem::Problem;
use crate::store::Store;
use crate::store::rows::{self, Value};

/// How soon an entry is sealed.
const EVERY: Duration = Duration::from_secs(1);
/// Entries sealed in one transaction, so that other writers never wait for long.
const BATCH_MAX: usize = 256;
/// Chains read by one statement; shorter last lists are filled up, so it is prepared once.
const CHAINS_PER_READ: usize = 64;
/// Batches of a stop; what is left is sealed after the next start.
const LAST_BATCHES_MAX: usize = 16;

/// How far a chain is sealed.
struct Head {
    sealed: i64,
    seal: String,
}

/// Seals until `shutdown`, then what was written before it.
pub(crate) async fn run(app: &App, shutdown: impl Future) {
    let mut shutdown = pin!(shutdown);
    loop {
        let pause = match some(&app.store).await {
            Ok(BATCH_MAX) => Duration::ZERO,
            Ok(_) => EVERY,
            Err(problem) => {
                tracing::warn!(?problem, "audit entries could not be sealed; trying again");
                EVERY
            }
        };
        tokio::select! {
            _ = &mut shutdown => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
    for _ in 0..LAST_BATCHES_MAX {
        if !matches!(some(&app.store).await, Ok(BATCH_MAX)) {
            break;
        }
    }
}

/// Seals the next entries, at most [`BATCH_MAX`], and returns how many.
pub(crate) async fn some(store: &Store) -> Result<usize, Problem> {
    let mut connection = store.read().await?;
    let (sealed, last) = progress(&mut connection).await?;
    drop(connection);
    if sealed >= last {
        return Ok(0);
    }
    let mut writing = store.write().await?;
    let count = batch(writing.connection()).await?;
    writing.commit().await?;
    Ok(count)
}

/// The last entry that is sealed, and the last there is.
async fn progress(connection: &mut AnyConnection) -> Result<(i64, i64), sqlx::Error> {
    let row = sqlx::query(
        "SELECT s.value AS sealed, l.value AS last FROM counters s JOIN counters l ON l.name = 'audit' \
         WHERE s.name = 'audit_sealed'",
    )
    .fetch_one(connection)
    .await?;
    Ok((row.try_get("sealed")?, row.try_get("last")?))
}

async fn batch(connection: &mut AnyConnection) -> Result<usize, Problem> {
    // Read again: another control plane may have had its turn since.
    let (sealed, _) = progress(connection).await?;
    let sql =
        format!("SELECT {COLUMNS} FROM audit a WHERE a.id > $1 ORDER BY a.id LIMIT {BATCH_MAX}");
    let found = sqlx::query(AssertSqlSafe(sql)).bind(sealed).fetch_all(&mut *connection).await?;
    let entries = found.iter().map(Content::of_row).collect::<Result<Vec<_>, _>>()?;
    let Some(last) = entries.last() else { return Ok(0) };
    let mut heads = heads(connection, &entries).await?;
    let mut seals = Vec::with_capacity(entries.len());
    for entry in &entries {
        let head = heads
            .entry(entry.chain())
            .or_insert_with(|| Head { sealed: 0, seal: NO_SEAL.to_owned() });
        *head = Head { sealed: head.sealed.saturating_add(1), seal: entry.seal(&head.seal) };
        seals.push(vec![Value::Int(entry.id), Value::OwnedText(head.seal.clone())]);
    }
    rows::write(connection, "INSERT INTO audit_seals (entry_id, seal)", &seals, "").await?;
    let heads: Vec<_> = heads
        .into_iter()
        .map(|(chain, head)| {
            vec![Value::Text(chain), Value::Int(head.sealed), Value::OwnedText(head.seal)]
        })
        .collect();
    rows::write(
        connection,
        "INSERT INTO audit_chains (chain, sealed, seal)",
        &heads,
        " ON CONFLICT (chain) DO UPDATE SET sealed = excluded.sealed, seal = excluded.seal",
    )
    .await?;
    sqlx::query("UPDATE counters SET value = $1 WHERE name = 'audit_sealed'")
        .bind(last.id)
        .execute(connection)
        .await?;
    Ok(entries.len())
}

/// How far the chains of these entries are sealed.
async fn heads<'a>(
    connection: &mut AnyConnection,
    entries: &'a [Content],
) -> Result<HashMap<&'a str, Head>, sqlx::Error> {
    let chains: Vec<&str> =
        entries.iter().map(Content::chain).collect::<BTreeSet<_>>().into_iter().collect();
    let sql = format!(
        "SELECT chain, sealed, seal FROM audit_chains WHERE chain IN ({})",
        rows::list(connection, CHAINS_PER_READ),
    );
    let mut heads = HashMap::new();
    for chunk in chains.chunks(CHAINS_PER_READ) {
        let mut query = sqlx::query(AssertSqlSafe(sql.clone()));
        for chain in chunk.iter().cycle().take(CHAINS_PER_READ) {
            query = query.bind(*chain);
        }
        for row in query.fetch_all(&mut *connection).await? {
            let chain: String = row.try_get("chain")?;
            let head = Head { sealed: row.try_get("sealed")?, seal: row.try_get("seal")? };
            if let Some(chain) = chunk.iter().find(|known| **known == chain) {
                heads.insert(*chain, head);
            }
        }
    }
    Ok(heads)
}

#[cfg(test)]
mod tests {
    use hub::clock::now_us;
    use tokio::task::JoinSet;

    use super::*;
    use crate::ControlPlane;
    use crate::audit::{Row, verify, write};
    use crate::testing::{Harness, open_hub, settings};

    /// Entries without an organization, more than one batch.
    async fn entries(store: &Store, count: usize) {
        let mut writing = store.write().await.expect("a turn");
        for _ in 0..count {
            let row = Row {
                organization: None,
                account: None,
                at_us: now_us(),
                actor: "operator by key_1",
                action: "thing.made",
                subject: "thing",
                before: None,
                after: None,
            };
            write(writing.connection(), &row).await.expect("written");
        }
        drop(writing.commit().await.expect("committed"));
    }

    async fn report(store: &Store) -> verify::Report {
        let mut connection = store.read().await.expect("a connection");
        verify::check(&mut connection, &[]).await.expect("readable")
    }

    #[tokio::test]
    async fn entries_are_sealed_in_batches_and_what_a_stop_left_after_the_restart() {
        let harness = Harness::new().await;
        harness.isolated(1).await;
        entries(&harness.plane.app.store, BATCH_MAX + 10).await;
        let store = &harness.plane.app.store;
        assert_eq!(some(store).await.expect("sealed"), BATCH_MAX);
        assert_eq!(report(store).await.unsealed, 11);
        let Harness { plane, router, directory, organization_id, .. } = harness;
        drop(router);
        plane.close().await;
        let (plane, _) =
            ControlPlane::open(settings(&directory), open_hub(&directory)).await.expect("opens");
        run(&plane.app, std::future::ready(())).await;
        let report = report(&plane.app.store).await;
        let lengths: Vec<_> =
            report.heads.iter().map(|head| (head.chain.as_str(), head.sealed)).collect();
        assert_eq!(lengths, [("installation", 266), (organization_id.as_str(), 1)]);
        assert_eq!((report.unsealed, report.faults.len()), (0, 0), "{:?}", report.faults);
    }

    #[tokio::test]
    async fn control_planes_that_seal_at_once_seal_everything_once() {
        let harness = Harness::new().await;
        let store = &harness.plane.app.store;
        for _ in 0..3 {
            entries(store, 40).await;
            let mut sealing = JoinSet::new();
            for _ in 0..4 {
                let plane = harness.plane.clone();
                sealing.spawn(async move { some(&plane.app.store).await.expect("sealed") });
            }
            assert_eq!(sealing.join_all().await.into_iter().sum::<usize>(), 40);
        }
        let report = report(store).await;
        assert_eq!((report.heads[0].sealed, report.faults.len()), (120, 0), "{:?}", report.faults);
    }
}
