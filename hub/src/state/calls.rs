//! Calls of one shard: live ones with their lease and holder, ended ones as tombstones. A call only
//! moves forward: New, Live, Ended (rule 7).

use triomphe::Arc;

use crate::call::{Call, Record};
use crate::call_table::{CallHasher, CallName, CallTable, Kept, Tombstones, same_admission};
use crate::clock::{EpochSeconds, second_of};
use crate::id::AccountId;
use crate::state::request::Lease;

/// Tables per shard: growing one moves this fraction of the calls, never all at once.
const TABLES: usize = 64;

/// What the hub knows of a live call.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    pub call: Call,
    pub lease: Lease,
    /// Index of the holder.
    pub holder: u32,
}

impl Kept for Live {
    fn call(&self) -> &Call {
        &self.call
    }
}

/// What the hub knows of a `call_id`.
pub type Entry = crate::call_table::Entry<Live>;

/// What became of a reported admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    New,
    /// It was known.
    Repeated,
    /// Another admission of the same `call_id` came before.
    Rejected,
}

#[derive(Debug, Default)]
pub struct Calls {
    /// Not part of the state: only where an entry lies depends on it.
    hasher: CallHasher,
    /// [`TABLES`] of them once there is a call.
    tables: Vec<CallTable<Live>>,
    tombstones: Tombstones,
    live: usize,
}

/// The table of a call, and its name there.
struct Place<'a> {
    table: &'a mut CallTable<Live>,
    name: CallName<'a>,
}

impl Calls {
    fn place<'a>(&'a mut self, call: &'a Call) -> Place<'a> {
        if self.tables.is_empty() {
            self.tables.resize_with(TABLES, CallTable::default);
        }
        let name = self.hasher.name(call.account(), call.call_id());
        Place { table: &mut self.tables[name.part(TABLES)], name }
    }

    /// An expired tombstone does not stand in the way; one admission reported twice is one.
    pub(super) fn admit(&mut self, call: &Call, lease: Lease, holder: u32) -> Admitted {
        let now = second_of(call.facts().admitted_us);
        let place = self.place(call);
        match place.table.find(place.name) {
            Some(Entry::Ended(record)) if record.forget_at <= now => {}
            Some(known) if same_admission(known.call(), call) => return Admitted::Repeated,
            Some(_) => return Admitted::Rejected,
            None => {}
        }
        let live = Live { call: call.clone(), lease, holder };
        place.table.put(place.name, Entry::Live(Box::new(live)));
        self.live += 1;
        Admitted::New
    }

    /// The lease before; `None` when the call is not live.
    pub(super) fn renew(&mut self, call: &Call, lease: Lease) -> Option<Lease> {
        let place = self.place(call);
        match place.table.find_mut(place.name)? {
            Entry::Live(live) if same_admission(&live.call, call) => {
                Some(std::mem::replace(&mut live.lease, lease))
            }
            _ => None,
        }
    }

    /// What was there before, when the record changes anything: a live call ends, a later revision
    /// replaces an earlier one.
    pub(super) fn end(&mut self, record: &Arc<Record>) -> Option<Entry> {
        let place = self.place(&record.call);
        let entry = place.table.find_mut(place.name)?;
        match entry {
            entry if !same_admission(entry.call(), &record.call) => return None,
            Entry::Ended(earlier) if earlier.revision >= record.revision => return None,
            _ => {}
        }
        let before = std::mem::replace(entry, Entry::Ended(Arc::clone(record)));
        let hash = place.name.hash();
        if matches!(before, Entry::Live(_)) {
            self.live -= 1;
            self.tombstones.add(hash, record);
        }
        Some(before)
    }

    /// Drops at most `count_max` of the oldest tombstones if their time is over.
    pub(super) fn forget_expired(&mut self, now: EpochSeconds, count_max: usize) {
        for _ in 0..count_max {
            match self.tombstones.oldest_goes_at() {
                Some(forget_at) if forget_at <= now => self.forget_oldest(1),
                _ => return,
            }
        }
    }

    pub(super) fn forget_oldest(&mut self, count: usize) {
        for _ in 0..count {
            let Some(tombstone) = self.tombstones.take_oldest() else {
                return;
            };
            self.tables[tombstone.part(TABLES)].forget(&tombstone);
        }
    }

    /// Every live call becomes `holder`'s and lives at least until `deadline_min`.
    pub(super) fn adopt_all(
        &mut self,
        holder: u32,
        deadline_min: EpochSeconds,
        mut adopted: impl FnMut(&Call),
    ) {
        for live in self.tables.iter_mut().flat_map(CallTable::live_mut) {
            live.holder = holder;
            live.lease.deadline = live.lease.deadline.max(deadline_min);
            adopted(&live.call);
        }
    }

    /// Puts an entry back as a snapshot holds it.
    pub(super) fn restore(&mut self, entry: Entry) {
        let call = entry.call().clone();
        let hash = self.hasher.name(call.account(), call.call_id()).hash();
        match &entry {
            Entry::Live(_) => self.live += 1,
            Entry::Ended(record) => self.tombstones.add(hash, record),
        }
        let place = self.place(&call);
        place.table.put(place.name, entry);
    }

    /// All entries, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.tables.iter().flat_map(CallTable::entries)
    }

    /// Tombstones in the order of their making, as last corrected.
    pub(super) fn tombstones(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.tombstones.iter().filter_map(|record| {
            match self.find(record.call.account(), record.call.call_id()) {
                Some(Entry::Ended(known)) if same_admission(&known.call, &record.call) => {
                    Some(known)
                }
                _ => None,
            }
        })
    }

    pub fn find(&self, account: AccountId, call_id: &[u8]) -> Option<&Entry> {
        let name = self.hasher.name(account, call_id);
        self.tables.get(name.part(TABLES))?.find(name)
    }

    pub fn live(&self) -> usize {
        self.live
    }

    /// Calls that have ended and are remembered.
    pub fn ended(&self) -> usize {
        self.tombstones.len()
    }
}
