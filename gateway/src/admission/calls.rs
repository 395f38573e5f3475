//! Live calls of this gateway by account and `call_id`: 256 tables, each under its own lock, held for
//! the decision about one call. A call that has ended stays until its record is flushed; from then on
//! the hub remembers it.

use std::sync::Arc as Shared;

use hub::call::{Call, Record};
use hub::call_table::{CallHash, CallHasher, CallName, CallTable, Kept};
use hub::clock::EpochSeconds;
use hub::id::AccountId;
use hub::state::request::Lease;
use parking_lot::{Mutex, MutexGuard};
use triomphe::Arc;

use crate::accounts::{Account, Wallet};

/// Tables; their locks are what admissions on different threads share.
pub const TABLES: usize = 256;

/// A live call with what it counts against.
#[derive(Debug)]
pub struct Live {
    pub call: Call,
    pub account: Shared<Account>,
    /// `None`: the call is not billed.
    pub wallet: Option<Shared<Wallet>>,
    pub lease: Lease,
    pub standing: Standing,
}

/// How a call stands with a hub that others share. With an embedded hub every call is owned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    #[default]
    Owned,
    /// It has a slot here, and nobody is told before the hub has it.
    Unflushed,
    /// The hub decides whether it gets a slot.
    Undecided,
    /// It has a slot here; the hub decides whether its caps allow it.
    Capped,
    /// The hub has yet to say that it is this holder's.
    Adopting,
}

impl Standing {
    /// Whether the call may never be: only the hub knows.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Undecided | Self::Capped)
    }
}

impl Kept for Live {
    fn call(&self) -> &Call {
        &self.call
    }
}

/// What is known of a `call_id`.
pub type Entry = hub::call_table::Entry<Live>;

/// On its own cache lines: neighbours' locks are taken by other threads.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded(Mutex<CallTable<Live>>);

#[derive(Debug)]
pub struct Calls {
    hasher: CallHasher,
    tables: Box<[Padded]>,
}

/// The table of one call, locked, and the call's name there.
pub struct Place<'a> {
    table: MutexGuard<'a, CallTable<Live>>,
    name: CallName<'a>,
}

/// Names an ended call whose record is being flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flushed {
    pub hash: CallHash,
    pub admission: u64,
    pub revision: u32,
}

impl Calls {
    /// `hasher` is the hub's: a name is hashed once for both.
    pub fn new(hasher: CallHasher) -> Self {
        Self { hasher, tables: (0..TABLES).map(|_| Padded::default()).collect() }
    }

    /// Locks the table of a call: for one decision, never across an await.
    pub fn place<'a>(&'a self, account: AccountId, call_id: &'a [u8]) -> Place<'a> {
        let name = self.hasher.name(account, call_id);
        Place { table: self.tables[name.hash().part(TABLES)].0.lock(), name }
    }

    /// Visits the live calls of one table; `index` below [`TABLES`].
    pub fn visit_live(&self, index: usize, mut visit: impl FnMut(&Live)) {
        let Some(table) = self.tables.get(index) else {
            return;
        };
        for entry in table.0.lock().entries() {
            if let Entry::Live(live) = entry {
                visit(live);
            }
        }
    }

    /// Visits the live calls of one hash: nearly always one or none.
    pub fn visit_live_of(&self, hash: CallHash, visit: impl FnMut(&Live)) {
        self.tables[hash.part(TABLES)].0.lock().live_of(hash).for_each(visit);
    }

    /// Drops an ended call of the hash that need not be remembered any more; whether there was one.
    pub fn forget_expired(&self, hash: CallHash, now: EpochSeconds) -> bool {
        let mut table = self.tables[hash.part(TABLES)].0.lock();
        let is_over = |record: &Record| record.forget_at <= now;
        let is_known = table.ended(hash, is_over).is_some();
        table.forget_ended(hash, is_over);
        is_known
    }

    /// Locks all tables: nothing happens to any call until these are dropped.
    pub fn lock_all(&self) -> Vec<MutexGuard<'_, CallTable<Live>>> {
        self.tables.iter().map(|table| table.0.lock()).collect()
    }

    /// The hub remembers the call from here on, unless it was corrected since.
    pub fn forget(&self, flushed: Flushed) {
        self.tables[flushed.hash.part(TABLES)].0.lock().forget_ended(flushed.hash, |record| {
            (record.call.facts().admission, record.revision)
                == (flushed.admission, flushed.revision)
        });
    }
}

impl<'a> Place<'a> {
    /// What this gateway knows of the call: live, or ended and not flushed yet.
    pub fn find(&mut self) -> Option<&mut Entry> {
        self.table.find_mut(self.name)
    }

    pub fn name(&self) -> CallName<'a> {
        self.name
    }

    /// Puts the call here, in place of what is known of it.
    pub fn put(&mut self, entry: Entry) {
        self.table.put(self.name, entry);
    }

    /// Puts a call here that is not known.
    pub fn put_new(&mut self, entry: Entry) {
        self.table.put_new(self.name.hash(), entry);
    }

    /// Forgets what is known of the call.
    pub fn remove(&mut self) {
        self.table.remove(self.name);
    }

    /// Takes the live call out, as if it had never been.
    pub fn take_live(&mut self) -> Option<Live> {
        match self.table.take(self.name)? {
            Entry::Live(live) => Some(*live),
            ended @ Entry::Ended(_) => {
                self.put(ended);
                None
            }
        }
    }

    /// Names the call's record for [`Calls::forget`].
    pub fn flushed(&self, record: &Arc<Record>) -> Flushed {
        let (admission, revision) = (record.call.facts().admission, record.revision);
        Flushed { hash: self.name.hash(), admission, revision }
    }
}
