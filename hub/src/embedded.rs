//! The embedded hub: the state machine of every shard in this process, with its journal. What the
//! gateway and the control plane of one process share. Every change is in the journal by one write
//! before it is applied; opening the directory takes over what the last process left.

mod log;
mod recovery;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};
use triomphe::Arc;

use crate::call::Record;
use crate::call_table::{CallHasher, CallName};
use crate::cap::CapId;
use crate::clock::{self, EpochSeconds};
use crate::directory::Change;
use crate::id::{AccountId, HolderId};
use crate::money::Amount;
use crate::report::Report;
use crate::state::Shard;
use crate::state::calls::{Entry, Live};
use crate::state::request::{Answer, Request, Sync};
use crate::state::request_codec::{write_request, write_sync};
use log::Log;

/// Where and how the hub keeps its state.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of the journal, its snapshots and the lock; created when missing.
    pub directory: PathBuf,
    /// Calls taken over from the last process live at least so long, in seconds.
    pub call_lease_s: u32,
    /// Ended calls that are remembered at most.
    pub tombstones_max: usize,
    /// Records that the ledger has not acknowledged, at most; more refuse new calls.
    pub records_max: u64,
}

impl Options {
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, call_lease_s: 90, tombstones_max: 2_000_000, records_max: 5_000_000 }
    }
}

/// The hub cannot be opened; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Journal(#[from] crate::journal::OpenError),
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: std::io::Error },
    #[error(
        "{path} is not a token key of 32 bytes; restore it, or delete it to make a new one (tokens of live calls then no longer count)"
    )]
    TokenKey { path: PathBuf },
}

/// The hub cannot record anything now (a full disk).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hub cannot record changes now")]
pub struct HubUnavailable;

/// What the hub can record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Open,
    /// No new calls: the disk is full, or the ledger is too far behind. Ends of calls are kept.
    Full,
    /// Nothing: what is kept in memory has reached its bound.
    Closed,
}

/// What the calls of one account use now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountUse {
    /// Slots leased for the account.
    pub leased: u32,
    /// Live calls.
    pub live: u32,
}

/// What the calls on one wallet hold and have spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalletUse {
    /// Holds of live calls.
    pub held: Amount,
    /// Charges of ended calls since the wallet exists, posted to the ledger or not yet, without debt.
    pub spent: Amount,
    /// Money at holders without a call that is known here, or kept for such calls.
    pub idle: Amount,
}

/// A finished call on its way to the ledger. `sequence` starts at 1 and has no gap within a shard.
#[derive(Clone, Debug)]
pub struct StreamedRecord {
    pub sequence: u64,
    pub record: Arc<Record>,
}

type Follower = Box<dyn Fn(&Change) + Send + std::marker::Sync>;

/// Changes that one journal frame takes, at most.
const CHANGES_PER_FRAME: usize = 1_000;
/// Tombstones above the maximum that are dropped at once, so that the search for the largest shard is
/// rare.
const FORGET_AT_ONCE: u32 = 4_096;

pub struct EmbeddedHub {
    options: Options,
    hasher: CallHasher,
    holder: HolderId,
    token_key: [u8; 32],
    /// Locked by readers for a look, by the writer for one request.
    shards: Box<[Mutex<Shard>]>,
    log: Mutex<Log>,
    watch: log::Watch,
    backlog: AtomicU64,
    tombstones: AtomicUsize,
    /// One publisher at a time, so that followers hear changes in the order of the journal.
    publishing: Mutex<()>,
    followers: RwLock<Vec<Follower>>,
    /// What the gateway reports, until the control plane has it.
    report: Mutex<Option<Report>>,
}

impl EmbeddedHub {
    /// Takes over the directory: locks it, recovers what the last process recorded and becomes the
    /// holder of its calls. Blocking.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let hasher = CallHasher::default();
        let recovered = recovery::recover(options, &hasher)?;
        let count = |of: fn(&Shard) -> usize| recovered.shards.iter().map(of).sum::<usize>();
        let hub = Self {
            options: options.clone(),
            hasher,
            holder: HolderId(rand::random()),
            token_key: recovered.token_key,
            backlog: AtomicU64::new(count(Shard::backlog) as u64),
            tombstones: AtomicUsize::new(count(|shard| shard.calls().ended())),
            shards: recovered.shards.into_iter().map(Mutex::new).collect(),
            watch: recovered.log.watch(),
            log: Mutex::new(recovered.log),
            publishing: Mutex::default(),
            followers: RwLock::default(),
            report: Mutex::default(),
        };
        hub.take_over();
        Ok(hub)
    }

    fn take_over(&self) {
        let request =
            || Request::TakeOver { holder: self.holder, call_lease_s: self.options.call_lease_s };
        let used =
            (0..=u8::MAX).zip(&self.shards).filter(|(_, shard)| !shard.lock().is_untouched());
        let requests: Vec<_> = used.map(|(shard, _)| (shard, request())).collect();
        if self.commit(requests).is_err() {
            tracing::warn!("the disk is full: the takeover is kept in memory");
        }
    }

    /// This process as a holder of leases: random, new at every start.
    pub fn holder(&self) -> HolderId {
        self.holder
    }

    /// The key under which call tokens of this installation are made.
    pub fn token_key(&self) -> &[u8; 32] {
        &self.token_key
    }

    /// Names the record stream: another journal has another id, and its sequences begin anew.
    pub fn stream(&self) -> u128 {
        self.watch.stream()
    }

    pub fn health(&self) -> Health {
        let health = self.watch.health();
        let behind = self.backlog.load(Ordering::Relaxed) >= self.options.records_max;
        if behind && health == Health::Open { Health::Full } else { health }
    }

    /// Records and applies what a holder reports and wants, and leaves it empty to be filled again;
    /// one answer for each, in order. All of it is in the journal when this returns `Ok`. On an error
    /// it waits in memory; nothing that admits a call may then be answered.
    pub fn sync(&self, syncs: &mut [(u8, Sync)]) -> Result<Vec<Answer>, HubUnavailable> {
        let now_us = clock::now_us();
        let mut log = self.log.lock();
        let written = log.write(syncs, now_us, write_sync);
        // The log stays locked: requests are applied in the order of the journal.
        let answers =
            syncs.iter_mut().map(|(shard, sync)| self.apply(*shard, |s| s.sync(sync, now_us)));
        let answers = answers.collect();
        self.bound_tombstones(&mut log, now_us);
        written.map(|()| answers)
    }

    fn commit(&self, requests: Vec<(u8, Request)>) -> Result<(), HubUnavailable> {
        if requests.is_empty() {
            return Ok(());
        }
        let now_us = clock::now_us();
        let mut log = self.log.lock();
        let written = log.write(&requests, now_us, write_request);
        for (shard, request) in requests {
            self.apply(shard, |shard| shard.apply(request, now_us));
        }
        written
    }

    fn apply(&self, shard: u8, change: impl FnOnce(&mut Shard) -> Answer) -> Answer {
        let mut shard = self.shards[usize::from(shard)].lock();
        let (backlog, ended) = (shard.backlog(), shard.calls().ended());
        let answer = change(&mut shard);
        // Wrapping: the difference may be negative.
        self.backlog
            .fetch_add((shard.backlog() as u64).wrapping_sub(backlog as u64), Ordering::Relaxed);
        self.tombstones.fetch_add(shard.calls().ended().wrapping_sub(ended), Ordering::Relaxed);
        answer
    }

    /// Too many tombstones: the shard that has most gives up its oldest.
    fn bound_tombstones(&self, log: &mut Log, now_us: i64) {
        let count = self.tombstones.load(Ordering::Relaxed);
        if count < self.options.tombstones_max.saturating_add(FORGET_AT_ONCE as usize) {
            return;
        }
        let sizes = (0..=u8::MAX)
            .zip(&self.shards)
            .map(|(index, shard)| (shard.lock().calls().ended(), index));
        let Some((_, largest)) = sizes.max() else {
            return;
        };
        let forget = Request::Forget { count: FORGET_AT_ONCE };
        if log.write(&[(largest, forget.clone())], now_us, write_request).is_err() {
            tracing::debug!("forgetting tombstones waits to be recorded");
        }
        self.apply(largest, |shard| shard.apply(forget, now_us));
    }

    /// Writes what a full disk kept back, if anything. Cheap when there is nothing.
    pub fn retry(&self) -> Result<(), HubUnavailable> {
        if self.watch.is_behind() { self.log.lock().retry() } else { Ok(()) }
    }

    /// Applies changes to the hub's state and hands each to every follower, in order. Publishing what
    /// is known already writes nothing. While the disk is full changes are kept in memory, up to a
    /// bound.
    pub fn publish(&self, changes: &[Change]) -> Result<(), HubUnavailable> {
        let _one = self.publishing.lock();
        for changes in changes.chunks(CHANGES_PER_FRAME) {
            if self.watch.health() == Health::Closed {
                return Err(HubUnavailable);
            }
            let gone = |change: &&Change| matches!(change, Change::AccountGone { .. });
            // The calls of an account end before the account goes.
            changes.iter().filter(gone).for_each(|change| self.tell(change));
            let requests = changes.iter().filter_map(|change| self.request(change)).collect();
            if self.commit(requests).is_err() {
                tracing::warn!(
                    "the disk is full: changes of configuration are in force, not recorded"
                );
            }
            changes.iter().filter(|change| !gone(change)).for_each(|change| self.tell(change));
        }
        Ok(())
    }

    fn tell(&self, change: &Change) {
        self.followers.read().iter().for_each(|follower| follower(change));
    }

    /// What the state machine has to hear of a change; `None`: nothing, or it knows already.
    fn request(&self, change: &Change) -> Option<(u8, Request)> {
        let (index, request) = (change.shard(), Request::of(change)?);
        let shard = self.shards[usize::from(index)].lock();
        let is_known = match &request {
            Request::Organization { id, version, total } => {
                shard.counters().knows_organization(*id, *version, *total)
            }
            Request::Counter { id, version, floor, cap, outbound_cap, .. } => {
                shard.counters().knows(*id, *version, *floor, *cap)
                    && shard.caps().knows(CapId::outbound(*id), *version, *outbound_cap)
            }
            Request::Cap { id, version, most } => shard.caps().knows(*id, *version, *most),
            Request::CapGone { id } => shard.caps().knows_gone(*id),
            Request::Wallet(config) => shard.wallets().knows(config),
            _ => false,
        };
        (!is_known).then_some((index, request))
    }

    /// Calls `follower` with every change published from now on.
    pub fn follow(&self, follower: impl Fn(&Change) + Send + std::marker::Sync + 'static) {
        self.followers.write().push(Box::new(follower));
    }

    /// Visits all live calls, shard by shard.
    pub fn visit_live(&self, mut visit: impl FnMut(&Live)) {
        for shard in &self.shards {
            for entry in shard.lock().calls().entries() {
                if let Entry::Live(live) = entry {
                    visit(live);
                }
            }
        }
    }

    /// What names of calls are hashed with here.
    pub fn hasher(&self) -> &CallHasher {
        &self.hasher
    }

    /// The receipt of a call that has ended and is remembered at `now`. `name` is made by
    /// [`EmbeddedHub::hasher`], `shard` is its organization's.
    pub fn ended(&self, shard: u8, name: CallName<'_>, now: EpochSeconds) -> Option<Arc<Record>> {
        match self.shards[usize::from(shard)].lock().calls().find(name)? {
            Entry::Ended(record) if record.forget_at > now => Some(Arc::clone(record)),
            _ => None,
        }
    }

    /// At most `max` records of a shard that follow `after`, in order.
    pub fn records(&self, shard: u8, after: u64, max: usize) -> Vec<StreamedRecord> {
        let shard = self.shards[usize::from(shard)].lock();
        let records = shard.records(after, max);
        records
            .map(|(sequence, record)| StreamedRecord { sequence, record: Arc::clone(record) })
            .collect()
    }

    /// The sequence of the last record of a shard, acknowledged or not; 0 when there was none.
    pub fn last_record(&self, shard: u8) -> u64 {
        self.shards[usize::from(shard)].lock().last_record()
    }

    /// The ledger has posted everything up to and including `through`; the hub may forget it.
    pub fn acknowledge(&self, shard: u8, through: u64) -> Result<(), HubUnavailable> {
        self.commit(vec![(shard, Request::Acknowledge { through })])
    }

    /// Records that the ledger has not acknowledged, over all shards.
    pub fn backlog(&self) -> u64 {
        self.backlog.load(Ordering::Relaxed)
    }

    pub fn account_use(&self, organization: AccountId, account: AccountId) -> AccountUse {
        let shard = self.shards[usize::from(organization.shard())].lock();
        AccountUse {
            leased: shard.counters().leased(account),
            live: shard.counters().live(account),
        }
    }

    /// Live calls of an organization's accounts, but those of test keys.
    pub fn organization_live(&self, organization: AccountId) -> u32 {
        let shard = self.shards[usize::from(organization.shard())].lock();
        shard.counters().organization_live(organization)
    }

    pub fn wallet_use(&self, organization: AccountId, owner: AccountId) -> WalletUse {
        let shard = self.shards[usize::from(organization.shard())].lock();
        shard.wallets().used(owner)
    }

    /// Leaves a report for the control plane, in memory only. False: the one before still waits.
    pub fn report(&self, report: &Report) -> bool {
        let mut waiting = self.report.lock();
        if waiting.is_none() {
            *waiting = Some(report.clone());
            return true;
        }
        waiting.as_ref() == Some(report)
    }

    /// The report that waits.
    pub fn waiting_report(&self) -> Option<Report> {
        self.report.lock().clone()
    }

    /// The control plane has this report.
    pub fn forget_report(&self, report: &Report) {
        self.report.lock().take_if(|waiting| waiting == report);
    }

    /// Returns when everything recorded so far has been synced to disk.
    pub async fn durable(&self) -> Result<(), HubUnavailable> {
        self.watch.durable().await
    }

    /// Checks the invariants of every shard; the text names the broken one.
    pub fn check(&self) -> Result<(), String> {
        self.shards.iter().try_for_each(|shard| shard.lock().check())
    }
}
