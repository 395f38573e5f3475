//! Counters: what the hub leases to holders. An account is one; a number or a provider will be
//! another. Leases are cumulative per holder, granted and returned, so that a repeated or late report
//! changes nothing.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::allocation::{Share, Sums, grantable};
use crate::denial::Scope;
use crate::id::AccountId;
use crate::state::request::{Want, Wanted};

/// Cumulative units of one holder: what it has now is the difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Leased {
    pub(super) holder: u32,
    pub(super) granted: u64,
    pub(super) returned: u64,
}

impl Leased {
    const fn units(self) -> u64 {
        self.granted - self.returned
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
    /// Live calls.
    pub(super) live: u32,
}

impl Counter {
    fn share(&self) -> Share {
        let leased: u64 = self.leases.iter().map(|lease| lease.units()).sum();
        Share {
            floor: self.floor,
            cap: self.cap,
            leased: u32::try_from(leased).unwrap_or(u32::MAX),
        }
    }

    fn lease_of(&mut self, holder: u32) -> &mut Leased {
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Organization {
    pub(super) version: u64,
    pub(super) total: u32,
    /// Kept incrementally; [`Counters::check`] recomputes it.
    pub(super) sums: Sums,
}

/// All counters of one shard and the totals that bind them.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) organizations: HashMap<AccountId, Organization, FixedState>,
    pub(super) counters: HashMap<AccountId, Counter, FixedState>,
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
        let fresh =
            Counter { organization, version: 0, floor: 0, cap: 0, leases: Box::default(), live: 0 };
        let counter = self.counters.entry(id).or_insert(fresh);
        if version < counter.version {
            return;
        }
        let before = counter.share();
        (counter.version, counter.floor, counter.cap) = (version, floor, cap);
        let after = counter.share();
        self.account_for(organization, before, after);
    }

    pub(super) fn remove(&mut self, id: AccountId) {
        if let Some(counter) = self.counters.remove(&id) {
            let nothing = Share { floor: 0, cap: 0, leased: 0 };
            self.account_for(counter.organization, counter.share(), nothing);
        }
        self.counters.remove(&id.shadow());
    }

    /// Keeps the organization's sums in step with one counter's change. Shadows are outside the total.
    fn account_for(&mut self, organization: AccountId, before: Share, after: Share) {
        let organization = self.organizations.entry(organization).or_default();
        let sums = &mut organization.sums;
        sums.leased = sums.leased + u64::from(after.leased) - u64::from(before.leased);
        sums.committed = sums.committed + after.committed() - before.committed();
    }

    /// Leases up to `want.units` more units to `holder`, or says why not one.
    pub(super) fn lease(&mut self, want: Want, holder: u32) -> Wanted {
        let Some(counter) = self.with_shadow(want.counter) else {
            return Wanted::Unknown;
        };
        let before = counter.share();
        let organization = counter.organization;
        let bound = if want.counter.is_shadow() {
            None
        } else {
            Some(self.organizations.get(&organization).copied().unwrap_or_default())
        };
        let (sums, total) = bound.map_or((Sums::default(), u32::MAX), |organization| {
            (organization.sums, organization.total)
        });
        let (granted, scope) = grantable(before, sums, total, want.units.max(1));
        if granted == 0 {
            let limit = match scope {
                Some(Scope::Organization) => total,
                _ => before.cap,
            };
            let scope = scope.unwrap_or(Scope::Account);
            let true_now = want.recalled || scope == Scope::Account;
            return if true_now { Wanted::Refused { scope, limit } } else { Wanted::Recall };
        }
        self.add(want.counter, holder, granted);
        Wanted::Granted(granted)
    }

    /// A call that outlived its holder takes its unit along, whatever the limits say by now.
    pub(super) fn adopt(&mut self, id: AccountId, holder: u32) {
        if self.with_shadow(id).is_some() {
            self.add(id, holder, 1);
        }
    }

    fn add(&mut self, id: AccountId, holder: u32, units: u32) {
        let Some(counter) = self.counters.get_mut(&id) else {
            return;
        };
        let before = counter.share();
        counter.lease_of(holder).granted += u64::from(units);
        let (organization, after) = (counter.organization, counter.share());
        if !id.is_shadow() {
            self.account_for(organization, before, after);
        }
    }

    /// `holder` has given back `returned` units in total. Merged by maximum, never above what it got.
    pub(super) fn give_back(&mut self, id: AccountId, holder: u32, returned: u64) {
        let Some(counter) = self.counters.get_mut(&id) else {
            return;
        };
        let before = counter.share();
        let lease = counter.lease_of(holder);
        lease.returned = lease.returned.max(returned.min(lease.granted));
        let (organization, after) = (counter.organization, counter.share());
        if !id.is_shadow() {
            self.account_for(organization, before, after);
        }
    }

    /// No holder has anything any more.
    pub(super) fn reap_all(&mut self) {
        for counter in self.counters.values_mut() {
            counter.leases = Box::default();
        }
        for organization in self.organizations.values_mut() {
            organization.sums = Sums::default();
        }
        for (id, counter) in &self.counters {
            if !id.is_shadow() {
                let sums = &mut self.organizations.entry(counter.organization).or_default().sums;
                sums.committed += counter.share().committed();
            }
        }
    }

    /// The counter; a shadow's comes into being at its first use, with its account's limits.
    fn with_shadow(&mut self, id: AccountId) -> Option<&mut Counter> {
        if id.is_shadow() {
            let account = self.counters.get(&id.real())?.clone();
            let shadow = self.counters.entry(id).or_insert(Counter {
                leases: Box::default(),
                live: 0,
                ..account
            });
            (shadow.floor, shadow.cap) = (account.floor, account.cap);
            return Some(shadow);
        }
        self.counters.get_mut(&id)
    }

    /// The organization to which a counter belongs.
    pub(super) fn organization_of(&self, id: AccountId) -> Option<AccountId> {
        self.counters.get(&id.real()).map(|counter| counter.organization)
    }

    /// Whether a request with these values would change nothing.
    pub fn knows(&self, id: AccountId, version: u64, floor: u32, cap: u32) -> bool {
        self.counters.get(&id).is_some_and(|counter| {
            (counter.version, counter.floor, counter.cap) == (version, floor, cap)
        })
    }

    /// As [`Counters::knows`] for an organization.
    pub fn knows_organization(&self, id: AccountId, version: u64, total: u32) -> bool {
        self.organizations.get(&id).is_some_and(|organization| {
            (organization.version, organization.total) == (version, total)
        })
    }

    /// A call of the counter went live, or ended.
    pub(super) fn count_live(&mut self, id: AccountId, went_live: bool) {
        if let Some(counter) = self.counters.get_mut(&id) {
            let live = counter.live;
            counter.live = if went_live { live.saturating_add(1) } else { live.saturating_sub(1) };
        }
    }

    /// Live calls of a counter.
    pub fn live(&self, id: AccountId) -> u32 {
        self.counters.get(&id).map_or(0, |counter| counter.live)
    }

    /// Whether nothing was ever configured here.
    pub(super) fn is_empty(&self) -> bool {
        self.organizations.is_empty() && self.counters.is_empty()
    }

    /// Units that holders have of a counter.
    pub fn leased(&self, id: AccountId) -> u32 {
        self.counters.get(&id).map_or(0, |counter| counter.share().leased)
    }

    /// Invariant I2 in the form that survives lowered limits: the kept sums are the true ones.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut sums: HashMap<AccountId, Sums, FixedState> = HashMap::default();
        for (id, counter) in &self.counters {
            for lease in &counter.leases {
                if lease.returned > lease.granted {
                    return Err(format!("{id:?}: a holder returned more than it got"));
                }
            }
            if !id.is_shadow() {
                let sum = sums.entry(counter.organization).or_default();
                sum.leased += u64::from(counter.share().leased);
                sum.committed += counter.share().committed();
            }
        }
        for (id, organization) in &self.organizations {
            let sum = sums.get(id).copied().unwrap_or_default();
            if organization.sums != sum {
                return Err(format!("{id:?}: kept {:?}, true {sum:?}", organization.sums));
            }
        }
        Ok(())
    }

    /// I2 as it stands while no limit is lowered: leases within caps, commitments within totals.
    pub fn within_limits(&self) -> bool {
        self.counters.values().all(|counter| counter.share().leased <= counter.cap)
            && self
                .organizations
                .values()
                .all(|organization| organization.sums.committed <= u64::from(organization.total))
    }
}
