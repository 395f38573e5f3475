//! What becomes of a holder's units when it is gone (rule 6): one stays with each recorded call, some
//! are kept for a while for calls that it may have admitted without recording them, the rest is free.

use std::collections::BTreeMap;

use crate::clock::EpochSeconds;
use crate::id::AccountId;
use crate::state::counters::{Counter, Counters, Leased};
use crate::state::holders::HolderIndex;

/// Units kept without a name, by when they are free and whose they are.
pub(super) type Anonymous = BTreeMap<(EpochSeconds, AccountId), u32>;

impl Counters {
    /// The holder's calls are nobody's now: each keeps its unit, which is no longer the holder's.
    pub(in crate::state) fn orphan(&mut self, holder: HolderIndex) {
        for id in self.leased_to(holder) {
            self.change(id, |counter| {
                let lease = counter.lease_of(holder);
                let live = std::mem::take(&mut lease.live);
                lease.returned = (lease.returned + u64::from(live)).min(lease.granted);
                counter.named += live;
            });
        }
    }

    /// The holder is gone, and its calls are nobody's: what it may have used without recording it is
    /// kept, the rest is free.
    pub(in crate::state) fn reap(&mut self, holder: HolderIndex, until: EpochSeconds) {
        for id in self.leased_to(holder) {
            let units = self.change(id, |counter| {
                let has = |lease: &Leased| lease.holder == holder;
                let (gone, stay) = counter.leases.iter().copied().partition::<Vec<_>, _>(has);
                counter.leases = stay.into();
                let kept: u32 =
                    gone.iter().map(|lease| lease.unflushed_max.min(lease.idle())).sum();
                counter.anonymous += kept;
                kept
            });
            if let Some(units) = units.filter(|units| *units > 0) {
                *self.anonymous.entry((until, id)).or_default() += units;
            }
        }
    }

    fn leased_to(&self, holder: HolderIndex) -> Vec<AccountId> {
        let has = |counter: &Counter| counter.leases.iter().any(|lease| lease.holder == holder);
        let ids = self.by_id.iter().filter(|(_, counter)| has(counter)).map(|(id, _)| *id);
        ids.collect()
    }

    /// The holder has recorded all its calls.
    pub(in crate::state) fn nothing_unflushed(&mut self, holder: HolderIndex) {
        let leases = self.by_id.values_mut().flat_map(|counter| &mut counter.leases);
        for lease in leases.filter(|lease| lease.holder == holder) {
            lease.unflushed_max = 0;
        }
    }

    /// The embedded hub's one holder takes over: nobody else has anything any more. Each call then
    /// takes its unit along by [`Counters::inherit`].
    pub(in crate::state) fn reap_all(&mut self) {
        let ids: Vec<AccountId> = self.by_id.keys().copied().collect();
        for id in ids {
            self.change(id, |counter| {
                (counter.leases, counter.named, counter.anonymous) = (Box::default(), 0, 0);
            });
        }
        self.anonymous.clear();
    }

    /// A call without a holder becomes `holder`'s, whatever the limits say by now.
    pub(in crate::state) fn inherit(&mut self, id: AccountId, holder: HolderIndex) {
        if self.with_shadow(id).is_some() {
            self.change(id, |counter| {
                counter.named = counter.named.saturating_sub(1);
                let lease = counter.lease_of(holder);
                (lease.granted, lease.live) = (lease.granted + 1, lease.live + 1);
            });
        }
    }

    /// As [`Counters::inherit`], of a call that was never recorded here: its unit is one of those
    /// kept without a name. False: there was none.
    pub(in crate::state) fn inherit_unknown(&mut self, id: AccountId, holder: HolderIndex) -> bool {
        if self.with_shadow(id).is_none() {
            return false;
        }
        let kept = self.take_anonymous(id);
        self.change(id, |counter| {
            counter.anonymous -= u32::from(kept);
            let lease = counter.lease_of(holder);
            (lease.granted, lease.live) = (lease.granted + 1, lease.live + 1);
        });
        kept
    }

    fn take_anonymous(&mut self, id: AccountId) -> bool {
        let Some((key, units)) = self.anonymous.iter_mut().find(|((_, counter), _)| *counter == id)
        else {
            return false;
        };
        *units -= 1;
        if *units == 0 {
            let key = *key;
            self.anonymous.remove(&key);
        }
        true
    }

    /// Nobody can still have a call on units kept without a name until `now`.
    pub(in crate::state) fn expire_anonymous(&mut self, now: EpochSeconds) {
        while let Some(oldest) = self.anonymous.first_entry().filter(|batch| batch.key().0 <= now) {
            let ((_, id), units) = oldest.remove_entry();
            self.change(id, |counter| counter.anonymous -= units);
        }
    }

    pub(super) fn check_anonymous(&self) -> Result<(), String> {
        for (id, counter) in &self.by_id {
            let batches = self.anonymous.iter().filter(|((_, counter), _)| counter == id);
            let kept: u32 = batches.map(|(_, units)| units).sum();
            if kept != counter.anonymous {
                return Err(format!("{id:?}: {} anonymous, batches of {kept}", counter.anonymous));
            }
        }
        Ok(())
    }
}
