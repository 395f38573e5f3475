//! Live calls and tombstones of this gateway by account and `call_id`: 256 tables, each under its own
//! lock, held for one look-up and one change of one call.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc as Shared;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as TableEntry;
use hub::call::{Call, Record};
use hub::clock::EpochSeconds;
use hub::id::AccountId;
use hub::state::request::Lease;
use parking_lot::{Mutex, MutexGuard};
use triomphe::Arc;

use crate::accounts::{Account, Wallet};

/// Tables; their locks are what admissions on different threads share.
pub const TABLES: usize = 256;
/// Tombstones that one change may drop: bounded work per call.
const FORGET_PER_CHANGE: usize = 2;

/// A live call with what it counts against.
#[derive(Debug)]
pub struct Live {
    pub call: Call,
    pub account: Shared<Account>,
    /// `None`: the call is not billed.
    pub wallet: Option<Shared<Wallet>>,
    pub lease: Lease,
}

/// What is known of a `call_id`.
#[derive(Debug)]
pub enum Entry {
    Live(Live),
    Ended(Arc<Record>),
}

impl Entry {
    pub fn call(&self) -> &Call {
        match self {
            Self::Live(live) => &live.call,
            Self::Ended(record) => &record.call,
        }
    }
}

#[derive(Debug, Default)]
struct Table {
    entries: HashTable<Entry>,
    /// Tombstones in the order of their making, with the second in which they may go.
    ended: VecDeque<(EpochSeconds, Call)>,
}

/// On its own cache lines: neighbours' locks are taken by other threads.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded(Mutex<Table>);

#[derive(Debug)]
pub struct Calls {
    hasher: RandomState,
    tables: Box<[Padded]>,
    ended_max_per_table: usize,
}

/// The table of one call, locked, and where the call belongs in it.
pub struct Place<'a> {
    table: MutexGuard<'a, Table>,
    hasher: &'a RandomState,
    hash: u64,
    account: AccountId,
    call_id: &'a [u8],
    ended_max: usize,
}

fn hash_of(hasher: &RandomState, account: AccountId, call_id: &[u8]) -> u64 {
    hasher.hash_one((account, call_id))
}

impl Calls {
    /// Keeps about `tombstones_max` ended calls at most.
    pub fn new(tombstones_max: usize) -> Self {
        Self {
            hasher: RandomState::default(),
            tables: (0..TABLES).map(|_| Padded::default()).collect(),
            ended_max_per_table: tombstones_max.div_ceil(TABLES).max(1),
        }
    }

    /// Locks the table of a call. Never hold the place across anything else.
    pub fn place<'a>(&'a self, account: AccountId, call_id: &'a [u8]) -> Place<'a> {
        let hash = hash_of(&self.hasher, account, call_id);
        // Bits of the middle: a table uses the lowest and the highest itself.
        let index = usize::try_from((hash >> 40) & 0xff).unwrap_or(0);
        Place {
            table: self.tables[index].0.lock(),
            hasher: &self.hasher,
            hash,
            account,
            call_id,
            ended_max: self.ended_max_per_table,
        }
    }

    /// Visits the live calls of one table; `index` below [`TABLES`].
    pub fn visit_live(&self, index: usize, mut visit: impl FnMut(&Live)) {
        let Some(table) = self.tables.get(index) else {
            return;
        };
        for entry in &table.0.lock().entries {
            if let Entry::Live(live) = entry {
                visit(live);
            }
        }
    }

    /// Drops tombstones of one table whose time is over, also where no call comes by any more.
    pub fn sweep(&self, index: usize, now: EpochSeconds) {
        let Some(table) = self.tables.get(index) else {
            return;
        };
        let mut table = table.0.lock();
        while table.forget_one(&self.hasher, now, usize::MAX) {}
    }
}

impl Table {
    /// Drops the oldest tombstone if its time is over or there are too many.
    fn forget_one(&mut self, hasher: &RandomState, now: EpochSeconds, ended_max: usize) -> bool {
        match self.ended.front() {
            Some((forget_at, _)) if *forget_at <= now || self.ended.len() > ended_max => {}
            _ => return false,
        }
        if let Some((_, call)) = self.ended.pop_front() {
            let (account, call_id) = (call.account(), call.call_id());
            let admission = call.facts().admission;
            let same = |entry: &Entry| {
                matches!(entry, Entry::Ended(record) if record.call.facts().admission == admission
                    && is(entry, account, call_id))
            };
            if let Ok(occupied) = self
                .entries
                .find_entry(hash_of(hasher, account, call_id), same)
            {
                occupied.remove();
            }
        }
        true
    }
}

fn is(entry: &Entry, account: AccountId, call_id: &[u8]) -> bool {
    let call = entry.call();
    call.account() == account && call.call_id() == call_id
}

impl Place<'_> {
    /// What is known of the call; a tombstone whose time is over is not.
    pub fn find(&mut self, now: EpochSeconds) -> Option<&mut Entry> {
        let (account, call_id) = (self.account, self.call_id);
        let entry = self
            .table
            .entries
            .find_mut(self.hash, |entry| is(entry, account, call_id))?;
        match entry {
            Entry::Ended(record) if record.forget_at <= now => None,
            entry => Some(entry),
        }
    }

    /// Notes that the call found here has become a tombstone, and drops old ones.
    pub fn bury(&mut self, record: &Record, now: EpochSeconds) {
        self.table
            .ended
            .push_back((record.forget_at, record.call.clone()));
        for _ in 0..FORGET_PER_CHANGE {
            self.table.forget_one(self.hasher, now, self.ended_max);
        }
    }

    /// Puts the call here, in place of whatever is known of its `call_id`.
    pub fn put(&mut self, entry: Entry) {
        let (account, call_id, hasher) = (self.account, self.call_id, self.hasher);
        let rehash =
            |entry: &Entry| hash_of(hasher, entry.call().account(), entry.call().call_id());
        match self
            .table
            .entries
            .entry(self.hash, |entry| is(entry, account, call_id), rehash)
        {
            TableEntry::Occupied(mut occupied) => *occupied.get_mut() = entry,
            TableEntry::Vacant(vacant) => {
                vacant.insert(entry);
            }
        }
    }
}
