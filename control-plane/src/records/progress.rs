//! How far posting is, for those who wait for it; the truth are the watermarks in the database.

use std::time::Duration;

use hub::id::{AccountId, SHARDS};
use parking_lot::Mutex;
use sqlx::Row as _;
use tokio::sync::{Notify, watch};

use crate::hub::{Hub, Position};
use crate::store::Store;

/// Up to where each shard has been posted.
pub(crate) struct Progress {
    reached: Box<[Mutex<Reached>]>,
    pub(super) advanced: watch::Sender<()>,
    pub(super) wanted: Notify,
}

/// A number of one incarnation of a shard's stream.
#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    incarnation: u64,
    posted: u64,
}

impl Progress {
    /// Reads the watermarks of the hub's present stream, if the ledger keeps them.
    pub(crate) async fn load(store: &Store, hub: &Hub) -> Result<Self, sqlx::Error> {
        let progress = Self {
            reached: (0..SHARDS).map(|_| Mutex::default()).collect(),
            advanced: watch::Sender::new(()),
            wanted: Notify::new(),
        };
        let Some(stream) = hub.stream() else { return Ok(progress) };
        let mut connection = store.read().await?;
        let rows = sqlx::query("SELECT shard, sequence FROM watermarks WHERE stream = $1")
            .bind(stream)
            .fetch_all(&mut *connection)
            .await?;
        for row in rows {
            let Ok(shard) = u8::try_from(row.try_get::<i64, _>(0)?) else {
                continue;
            };
            let sequence = row.try_get::<i64, _>(1)?.unsigned_abs();
            let Position { incarnation, last_record: end, .. } =
                hub.position(shard).unwrap_or_default();
            if sequence > end {
                tracing::error!(
                    shard,
                    sequence,
                    end,
                    "the hub has lost call records that are posted; posting goes on at its end"
                );
            }
            progress.reach(shard, incarnation, sequence.min(end));
        }
        Ok(progress)
    }

    /// Up to where the stream that stands at `position` is posted.
    pub(crate) fn of(&self, shard: u8, position: &Position) -> u64 {
        let reached = *self.reached[usize::from(shard)].lock();
        if reached.incarnation == position.incarnation {
            reached.posted.max(position.acknowledged)
        } else {
            position.acknowledged
        }
    }

    /// Everything of one incarnation up to `posted` is in the ledger.
    pub(super) fn reach(&self, shard: u8, incarnation: u64, posted: u64) {
        *self.reached[usize::from(shard)].lock() = Reached { incarnation, posted };
    }

    /// Somebody waits for what posting does.
    pub(crate) fn wanted(&self) {
        self.wanted.notify_one();
    }

    /// Waits until everything that the hub has recorded for an organization by now is posted.
    /// False when that took longer than `patience`, or the hub does not say what it has recorded.
    pub(crate) async fn caught_up(
        &self,
        hub: &Hub,
        organization: AccountId,
        patience: Duration,
    ) -> bool {
        let shard = organization.shard();
        let mut advanced = self.advanced.subscribe();
        let Some(Position { incarnation, last_record, .. }) = hub.look(shard).await else {
            return false;
        };
        let reached = async {
            loop {
                let Some(now) = hub.position(shard).filter(|now| now.incarnation == incarnation)
                else {
                    return false;
                };
                if self.of(shard, &now) >= last_record {
                    return true;
                }
                self.wanted.notify_one();
                if advanced.changed().await.is_err() {
                    return false;
                }
            }
        };
        tokio::time::timeout(patience, reached).await.unwrap_or(false)
    }
}
