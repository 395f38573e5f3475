//! What one transaction publishes: its changes, its number, and for each shard the publication that
//! came before. The database keeps each shard's last number, so that a hub which has not heard of it
//! is noticed by whoever looks, also when who committed it is gone. Tells nobody anything.

use hub::directory::Change;
use hub::id::AccountId;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use crate::problem::Problem;
use crate::store::{Store, Writing};

/// Changes of one transaction, in order.
#[derive(Debug, Default)]
pub(crate) struct Publication {
    /// Grows with the order of commits over all control planes.
    pub(crate) number: u64,
    pub(crate) changes: Vec<Change>,
    /// The shards that it concerns, each with the number of its publication before; 0: none.
    pub(crate) shards: Vec<(u8, u64)>,
}

impl Publication {
    /// Takes a number for the changes of a transaction, if there are any.
    pub(crate) async fn of_changes(
        writing: &mut Writing,
        changes: Vec<Change>,
    ) -> Result<Self, Problem> {
        if changes.is_empty() {
            return Ok(Self::default());
        }
        let number = writing.publication().await?;
        let mut shards: Vec<u8> = changes.iter().map(Change::shard).collect();
        shards.sort_unstable();
        shards.dedup();
        let mut publication = Self { number, changes, shards: Vec::new() };
        for shard in shards {
            let previous = last(writing.connection(), shard).await?;
            note(writing.connection(), shard, number).await?;
            publication.shards.push((shard, previous));
        }
        Ok(publication)
    }

    /// The changes of one shard, in order.
    pub(crate) fn of(&self, shard: u8) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(move |change| change.shard() == shard)
    }
}

/// The number of a shard's last publication; 0: nothing was ever published.
pub(crate) async fn last(connection: &mut AnyConnection, shard: u8) -> Result<u64, Problem> {
    let row = sqlx::query("SELECT number FROM publications WHERE shard = $1")
        .bind(i64::from(shard))
        .fetch_optional(connection)
        .await?;
    Ok(row.map_or(Ok(0), |row| row.try_get::<i64, _>(0))?.unsigned_abs())
}

/// The shards of which anything was ever published.
pub(crate) async fn shards(connection: &mut AnyConnection) -> Result<Vec<u8>, Problem> {
    let rows = sqlx::query("SELECT shard FROM publications").fetch_all(connection).await?;
    rows.iter().map(shard_in).collect()
}

/// A start publishes everything again: it may have set keys and put back money that a crash left
/// taken out, and it is how an operator has everything told once more.
pub(crate) async fn renew(store: &Store) -> Result<(), Problem> {
    let mut writing = store.write().await?;
    place_organizations(writing.connection()).await?;
    let rows = sqlx::query("SELECT DISTINCT shard FROM organizations")
        .fetch_all(writing.connection())
        .await?;
    let number = writing.publication().await?;
    // What concerns no organization is in the first shard.
    note(writing.connection(), 0, number).await?;
    for row in rows {
        note(writing.connection(), shard_in(&row)?, number).await?;
    }
    writing.commit().await?;
    Ok(())
}

fn shard_in(row: &AnyRow) -> Result<u8, Problem> {
    u8::try_from(row.try_get::<i64, _>(0)?).map_err(Problem::internal)
}

/// The database was restored from a backup, and the hub has heard of `directory` since: numbers go on
/// above it. The shard's next one.
pub(crate) async fn overtake(
    writing: &mut Writing,
    shard: u8,
    directory: u64,
) -> Result<u64, Problem> {
    sqlx::query("UPDATE counters SET value = $1 WHERE name = 'publication' AND value < $1")
        .bind(i64::try_from(directory).map_err(Problem::internal)?)
        .execute(writing.connection())
        .await?;
    let number = writing.publication().await?;
    note(writing.connection(), shard, number).await?;
    Ok(number)
}

async fn note(connection: &mut AnyConnection, shard: u8, number: u64) -> Result<(), Problem> {
    sqlx::query(
        "INSERT INTO publications (shard, number) VALUES ($1, $2) \
         ON CONFLICT (shard) DO UPDATE SET number = excluded.number",
    )
    .bind(i64::from(shard))
    .bind(i64::try_from(number).map_err(Problem::internal)?)
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives the organizations of an earlier version their shards.
async fn place_organizations(connection: &mut AnyConnection) -> Result<(), Problem> {
    let rows = sqlx::query("SELECT id FROM organizations WHERE shard IS NULL")
        .fetch_all(&mut *connection)
        .await?;
    for row in rows {
        let text: String = row.try_get(0)?;
        let id: AccountId = text.parse().map_err(Problem::internal)?;
        sqlx::query("UPDATE organizations SET shard = $1 WHERE id = $2")
            .bind(i64::from(id.shard()))
            .bind(text)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
