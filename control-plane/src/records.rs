//! From the hub's record stream to the ledger: each call record is written and charged once, in one
//! SQL transaction with the watermark that says so, then acknowledged. Decides no charge: a record
//! says what its call cost.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hub::clock::{SECOND_US, boot_us, now_us};
use hub::embedded::{EmbeddedHub, StreamedRecord};
use hub::id::{AccountId, SHARDS};
use sqlx::{AnyConnection, Row as _};
use tokio::sync::{Notify, watch};

use crate::App;
use crate::problem::{Kind, Problem};
use crate::store::Store;

mod post;

/// Records posted by one SQL transaction.
const BATCH_RECORDS_MAX: usize = 2_000;
/// How soon a lone record is noticed when nobody waits for it.
const IDLE_PAUSE: Duration = Duration::from_millis(10);
/// The pause after the database failed.
const FAILED_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause that the share of the processor asks for.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long a stop waits for the backlog; what is left stands in the hub's journal.
const DRAIN_US: i64 = 5 * SECOND_US;
/// How often what has outlived its use is swept.
const SWEEP_EVERY_US: i64 = 600 * SECOND_US;
/// Accounts whose organization is remembered.
const ORGANIZATIONS_MAX: usize = 1_000_000;

/// Up to where each shard has been posted.
pub(crate) struct Progress {
    posted: Box<[AtomicU64]>,
    advanced: watch::Sender<()>,
    wanted: Notify,
}

impl Progress {
    /// Reads the watermarks of the hub's present stream.
    pub(crate) async fn load(store: &Store, hub: &EmbeddedHub) -> Result<Self, sqlx::Error> {
        let posted: Box<[AtomicU64]> = (0..SHARDS).map(|_| AtomicU64::new(0)).collect();
        let mut connection = store.read().await?;
        let rows = sqlx::query("SELECT shard, sequence FROM watermarks WHERE stream = $1")
            .bind(stream(hub))
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

/// Posts records until `shutdown`, then what is left, within a limit.
pub(crate) async fn run(app: &App, shutdown: impl Future) {
    let mut consumer = Consumer { app, organizations: HashMap::new(), next_shard: 0, swept_us: 0 };
    consumer.acknowledge_posted();
    let backlog = metrics::gauge!("ringfence_posting_backlog");
    let mut shutdown = pin!(shutdown);
    let mut waiting = app.hub.backlog();
    loop {
        let began_us = boot_us();
        let pause = match consumer.post_some().await {
            Ok(0) => {
                consumer.tend().await;
                IDLE_PAUSE
            }
            // More calls end than are posted: admissions go first.
            Ok(_) if app.hub.backlog() > waiting => {
                share_pause(app.posting_cpu_percent, boot_us() - began_us)
            }
            Ok(_) => Duration::ZERO,
            Err(problem) => {
                tracing::error!(
                    ?problem,
                    "call records cannot be posted; they are kept and tried again"
                );
                FAILED_PAUSE
            }
        };
        waiting = app.hub.backlog();
        #[expect(
            clippy::cast_precision_loss,
            reason = "a gauge is a float; a backlog stays far below 2^53"
        )]
        backlog.set(waiting as f64);
        let idle = pause == IDLE_PAUSE;
        tokio::select! {
            _ = &mut shutdown => break,
            () = tokio::time::sleep(pause), if !pause.is_zero() => {}
            () = app.progress.wanted.notified(), if idle => {}
            () = std::future::ready(()), if pause.is_zero() => {}
        }
    }
    let end_us = boot_us() + DRAIN_US;
    while boot_us() < end_us && matches!(consumer.post_some().await, Ok(1..)) {}
}

struct Consumer<'a> {
    app: &'a App,
    /// An account never changes its organization.
    organizations: HashMap<AccountId, AccountId>,
    next_shard: u8,
    swept_us: i64,
}

/// The records of one shard that go into one transaction.
struct Piece {
    shard: u8,
    records: Vec<StreamedRecord>,
}

impl Piece {
    fn last(&self) -> u64 {
        self.records.last().map_or(0, |record| record.sequence)
    }
}

impl Consumer<'_> {
    /// What a crash left posted but not acknowledged.
    fn acknowledge_posted(&self) {
        if self.app.hub.backlog() == 0 {
            return;
        }
        for shard in 0..=u8::MAX {
            let posted = self.app.progress.of(shard);
            if posted > 0 && self.app.hub.acknowledge(shard, posted).is_err() {
                tracing::warn!(shard, "posted records could not be acknowledged; later will do");
            }
        }
    }

    /// Posts one batch, and returns how many records were in it.
    async fn post_some(&mut self) -> Result<usize, Problem> {
        let pieces = self.collect();
        let count = pieces.iter().map(|piece| piece.records.len()).sum();
        if count == 0 {
            return Ok(0);
        }
        // The ledger never knows of a record that the hub could still forget: its number would be
        // given to another one, which would then be passed over.
        self.app.hub.durable().await.map_err(|_| unsynced())?;
        if let Err(problem) = self.write(&pieces, post::Care::Quick).await {
            // A record that is there already spoils the whole batch: look at each one.
            tracing::warn!(?problem, "a batch of call records failed; posting it record by record");
            self.write(&pieces, post::Care::Each).await?;
        }
        for piece in &pieces {
            self.app.progress.posted[usize::from(piece.shard)]
                .store(piece.last(), Ordering::Release);
            if self.app.hub.acknowledge(piece.shard, piece.last()).is_err() {
                tracing::warn!(
                    shard = piece.shard,
                    "posted records could not be acknowledged; later ones will be"
                );
            }
        }
        self.app.progress.advanced.send_replace(());
        Ok(count)
    }

    /// The next records, shard after shard; a busy shard never starves the others.
    fn collect(&mut self) -> Vec<Piece> {
        let (app, mut room) = (self.app, BATCH_RECORDS_MAX);
        let mut pieces = Vec::new();
        if app.hub.backlog() == 0 {
            return pieces;
        }
        let first = self.next_shard;
        for shard in (0..=u8::MAX).map(|offset| first.wrapping_add(offset)) {
            let after = app.progress.of(shard);
            if room == 0 {
                break;
            }
            if app.hub.last_record(shard) > after {
                let records = app.hub.records(shard, after, room);
                room = room.saturating_sub(records.len());
                pieces.push(Piece { shard, records });
            }
            self.next_shard = shard.wrapping_add(1);
        }
        pieces.retain(|piece| !piece.records.is_empty());
        pieces
    }

    async fn write(&mut self, pieces: &[Piece], care: post::Care) -> Result<(), Problem> {
        let mut writing = self.app.store.write().await?;
        let connection = writing.connection();
        let records =
            pieces.iter().flat_map(|piece| &piece.records).map(|streamed| &*streamed.record);
        let mut billed = Vec::new();
        for record in records.filter(|record| !record.call.account().is_shadow()) {
            let account = record.call.account();
            let Some(organization) = self.organization(connection, account).await? else {
                tracing::error!(%account, "a call record of an account that is not known");
                continue;
            };
            billed.push((organization, record));
        }
        post::write(connection, &billed, care, now_us()).await?;
        let stream = stream(&self.app.hub);
        for piece in pieces {
            sqlx::query(
                "INSERT INTO watermarks (stream, shard, sequence) VALUES ($1, $2, $3) \
                 ON CONFLICT (stream, shard) DO UPDATE SET sequence = excluded.sequence",
            )
            .bind(stream.as_str())
            .bind(i64::from(piece.shard))
            .bind(i64::try_from(piece.last()).map_err(Problem::internal)?)
            .execute(&mut *connection)
            .await?;
        }
        writing.commit().await?;
        Ok(())
    }

    async fn organization(
        &mut self,
        connection: &mut AnyConnection,
        account: AccountId,
    ) -> Result<Option<AccountId>, Problem> {
        if let Some(organization) = self.organizations.get(&account) {
            return Ok(Some(*organization));
        }
        let row = sqlx::query("SELECT organization_id FROM accounts WHERE id = $1")
            .bind(account.to_string())
            .fetch_optional(connection)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let organization = row.try_get::<String, _>(0)?.parse().map_err(Problem::internal)?;
        if self.organizations.len() >= ORGANIZATIONS_MAX {
            self.organizations.clear();
        }
        self.organizations.insert(account, organization);
        Ok(Some(organization))
    }

    /// What is done while no record waits: publish again what could not be, finish deletions, sweep.
    async fn tend(&mut self) {
        if self.app.unpublished.swap(false, Ordering::AcqRel)
            && let Err(error) = crate::publish::everything(self.app).await
        {
            tracing::warn!(?error, "configuration could not be published; trying again");
            self.app.unpublished.store(true, Ordering::Release);
        }
        if self.app.deletions_pending.swap(false, Ordering::AcqRel)
            && let Err(error) = crate::sub_accounts::delete::finish_all(self.app).await
        {
            tracing::warn!(?error, "a deletion could not be finished; trying again");
            self.app.deletions_pending.store(true, Ordering::Release);
        }
        let now_us = now_us();
        if now_us - self.swept_us > SWEEP_EVERY_US {
            self.swept_us = now_us;
            let swept = async {
                let mut writing = self.app.store.write().await?;
                crate::idempotency::sweep(writing.connection(), now_us).await?;
                writing.commit().await
            };
            if let Err(error) = swept.await {
                tracing::warn!(%error, "old answers could not be swept");
            }
        }
    }
}

/// The pause after `spent_us` of work that keeps posting within its share of a processor.
fn share_pause(percent: Option<u8>, spent_us: i64) -> Duration {
    let percent = u32::from(percent.unwrap_or(100).clamp(1, 100));
    let spent = Duration::from_micros(spent_us.unsigned_abs());
    (spent * (100 - percent) / percent).min(PAUSE_MAX)
}

fn unsynced() -> Problem {
    Problem::new(Kind::HubUnavailable, "the hub cannot sync its records now")
}

fn stream(hub: &EmbeddedHub) -> String {
    format!("{:032x}", hub.stream())
}

#[cfg(test)]
mod tests;
