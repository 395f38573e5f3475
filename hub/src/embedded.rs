//! The embedded hub: the state machine of every shard in this process, with its journal. What the
//! gateway and the control plane of one process share.

use std::path::PathBuf;

use triomphe::Arc;

use crate::call::Record;
use crate::directory::Change;
use crate::id::{AccountId, HolderId};
use crate::money::Amount;

/// Where and how the hub keeps its state.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of the journal, its snapshots and the lock; created when missing.
    pub directory: PathBuf,
}

/// The hub cannot be opened; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{0}")]
    Other(String),
}

/// The hub cannot record anything now (a full disk); nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hub cannot record changes now")]
pub struct HubUnavailable;

/// What the calls of one account use now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountUse {
    /// Live calls.
    pub live: u32,
}

/// What the calls on one wallet hold and have spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalletUse {
    /// Holds of live calls.
    pub held: Amount,
    /// Charges of ended calls since the wallet exists, posted to the ledger or not yet.
    pub spent: Amount,
}

/// A finished call on its way to the ledger. `sequence` starts at 1 and has no gap within a shard.
#[derive(Clone, Debug)]
pub struct StreamedRecord {
    pub sequence: u64,
    pub record: Arc<Record>,
}

type Follower = Box<dyn Fn(&Change) + Send + Sync>;

pub struct EmbeddedHub {
    followers: parking_lot::RwLock<Vec<Follower>>,
}

impl EmbeddedHub {
    /// Takes over the directory: locks it, recovers what the last process recorded. Blocking.
    pub fn open(_options: &Options) -> Result<Self, OpenError> {
        Ok(Self {
            followers: parking_lot::RwLock::default(),
        })
    }

    /// This process as a holder of leases: random, new at every start.
    pub fn holder(&self) -> HolderId {
        HolderId(0)
    }

    /// Names the record stream: another journal has another id, and its sequences begin anew.
    pub fn stream(&self) -> u128 {
        0
    }

    /// Applies changes to the hub's state and hands each to every follower, in order. Writes to the
    /// journal before it returns (microseconds, no fsync). Publishing what is known already changes
    /// nothing and costs little.
    pub fn publish(&self, changes: &[Change]) -> Result<(), HubUnavailable> {
        for change in changes {
            self.followers
                .read()
                .iter()
                .for_each(|follower| follower(change));
        }
        Ok(())
    }

    /// Calls `follower` with every change published from now on.
    pub fn follow(&self, follower: impl Fn(&Change) + Send + Sync + 'static) {
        self.followers.write().push(Box::new(follower));
    }

    /// At most `max` records of a shard that follow `after`, in order.
    pub fn records(&self, _shard: u8, _after: u64, _max: usize) -> Vec<StreamedRecord> {
        Vec::new()
    }

    /// The sequence of the last record of a shard, acknowledged or not; 0 when there was none.
    pub fn last_record(&self, _shard: u8) -> u64 {
        0
    }

    /// The ledger has posted everything up to and including `through`; the hub may forget it.
    pub fn acknowledge(&self, _shard: u8, _through: u64) -> Result<(), HubUnavailable> {
        Ok(())
    }

    /// Records that the ledger has not acknowledged, over all shards.
    pub fn backlog(&self) -> u64 {
        0
    }

    pub fn account_use(&self, _organization: AccountId, _account: AccountId) -> AccountUse {
        AccountUse::default()
    }

    pub fn wallet_use(&self, _organization: AccountId, _owner: AccountId) -> WalletUse {
        WalletUse::default()
    }

    /// Returns when everything recorded so far has been synced to disk.
    pub async fn durable(&self) -> Result<(), HubUnavailable> {
        Ok(())
    }
}
