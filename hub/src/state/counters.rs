//! Counters: what the hub leases to holders. An account is one; a number or a provider will be
//! another. Leases are cumulative per holder, granted and returned, so that a repeated or late report
//! changes nothing.

mod inheritance;
pub(crate) mod recall;

use std::collections::BTreeSet;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::allocation::{Share, Sums, grantable};
use crate::denial::Scope;
use crate::id::AccountId;
use crate::state::holders::{HolderIndex, Letters};
use crate::state::request::{Holding, Want, Wanted};
use inheritance::Anonymous;

/// Cumulative units of one holder: what it has now is the difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Leased {
    pub(super) holder: HolderIndex,
    /// The admits that the holder may answer before the hub has them, at most.
    pub(super) unflushed_max: u32,
    /// Live calls of the holder that are recorded here.
    pub(super) live: u32,
    pub(super) granted: u64,
    pub(super) returned: u64,
}

impl Leased {
    const fn units(self) -> u64 {
        self.granted - self.returned
    }

    /// Units without a call, as far as is known here: idle, or used by a call not recorded yet.
    fn idle(self) -> u32 {
        u32::try_from(self.units().saturating_sub(u64::from(self.live))).unwrap_or(u32::MAX)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Counter {
    pub(super) organization: AccountId,
    pub(super) version: u64,
    pub(super) floor: u32,
    pub(super) cap: u32,
    /// One per holder; most have none or one.
    pub(super) leases: Box<[Leased]>,
    /// Units of live calls whose holder is gone.
    pub(super) named: u32,
    /// Units kept for calls that a holder which is gone may have admitted without recording them.
    pub(super) anonymous: u32,
}

impl Counter {
    pub(super) fn new(organization: AccountId) -> Self {
        let leases = Box::default();
        Self { organization, version: 0, floor: 0, cap: 0, leases, named: 0, anonymous: 0 }
    }

    fn share(&self) -> Share {
        let held: u64 = self.leases.iter().map(|lease| lease.units()).sum();
        let leased = held + u64::from(self.named) + u64::from(self.anonymous);
        Share {
            floor: self.floor,
            cap: self.cap,
            leased: u32::try_from(leased).unwrap_or(u32::MAX),
        }
    }

    pub(super) fn live(&self) -> u32 {
        self.leases.iter().map(|lease| lease.live).sum::<u32>() + self.named
    }

    fn lease_of(&mut self, holder: HolderIndex) -> &mut Leased {
        let position = self.leases.iter().position(|lease| lease.holder == holder);
        let position = position.unwrap_or_else(|| {
            let mut leases = std::mem::take(&mut self.leases).into_vec();
            leases.push(Leased { holder, ..Leased::default() });
            self.leases = leases.into();
            self.leases.len() - 1
        });
        &mut self.leases[position]
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Organization {
    pub(super) version: u64,
    pub(super) total: u32,
    /// Kept incrementally, as is the set below; [`Counters::check`] recomputes both.
    pub(super) sums: Sums,
    /// Counters with more leased than their floor: their idle units can be recalled for others.
    pub(super) above_floor: BTreeSet<AccountId>,
}

/// All counters of one shard and the totals that bind them.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    pub(super) organizations: HashMap<AccountId, Organization, FixedState>,
    /// Boxed: a growing table has room for twice as many as there are.
    pub(super) by_id: HashMap<AccountId, Box<Counter>, FixedState>,
    pub(super) anonymous: Anonymous,
}

impl Counters {
    pub(super) fn configure_organization(&mut self, id: AccountId, version: u64, total: u32) {
        let organization = self.organizations.entry(id).or_default();
        if version >= organization.version {
            (organization.version, organization.total) = (version, total);
        }
    }

    pub(super) fn configure(
        &mut self,
        id: AccountId,
        organization: AccountId,
        version: u64,
        floor: u32,
        cap: u32,
    ) {
        let counter = self.by_id.entry(id).or_insert_with(|| Box::new(Counter::new(organization)));
        if version < counter.version {
            return;
        }
        self.change(id, |counter| {
            (counter.version, counter.floor, counter.cap) = (version, floor, cap);
        });
    }

    /// While calls of the counter live it stays, for them only: they end on its organization's money.
    pub(super) fn remove(&mut self, id: AccountId) {
        if self.live(id) > 0 {
            self.change(id, |counter| (counter.floor, counter.cap) = (0, 0));
            return;
        }
        if let Some(counter) = self.by_id.remove(&id) {
            let nothing = Share { floor: 0, cap: 0, leased: 0 };
            self.account_for(id, counter.organization, counter.share(), nothing);
        }
        self.by_id.remove(&id.shadow());
        self.anonymous.retain(|(_, counter), _| counter.real() != id);
    }

    /// Keeps the organization's sums in step with one counter's change. Shadows are outside the total.
    fn account_for(&mut self, id: AccountId, organization: AccountId, before: Share, after: Share) {
        if id.is_shadow() {
            return;
        }
        let organization = self.organizations.entry(organization).or_default();
        let sums = &mut organization.sums;
        sums.leased = sums.leased + u64::from(after.leased) - u64::from(before.leased);
        sums.committed = sums.committed + after.committed() - before.committed();
        let (was_above, is_above) = (before.leased > before.floor, after.leased > after.floor);
        if is_above && !was_above {
            organization.above_floor.insert(id);
        } else if was_above && !is_above {
            organization.above_floor.remove(&id);
        }
    }

    /// Changes one counter and keeps the sums in step; `None` when there is no such counter.
    fn change<T>(&mut self, id: AccountId, change: impl FnOnce(&mut Counter) -> T) -> Option<T> {
        let counter = self.by_id.get_mut(&id)?;
        let before = counter.share();
        let result = change(counter);
        let (organization, after) = (counter.organization, counter.share());
        if before != after {
            self.account_for(id, organization, before, after);
        }
        Some(result)
    }

    /// Leases up to `want.units` more units to `holder`, or says why not one. Whose idle units stand
    /// against a refusal is added to `recalls`.
    pub(super) fn lease(
        &mut self,
        want: Want,
        holder: HolderIndex,
        recalls: &mut Letters,
    ) -> Wanted {
        let Some(counter) = self.with_shadow(want.counter) else {
            return Wanted::Unknown;
        };
        let before = counter.share();
        let organization = counter.organization;
        let (sums, total) = match self.organizations.get(&organization) {
            _ if want.counter.is_shadow() => (Sums::default(), u32::MAX),
            Some(organization) => (organization.sums, organization.total),
            None => (Sums::default(), 0),
        };
        let (granted, scope) = grantable(before, sums, total, want.units.max(1));
        if granted > 0 {
            self.change(want.counter, |counter| {
                counter.lease_of(holder).granted += u64::from(granted);
            });
            return Wanted::Granted(granted);
        }
        let known = recalls.len();
        let (limit, own_idle) = match scope {
            Some(Scope::Organization) => {
                let own_idle = self.recall_above_floors(organization, holder, recalls);
                // Its own idle units serve it as well, within its floor or not.
                (total, self.recall(want.counter, holder, recalls) || own_idle)
            }
            _ => (before.cap, self.recall(want.counter, holder, recalls)),
        };
        if recalls.len() > known || (own_idle && !want.recalled) {
            Wanted::Recall
        } else {
            Wanted::Refused { scope: scope.unwrap_or(Scope::Account), limit }
        }
    }

    /// What `holder` has had in total, merged by maximum; it never returns more than it got.
    pub(super) fn report(&mut self, holding: &Holding, holder: HolderIndex) {
        if self.with_shadow(holding.counter).is_none() {
            return;
        }
        self.change(holding.counter, |counter| {
            let lease = counter.lease_of(holder);
            lease.granted = lease.granted.max(holding.granted);
            lease.returned = lease.returned.max(holding.returned.min(lease.granted));
            lease.unflushed_max = holding.unflushed_max;
        });
    }

    /// The counter; a shadow's comes into being at its first use, with its account's limits.
    fn with_shadow(&mut self, id: AccountId) -> Option<&mut Counter> {
        if id.is_shadow() {
            let account = self.by_id.get(&id.real())?;
            let (organization, floor, cap) = (account.organization, account.floor, account.cap);
            let shadow =
                self.by_id.entry(id).or_insert_with(|| Box::new(Counter::new(organization)));
            (shadow.floor, shadow.cap) = (floor, cap);
            return Some(shadow);
        }
        self.by_id.get_mut(&id).map(|counter| &mut **counter)
    }

    /// The organization to which a counter belongs.
    pub(super) fn organization_of(&self, id: AccountId) -> Option<AccountId> {
        self.by_id.get(&id.real()).map(|counter| counter.organization)
    }

    /// Whether a request with these values would change nothing.
    pub fn knows(&self, id: AccountId, version: u64, floor: u32, cap: u32) -> bool {
        self.by_id.get(&id).is_some_and(|counter| {
            (counter.version, counter.floor, counter.cap) == (version, floor, cap)
        })
    }

    /// As [`Counters::knows`] for an organization.
    pub fn knows_organization(&self, id: AccountId, version: u64, total: u32) -> bool {
        self.organizations.get(&id).is_some_and(|organization| {
            (organization.version, organization.total) == (version, total)
        })
    }

    /// A call of the counter went live at a holder, or at none.
    pub(super) fn goes_live(&mut self, id: AccountId, holder: HolderIndex) {
        match self.by_id.get_mut(&id) {
            Some(counter) if holder != HolderIndex::NONE => counter.lease_of(holder).live += 1,
            _ => drop(self.change(id, |counter| counter.named += 1)),
        }
    }

    /// As [`Counters::goes_live`]: it is over. A unit without a holder is free at once.
    pub(super) fn ends(&mut self, id: AccountId, holder: HolderIndex) {
        let less = |count: &mut u32| *count = count.saturating_sub(1);
        match self.by_id.get_mut(&id) {
            Some(counter) if holder != HolderIndex::NONE => {
                less(&mut counter.lease_of(holder).live);
            }
            _ => drop(self.change(id, |counter| less(&mut counter.named))),
        }
    }

    /// Puts a counter back as a snapshot holds it.
    pub(super) fn restore(&mut self, id: AccountId, counter: Counter) {
        let nothing = Share { floor: 0, cap: 0, leased: 0 };
        self.account_for(id, counter.organization, nothing, counter.share());
        self.by_id.insert(id, Box::new(counter));
    }

    /// Live calls of a counter.
    pub fn live(&self, id: AccountId) -> u32 {
        self.by_id.get(&id).map_or(0, |counter| counter.live())
    }

    /// Live calls of an organization's accounts, but those of test keys. Looks at every counter.
    pub fn organization_live(&self, organization: AccountId) -> u32 {
        let counted = self.by_id.iter().filter(|(id, _)| !id.is_shadow());
        let own = counted.filter(|(_, counter)| counter.organization == organization);
        own.map(|(_, counter)| counter.live()).sum()
    }

    /// Whether nothing was ever configured here.
    pub(super) fn is_empty(&self) -> bool {
        self.organizations.is_empty() && self.by_id.is_empty()
    }

    /// Units that holders have of a counter.
    pub fn leased(&self, id: AccountId) -> u32 {
        self.by_id.get(&id).map_or(0, |counter| counter.share().leased)
    }

    /// Invariant I2 in the form that survives lowered limits: the kept sums are the true ones.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut truth: HashMap<AccountId, (Sums, BTreeSet<AccountId>), FixedState> =
            HashMap::default();
        for (id, counter) in &self.by_id {
            for lease in &counter.leases {
                if lease.returned > lease.granted {
                    return Err(format!("{id:?}: a holder returned more than it got"));
                }
            }
            let share = counter.share();
            if !id.is_shadow() {
                let (sums, above_floor) = truth.entry(counter.organization).or_default();
                sums.leased += u64::from(share.leased);
                sums.committed += share.committed();
                if share.leased > share.floor {
                    above_floor.insert(*id);
                }
            }
        }
        for (id, organization) in &self.organizations {
            let (sums, above_floor) = truth.remove(id).unwrap_or_default();
            if organization.sums != sums {
                return Err(format!("{id:?}: kept {:?}, true {sums:?}", organization.sums));
            }
            if organization.above_floor != above_floor {
                return Err(format!("{id:?}: the set of counters above their floor is wrong"));
            }
        }
        self.check_anonymous()
    }

    /// Leases within caps, commitments within totals.
    pub(super) fn within_limits(&self) -> bool {
        self.by_id.values().all(|counter| counter.share().leased <= counter.cap)
            && self
                .organizations
                .values()
                .all(|organization| organization.sums.committed <= u64::from(organization.total))
    }
}
