//! Calls of one shard: live ones with their lease and holder, ended ones as tombstones. A call only
//! moves forward: New, Live, Ended (rule 7).

use std::collections::VecDeque;

use triomphe::Arc;

use crate::call::{Call, Record};
use crate::call_table::{CallHash, CallHasher, CallName, CallTable, Kept, same_admission};
use crate::clock::{EpochSeconds, second_of};
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

/// An ended call in the order of the ends: when it may go, and what it takes to find it then.
#[derive(Clone, Copy, Debug)]
struct Tombstone {
    hash: CallHash,
    /// The low half of the admission: tells calls of one name apart.
    admission: u32,
    forget_at: EpochSeconds,
}

impl Tombstone {
    fn new(hash: CallHash, record: &Record) -> Self {
        Self { hash, admission: low_half(record), forget_at: record.forget_at }
    }

    /// The record, as last corrected.
    fn of<'a>(&self, tables: &'a [CallTable<Live>]) -> Option<&'a Arc<Record>> {
        let admission = self.admission;
        tables[self.hash.part(TABLES)].ended(self.hash, |record| low_half(record) == admission)
    }
}

fn low_half(record: &Record) -> u32 {
    let half = record.call.facts().admission & u64::from(u32::MAX);
    u32::try_from(half).unwrap_or(u32::MAX)
}

#[derive(Debug, Default)]
pub struct Calls {
    /// Not part of the state: only where an entry lies depends on it.
    hasher: CallHasher,
    /// [`TABLES`] of them once there is a call.
    tables: Vec<CallTable<Live>>,
    tombstones: VecDeque<Tombstone>,
    live: usize,
}

/// The table of a call, and its name there.
struct Place<'a, 'n> {
    table: &'a mut CallTable<Live>,
    name: CallName<'n>,
}

impl Calls {
    pub(super) fn new(hasher: CallHasher) -> Self {
        Self { hasher, ..Self::default() }
    }

    fn place<'n>(&mut self, call: &'n Call) -> Place<'_, 'n> {
        if self.tables.is_empty() {
            self.tables.resize_with(TABLES, CallTable::default);
        }
        let name = self.hasher.name(call.account(), call.call_id());
        Place { table: &mut self.tables[name.hash().part(TABLES)], name }
    }

    /// An expired tombstone does not stand in the way; one admission reported twice is one.
    pub(super) fn admit(&mut self, call: Call, lease: Lease, holder: u32) -> Admitted {
        let now = second_of(call.facts().admitted_us);
        let Place { table, name } = self.place(&call);
        let hash = name.hash();
        let known = table.find_mut(name);
        let live = |call| Entry::Live(Box::new(Live { call, lease, holder }));
        match known {
            None => table.put_new(hash, live(call)),
            Some(entry) => match entry {
                Entry::Ended(record) if record.forget_at <= now => *entry = live(call),
                known if same_admission(known.call(), &call) => return Admitted::Repeated,
                _ => return Admitted::Rejected,
            },
        }
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
            self.tombstones.push_back(Tombstone::new(hash, record));
        }
        Some(before)
    }

    /// Drops at most `count_max` of the oldest tombstones if their time is over.
    pub(super) fn forget_expired(&mut self, now: EpochSeconds, count_max: usize) {
        for _ in 0..count_max {
            match self.tombstones.front() {
                Some(oldest) if oldest.forget_at <= now => self.forget_oldest(1),
                _ => return,
            }
        }
    }

    pub(super) fn forget_oldest(&mut self, count: usize) {
        for _ in 0..count {
            let Some(Tombstone { hash, admission, .. }) = self.tombstones.pop_front() else {
                return;
            };
            let table = &mut self.tables[hash.part(TABLES)];
            table.forget_ended(hash, |record| low_half(record) == admission);
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
        let Place { table, name } = self.place(&call);
        let tombstone = match &entry {
            Entry::Live(_) => None,
            Entry::Ended(record) => Some(Tombstone::new(name.hash(), record)),
        };
        table.put(name, entry);
        match tombstone {
            None => self.live += 1,
            Some(tombstone) => self.tombstones.push_back(tombstone),
        }
    }

    /// All entries, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.tables.iter().flat_map(CallTable::entries)
    }

    /// Tombstones in the order of their making, as last corrected.
    pub(super) fn tombstones(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.tombstones.iter().filter_map(|tombstone| tombstone.of(&self.tables))
    }

    /// What is known of a call; the name is one of this shard's hasher.
    pub fn find(&self, name: CallName<'_>) -> Option<&Entry> {
        self.tables.get(name.hash().part(TABLES))?.find(name)
    }

    /// As [`Calls::find`], of the call itself.
    pub(super) fn entry_of(&self, call: &Call) -> Option<&Entry> {
        self.find(self.hasher.name(call.account(), call.call_id()))
    }

    pub fn live(&self) -> usize {
        self.live
    }

    /// Calls that have ended and are remembered.
    pub fn ended(&self) -> usize {
        self.tombstones.len()
    }
}
