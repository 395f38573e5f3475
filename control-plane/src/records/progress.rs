//! How far posting is, for those who wait for it; the truth are the watermarks in the database.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hub::embedded::EmbeddedHub;
use hub::id::{AccountId, SHARDS};
use sqlx::Row as _;
use tokio::sync::{Notify, watch};

use crate::store::Store;

/// Up to where each shard has been posted.
pub(crate) struct Progress {
    pub(super) posted: Box<[AtomicU64]>,
    pub(super) advanced: watch::Sender<()>,
    pub(super) wanted: Notify,
}

impl Progress {
    /// Reads the watermarks of the hub's present stream.
    pub(crate) async fn load(store: &Store, hub: &EmbeddedHub) -> Result<Self, sqlx::Error> {
        let posted: Box<[AtomicU64]> = (0..SHARDS).map(|_| AtomicU64::new(0)).collect();
        let mut connection = store.read().await?;
        let rows = sqlx::query("SELECT shard, sequence FROM watermarks WHERE stream = $1")
            .bind(super::stream(hub))
            .fetch_all(&mut *connection)
            .await?;
        for row in rows {
            let shard = usize::try_from(row.try_get::<i64, _>(0)?).unwrap_or(usize::MAX);
            let Some(watermark) = posted.get(shard) else {
                continue;
            };
            let sequence = row.try_get::<i64, _>(1)?.unsigned_abs();
            let end = hub.last_record(u8::try_from(shard).unwrap_or_default());
            if sequence > end {
                tracing::error!(
                    shard,
                    sequence,
                    end,
                    "the hub has lost call records that are posted; posting goes on at its end"
                );
            }
            watermark.store(sequence.min(end), Ordering::Release);
        }
        Ok(Self { posted, advanced: watch::Sender::new(()), wanted: Notify::new() })
    }

    pub(crate) fn of(&self, shard: u8) -> u64 {
        self.posted[usize::from(shard)].load(Ordering::Acquire)
    }

    /// Waits until everything that the hub has recorded for an organization by now is posted.
    /// False when that took longer than `patience`.
    pub(crate) async fn caught_up(
        &self,
        hub: &EmbeddedHub,
        organization: AccountId,
        patience: Duration,
    ) -> bool {
        let shard = organization.shard();
        let last = hub.last_record(shard);
        let mut advanced = self.advanced.subscribe();
        let reached = async {
            while self.of(shard) < last {
                self.wanted.notify_one();
                if advanced.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(patience, reached).await.is_ok()
    }
}
