//! Calls of one shard by account and `call_id`: live ones with their lease, ended ones as tombstones.
//! A call only moves forward: New, Live, Ended (rule 7).

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table;
use triomphe::Arc;

use crate::call::{Call, Record};
use crate::clock::EpochSeconds;
use crate::id::AccountId;
use crate::state::request::Lease;

/// Tables per shard: growing one moves this fraction of the calls, never all at once.
const TABLES: usize = 64;

/// What is known of one call.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    Live {
        call: Call,
        lease: Lease,
        holder: u32,
    },
    Ended(Arc<Record>),
}

impl Entry {
    pub fn call(&self) -> &Call {
        match self {
            Self::Live { call, .. } => call,
            Self::Ended(record) => &record.call,
        }
    }

    fn is(&self, account: AccountId, call_id: &[u8]) -> bool {
        let call = self.call();
        call.account() == account && call.call_id() == call_id
    }
}

/// A `call_id` may come again once its tombstone is gone: the admission tells the calls apart.
fn same_admission(one: &Call, other: &Call) -> bool {
    one.facts().admission == other.facts().admission
}

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
    hasher: RandomState,
    tables: Vec<HashTable<Entry>>,
    /// Tombstones in the order of their making.
    ended: VecDeque<(EpochSeconds, Call)>,
    live: usize,
}

impl Calls {
    fn hash(hasher: &RandomState, account: AccountId, call_id: &[u8]) -> u64 {
        hasher.hash_one((account, call_id))
    }

    fn entry(&mut self, call: &Call) -> hash_table::Entry<'_, Entry> {
        if self.tables.is_empty() {
            self.tables.resize_with(TABLES, HashTable::new);
        }
        let (account, call_id) = (call.account(), call.call_id());
        let hash = Self::hash(&self.hasher, account, call_id);
        let hasher = &self.hasher;
        // Bits of the middle: the table itself uses the lowest and the highest.
        let table = &mut self.tables[(hash >> 40) as usize % TABLES];
        table.entry(
            hash,
            |entry| entry.is(account, call_id),
            |entry| Self::hash(hasher, entry.call().account(), entry.call().call_id()),
        )
    }

    /// An expired tombstone does not stand in the way; one admission reported twice is one.
    pub(super) fn admit(&mut self, call: Call, lease: Lease, holder: u32) -> Admitted {
        match self.entry(&call) {
            hash_table::Entry::Vacant(vacant) => {
                vacant.insert(Entry::Live {
                    call,
                    lease,
                    holder,
                });
                self.live += 1;
                Admitted::New
            }
            hash_table::Entry::Occupied(mut occupied) => match occupied.get() {
                Entry::Ended(record)
                    if record.forget_at <= crate::clock::second_of(call.facts().admitted_us) =>
                {
                    *occupied.get_mut() = Entry::Live {
                        call,
                        lease,
                        holder,
                    };
                    self.live += 1;
                    Admitted::New
                }
                known if same_admission(known.call(), &call) => Admitted::Repeated,
                _ => Admitted::Rejected,
            },
        }
    }

    /// The lease before; `None` when the call is not live.
    pub(super) fn renew(&mut self, call: &Call, lease: Lease) -> Option<Lease> {
        match self.entry(call) {
            hash_table::Entry::Occupied(mut occupied) => match occupied.get_mut() {
                Entry::Live {
                    lease: known,
                    call: live,
                    ..
                } if same_admission(live, call) => Some(std::mem::replace(known, lease)),
                _ => None,
            },
            hash_table::Entry::Vacant(_) => None,
        }
    }

    /// What was there before, when the record changes anything: a live call ends, a later revision
    /// replaces an earlier one.
    pub(super) fn end(&mut self, record: &Arc<Record>) -> Option<Entry> {
        let hash_table::Entry::Occupied(mut occupied) = self.entry(&record.call) else {
            return None;
        };
        let ended = Entry::Ended(Arc::clone(record));
        let before = match occupied.get_mut() {
            entry if !same_admission(entry.call(), &record.call) => return None,
            Entry::Ended(earlier) if earlier.revision >= record.revision => return None,
            entry => std::mem::replace(entry, ended),
        };
        if matches!(before, Entry::Live { .. }) {
            self.live -= 1;
            self.ended
                .push_back((record.forget_at, record.call.clone()));
        }
        Some(before)
    }

    /// Drops at most `count_max` of the oldest tombstones if their time is over.
    pub(super) fn forget_expired(&mut self, now: EpochSeconds, count_max: usize) {
        for _ in 0..count_max {
            match self.ended.front() {
                Some((forget_at, _)) if *forget_at <= now => self.forget_oldest(1),
                _ => return,
            }
        }
    }

    pub(super) fn forget_oldest(&mut self, count: usize) {
        for _ in 0..count {
            let Some((_, call)) = self.ended.pop_front() else {
                return;
            };
            if let hash_table::Entry::Occupied(occupied) = self.entry(&call)
                && matches!(occupied.get(), Entry::Ended(record) if same_admission(&record.call, &call))
            {
                occupied.remove();
            }
        }
    }

    /// Every live call becomes `holder`'s and lives at least until `deadline_min`.
    pub(super) fn adopt_all(
        &mut self,
        new_holder: u32,
        deadline_min: EpochSeconds,
        mut adopted: impl FnMut(&Call),
    ) {
        for entry in self.tables.iter_mut().flat_map(HashTable::iter_mut) {
            if let Entry::Live {
                call,
                lease,
                holder,
            } = entry
            {
                *holder = new_holder;
                lease.deadline = lease.deadline.max(deadline_min);
                adopted(call);
            }
        }
    }

    /// Puts an entry back as a snapshot holds it.
    pub(super) fn restore(&mut self, entry: Entry) {
        match &entry {
            Entry::Live { .. } => self.live += 1,
            Entry::Ended(record) => {
                self.ended
                    .push_back((record.forget_at, record.call.clone()));
            }
        }
        let call = entry.call().clone();
        if let hash_table::Entry::Vacant(vacant) = self.entry(&call) {
            vacant.insert(entry);
        }
    }

    /// All entries, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.tables.iter().flat_map(HashTable::iter)
    }

    /// Tombstones in the order of their making.
    pub(super) fn tombstones(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.ended.iter().filter_map(
            |(_, call)| match self.find(call.account(), call.call_id()) {
                Some(Entry::Ended(record)) => Some(record),
                _ => None,
            },
        )
    }

    pub fn find(&self, account: AccountId, call_id: &[u8]) -> Option<&Entry> {
        let hash = Self::hash(&self.hasher, account, call_id);
        let table = self.tables.get((hash >> 40) as usize % TABLES)?;
        table.find(hash, |entry| entry.is(account, call_id))
    }

    pub fn live(&self) -> usize {
        self.live
    }

    /// Calls that have ended and are remembered.
    pub fn ended(&self) -> usize {
        self.ended.len()
    }
}
