//! A table of calls by account and `call_id`: live ones with what their keeper knows of them, ended
//! ones with their record. The gateway and the hub's state keep their calls in such tables.

use std::hash::{BuildHasher, Hash as _, Hasher as _};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as TableEntry;
use triomphe::Arc;

use crate::call::{Call, Record};
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

/// Hashes a call's name; seeded at random, so that no tenant can choose where its calls lie. Copies
/// hash alike: the gateway and its hub share one.
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
        let mut hasher = self.0.build_hasher();
        account.hash(&mut hasher);
        // Without its length: nothing follows.
        hasher.write(call_id);
        CallName { account, call_id, hash: hasher.finish() }
    }
}

/// The hash of a call's name, by which a table finds the call again without its name. Two calls of
/// one hash are possible: whoever uses it looks at what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallHash(u64);

impl CallHash {
    /// One of `count` tables, by bits that the table itself does not use. The largest gets twice the
    /// calls of the smallest, and those between all sizes between: they do not all grow at once, and
    /// their rooms together are as well filled at any number of calls.
    pub fn part(self, count: usize) -> usize {
        let uniform = (self.0 >> 40) & 0xffff;
        // About log2(1 + uniform), both as parts of 2^16.
        let bent = (uniform * (88_244 - ((22_708 * uniform) >> 16))) >> 16;
        usize::try_from((bent * count as u64) >> 16).unwrap_or(0).min(count.saturating_sub(1))
    }
}

impl CallName<'_> {
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

    fn is_ended(&self, hash: CallHash, is: impl Fn(&Record) -> bool) -> bool {
        self.hash == hash.0 && matches!(&self.entry, Entry::Ended(record) if is(record))
    }
}

#[derive(Clone, Debug)]
pub struct CallTable<L>(HashTable<Slot<L>>);

impl<L> Default for CallTable<L> {
    fn default() -> Self {
        Self(HashTable::new())
    }
}

/// A `call_id` may come again once its tombstone is gone: the admission tells the calls apart.
pub fn same_admission(one: &Call, other: &Call) -> bool {
    // Two gateways may number alike, but not at the same microsecond.
    (one.facts().admission, one.facts().admitted_us)
        == (other.facts().admission, other.facts().admitted_us)
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

    /// Puts an entry here whose call is not known: nothing is looked for.
    pub fn put_new(&mut self, hash: CallHash, entry: Entry<L>) {
        self.0.insert_unique(hash.0, Slot { hash: hash.0, entry }, |slot| slot.hash);
    }

    /// The ended call of this hash that `is` names.
    pub fn ended(&self, hash: CallHash, is: impl Fn(&Record) -> bool) -> Option<&Arc<Record>> {
        let found = self.0.find(hash.0, |slot| slot.is_ended(hash, &is))?;
        match &found.entry {
            Entry::Ended(record) => Some(record),
            Entry::Live(_) => None,
        }
    }

    /// Drops the ended call of this hash that `is` names.
    pub fn forget_ended(&mut self, hash: CallHash, is: impl Fn(&Record) -> bool) {
        if let Ok(found) = self.0.find_entry(hash.0, |slot| slot.is_ended(hash, &is)) {
            found.remove();
        }
    }

    /// Drops what is known of a call.
    pub fn remove(&mut self, name: CallName<'_>) {
        drop(self.take(name));
    }

    /// Takes what is known of a call out of the table.
    pub fn take(&mut self, name: CallName<'_>) -> Option<Entry<L>> {
        let found = self.0.find_entry(name.hash, |slot| slot.is(name)).ok()?;
        Some(found.remove().0.entry)
    }

    /// The live calls of one hash: nearly always one or none.
    pub fn live_of(&self, hash: CallHash) -> impl Iterator<Item = &L> {
        self.0.iter_hash(hash.0).filter_map(move |slot| match &slot.entry {
            Entry::Live(live) if slot.hash == hash.0 => Some(&**live),
            _ => None,
        })
    }

    /// All entries, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry<L>> {
        self.0.iter().map(|slot| &slot.entry)
    }

    pub fn live(&self) -> impl Iterator<Item = &L> {
        self.0.iter().filter_map(|slot| match &slot.entry {
            Entry::Live(live) => Some(&**live),
            Entry::Ended(_) => None,
        })
    }

    pub fn live_mut(&mut self) -> impl Iterator<Item = &mut L> {
        self.0.iter_mut().filter_map(|slot| match &mut slot.entry {
            Entry::Live(live) => Some(&mut **live),
            Entry::Ended(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_of_all_sizes_up_to_twice_the_smallest() {
        const TABLES: usize = 64;
        let mut calls = [0_u32; TABLES];
        for high in 0..=0xffff_u64 {
            calls[CallHash(high << 40).part(TABLES)] += 1;
        }
        let (smallest, largest) = (calls[0], calls[TABLES - 1]);
        assert!(calls.is_sorted_by(|one, next| *one <= next + 2), "{calls:?}");
        assert!((18..=22).contains(&(largest * 10 / smallest)), "{calls:?}");
    }
}
