//! A table of calls by account and `call_id`: live ones with what their keeper knows of them, ended
//! ones as tombstones. The gateway and the hub's state keep their calls in such tables.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as TableEntry;
use triomphe::Arc;

use crate::call::{Call, Record};
use crate::clock::EpochSeconds;
use crate::id::AccountId;

/// What a keeper knows of a live call.
pub trait Kept {
    fn call(&self) -> &Call;
}

/// What is known of a `call_id`.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<L> {
    /// Boxed: most entries are tombstones, and a growing table moves them all.
    Live(Box<L>),
    Ended(Arc<Record>),
}

impl<L: Kept> Entry<L> {
    pub fn call(&self) -> &Call {
        match self {
            Self::Live(live) => live.call(),
            Self::Ended(record) => &record.call,
        }
    }
}

/// Hashes a call's name; seeded at random, so that no tenant can choose where its calls lie.
#[derive(Clone, Debug, Default)]
pub struct CallHasher(RandomState);

/// A call's name with its hash: computed once per look-up.
#[derive(Clone, Copy, Debug)]
pub struct CallName<'a> {
    pub account: AccountId,
    pub call_id: &'a [u8],
    hash: u64,
}

impl CallHasher {
    pub fn name<'a>(&self, account: AccountId, call_id: &'a [u8]) -> CallName<'a> {
        CallName { account, call_id, hash: self.0.hash_one((account, call_id)) }
    }
}

/// The hash of a call's name.
#[derive(Clone, Copy, Debug)]
pub struct CallHash(u64);

fn part_of(hash: u64, count: usize) -> usize {
    usize::try_from((hash >> 40) & 0xffff).unwrap_or(0).checked_rem(count).unwrap_or(0)
}

impl CallName<'_> {
    /// One of `count` tables, by bits that the table itself does not use.
    pub fn part(&self, count: usize) -> usize {
        part_of(self.hash, count)
    }

    pub fn hash(&self) -> CallHash {
        CallHash(self.hash)
    }

    fn names(&self, call: &Call) -> bool {
        call.account() == self.account && call.call_id() == self.call_id
    }
}

/// The hash is kept: growing the table looks at no call.
#[derive(Clone, Debug)]
struct Slot<L> {
    hash: u64,
    entry: Entry<L>,
}

impl<L: Kept> Slot<L> {
    fn is(&self, name: CallName<'_>) -> bool {
        self.hash == name.hash && name.names(self.entry.call())
    }
}

#[derive(Debug)]
pub struct CallTable<L>(HashTable<Slot<L>>);

impl<L> Default for CallTable<L> {
    fn default() -> Self {
        Self(HashTable::new())
    }
}

/// A `call_id` may come again once its tombstone is gone: the admission tells the calls apart.
pub fn same_admission(one: &Call, other: &Call) -> bool {
    one.facts().admission == other.facts().admission
}

impl<L: Kept> CallTable<L> {
    pub fn find(&self, name: CallName<'_>) -> Option<&Entry<L>> {
        self.0.find(name.hash, |slot| slot.is(name)).map(|slot| &slot.entry)
    }

    pub fn find_mut(&mut self, name: CallName<'_>) -> Option<&mut Entry<L>> {
        self.0.find_mut(name.hash, |slot| slot.is(name)).map(|slot| &mut slot.entry)
    }

    /// Puts the entry here, in place of whatever is known of its call.
    pub fn put(&mut self, name: CallName<'_>, entry: Entry<L>) {
        let slot = Slot { hash: name.hash, entry };
        match self.0.entry(name.hash, |slot| slot.is(name), |slot| slot.hash) {
            TableEntry::Occupied(mut occupied) => *occupied.get_mut() = slot,
            TableEntry::Vacant(vacant) => {
                vacant.insert(slot);
            }
        }
    }

    /// Drops a tombstone, unless the `call_id` has come again since.
    pub fn forget(&mut self, tombstone: &Tombstone) {
        let record = &tombstone.record;
        let is = |slot: &Slot<L>| {
            slot.hash == tombstone.hash
                && matches!(&slot.entry, Entry::Ended(known) if Arc::ptr_eq(known, record)
                    || known.call.account() == record.call.account()
                        && same_admission(&known.call, &record.call))
        };
        if let Ok(occupied) = self.0.find_entry(tombstone.hash, is) {
            occupied.remove();
        }
    }

    /// All entries, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry<L>> {
        self.0.iter().map(|slot| &slot.entry)
    }

    pub fn live_mut(&mut self) -> impl Iterator<Item = &mut L> {
        self.0.iter_mut().filter_map(|slot| match &mut slot.entry {
            Entry::Live(live) => Some(&mut **live),
            Entry::Ended(_) => None,
        })
    }
}

/// An ended call that is remembered, and where: its call need not be looked at to find it.
#[derive(Debug)]
pub struct Tombstone {
    pub record: Arc<Record>,
    hash: u64,
}

impl Tombstone {
    /// One of `count` tables, as [`CallName::part`].
    pub fn part(&self, count: usize) -> usize {
        part_of(self.hash, count)
    }
}

/// Tombstones in the order of their making; one that was corrected stands for its call still.
#[derive(Debug, Default)]
pub struct Tombstones(VecDeque<Tombstone>);

impl Tombstones {
    /// Notes that a call has ended.
    pub fn add(&mut self, hash: CallHash, record: &Arc<Record>) {
        self.0.push_back(Tombstone { record: Arc::clone(record), hash: hash.0 });
    }

    /// When the oldest may go; `None` when there is none.
    pub fn oldest_goes_at(&self) -> Option<EpochSeconds> {
        self.0.front().map(|tombstone| tombstone.record.forget_at)
    }

    pub fn take_oldest(&mut self) -> Option<Tombstone> {
        self.0.pop_front()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.0.iter().map(|tombstone| &tombstone.record)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
