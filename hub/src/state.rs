//! The hub as one pure state machine for one logical shard: (state, request, now) → (state, answer).
//! Deterministic; no I/O, no clock, no randomness. The embedded hub replays it from its journal, and
//! other forms of the hub are proven equal to it.

pub mod calls;
pub mod caps;
pub mod counters;
mod events;
pub mod exchange;
pub(crate) mod holders;
pub mod record_codec;
pub mod request;
pub mod request_codec;
pub mod snapshot;
pub mod wallets;

use triomphe::Arc;

use crate::call::Record;
use crate::call_table::CallHasher;
use crate::cap::CapId;
use crate::clock::{EpochSeconds, second_of};
use crate::id::HolderId;
use calls::{Admitted, Calls, Entry, Taken};
use caps::CapTable;
use counters::Counters;
use events::Ended;
use exchange::Membership;
use holders::{HolderIndex, Holders, Letters};
use request::{Answer, Event, Funded, Request, Sync, Wanted};
use wallets::Wallets;

/// Tombstones that one sync, and each end of a call in it, may drop because their time is over:
/// bounded work, and more than it adds.
pub(crate) const FORGET_PER_SYNC: usize = 64;
pub(crate) const FORGET_PER_END: usize = 2;

/// Whether units and money are leased out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grants {
    Open,
    /// What others have is not known yet.
    Closed,
}

/// Whose sync it is, and how it counts.
#[derive(Clone, Copy, Debug)]
struct Report {
    holder: HolderIndex,
    now: EpochSeconds,
    /// The holder tells all it has, in place of what is known of it.
    complete: bool,
    /// The holder's number of its next record; 0: it does not count them.
    record: u64,
    /// The number of its exchange, cut to 32 bits; 0: an embedded hub's only holder.
    exchange: u32,
}

/// The state of one logical shard.
#[derive(Clone, Debug, Default)]
pub struct Shard {
    holders: Holders,
    membership: Membership,
    counters: Counters,
    caps: CapTable,
    wallets: Wallets,
    calls: Calls,
    records: RecordStream,
    /// Calls adopted without a unit kept for them, in total: 0 unless two faults met.
    overshoot: u64,
}

/// Finished calls on their way to the ledger, numbered from 1 without a gap.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecordStream {
    last: u64,
    /// The record numbered `last` is at the back.
    waiting: std::collections::VecDeque<Arc<Record>>,
}

impl RecordStream {
    fn append(&mut self, record: Arc<Record>) {
        self.last += 1;
        self.waiting.push_back(record);
    }

    fn acknowledged(&self) -> u64 {
        self.last - self.waiting.len() as u64
    }

    fn acknowledge(&mut self, through: u64) {
        let count = through.min(self.last).saturating_sub(self.acknowledged());
        self.waiting.drain(..usize::try_from(count).unwrap_or(usize::MAX));
    }

    /// At most `max` records that follow the one numbered `after`, with their numbers.
    pub(crate) fn following(
        &self,
        after: u64,
        max: usize,
    ) -> impl Iterator<Item = (u64, &Arc<Record>)> {
        let first = self.acknowledged() + 1;
        let skip = usize::try_from((after + 1).saturating_sub(first)).unwrap_or(usize::MAX);
        (first..).zip(&self.waiting).skip(skip).take(max)
    }
}

impl Shard {
    /// Without anything. Where an entry lies depends on `hasher`, what the shard answers does not.
    pub fn new(hasher: CallHasher) -> Self {
        Self { calls: Calls::new(hasher), ..Self::default() }
    }

    /// Applies one request at the wall time `now_us`, which only orders deadlines.
    pub fn apply(&mut self, request: Request, now_us: i64) -> Answer {
        let now = second_of(now_us);
        match request {
            Request::Organization { id, version, total } => {
                self.counters.configure_organization(id, version, total);
            }
            Request::Counter { id, organization, version, floor, cap, outbound_cap } => {
                self.counters.configure(id, organization, version, floor, cap);
                self.caps.configure(CapId::outbound(id), version, outbound_cap);
            }
            Request::CounterGone { id } => {
                self.counters.remove(id);
                self.caps.remove(CapId::outbound(id));
            }
            Request::Cap { id, version, most } => self.caps.configure(id, version, most),
            Request::CapGone { id } => self.caps.remove(id),
            Request::Wallet(wallet) => self.wallets.configure(&wallet),
            Request::TakeOver { holder, call_lease_s } => {
                self.take_over(holder, now.saturating_add(call_lease_s));
            }
            Request::Sync(mut sync) => return self.sync(&mut sync, now_us),
            Request::Acknowledge { through } => self.acknowledge(through),
            Request::Forget { count } => self.calls.forget_oldest(count as usize),
        }
        Answer::default()
    }

    /// As [`Shard::apply`] of a [`Request::Sync`], which it leaves empty to be filled again.
    pub fn sync(&mut self, sync: &mut Sync, now_us: i64) -> Answer {
        let holder = self.holders.index(sync.holder);
        let now = second_of(now_us);
        let report = Report { holder, now, complete: false, record: 0, exchange: 0 };
        self.take_sync(sync, report, Grants::Open, &mut Vec::new())
    }

    /// What one holder reports, then what it wants.
    fn take_sync(
        &mut self,
        sync: &mut Sync,
        mut report: Report,
        grants: Grants,
        recalls: &mut Letters,
    ) -> Answer {
        let mut answer = Answer::default();
        let (holder, now) = (report.holder, report.now);
        let ends = sync.events.iter().filter(|event| matches!(event, Event::Ended(_))).count();
        self.calls.forget_expired(now, FORGET_PER_SYNC + FORGET_PER_END * ends);
        sync.holdings.drain(..).for_each(|holding| self.counters.report(&holding, holder));
        sync.purses.drain(..).for_each(|purse| self.wallets.report(&purse, holder));
        for (position, event) in sync.events.drain(..).enumerate() {
            match event {
                // A complete report: the unit and hold of the call are in its holdings.
                Event::Admitted { call, lease } if report.complete => {
                    if self.adopt(call, lease, report) == Taken::Refused {
                        answer.rejected.push(position);
                    }
                }
                Event::Admitted { call, lease } => {
                    match self.admit(call, lease, (holder, 0), now) {
                        Admitted::New | Admitted::Repeated => {}
                        Admitted::Rejected(by) if self.may_be_undone(by) => {
                            answer.deferred.push(position);
                        }
                        Admitted::Rejected(_) => answer.rejected.push(position),
                    }
                }
                Event::Wanted { call, lease, has_unit } => {
                    let wanted = (call, lease, has_unit);
                    let decided = self.decide(wanted, report, grants, recalls);
                    let (wanted, is_rejected) = decided;
                    answer.decided.push(wanted);
                    answer.rejected.extend(is_rejected.then_some(position));
                }
                // Who has it may not have reported yet.
                Event::Adopted { .. } if grants == Grants::Closed => answer.deferred.push(position),
                Event::Adopted { call, lease } => {
                    let inherits = Report { complete: false, ..report };
                    if self.adopt(call, lease, inherits) == Taken::Refused {
                        answer.rejected.push(position);
                    }
                }
                Event::Renewed { call, lease } => {
                    let owner = wallets::owner_of(&call, &self.counters);
                    if let Some(before) = self.calls.renew(&call, lease, holder) {
                        self.wallets.rehold(owner, holder, before.hold, lease.hold);
                    }
                }
                Event::Withdrawn(call) => self.withdraw(&call, holder),
                // The end of an admission that is not decided waits with it.
                Event::Ended(record) => match self.end(record, &mut report) {
                    Ended::Here => {}
                    Ended::Elsewhere => answer.rejected.push(position),
                    Ended::Later => answer.deferred.push(position),
                },
            }
        }
        for want in sync.wants.drain(..) {
            answer.wanted.push(match grants {
                Grants::Open => self.counters.lease(want, holder, recalls),
                Grants::Closed => Wanted::Learning,
            });
        }
        let holders = self.holders.confirmed();
        for fund in sync.funds.drain(..) {
            answer.funded.push(match grants {
                Grants::Open => self.wallets.fund(&fund, holder, holders, recalls),
                Grants::Closed => Funded::Learning,
            });
        }
        answer
    }

    /// Every other holder is gone: its leases return at once, its calls become `holder`'s and live at
    /// least until `deadline_min`.
    fn take_over(&mut self, holder: HolderId, deadline_min: EpochSeconds) {
        self.holders.clear();
        let index = self.holders.index(holder);
        self.counters.reap_all();
        self.wallets.reap_all();
        let counters = &mut self.counters;
        self.calls.adopt_all(index, deadline_min, |call| {
            counters.inherit(call.account(), index);
        });
    }

    fn acknowledge(&mut self, through: u64) {
        self.records.acknowledge(through);
        for holder in self.holders.iter_mut() {
            holder.acknowledge(through);
        }
    }

    /// Calls adopted without a unit kept for them, in total.
    pub fn overshoot(&self) -> u64 {
        self.overshoot
    }

    /// Whether nothing ever happened here.
    pub fn is_untouched(&self) -> bool {
        self.counters.is_empty() && self.calls.entries().next().is_none()
    }

    /// Who has a live call; `None`: nobody now.
    pub fn holder_of(&self, live: &calls::Live) -> Option<HolderId> {
        self.holders.at(live.holder).map(|holder| holder.id)
    }

    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// I2 as it stands while no limit is lowered: leases and live calls within caps, commitments within
    /// totals.
    pub fn is_within_limits(&self) -> bool {
        self.counters.within_limits() && self.caps.within_limits()
    }

    pub fn caps(&self) -> &CapTable {
        &self.caps
    }

    pub fn wallets(&self) -> &Wallets {
        &self.wallets
    }

    /// The number of the newest record; 0 before the first.
    pub fn last_record(&self) -> u64 {
        self.records.last
    }

    /// Records that the ledger has not acknowledged.
    pub fn backlog(&self) -> usize {
        self.records.waiting.len()
    }

    /// At most `max` records that follow the one numbered `after`, with their numbers.
    pub fn records(&self, after: u64, max: usize) -> impl Iterator<Item = (u64, &Arc<Record>)> {
        self.records.following(after, max)
    }

    /// The invariants that hold after every request; the text names the broken one.
    pub fn check(&self) -> Result<(), String> {
        self.counters.check()?;
        let live = self.calls.entries().filter_map(|entry| match entry {
            Entry::Live(live) => Some(live.call.caps()),
            Entry::Ended(_) => None,
        });
        self.caps.check(live)?;
        self.wallets.check(&self.calls, &self.counters)
    }
}

#[cfg(test)]
pub(crate) mod canonical;
#[cfg(test)]
mod tests;
