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
        let id = Vec::with_capacity(CALL_ID_LEN);
        Driver { world: self, accounts, ids, id, random: Sequence::new(seed), calls: 0 }
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
        assert!(ready(self.engine.admit(account, call)).is_ok(), "the engine refused a call");
    }

    /// Releases a call that was admitted.
    ///
    /// # Panics
    /// When the call is unknown.
    pub fn release(&self, account: &Arc<Account>, call_id: &str) {
        let release = Release {
            call_id,
            token: None,
            outcome: Some(Outcome::Completed),
            billable_s: Some(30),
            costs: None,
        };
        assert!(self.engine.release(account, &release).is_ok(), "the engine refused a release");
    }
}

/// One thread that admits and releases calls of random accounts.
pub struct Driver<'a> {
    world: &'a World,
    accounts: &'a [Arc<Account>],
    ids: CallIds,
    id: Vec<u8>,
    random: Sequence,
    calls: u64,
}

impl<'a> Driver<'a> {
    /// Admits and releases as many calls, one after the other.
    pub fn pairs(&mut self, count: u64) {
        for _ in 0..count {
            let account = self.next();
            let call_id = std::str::from_utf8(&self.id).unwrap_or_default();
            self.world.admit(account, &Admit { call_id, ..Admit::default() });
            self.world.release(account, call_id);
        }
    }

    /// Admits as many calls like this one, which stay live.
    pub fn admit(&mut self, count: u64, like: &Admit<'_>) {
        for _ in 0..count {
            let account = self.next();
            let call_id = std::str::from_utf8(&self.id).unwrap_or_default();
            self.world.admit(account, &Admit { call_id, ..like.clone() });
        }
    }

    /// Names the next call; the account that it is of.
    fn next(&mut self) -> &'a Arc<Account> {
        self.id.clear();
        self.ids.append(self.calls, &mut self.id);
        self.calls += 1;
        &self.accounts[self.random.below(self.accounts.len())]
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
