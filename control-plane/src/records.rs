//! From the hub's record stream to the ledger: each call record is written and charged once, then
//! acknowledged. Decides no charge: a record says what its call cost.
//!
//! What makes it once is the call's row, written in the transaction of its charges: account, instant
//! of the admission and `call_id` name it, and its revision says how much of it is charged. So a
//! record may come again, under another number, and by several control planes. Where an embedded
//! hub's stream is posted up to stands in the ledger too, and nothing is read twice. A shared hub
//! says itself what was acknowledged: its numbers mean nothing from one incarnation to the next, and
//! what was read in one is never acknowledged in another.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hub::call::Record;
use hub::clock::{SECOND_US, boot_us, now_us};
use hub::embedded::StreamedRecord;
use hub::id::AccountId;
use sqlx::{AnyConnection, Row as _};

use crate::App;
use crate::account::owners;
use crate::budget;
use crate::problem::{Kind, Problem};
use crate::store::rows::{self, Value};

mod announce;
mod pace;
pub(crate) mod post;
mod progress;
pub(crate) mod rate;

use pace::{Batch, Pace};
pub(crate) use post::POSTING;
pub(crate) use progress::Progress;

/// How soon a lone record is noticed when nobody waits for it.
const IDLE_PAUSE: Duration = Duration::from_millis(10);
/// The pause after the database failed.
const FAILED_PAUSE: Duration = Duration::from_millis(500);
/// How long a stop waits for the backlog; what is left stands in the hub's journal.
const DRAIN_US: i64 = 5 * SECOND_US;
/// Pause between two looks at deletions that wait for the last charges of their calls.
const DELETIONS_EVERY_US: i64 = SECOND_US;
/// Accounts whose organization is remembered, but for those of one batch.
const ORGANIZATIONS_MAX: usize = 1_000_000;

/// Posts records until `shutdown`, then what is left, within a limit.
pub(crate) async fn run(app: &App, shutdown: impl Future) {
    let mut consumer = Consumer::new(app);
    consumer.acknowledge_posted().await;
    let backlog = metrics::gauge!("ringfence_posting_backlog");
    let mut shutdown = pin!(shutdown);
    loop {
        let pause = match consumer.post_some().await {
            Ok(None) => {
                consumer.tend().await;
                IDLE_PAUSE
            }
            Ok(Some(batch)) => consumer.rest_after(batch),
            Err(problem) => {
                tracing::error!(
                    ?problem,
                    "call records cannot be posted; they are kept and tried again"
                );
                FAILED_PAUSE
            }
        };
        #[expect(
            clippy::cast_precision_loss,
            reason = "a gauge is a float; a backlog stays far below 2^53"
        )]
        backlog.set(app.hub.backlog() as f64);
        let idle = pause == IDLE_PAUSE;
        tokio::select! {
            _ = &mut shutdown => break,
            () = tokio::time::sleep(pause), if !pause.is_zero() => {}
            () = app.progress.wanted.notified(), if idle => {}
            () = std::future::ready(()), if pause.is_zero() => {}
        }
    }
    let end_us = boot_us() + DRAIN_US;
    while boot_us() < end_us && matches!(consumer.post_some().await, Ok(Some(_))) {}
}

struct Consumer<'a> {
    app: &'a App,
    /// An account never changes its organization.
    organizations: HashMap<AccountId, AccountId>,
    closed: Closed,
    next_shard: u8,
    /// When deletions are looked at again.
    deletions_us: i64,
    pace: Pace,
    /// What waited when the last batch had been posted.
    waiting: u64,
}

/// The accounts that are deleted, money and all.
#[derive(Default)]
struct Closed {
    accounts: HashSet<AccountId>,
    /// The number of the last.
    last: i64,
}

impl Closed {
    /// Hears of those that were closed since, by whichever control plane. Within a transaction that
    /// writes, so that none is while it lasts.
    async fn learn(&mut self, connection: &mut AnyConnection) -> Result<(), Problem> {
        let new =
            sqlx::query("SELECT id, closing FROM accounts WHERE closing > $1 ORDER BY closing")
                .bind(self.last)
                .fetch_all(connection)
                .await?;
        for row in new {
            let id: String = row.try_get("id")?;
            self.accounts.insert(id.parse().map_err(Problem::internal)?);
            self.last = row.try_get("closing")?;
        }
        Ok(())
    }
}

/// The records of one shard that go into one transaction.
struct Piece {
    shard: u8,
    /// Of the hub's memory in which the numbers are.
    incarnation: u64,
    records: Vec<StreamedRecord>,
}

impl Piece {
    fn last(&self) -> u64 {
        self.records.last().map_or(0, |record| record.sequence)
    }
}

impl<'a> Consumer<'a> {
    fn new(app: &'a App) -> Self {
        Self {
            app,
            organizations: HashMap::new(),
            closed: Closed::default(),
            next_shard: 0,
            deletions_us: 0,
            pace: Pace::new(app.posting_cpu_percent),
            waiting: app.hub.backlog(),
        }
    }

    /// How long posting rests after a batch. While calls end it keeps to its share; when none has
    /// ended since the batch before it does not rest. Nor does it when so many records wait that the
    /// hub takes no new calls: then posting is what calls wait for.
    fn rest_after(&mut self, batch: Batch) -> Duration {
        self.pace.fit(batch);
        let waiting = self.app.hub.backlog();
        let calls_end = waiting.saturating_add(batch.records as u64) > self.waiting;
        self.waiting = waiting;
        if calls_end && !self.app.hub.is_full() {
            let rest_us = self.pace.rest_us(boot_us(), batch.spent_us);
            Duration::from_micros(rest_us.unsigned_abs())
        } else {
            Duration::ZERO
        }
    }

    /// What a crash left posted but not acknowledged.
    async fn acknowledge_posted(&self) {
        if self.app.hub.backlog() == 0 {
            return;
        }
        for shard in 0..=u8::MAX {
            let Some(position) = self.app.hub.position(shard) else { continue };
            let posted = self.app.progress.of(shard, &position);
            if posted > position.acknowledged {
                self.acknowledge(shard, position.incarnation, posted).await;
            }
        }
    }

    async fn acknowledge(&self, shard: u8, incarnation: u64, through: u64) {
        if self.app.hub.acknowledge(shard, incarnation, through).await.is_err() {
            tracing::warn!(shard, "posted records could not be acknowledged; later will do");
        }
    }

    /// Posts one batch, if any record waits.
    async fn post_some(&mut self) -> Result<Option<Batch>, Problem> {
        let collecting_us = boot_us();
        let pieces = self.collect().await;
        let records = pieces.iter().map(|piece| piece.records.len()).sum();
        if records == 0 {
            return Ok(None);
        }
        let collected_us = boot_us();
        // The ledger never knows of a record that the hub could still forget: its number would be
        // given to another one, which would then be passed over.
        self.app.hub.durable().await.map_err(|_| unsynced())?;
        let durable_us = boot_us();
        let statements_us = match self.write(&pieces, post::Care::Quick).await {
            Ok(statements_us) => statements_us,
            Err(problem) => {
                // A record that is there already spoils the whole batch: look at each one.
                tracing::warn!(
                    ?problem,
                    "a batch of call records failed; posting it record by record"
                );
                self.write(&pieces, post::Care::Each).await?
            }
        };
        for piece in &pieces {
            self.app.progress.reach(piece.shard, piece.incarnation, piece.last());
        }
        self.app.progress.advanced.send_replace(());
        for piece in &pieces {
            self.acknowledge(piece.shard, piece.incarnation, piece.last()).await;
        }
        let spent_us = collected_us - collecting_us + (boot_us() - durable_us);
        Ok(Some(Batch { records, statements_us, spent_us }))
    }

    /// The next records, shard after shard; a busy shard never starves the others.
    async fn collect(&mut self) -> Vec<Piece> {
        let (app, mut room) = (self.app, self.pace.records());
        let mut pieces = Vec::new();
        if app.hub.backlog() == 0 {
            return pieces;
        }
        let first = self.next_shard;
        for shard in (0..=u8::MAX).map(|offset| first.wrapping_add(offset)) {
            if room == 0 {
                break;
            }
            let position = app.hub.position(shard).unwrap_or_default();
            let after = app.progress.of(shard, &position);
            if position.last_record > after {
                let records = app.hub.records(shard, after, room).await;
                room = room.saturating_sub(records.len());
                pieces.push(Piece { shard, incarnation: position.incarnation, records });
            }
            self.next_shard = shard.wrapping_add(1);
        }
        pieces.retain(|piece| !piece.records.is_empty());
        pieces
    }

    /// Writes the records of one batch and returns how long its statements took.
    async fn write(&mut self, pieces: &[Piece], care: post::Care) -> Result<i64, Problem> {
        let mut writing = self.app.store.write().await?;
        let began_us = boot_us();
        let connection = writing.connection();
        let records =
            pieces.iter().flat_map(|piece| &piece.records).map(|streamed| &*streamed.record);
        let records: Vec<&Record> =
            records.filter(|record| !record.call.account().is_shadow()).collect();
        self.learn(connection, &records).await?;
        let mut known = Vec::with_capacity(records.len());
        for record in records {
            let account = record.call.account();
            let Some(organization) = self.organizations.get(&account) else {
                tracing::error!(%account, "a call record of an account that is not known");
                continue;
            };
            known.push((*organization, record));
        }
        self.closed.learn(connection).await?;
        let written =
            post::write(connection, &known, &self.closed.accounts, care, now_us()).await?;
        announce::write(connection, &written, now_us()).await?;
        let spends_budget = budget::spending::add(connection, &written.spent).await?;
        if let Some(stream) = self.app.hub.stream() {
            write_watermarks(connection, &stream, pieces).await?;
        }
        let statements_us = boot_us() - began_us;
        writing.commit().await?;
        if spends_budget {
            self.app.budgets_pending.store(true, Ordering::Release);
        }
        Ok(statements_us)
    }

    /// Reads the organizations of accounts that are not remembered.
    async fn learn(
        &mut self,
        connection: &mut AnyConnection,
        records: &[&Record],
    ) -> Result<(), Problem> {
        if self.organizations.len() >= ORGANIZATIONS_MAX {
            self.organizations.clear();
        }
        let accounts = records.iter().map(|record| record.call.account());
        let new = accounts.filter(|account| !self.organizations.contains_key(account));
        let new: Vec<AccountId> = new.collect::<BTreeSet<_>>().into_iter().collect();
        if new.is_empty() {
            return Ok(());
        }
        self.organizations.extend(owners::of(connection, &new).await?);
        Ok(())
    }

    /// What is done while no record waits: publish again what could not be, finish deletions.
    async fn tend(&mut self) {
        crate::wallets::withdrawal::give_back(self.app).await;
        if self.app.unpublished.swap(false, Ordering::AcqRel)
            && !self.app.hub.keeps_directory()
            && let Err(error) = crate::publish::everything(self.app).await
        {
            tracing::warn!(?error, "configuration could not be published; trying again");
            self.app.unpublished.store(true, Ordering::Release);
        }
        let now_us = now_us();
        if now_us >= self.deletions_us && self.app.deletions_pending.swap(false, Ordering::AcqRel) {
            self.deletions_us = now_us + DELETIONS_EVERY_US;
            let finished = crate::sub_accounts::delete::finish_all(self.app).await;
            if let Err(error) = &finished {
                tracing::warn!(?error, "a deletion could not be finished; trying again");
            }
            if !matches!(finished, Ok(true)) {
                self.app.deletions_pending.store(true, Ordering::Release);
            }
        }
    }
}

/// Says in the ledger up to where each shard is posted.
async fn write_watermarks(
    connection: &mut AnyConnection,
    stream: &str,
    pieces: &[Piece],
) -> Result<(), Problem> {
    let row = |piece: &Piece| -> Result<Vec<Value<'_>>, Problem> {
        let sequence = i64::try_from(piece.last()).map_err(Problem::internal)?;
        Ok(vec![
            Value::OwnedText(stream.to_owned()),
            Value::Int(i64::from(piece.shard)),
            Value::Int(sequence),
        ])
    };
    let watermarks = pieces.iter().map(row).collect::<Result<Vec<_>, Problem>>()?;
    rows::write(
        connection,
        "INSERT INTO watermarks (stream, shard, sequence)",
        &watermarks,
        " ON CONFLICT (stream, shard) DO UPDATE SET sequence = excluded.sequence",
    )
    .await?;
    Ok(())
}

fn unsynced() -> Problem {
    Problem::new(Kind::HubUnavailable, "the hub cannot sync its records now")
}

#[cfg(test)]
mod tests;
