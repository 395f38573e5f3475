//! Live calls and tombstones of this gateway by account and `call_id`: 256 tables, each under its own
//! lock, held for one look-up and one change of one call.

use std::sync::Arc as Shared;

use hub::call::{Call, Record};
use hub::call_table::{CallHasher, CallName, CallTable, Kept, Tombstones};
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

impl Kept for Live {
    fn call(&self) -> &Call {
        &self.call
    }
}

/// What is known of a `call_id`.
pub type Entry = hub::call_table::Entry<Live>;

#[derive(Debug, Default)]
struct Table {
    calls: CallTable<Live>,
    tombstones: Tombstones,
}

/// On its own cache lines: neighbours' locks are taken by other threads.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded(Mutex<Table>);

#[derive(Debug)]
pub struct Calls {
    hasher: CallHasher,
    tables: Box<[Padded]>,
    tombstones_max_per_table: usize,
}

/// The table of one call, locked, and the call's name there.
pub struct Place<'a> {
    table: MutexGuard<'a, Table>,
    name: CallName<'a>,
    calls: &'a Calls,
}

impl Calls {
    /// Keeps about `tombstones_max` ended calls at most.
    pub fn new(tombstones_max: usize) -> Self {
        Self {
            hasher: CallHasher::default(),
            tables: (0..TABLES).map(|_| Padded::default()).collect(),
            tombstones_max_per_table: tombstones_max.div_ceil(TABLES).max(1),
        }
    }

    /// Locks the table of a call. Never hold the place across anything else.
    pub fn place<'a>(&'a self, account: AccountId, call_id: &'a [u8]) -> Place<'a> {
        self.place_of(self.name(account, call_id))
    }

    /// A call's name: what it takes to find its place more than once.
    pub fn name<'a>(&self, account: AccountId, call_id: &'a [u8]) -> CallName<'a> {
        self.hasher.name(account, call_id)
    }

    /// As [`Calls::place`].
    pub fn place_of<'a>(&'a self, name: CallName<'a>) -> Place<'a> {
        Place { table: self.tables[name.part(TABLES)].0.lock(), name, calls: self }
    }

    /// Visits the live calls of one table; `index` below [`TABLES`].
    pub fn visit_live(&self, index: usize, mut visit: impl FnMut(&Live)) {
        let Some(table) = self.tables.get(index) else {
            return;
        };
        for entry in table.0.lock().calls.entries() {
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
        while table.forget_one(now, usize::MAX) {}
    }
}

impl Table {
    /// Drops the oldest tombstone if its time is over or there are too many.
    fn forget_one(&mut self, now: EpochSeconds, count_max: usize) -> bool {
        match self.tombstones.oldest_goes_at() {
            Some(goes_at) if goes_at <= now || self.tombstones.len() > count_max => {}
            _ => return false,
        }
        if let Some(tombstone) = self.tombstones.take_oldest() {
            self.calls.forget(&tombstone);
        }
        true
    }
}

impl Place<'_> {
    /// What is known of the call; a tombstone whose time is over is not.
    pub fn find(&mut self, now: EpochSeconds) -> Option<&mut Entry> {
        match self.table.calls.find_mut(self.name)? {
            Entry::Ended(record) if record.forget_at <= now => None,
            entry => Some(entry),
        }
    }

    /// Notes that the call found here has become a tombstone, and drops old ones.
    pub fn bury(&mut self, record: &Arc<Record>, now: EpochSeconds) {
        self.table.tombstones.add(self.name.hash(), record);
        for _ in 0..FORGET_PER_CHANGE {
            let count_max = self.calls.tombstones_max_per_table;
            self.table.forget_one(now, count_max);
        }
    }

    /// Puts the call here, in place of whatever is known of its `call_id`.
    pub fn put(&mut self, entry: Entry) {
        self.table.calls.put(self.name, entry);
    }
}
