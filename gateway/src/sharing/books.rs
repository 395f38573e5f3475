//! What this holder was granted of counters and wallets, and has given back, in total. What of it is in
//! use stands in the atomics of accounts and wallets.

use hub::id::AccountId;
use hub::money::Amount;
use hub::state::request::{Holding, Purse};

use crate::accounts::Account;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stock {
    pub(crate) granted: u64,
    pub(crate) returned: u64,
}

impl Stock {
    pub(super) fn holding(self, account: &Account) -> Holding {
        let unflushed_max = account.credit.bound();
        let Self { granted, returned } = self;
        Holding { counter: account.id, granted, returned, unflushed_max }
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Till {
    pub(crate) granted: Amount,
    pub(crate) returned: Amount,
}

/// All that a holder has idle may be held by calls that the hub does not know: what is kept when the
/// holder is gone. Bounded by the size of its leases; more than this no hub can be told.
const ALL: Amount = Amount::MAX;

impl Till {
    pub(super) fn purse(self, owner: AccountId) -> Purse {
        let Self { granted, returned } = self;
        Purse { owner, granted, returned, unflushed_max: ALL }
    }
}
