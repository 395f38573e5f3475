//! Wallets as the hub sees them: the money that the ledger put at its disposal, what live calls hold
//! and what ended calls have spent.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::call::{Call, Record};
use crate::directory::{Billing, WalletConfig};
use crate::id::AccountId;
use crate::money::Amount;
use crate::state::calls::{Calls, Entry};
use crate::state::counters::Counters;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wallet {
    /// What the ledger put here in total, with its sequence number.
    pub(super) config: Option<WalletConfig>,
    /// Charges in total, less what became debt.
    pub(super) spent: Amount,
    /// Holds of live calls.
    pub(super) held: Amount,
}

/// All wallets of one shard, by owner.
#[derive(Debug, Default)]
pub struct Wallets {
    pub(super) wallets: HashMap<AccountId, Wallet, FixedState>,
}

/// The owner of the wallet on which a call is held and settled; `None`: it is not billed.
pub(super) fn owner_of(call: &Call, counters: &Counters) -> Option<AccountId> {
    let account = call.account();
    match call.facts().pins.as_ref()?.billing {
        Billing::Isolated => Some(account),
        Billing::Consolidated => counters.organization_of(account),
    }
}

/// What a record takes out of the wallet: debt is not in it.
fn taken(record: &Record) -> Amount {
    record.cost.saturating_sub(record.debt)
}

impl Wallets {
    pub(super) fn configure(&mut self, config: &WalletConfig) {
        let wallet = self.entry(config.owner);
        if wallet.config.is_none_or(|known| config.sequence >= known.sequence) {
            wallet.config = Some(*config);
        }
        wallet.spent = wallet.spent.max(config.posted);
    }

    pub(super) fn hold(&mut self, owner: Option<AccountId>, hold: Amount) {
        self.rehold(owner, Amount::ZERO, hold);
    }

    pub(super) fn rehold(&mut self, owner: Option<AccountId>, before: Amount, after: Amount) {
        let Some(owner) = owner else { return };
        let wallet = self.entry(owner);
        wallet.held = wallet.held.saturating_sub(before).saturating_add(after);
    }

    /// The hold ends, the charge is spent.
    pub(super) fn settle(&mut self, owner: Option<AccountId>, hold: Amount, record: &Record) {
        let Some(owner) = owner else { return };
        let wallet = self.entry(owner);
        wallet.held = wallet.held.saturating_sub(hold);
        wallet.spent = wallet.spent.saturating_add(taken(record));
    }

    /// A corrected record posts the difference.
    pub(super) fn correct(&mut self, owner: Option<AccountId>, before: &Record, after: &Record) {
        let Some(owner) = owner else { return };
        let wallet = self.entry(owner);
        wallet.spent = wallet.spent.saturating_sub(taken(before)).saturating_add(taken(after));
    }

    fn entry(&mut self, owner: AccountId) -> &mut Wallet {
        let fresh = Wallet { config: None, spent: Amount::ZERO, held: Amount::ZERO };
        self.wallets.entry(owner).or_insert(fresh)
    }

    /// Whether a request with this configuration would change nothing.
    pub fn knows(&self, config: &WalletConfig) -> bool {
        self.wallets.get(&config.owner).is_some_and(|wallet| {
            wallet.spent >= config.posted
                && wallet.config.is_some_and(|known| {
                    known.sequence == config.sequence && known.escrow == config.escrow
                })
        })
    }

    pub fn held(&self, owner: AccountId) -> Amount {
        self.wallets.get(&owner).map_or(Amount::ZERO, |wallet| wallet.held)
    }

    pub fn spent(&self, owner: AccountId) -> Amount {
        self.wallets.get(&owner).map_or(Amount::ZERO, |wallet| wallet.spent)
    }

    /// Part of I10: what is held is the sum of the holds of live calls.
    pub(super) fn check(&self, calls: &Calls, counters: &Counters) -> Result<(), String> {
        let mut held: HashMap<AccountId, Amount, FixedState> = HashMap::default();
        for entry in calls.entries() {
            if let Entry::Live(live) = entry
                && let Some(owner) = owner_of(&live.call, counters)
            {
                let sum = held.entry(owner).or_default();
                *sum = sum.saturating_add(live.lease.hold);
            }
        }
        for (owner, wallet) in &self.wallets {
            let sum = held.get(owner).copied().unwrap_or_default();
            if wallet.held != sum {
                return Err(format!("{owner:?}: {:?} held, holds sum to {sum:?}", wallet.held));
            }
        }
        Ok(())
    }
}
