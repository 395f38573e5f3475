//! The hub as one pure state machine for one logical shard: (state, request, now) → (state, answer).
//! Deterministic; no I/O, no clock, no randomness. The embedded hub replays it from its journal, and
//! other forms of the hub are proven equal to it.

pub mod calls;
pub mod counters;
pub mod record_codec;
pub mod request;
pub mod snapshot;
pub mod wallets;

use triomphe::Arc;

use crate::call::Record;
use crate::call_table::CallHasher;
use crate::clock::{EpochSeconds, second_of};
use crate::id::HolderId;
use calls::{Admitted, Calls, Entry};
use counters::Counters;
use request::{Answer, Event, Request, Sync};
use wallets::Wallets;

/// Tombstones that one sync, and each end of a call in it, may drop because their time is over:
/// bounded work, and more than it adds.
const FORGET_PER_SYNC: usize = 64;
const FORGET_PER_END: usize = 2;

/// The state of one logical shard.
#[derive(Debug, Default)]
pub struct Shard {
    holders: Vec<HolderId>,
    counters: Counters,
    wallets: Wallets,
    calls: Calls,
    records: RecordStream,
}

/// Finished calls on their way to the ledger, numbered from 1 without a gap.
#[derive(Debug, Default)]
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
            Request::Acknowledge { through } => self.records.acknowledge(through),
            Request::Forget { count } => self.calls.forget_oldest(count as usize),
        }
        Answer::default()
    }

    /// As [`Shard::apply`] of a [`Request::Sync`], which it leaves empty to be filled again.
    pub fn sync(&mut self, sync: &mut Sync, now_us: i64) -> Answer {
        let mut answer = Answer::default();
        let holder = self.holder_index(sync.holder);
        let now = second_of(now_us);
        self.calls.forget_expired(now, FORGET_PER_SYNC);
        for (position, event) in sync.events.drain(..).enumerate() {
            match event {
                Event::Admitted { call, lease } => {
                    let (hold, account) = (lease.hold, call.account());
                    let owner = wallets::owner_of(&call, &self.counters);
                    match self.calls.admit(call, lease, holder) {
                        Admitted::New => {
                            self.counters.count_live(account, true);
                            self.wallets.hold(owner, hold);
                        }
                        Admitted::Repeated => {}
                        Admitted::Rejected => answer.rejected.push(position),
                    }
                }
                Event::Renewed { call, lease } => {
                    let owner = wallets::owner_of(&call, &self.counters);
                    if let Some(before) = self.calls.renew(&call, lease) {
                        self.wallets.rehold(owner, before.hold, lease.hold);
                    }
                }
                Event::Ended(record) => {
                    self.end(record);
                    self.calls.forget_expired(now, FORGET_PER_END);
                }
            }
        }
        for part in sync.returns.drain(..) {
            self.counters.give_back(part.counter, holder, part.returned);
        }
        for want in sync.wants.drain(..) {
            answer.wanted.push(self.counters.lease(want, holder));
        }
        answer
    }

    /// A call only moves forward: what has ended stays ended; a correction replaces an expiry.
    fn end(&mut self, record: Arc<Record>) {
        let owner = wallets::owner_of(&record.call, &self.counters);
        let Some(before) = self.calls.end(&record) else {
            return;
        };
        match before {
            Entry::Live(live) => {
                self.counters.count_live(record.call.account(), false);
                self.wallets.settle(owner, live.lease.hold, &record);
            }
            Entry::Ended(earlier) => self.wallets.correct(owner, &earlier, &record),
        }
        if !record.call.account().is_shadow() {
            self.records.append(record);
        }
    }

    fn holder_index(&mut self, holder: HolderId) -> u32 {
        let position = self.holders.iter().position(|known| *known == holder);
        let position = position.unwrap_or_else(|| {
            self.holders.push(holder);
            self.holders.len() - 1
        });
        u32::try_from(position).unwrap_or(u32::MAX)
    }

    /// Every other holder is gone: its leases return at once, its calls become `holder`'s and live at
    /// least until `deadline_min`.
    fn take_over(&mut self, holder: HolderId, deadline_min: EpochSeconds) {
        self.holders.clear();
        let index = self.holder_index(holder);
        self.counters.reap_all();
        let counters = &mut self.counters;
        self.calls.adopt_all(index, deadline_min, |call| {
            counters.adopt(call.account(), index);
        });
    }

    /// Whether nothing ever happened here.
    pub fn is_untouched(&self) -> bool {
        self.counters.is_empty() && self.calls.entries().next().is_none()
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
mod tests;
