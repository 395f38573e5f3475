//! Calls of one shard: live ones with their lease and holder, ended ones as tombstones. A call only
//! moves forward: New, Live, Ended (rule 7).

mod owners;

use std::collections::{BTreeSet, VecDeque};

use triomphe::Arc;

use crate::call::{Call, Record};
use crate::call_table::{CallHash, CallHasher, CallName, CallTable, Kept, same_admission};
use crate::clock::EpochSeconds;
use crate::id::AccountId;
use crate::state::holders::HolderIndex;
use crate::state::request::Lease;

/// Tables per shard: growing one moves this fraction of the calls, never all at once.
const TABLES: usize = 64;
/// What the hub knows of a live call.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    pub call: Call,
    pub lease: Lease,
    /// Who has it.
    pub holder: HolderIndex,
    /// The number of the exchange in which its holder asked for it, cut to 32 bits: until the next it may
    /// not know the answer, and undo the admission. 0: it did not ask.
    pub asked: u32,
}

impl Live {
    /// One that no holder has.
    pub const fn orphan(call: Call, lease: Lease) -> Self {
        Self { call, lease, holder: HolderIndex::NONE, asked: 0 }
    }

    /// As the outside is told.
    pub(super) fn told(&self) -> Self {
        Self::orphan(self.call.clone(), self.lease)
    }
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
    /// Another admission of the same `call_id` came before; by whom, if it was asked for.
    Rejected(Option<Asked>),
}

/// A holder, and the number of the exchange in which it asked for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) holder: HolderIndex,
    pub(super) exchange: u32,
}

impl Asked {
    fn of(entry: &Entry) -> Option<Self> {
        match entry {
            Entry::Live(live) if live.asked > 0 => {
                Some(Self { holder: live.holder, exchange: live.asked })
            }
            _ => None,
        }
    }
}

/// An ended call in the order of the ends: when it may go, and what it takes to find it then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tombstone {
    hash: CallHash,
    /// The low half of the admission: tells calls of one name apart.
    pub(super) admission: u32,
    pub(super) forget_at: EpochSeconds,
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

#[derive(Clone, Debug, Default)]
pub struct Calls {
    /// Not part of the state: only where an entry lies depends on it.
    hasher: CallHasher,
    /// [`TABLES`] of them once there is a call.
    tables: Vec<CallTable<Live>>,
    pub(super) tombstones: VecDeque<Tombstone>,
    /// Live calls without a holder, in the order of their deadlines.
    pub(super) orphans: BTreeSet<Orphan>,
    live: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Orphan {
    pub(super) deadline: EpochSeconds,
    pub(super) account: [u8; AccountId::LEN],
    pub(super) call_id: Box<[u8]>,
}

impl Orphan {
    fn of(live: &Live) -> Self {
        Self {
            deadline: live.lease.deadline,
            account: live.call.account().to_bytes(),
            call_id: live.call.call_id().into(),
        }
    }
}

/// What became of a call that a holder says is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It had no holder.
    Orphan,
    /// It was not known here.
    Unknown,
    /// It was this holder's already.
    Own,
    /// It is another's, or over, or another call of the same name.
    Refused,
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
    pub(super) fn admit(
        &mut self,
        call: Call,
        lease: Lease,
        (holder, asked): (HolderIndex, u32),
        now: EpochSeconds,
    ) -> Admitted {
        let Place { table, name } = self.place(&call);
        let hash = name.hash();
        let known = table.find_mut(name);
        let live = |call| Entry::Live(Box::new(Live { call, lease, holder, asked }));
        match known {
            None => table.put_new(hash, live(call)),
            Some(entry) => match entry {
                Entry::Ended(record) if record.forget_at <= now => *entry = live(call),
                known if same_admission(known.call(), &call) => return Admitted::Repeated,
                known => return Admitted::Rejected(Asked::of(known)),
            },
        }
        self.live += 1;
        Admitted::New
    }

    /// Whether the call could be admitted now.
    pub(super) fn would_admit(&self, call: &Call, now: EpochSeconds) -> Admitted {
        match self.entry_of(call) {
            None => Admitted::New,
            Some(Entry::Ended(record)) if record.forget_at <= now => Admitted::New,
            Some(known) if same_admission(known.call(), call) => Admitted::Repeated,
            Some(known) => Admitted::Rejected(Asked::of(known)),
        }
    }

    /// The call, if `holder` has it.
    fn own(&mut self, call: &Call, holder: HolderIndex) -> Option<&mut Live> {
        let place = self.place(call);
        match place.table.find_mut(place.name)? {
            Entry::Live(live) if live.holder == holder && same_admission(&live.call, call) => {
                Some(live)
            }
            _ => None,
        }
    }

    /// The lease before; `None` when it is no live call of `holder`.
    pub(super) fn renew(
        &mut self,
        call: &Call,
        lease: Lease,
        holder: HolderIndex,
    ) -> Option<Lease> {
        let live = self.own(call, holder)?;
        live.asked = 0;
        Some(std::mem::replace(&mut live.lease, lease))
    }

    /// The admission is undone; what it had, if it was recorded.
    pub(super) fn withdraw(&mut self, call: &Call, holder: HolderIndex) -> Option<Lease> {
        let lease = self.own(call, holder)?.lease;
        let Place { table, name } = self.place(call);
        table.remove(name);
        self.live -= 1;
        Some(lease)
    }

    /// What was there before, when the record changes anything: a live call of `holder` or of nobody
    /// ends, a later revision replaces an earlier one.
    pub(super) fn end(&mut self, record: &Arc<Record>, holder: HolderIndex) -> Option<Entry> {
        let place = self.place(&record.call);
        let entry = place.table.find_mut(place.name)?;
        match &*entry {
            entry if !same_admission(entry.call(), &record.call) => return None,
            Entry::Ended(earlier) if earlier.revision >= record.revision => return None,
            Entry::Live(live) if ![holder, HolderIndex::NONE].contains(&live.holder) => {
                return None;
            }
            _ => {}
        }
        let before = std::mem::replace(entry, Entry::Ended(Arc::clone(record)));
        let hash = place.name.hash();
        if let Entry::Live(live) = &before {
            self.live -= 1;
            self.orphans.remove(&Orphan::of(live));
            self.tombstones.push_back(Tombstone::new(hash, record));
        }
        Some(before)
    }

    pub(super) fn has_ended(&self, call: &Call) -> bool {
        matches!(self.entry_of(call), Some(Entry::Ended(_)))
    }

    /// Remembers the end of a call of which nothing is known here.
    /// Only when the call could be admitted now.
    pub(super) fn remember(&mut self, record: &Arc<Record>, now: EpochSeconds) -> Admitted {
        let would = self.would_admit(&record.call, now);
        if would != Admitted::New {
            return would;
        }
        let Place { table, name } = self.place(&record.call);
        table.put(name, Entry::Ended(Arc::clone(record)));
        self.tombstones.push_back(Tombstone::new(name.hash(), record));
        would
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

    /// As [`Calls::find`], of a name that is not hashed yet.
    pub(super) fn find_named(&self, account: AccountId, call_id: &[u8]) -> Option<&Entry> {
        self.find(self.hasher.name(account, call_id))
    }

    pub fn live(&self) -> usize {
        self.live
    }

    /// Calls that have ended and are remembered.
    pub fn ended(&self) -> usize {
        self.tombstones.len()
    }
}
