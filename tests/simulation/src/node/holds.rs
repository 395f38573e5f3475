//! What a gateway is asked, says and has.

use hub::call::Call;
use hub::id::{AccountId, HolderId};
use hub::money::Amount;
use hub::state::request::{Holding, Lease, Purse};

use super::Key;
use crate::installation;

pub type ClientId = u64;

/// What a stack asks.
#[derive(Clone, Debug)]
pub enum Asked {
    Admit { account: AccountId, call_id: Box<str> },
    Renew { account: AccountId, call_id: Box<str> },
    Release { account: AccountId, call_id: Box<str>, billable_s: u32 },
}

/// What it is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// Live, at least until then by the gateway's wall clock.
    Live {
        until_us: i64,
    },
    Ended,
    NoSlot,
    NoMoney,
    Unknown,
    Unavailable,
}

/// What becomes free, and who is told, when the hub has an event.
#[derive(Debug)]
pub enum Freed {
    /// A fast admission: one less that the hub does not know.
    Flushed(AccountId),
    /// The slot and the rest of the hold of a call that ended, and who waits for its receipt.
    Slot { key: Key, refund: Amount, waiter: Option<ClientId>, holder: HolderId },
    /// A receipt for a call that had no slot here.
    Receipt(Key, Option<ClientId>),
    /// The slot of a call that never was.
    Unit(AccountId),
    /// An admission that had a slot and waited for the hub.
    Admission(ClientId, Box<str>, AccountId),
}

#[derive(Clone, Debug)]
pub struct LiveCall {
    pub call: Call,
    pub lease: Lease,
}

/// Units of one account. `used` counts live calls, and those whose end the hub does not know.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stock {
    pub lease: u32,
    pub used: u32,
    pub granted: u64,
    pub returned: u64,
    /// Admits that may be answered before the hub has them, and those that are.
    pub unflushed_max: u32,
    pub unflushed: u32,
}

impl Stock {
    pub(super) fn holding(&self, counter: AccountId) -> Holding {
        let unflushed_max = self.unflushed_max.max(self.unflushed);
        Holding { counter, granted: self.granted, returned: self.returned, unflushed_max }
    }

    pub fn idle(&self) -> u32 {
        self.lease.saturating_sub(self.used)
    }
}

/// Money of the wallet: `free` is neither held nor quarantined.
#[derive(Clone, Copy, Debug, Default)]
pub struct Till {
    pub free: Amount,
    pub quarantined: Amount,
    pub granted: Amount,
    pub returned: Amount,
}

impl Till {
    pub(super) fn purse(&self) -> Purse {
        Purse {
            owner: installation::organization(),
            granted: self.granted,
            returned: self.returned,
            // All that is idle is kept when this holder is gone.
            unflushed_max: Amount::from_micros(i64::MAX / 4),
        }
    }
}
