//! The hub as one pure state machine for one logical shard: (state, request, now) → (state, answer).
//! Deterministic; no I/O, no clock, no randomness. The embedded hub replays it from its journal, and
//! other forms of the hub are proven equal to it.

pub mod calls;
pub mod counters;
pub mod exchange;
pub(crate) mod holders;
pub mod record_codec;
pub mod request;
pub mod request_codec;
pub mod snapshot;
pub mod wallets;

use triomphe::Arc;

use crate::call::{Call, Record};
use crate::call_table::CallHasher;
use crate::clock::{EpochSeconds, second_of};
use crate::id::HolderId;
use crate::money::Amount;
use calls::{Admitted, Calls, Entry, Taken};
use counters::Counters;
use exchange::Membership;
use holders::{HolderIndex, Holders, Letters};
use request::{Answer, Event, Funded, Lease, Request, Sync, Want, Wanted};
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
}

/// The state of one logical shard.
#[derive(Clone, Debug, Default)]
pub struct Shard {
    holders: Holders,
    membership: Membership,
    counters: Counters,
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
            Request::Counter { id, organization, version, floor, cap } => {
                self.counters.configure(id, organization, version, floor, cap);
            }
            Request::CounterGone { id } => self.counters.remove(id),
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
        let report = Report { holder, now: second_of(now_us), complete: false, record: 0 };
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
                    if self.admit(call, lease, holder, now) == Admitted::Rejected {
                        answer.rejected.push(position);
                    }
                }
                Event::Wanted { call, lease } => {
                    let decided = self.decide(call, lease, (holder, now), grants, recalls);
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
                Event::Ended(record) => {
                    if !self.end(record, &mut report) {
                        answer.rejected.push(position);
                    }
                }
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

    fn admit(
        &mut self,
        call: Call,
        lease: Lease,
        holder: HolderIndex,
        now: EpochSeconds,
    ) -> Admitted {
        let (hold, account) = (lease.hold, call.account());
        let owner = wallets::owner_of(&call, &self.counters);
        let admitted = self.calls.admit(call, lease, holder, now);
        if admitted == Admitted::New {
            self.counters.goes_live(account, holder);
            self.wallets.rehold(owner, holder, Amount::ZERO, hold);
        }
        admitted
    }

    /// The exact regime: leases a unit for the call and records it, or neither. True: the name is
    /// another call's.
    fn decide(
        &mut self,
        call: Call,
        lease: Lease,
        (holder, now): (HolderIndex, EpochSeconds),
        grants: Grants,
        recalls: &mut Letters,
    ) -> (Wanted, bool) {
        match self.calls.would_admit(&call, now) {
            Admitted::New if grants == Grants::Closed => (Wanted::Learning, false),
            Admitted::New => {
                let want = Want { counter: call.account(), units: 1, recalled: false };
                let wanted = self.counters.lease(want, holder, recalls);
                if let Wanted::Granted(_) = wanted {
                    self.admit(call, lease, holder, now);
                }
                (wanted, false)
            }
            Admitted::Repeated => (Wanted::Granted(1), false),
            Admitted::Rejected => (Wanted::Granted(0), true),
        }
    }

    /// The unit and hold of a call come along, but in a complete report, which has them already.
    fn adopt(&mut self, call: Call, lease: Lease, report: Report) -> Taken {
        let Report { holder, now, complete, .. } = report;
        let (hold, account) = (lease.hold, call.account());
        let owner = wallets::owner_of(&call, &self.counters);
        let before = self.hold_of(&call);
        let taken = self.calls.adopt(call, lease, holder, now);
        match taken {
            Taken::Orphan if complete => {
                self.counters.ends(account, HolderIndex::NONE);
                self.counters.goes_live(account, holder);
                self.wallets.rehold(owner, HolderIndex::NONE, before, Amount::ZERO);
                self.wallets.rehold(owner, holder, Amount::ZERO, hold);
            }
            Taken::Orphan => {
                self.counters.inherit(account, holder);
                self.wallets.inherit(owner, holder, before, true);
                self.wallets.rehold(owner, holder, before, hold);
            }
            Taken::Unknown if complete => {
                self.counters.goes_live(account, holder);
                self.wallets.rehold(owner, holder, Amount::ZERO, hold);
            }
            Taken::Unknown => {
                let kept = self.counters.inherit_unknown(account, holder);
                self.overshoot += u64::from(!kept);
                self.wallets.inherit(owner, holder, hold, false);
            }
            Taken::Own | Taken::Refused => {}
        }
        taken
    }

    fn hold_of(&self, call: &Call) -> Amount {
        match self.calls.entry_of(call) {
            Some(Entry::Live(live)) => live.lease.hold,
            _ => Amount::ZERO,
        }
    }

    fn withdraw(&mut self, call: &Call, holder: HolderIndex) {
        if let Some(lease) = self.calls.withdraw(call, holder) {
            let owner = wallets::owner_of(call, &self.counters);
            self.counters.ends(call.account(), holder);
            self.wallets.rehold(owner, holder, lease.hold, Amount::ZERO);
        }
    }

    /// A call only moves forward: what has ended stays ended; a correction replaces an expiry. The end
    /// of a call of which nothing is known counts too: its admission may be lost (rule 12). In a
    /// complete report the holder's money is already without what its records cost.
    /// False: the call is live at another holder, which alone may end it.
    fn end(&mut self, record: Arc<Record>, report: &mut Report) -> bool {
        let owner = wallets::owner_of(&record.call, &self.counters);
        let payer = if report.complete { HolderIndex::NONE } else { report.holder };
        let is_new = match self.calls.end(&record, report.holder) {
            Some(Entry::Live(live)) => {
                self.counters.ends(record.call.account(), live.holder);
                self.wallets.settle(owner, live.holder, live.lease.hold, &record);
                true
            }
            Some(Entry::Ended(earlier)) => {
                self.wallets.correct(owner, payer, &earlier, &record);
                true
            }
            None if self.calls.remember(&record, report.now) => {
                self.wallets.settle_unknown(owner, &record);
                true
            }
            None => false,
        };
        let has_ended = is_new || self.calls.has_ended(&record.call);
        // Shadows are never posted.
        if !record.call.account().is_shadow() {
            self.stream(record, report, is_new);
        }
        has_ended
    }

    /// Puts a new record on its way to the ledger, and notes whose it is. One that is known is on its
    /// way already, or there.
    fn stream(&mut self, record: Arc<Record>, report: &mut Report, is_new: bool) {
        if is_new {
            self.records.append(record);
        }
        if report.record > 0 {
            if let Some(holder) = self.holders.at_mut(report.holder) {
                holder.recorded(report.record, self.records.last);
                // What is known may be in the ledger already: nothing more would tell so.
                holder.acknowledge(self.records.acknowledged());
            }
            report.record += 1;
        }
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
        self.wallets.check(&self.calls, &self.counters)
    }
}

#[cfg(test)]
pub(crate) mod canonical;
#[cfg(test)]
mod tests;
