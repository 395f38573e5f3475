//! Wallets as the hub sees them: the money that the ledger put at its disposal, what live calls hold
//! and what ended calls have spent.

use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::call::{Call, Record};
use crate::clock::EpochSeconds;
use crate::directory::{Billing, WalletConfig};
use crate::embedded::WalletUse;
use crate::id::AccountId;
use crate::money::Amount;
use crate::state::calls::{Calls, Entry};
use crate::state::counters::Counters;
use crate::state::exchange::Mail;
use crate::state::holders::{HolderIndex, Letters};
use crate::state::request::{Fund, Funded, Purse};

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Wallet {
    /// What the ledger put here in total, with its sequence number.
    pub(super) config: Option<WalletConfig>,
    /// Charges in total, less what became debt.
    pub(super) spent: Amount,
    /// Holds of live calls.
    pub(super) held: Amount,
    /// Money leased to holders; an embedded hub leases none: its one holder has all.
    pub(super) leases: Box<[MoneyLease]>,
    /// Money kept for calls that a holder which is gone may have admitted without recording them.
    pub(super) anonymous: Amount,
}

/// Cumulative money of one holder, and what the recorded calls that it pays for take of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct MoneyLease {
    pub(super) holder: HolderIndex,
    pub(super) granted: Amount,
    pub(super) returned: Amount,
    pub(super) spent: Amount,
    pub(super) held: Amount,
    /// What calls that are not recorded here can hold, at most.
    pub(super) unflushed_max: Amount,
}

impl MoneyLease {
    /// Without a recorded call; below zero for an instant when a call that was never recorded is
    /// adopted.
    pub(super) fn idle(&self) -> Amount {
        self.granted
            .saturating_sub(self.returned)
            .saturating_sub(self.spent)
            .saturating_sub(self.held)
    }
}

impl Wallet {
    /// What is neither spent nor held, nor at a holder, nor kept for unrecorded calls.
    pub(super) fn free(&self) -> Amount {
        let escrow = self.config.map_or(Amount::ZERO, |config| config.escrow);
        escrow.saturating_sub(self.spent).saturating_sub(self.held).saturating_sub(self.idle())
    }

    /// What is at holders without a recorded call, or kept for unrecorded ones.
    fn idle(&self) -> Amount {
        let at_holders = self.leases.iter().map(MoneyLease::idle);
        at_holders.fold(self.anonymous, Amount::saturating_add)
    }

    pub(super) fn lease_of(&mut self, holder: HolderIndex) -> &mut MoneyLease {
        let position = self.leases.iter().position(|lease| lease.holder == holder);
        let position = position.unwrap_or_else(|| {
            let mut leases = std::mem::take(&mut self.leases).into_vec();
            leases.push(MoneyLease { holder, ..MoneyLease::default() });
            self.leases = leases.into();
            self.leases.len() - 1
        });
        &mut self.leases[position]
    }

    fn check(&self) -> Result<(), String> {
        let mut held = Amount::ZERO;
        for lease in &self.leases {
            if lease.returned > lease.granted {
                return Err("a holder returned more money than it got".to_owned());
            }
            held = held.saturating_add(lease.held);
        }
        if held > self.held {
            return Err(format!("holders hold {held:?} of {:?}", self.held));
        }
        Ok(())
    }

    /// The lease of a holder that has one.
    fn lease_at(&mut self, holder: HolderIndex) -> Option<&mut MoneyLease> {
        self.leases.iter_mut().find(|lease| lease.holder == holder)
    }
}

/// All wallets of one shard, by owner.
#[derive(Clone, Debug, Default)]
pub struct Wallets {
    pub(super) wallets: HashMap<AccountId, Wallet, FixedState>,
    /// Money kept for unrecorded calls, by when it is free and whose it is.
    pub(super) anonymous: BTreeMap<(EpochSeconds, AccountId), Amount>,
}

/// The owner of the wallet on which a call is held and settled; `None`: it is not billed.
pub(super) fn owner_of(call: &Call, counters: &Counters) -> Option<AccountId> {
    let account = call.account();
    match call.facts().pins.as_ref()?.billing {
        Billing::Isolated => Some(account),
        Billing::Consolidated => counters.organization_of(account),
    }
}

impl Wallets {
    pub(super) fn configure(&mut self, config: &WalletConfig) {
        let wallet = self.entry(config.owner);
        if wallet.config.is_none_or(|known| config.sequence >= known.sequence) {
            wallet.config = Some(*config);
        }
        wallet.spent = wallet.spent.max(config.posted);
    }

    /// A call that `holder` pays for holds `after` in place of `before`.
    pub(super) fn rehold(
        &mut self,
        owner: Option<AccountId>,
        holder: HolderIndex,
        before: Amount,
        after: Amount,
    ) {
        self.book(owner, holder, after.saturating_sub(before), Amount::ZERO);
    }

    /// The hold ends, the charge is spent.
    pub(super) fn settle(
        &mut self,
        owner: Option<AccountId>,
        holder: HolderIndex,
        hold: Amount,
        record: &Record,
    ) {
        self.book(owner, holder, hold.negated(), record.taken());
    }

    /// The end of a call that was never recorded here: what is kept for such calls pays first, and no
    /// holder's lease, for whoever tells had none for it.
    pub(super) fn settle_unknown(&mut self, owner: Option<AccountId>, record: &Record) {
        if let Some(owner) = owner {
            self.take_anonymous(owner, record.taken().max(Amount::ZERO));
        }
        self.book(owner, HolderIndex::NONE, Amount::ZERO, record.taken());
    }

    /// A corrected record posts the difference.
    pub(super) fn correct(
        &mut self,
        owner: Option<AccountId>,
        holder: HolderIndex,
        before: &Record,
        after: &Record,
    ) {
        self.book(owner, holder, Amount::ZERO, after.taken().saturating_sub(before.taken()));
    }

    /// So much more is held and spent by calls that `holder` pays for.
    fn book(&mut self, owner: Option<AccountId>, holder: HolderIndex, held: Amount, spent: Amount) {
        let Some(owner) = owner else { return };
        let wallet = self.entry(owner);
        wallet.held = wallet.held.saturating_add(held);
        wallet.spent = wallet.spent.saturating_add(spent);
        if let Some(lease) = wallet.lease_at(holder) {
            lease.held = lease.held.saturating_add(held);
            lease.spent = lease.spent.saturating_add(spent);
        }
    }

    /// What `holder` has had in total, merged by maximum; it never returns more than it got.
    pub(super) fn report(&mut self, purse: &Purse, holder: HolderIndex) {
        let lease = self.entry(purse.owner).lease_of(holder);
        lease.granted = lease.granted.max(purse.granted);
        lease.returned = lease.returned.max(purse.returned.min(lease.granted));
        lease.unflushed_max = purse.unflushed_max;
    }

    /// Leases money to `holder`: less as the wallet empties, so that others find some. Who has idle
    /// money that stands against a refusal is added to `recalls`, the asker among them.
    pub(super) fn fund(
        &mut self,
        fund: &Fund,
        holder: HolderIndex,
        holders: u32,
        recalls: &mut Letters,
    ) -> Funded {
        let wallet = self.entry(fund.owner);
        let free = wallet.free();
        let enough = fund.least.max(Amount::from_micros(1));
        if free >= enough {
            let part = free.micros() / (2 * i64::from(holders.max(1)));
            let granted = Amount::from_micros(part).max(enough).min(fund.most.max(enough));
            let lease = wallet.lease_of(holder);
            lease.granted = lease.granted.saturating_add(granted);
            return Funded::Granted(granted);
        }
        // The asker too: together with what is free here it may be enough.
        let known = recalls.len();
        recalls.extend(self.recall(fund.owner));
        if recalls.len() > known { Funded::Recall } else { Funded::Empty(free) }
    }

    /// Money granted to a holder in total.
    pub(super) fn granted(&self, owner: AccountId, holder: HolderIndex) -> Amount {
        let wallet = self.wallets.get(&owner);
        let mut leases = wallet.into_iter().flat_map(|wallet| &wallet.leases);
        leases.find(|lease| lease.holder == holder).map_or(Amount::ZERO, |lease| lease.granted)
    }

    /// The holder's calls are nobody's now: what they hold, and what earlier ones have spent, is no
    /// longer the holder's.
    pub(super) fn orphan(&mut self, holder: HolderIndex) {
        for lease in self.wallets.values_mut().filter_map(|wallet| wallet.lease_at(holder)) {
            let used = lease.spent.saturating_add(lease.held);
            lease.returned = lease.returned.saturating_add(used).min(lease.granted);
            (lease.spent, lease.held) = (Amount::ZERO, Amount::ZERO);
        }
    }

    /// The holder is gone, and its calls are nobody's: what it may hold for unrecorded ones is kept,
    /// the rest is free (rule 6).
    pub(super) fn reap(&mut self, holder: HolderIndex, until: EpochSeconds) {
        for (owner, wallet) in &mut self.wallets {
            let Some(lease) = wallet.lease_at(holder).copied() else {
                continue;
            };
            let stay = wallet.leases.iter().filter(|other| other.holder != holder);
            wallet.leases = stay.copied().collect();
            let amount = lease.idle().min(lease.unflushed_max).max(Amount::ZERO);
            if amount > Amount::ZERO {
                wallet.anonymous = wallet.anonymous.saturating_add(amount);
                let batch = self.anonymous.entry((until, *owner)).or_default();
                *batch = batch.saturating_add(amount);
            }
        }
    }

    /// The holder has recorded all its calls.
    pub(super) fn nothing_unflushed(&mut self, holder: HolderIndex) {
        for lease in self.wallets.values_mut().filter_map(|wallet| wallet.lease_at(holder)) {
            lease.unflushed_max = Amount::ZERO;
        }
    }

    /// A call without a holder becomes `holder`'s: its hold comes along. Of a call that was never
    /// recorded here it comes out of what is kept for such calls, as far as that goes.
    pub(super) fn inherit(
        &mut self,
        owner: Option<AccountId>,
        holder: HolderIndex,
        hold: Amount,
        is_recorded: bool,
    ) {
        let Some(owner) = owner else { return };
        if !is_recorded {
            self.take_anonymous(owner, hold);
        }
        let wallet = self.entry(owner);
        if !is_recorded {
            wallet.held = wallet.held.saturating_add(hold);
        }
        let lease = wallet.lease_of(holder);
        lease.granted = lease.granted.saturating_add(hold);
        lease.held = lease.held.saturating_add(hold);
    }

    fn take_anonymous(&mut self, owner: AccountId, amount: Amount) {
        let mut wanted = amount;
        for (_, batch) in self.anonymous.iter_mut().filter(|((_, kept), _)| *kept == owner) {
            let part = wanted.min(*batch);
            *batch = batch.saturating_sub(part);
            wanted = wanted.saturating_sub(part);
        }
        self.anonymous.retain(|_, batch| *batch > Amount::ZERO);
        let wallet = self.entry(owner);
        wallet.anonymous = wallet.anonymous.saturating_sub(amount.saturating_sub(wanted));
    }

    pub(super) fn expire_anonymous(&mut self, now: EpochSeconds) {
        while let Some(oldest) = self.anonymous.first_entry().filter(|batch| batch.key().0 <= now) {
            let ((_, owner), amount) = oldest.remove_entry();
            let wallet = self.entry(owner);
            wallet.anonymous = wallet.anonymous.saturating_sub(amount);
        }
    }

    /// The embedded hub's one holder has everything.
    pub(super) fn reap_all(&mut self) {
        for wallet in self.wallets.values_mut() {
            (wallet.leases, wallet.anonymous) = (Box::default(), Amount::ZERO);
        }
        self.anonymous.clear();
    }

    fn entry(&mut self, owner: AccountId) -> &mut Wallet {
        self.wallets.entry(owner).or_default()
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

    /// What the wallet is used for.
    pub fn used(&self, owner: AccountId) -> WalletUse {
        self.wallets.get(&owner).map_or_else(WalletUse::default, |wallet| WalletUse {
            held: wallet.held,
            spent: wallet.spent,
            idle: wallet.idle(),
        })
    }

    /// Letters to everybody who has idle money of a wallet.
    pub(super) fn recall(&self, owner: AccountId) -> Letters {
        let leases = self.wallets.get(&owner).map_or(&[][..], |wallet| &wallet.leases);
        let idle = leases.iter().filter(|lease| lease.idle() > Amount::ZERO);
        idle.map(|lease| (lease.holder, Mail::RecallMoney(owner))).collect()
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
            wallet.check().map_err(|problem| format!("{owner:?}: {problem}"))?;
            let batches = self.anonymous.iter().filter(|((_, kept), _)| kept == owner);
            let kept = batches.fold(Amount::ZERO, |sum, (_, amount)| sum.saturating_add(*amount));
            if kept != wallet.anonymous {
                return Err(format!(
                    "{owner:?}: {:?} anonymous, batches of {kept:?}",
                    wallet.anonymous
                ));
            }
        }
        Ok(())
    }
}
