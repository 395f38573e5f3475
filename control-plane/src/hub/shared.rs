//! A hub that gateways share, as one control plane sees it: what it knows of each shard since it last
//! looked, and which shards have to be told everything again. A call that fails leaves only a note
//! here; who repeats is the steward. No wait here is longer than its constant.

use std::sync::Arc;
use std::time::Duration;

use hub::clock::boot_us;
use hub::directory::Change;
use hub::embedded::{AccountUse, HubUnavailable, StreamedRecord, WalletUse};
use hub::id::{AccountId, SHARDS};
use hub::redis::connect::Shards;
use hub::redis::hub::{RedisHub, ShardStanding};
use hub::shared::NoAnswer;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{CHANGES_MAX, Position, Use};
use crate::publication::Publication;

/// How long an answer waits for what calls use now.
const USE_PATIENCE: Duration = Duration::from_millis(250);
/// How long a change waits for a shard to be begun, before it is answered as not in force yet.
const BEGIN_PATIENCE: Duration = Duration::from_secs(5);
/// Accounts whose use is asked for at the same time.
const ASKED_AT_ONCE: usize = 64;

pub(crate) struct Shared {
    redis: Arc<RedisHub>,
    shards: Box<[Mutex<Seen>]>,
    /// Shards that the steward should see to at once.
    due: Mutex<Shards>,
    pub(crate) wanted: Notify,
    /// Something became known of some shard.
    advanced: watch::Sender<()>,
}

/// What is known of one shard.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// `None`: the last look had no answer.
    position: Option<Position>,
    /// The last publication in the shard's directory.
    directory: u64,
    /// Counts what could not be told, or was told without what came before it.
    owed: u64,
    /// A publication that was not in the directory, and since when that is known.
    behind: Option<(u64, i64)>,
    /// The latest of the shard's clock: what it said before it lost its memory counts.
    clock_ms: u64,
}

impl Shared {
    pub(super) fn new(redis: Arc<RedisHub>) -> Self {
        Self {
            redis,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            due: Mutex::default(),
            wanted: Notify::new(),
            advanced: watch::Sender::new(()),
        }
    }

    pub(crate) fn redis(&self) -> &RedisHub {
        &self.redis
    }

    fn seen(&self, shard: u8) -> Seen {
        *self.shards[usize::from(shard)].lock()
    }

    pub(crate) fn position(&self, shard: u8) -> Option<Position> {
        self.seen(shard).position
    }

    /// The latest that was seen of the shard's clock; 0: nothing.
    pub(crate) fn clock_seen_ms(&self, shard: u8) -> u64 {
        self.seen(shard).clock_ms
    }

    /// Asks how a shard stands, and remembers it.
    pub(crate) async fn look(&self, shard: u8) -> Result<ShardStanding, NoAnswer> {
        let standing = self.redis.standing(shard).await;
        let mut seen = self.shards[usize::from(shard)].lock();
        seen.position = standing.as_ref().ok().map(|standing| Position {
            incarnation: standing.incarnation,
            last_record: standing.last_record,
            acknowledged: standing.acknowledged,
        });
        seen.directory = standing.as_ref().map_or(0, |standing| standing.directory);
        seen.clock_ms =
            seen.clock_ms.max(standing.as_ref().map_or(0, |standing| standing.clock_ms));
        drop(seen);
        self.advanced.send_replace(());
        standing
    }

    /// Tells a committed publication, shard by shard. What cannot be told now is owed.
    pub(crate) async fn publish(&self, publication: &Publication) -> Result<(), HubUnavailable> {
        let number = publication.number;
        let mut all = Ok(());
        for (shard, previous) in &publication.shards {
            let changes: Vec<Change> = publication.of(*shard).cloned().collect();
            let told = self.publish_in(*shard, *previous, number, &changes).await;
            if !matches!(told, Ok(true)) {
                self.owe(*shard);
            }
            let in_force = match told {
                Ok(true) => true,
                Ok(false) | Err(NoAnswer::Unsealed) => self.comes_into_force(*shard, number).await,
                Err(error) => {
                    tracing::debug!(shard, number, %error, "a publication is owed");
                    false
                }
            };
            if !in_force {
                all = Err(HubUnavailable);
            }
        }
        all
    }

    /// Tells the changes of one shard. False when the one before has not been told: another control
    /// plane may have ended between its commit and that, and who comes later notices.
    async fn publish_in(
        &self,
        shard: u8,
        previous: u64,
        number: u64,
        changes: &[Change],
    ) -> Result<bool, NoAnswer> {
        let follows =
            self.seen(shard).directory >= previous || self.look(shard).await?.directory >= previous;
        for changes in changes.chunks(CHANGES_MAX) {
            self.redis.publish(shard, number, changes).await?;
        }
        if follows {
            let mut seen = self.shards[usize::from(shard)].lock();
            seen.directory = seen.directory.max(number);
        }
        Ok(follows)
    }

    /// Waits a little until the steward has told everything up to a publication.
    async fn comes_into_force(&self, shard: u8, number: u64) -> bool {
        let mut advanced = self.advanced.subscribe();
        let reached = async {
            while self.seen(shard).owed > 0 || self.seen(shard).directory < number {
                if advanced.changed().await.is_err() {
                    return;
                }
            }
        };
        timeout(BEGIN_PATIENCE, reached).await.is_ok()
    }

    /// Tells money that is no publication: the directory does not hold wallets, so its number stays.
    pub(crate) async fn tell(&self, changes: &[Change]) -> Result<(), HubUnavailable> {
        for change in changes {
            let shard = change.shard();
            let number = self.seen(shard).directory;
            self.redis.publish(shard, number, std::slice::from_ref(change)).await.map_err(
                |error| {
                    tracing::debug!(shard, %error, "money could not be told");
                    HubUnavailable
                },
            )?;
        }
        Ok(())
    }

    /// The shard is to be told everything again, soon.
    pub(crate) fn owe(&self, shard: u8) {
        self.shards[usize::from(shard)].lock().owed += 1;
        self.due.lock().insert(shard);
        self.wanted.notify_one();
    }

    /// How much is owed to a shard; 0: nothing.
    pub(crate) fn owed(&self, shard: u8) -> u64 {
        self.seen(shard).owed
    }

    /// Whether the directory has lacked a publication that was `committed` for longer than `patience`:
    /// until then whoever committed it may be about to tell it.
    pub(crate) fn is_behind(
        &self,
        shard: u8,
        committed: u64,
        directory: u64,
        patience: Duration,
    ) -> bool {
        let now_us = boot_us();
        let seen = &mut *self.shards[usize::from(shard)].lock();
        if directory >= committed {
            seen.behind = None;
            return false;
        }
        // What was lacking first is still lacking as long as the directory has not reached it.
        let (number, since_us) =
            seen.behind.filter(|(number, _)| directory < *number).unwrap_or((committed, now_us));
        seen.behind = Some((number, since_us));
        i128::from(now_us - since_us) >= i128::try_from(patience.as_micros()).unwrap_or(i128::MAX)
    }

    /// Everything up to publication `number` has been told, and with it what was owed: unless more
    /// has become owed since it was `owed`.
    pub(crate) fn told_everything(&self, shard: u8, number: u64, owed: u64) {
        let mut seen = self.shards[usize::from(shard)].lock();
        seen.directory = seen.directory.max(number);
        if seen.owed == owed {
            seen.owed = 0;
        }
        drop(seen);
        self.advanced.send_replace(());
    }

    /// Shards that something is owed to since the last time.
    pub(crate) fn take_due(&self) -> Shards {
        std::mem::take(&mut *self.due.lock())
    }

    pub(crate) async fn account_use(
        &self,
        organization: AccountId,
        account: AccountId,
    ) -> Option<AccountUse> {
        timeout(USE_PATIENCE, self.redis.account_use(organization, account)).await.ok()?.ok()
    }

    pub(crate) async fn organization_live(&self, organization: AccountId) -> Option<u32> {
        timeout(USE_PATIENCE, self.redis.organization_live(organization)).await.ok()?.ok()
    }

    pub(crate) async fn wallet_use(
        &self,
        organization: AccountId,
        owner: AccountId,
    ) -> Option<WalletUse> {
        timeout(USE_PATIENCE, self.redis.wallet_use(organization, owner)).await.ok()?.ok()
    }

    pub(crate) async fn recall_money(
        &self,
        organization: AccountId,
        owner: AccountId,
    ) -> Option<WalletUse> {
        timeout(USE_PATIENCE, self.redis.recall_money(organization, owner)).await.ok()?.ok()
    }

    /// All within one patience: what is not known by then is not waited for.
    pub(crate) async fn uses(&self, organization: AccountId, accounts: &[AccountId]) -> Vec<Use> {
        let mut uses = vec![Use::default(); accounts.len()];
        let mut asked = JoinSet::new();
        let mut rest = accounts.iter().copied().enumerate();
        let all = async {
            loop {
                while asked.len() < ASKED_AT_ONCE
                    && let Some((index, id)) = rest.next()
                {
                    let redis = Arc::clone(&self.redis);
                    asked.spawn(async move {
                        let account = redis.account_use(organization, id).await.ok();
                        let wallet = redis.wallet_use(organization, id).await.ok();
                        (index, Use { account, wallet })
                    });
                }
                match asked.join_next().await {
                    Some(Ok((index, answered))) => uses[index] = answered,
                    Some(Err(_)) => {}
                    None => return,
                }
            }
        };
        if timeout(USE_PATIENCE, all).await.is_err() {
            tracing::debug!(%organization, "the hub does not say in time what calls use");
        }
        uses
    }

    pub(crate) async fn records(&self, shard: u8, after: u64, max: usize) -> Vec<StreamedRecord> {
        match self.redis.records(shard, after, max).await {
            Ok(records) => {
                if records.is_empty() {
                    // Another control plane was faster: how it stands now is not what was known.
                    self.look(shard).await.map_err(|_| HubUnavailable).ok();
                }
                records
            }
            Err(error) => {
                // Nothing is known of the shard until the next look succeeds.
                self.shards[usize::from(shard)].lock().position = None;
                tracing::debug!(shard, %error, "call records could not be read");
                Vec::new()
            }
        }
    }

    /// Numbers mean nothing to another incarnation than the one in which the records were read: then
    /// nothing is acknowledged, and the records that are there are read again.
    pub(crate) async fn acknowledge(
        &self,
        shard: u8,
        incarnation: u64,
        through: u64,
    ) -> Result<(), HubUnavailable> {
        let standing = self.look(shard).await.map_err(|_| HubUnavailable)?;
        if standing.incarnation != incarnation || standing.acknowledged >= through {
            return Ok(());
        }
        self.redis.acknowledge(shard, incarnation, through).await.map_err(|_| HubUnavailable)?;
        if let Some(position) = &mut self.shards[usize::from(shard)].lock().position
            && position.incarnation == incarnation
        {
            position.acknowledged = position.acknowledged.max(through);
        }
        Ok(())
    }

    pub(crate) fn backlog(&self) -> u64 {
        let waiting = |shard: &Mutex<Seen>| {
            let position = shard.lock().position.unwrap_or_default();
            position.last_record.saturating_sub(position.acknowledged)
        };
        self.shards.iter().map(waiting).sum()
    }
}
