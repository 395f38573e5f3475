//! The engine over an embedded hub in a temporary directory: everything but sockets and HTTP.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use gateway::accounts::Account;
use gateway::engine::{Engine, Settings};
use gateway::request::{Admit, Release};
use hub::call::Outcome;
use hub::clock;
use hub::directory::Change;
use hub::embedded::{EmbeddedHub, Options};
use tempfile::TempDir;

use super::{Sequence, names};
use crate::request::{CALL_ID_LEN, CallIds};

/// Changes published at once.
const PUBLISH_AT_ONCE: usize = 1_000;

/// What the accounts are.
#[derive(Clone, Copy, Debug)]
pub struct Accounts {
    pub count: u64,
    /// Floor and cap of each; `None`: elastic.
    pub slots: Option<u32>,
    pub billed: bool,
    pub keys: bool,
}

pub struct World {
    pub engine: Arc<Engine>,
    hub: Arc<EmbeddedHub>,
    /// Removed with the world.
    _directory: TempDir,
}

/// Ended calls that are remembered, where nothing else is said: more than are measured.
pub const TOMBSTONES_MAX: usize = 2_000_000;

impl World {
    pub fn open(accounts: Accounts, tombstones_max: usize) -> io::Result<Self> {
        let world = Self::empty(tombstones_max)?;
        world.publish(accounts)?;
        world.engine.adopt();
        Ok(world)
    }

    /// A world without accounts.
    pub fn empty(tombstones_max: usize) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let options = Options { tombstones_max, ..Options::new(directory.path().into()) };
        let hub = Arc::new(EmbeddedHub::open(&options).map_err(io::Error::other)?);
        let engine = Engine::new(Settings::default(), &hub);
        Ok(Self { engine, hub, _directory: directory })
    }

    pub fn publish(&self, accounts: Accounts) -> io::Result<()> {
        let mut changes = Vec::with_capacity(PUBLISH_AT_ONCE);
        for account in 0..accounts.count {
            if account % names::ACCOUNTS_PER_ORGANIZATION == 0 {
                changes.push(names::organization_change(account));
            }
            let rate = accounts.billed.then(names::rate);
            changes.push(names::account_change(account, accounts.slots, rate));
            if accounts.billed {
                changes.push(names::wallet_change(account));
            }
            if accounts.keys {
                changes.push(names::key_change(account));
            }
            if changes.len() >= PUBLISH_AT_ONCE {
                self.publish_changes(&mut changes)?;
            }
        }
        self.publish_changes(&mut changes)
    }

    fn publish_changes(&self, changes: &mut Vec<Change>) -> io::Result<()> {
        self.hub.publish(changes).map_err(io::Error::other)?;
        changes.clear();
        Ok(())
    }

    pub fn account(&self, number: u64) -> Arc<Account> {
        let account = self.engine.directory().account(names::sub_account(number));
        account.expect("published before")
    }

    /// The accounts numbered from 0.
    pub fn accounts(&self, count: u64) -> Vec<Arc<Account>> {
        (0..count).map(|number| self.account(number)).collect()
    }

    /// One call of each account: what its first call fetches from the hub is here afterwards.
    pub fn lease_slots(&self, accounts: &[Arc<Account>]) -> io::Result<()> {
        for account in accounts {
            self.admit(account, &Admit { call_id: "first", ..Admit::default() });
            self.release(account, "first");
        }
        self.engine.flush().map_err(io::Error::other)?;
        self.acknowledge()
    }

    /// A thread of pairs; its call ids start with `seed`.
    pub fn driver<'a>(&'a self, accounts: &'a [Arc<Account>], seed: u64) -> Driver<'a> {
        let ids = CallIds::new(u128::from(seed) << 64);
        let random = Sequence::new(seed);
        Driver { world: self, accounts, ids, random, calls: 0, prepared: Vec::new() }
    }

    /// Posts nothing and says all is posted: the hub forgets its records.
    pub fn acknowledge(&self) -> io::Result<()> {
        (0..=u8::MAX)
            .filter(|shard| self.hub.last_record(*shard) > 0)
            .try_for_each(|shard| self.hub.acknowledge(shard, self.hub.last_record(shard)))
            .map_err(io::Error::other)
    }

    /// Admits, and waits where the engine waits.
    ///
    /// # Panics
    /// When the call is refused: there would be nothing to measure.
    pub fn admit(&self, account: &Arc<Account>, call: &Admit<'_>) {
        self.admit_at(account, call, clock::now_us());
    }

    fn admit_at(&self, account: &Arc<Account>, call: &Admit<'_>, now_us: i64) {
        let admitted = ready(self.engine.admit(account, call, now_us));
        assert!(admitted.is_ok(), "the engine refused a call");
    }

    /// Releases a call that was admitted.
    ///
    /// # Panics
    /// When the call is unknown.
    pub fn release(&self, account: &Arc<Account>, call_id: &str) {
        self.release_at(account, call_id, clock::now_us());
    }

    fn release_at(&self, account: &Arc<Account>, call_id: &str, now_us: i64) {
        let release = Release {
            call_id,
            token: None,
            outcome: Some(Outcome::Completed),
            billable_s: Some(30),
            costs: None,
        };
        let released = ready(self.engine.release(account, &release, now_us));
        assert!(released.is_ok(), "the engine refused a release");
    }
}

/// One thread that admits and releases calls of random accounts.
pub struct Driver<'a> {
    world: &'a World,
    accounts: &'a [Arc<Account>],
    ids: CallIds,
    random: Sequence,
    calls: u64,
    prepared: Vec<Prepared<'a>>,
}

/// A call that is yet to be admitted: its name is made before anything is measured.
struct Prepared<'a> {
    account: &'a Arc<Account>,
    call_id: String,
}

impl Driver<'_> {
    /// Names the calls that come next.
    pub fn prepare(&mut self, count: u64) {
        self.prepared.clear();
        for _ in 0..count {
            let mut call_id = Vec::with_capacity(CALL_ID_LEN);
            self.ids.append(self.calls, &mut call_id);
            self.calls += 1;
            let call_id = String::from_utf8(call_id).unwrap_or_default();
            let account = &self.accounts[self.random.below(self.accounts.len())];
            self.prepared.push(Prepared { account, call_id });
        }
    }

    /// Admits and releases what was prepared, one call after the other, as in one turn of an event
    /// loop: with one reading of the clock.
    pub fn pairs(&mut self) {
        let now_us = clock::now_us();
        for Prepared { account, call_id } in &self.prepared {
            self.world.admit_at(account, &Admit { call_id, ..Admit::default() }, now_us);
            self.world.release_at(account, call_id, now_us);
        }
    }

    /// Admits as many calls like this one, which stay live.
    pub fn admit(&mut self, count: u64, like: &Admit<'_>) {
        self.prepare(count);
        for Prepared { account, call_id } in &self.prepared {
            self.world.admit(account, &Admit { call_id, ..like.clone() });
        }
    }
}

/// Runs a future that waits for nothing but its own turn.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}
