//! What is kept of an account's refused admits until it is reported: counts by reason for each minute,
//! and when calls were refused for slots. An account has nothing here until something of it is refused,
//! and nothing again a while after; all of it is bounded. Admitted calls touch none of it.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use hub::denial::{Denial, Reason, Scope};
use hub::id::AccountId;
use hub::report::{EpochMinutes, Refused, Slices, minute_of, slice_of};
use parking_lot::Mutex;

use crate::accounts::Account;

/// Accounts whose refusals are kept apart at a time.
const ACCOUNTS_MAX: usize = 65_536;
/// Minutes of one account that wait to be collected: more than a collector that is late.
const OVER_MAX: usize = 16;
/// Calls of one account that are known by their names, in one minute; of any more each try counts as a
/// call.
const NAMES_MAX: usize = 1_024;
/// The same over all accounts.
const ALL_NAMES_MAX: usize = 1_000_000;

type Names = HashSet<u32, FixedState>;

/// One account's.
#[derive(Debug, Default)]
pub struct Cell(Mutex<Option<Box<Minutes>>>);

/// What the cells have in common.
#[derive(Debug, Default)]
pub struct Cells {
    /// Accounts that have got a cell since the last collection.
    fresh: Mutex<Vec<Arc<Account>>>,
    accounts: AtomicUsize,
    names: AtomicUsize,
    /// Refusals that no cell had room for, since the start.
    unattributed: AtomicU64,
}

#[derive(Debug)]
struct Minutes {
    current: Tally,
    /// Calls refused for slots in this minute, and in the one before: tried again, they are the same.
    names: Names,
    former: Names,
    over: Vec<Tally>,
}

/// Refusals of one minute, or of a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    pub minute: EpochMinutes,
    counts: [u32; Reason::ALL.len()],
    by_account: Slices,
    by_organization: Slices,
}

impl Cells {
    /// Counts one refused admit. Takes a lock that only refusals of the same account take, and seldom
    /// another.
    pub fn note(&self, account: &Arc<Account>, call_id: &str, denial: &Denial, now_us: i64) {
        if account.id.is_shadow() {
            return;
        }
        let mut cell = account.refused.0.lock();
        if cell.is_none() {
            if self.accounts.fetch_add(1, Ordering::Relaxed) >= ACCOUNTS_MAX {
                self.accounts.fetch_sub(1, Ordering::Relaxed);
                self.unattributed.fetch_add(1, Ordering::Relaxed);
                return;
            }
            self.fresh.lock().push(Arc::clone(account));
        }
        let minutes = cell.get_or_insert_with(|| Box::new(Minutes::new(minute_of(now_us))));
        minutes.reach(minute_of(now_us), self);
        let count = &mut minutes.current.counts[denial.reason() as usize];
        *count = count.saturating_add(1);
        if let Denial::NoSlot { scope, .. } = denial
            && minutes.is_new(call_id, self)
        {
            let calls = match scope {
                Scope::Account => &mut minutes.current.by_account,
                Scope::Organization => &mut minutes.current.by_organization,
            };
            let calls = &mut calls[slice_of(now_us)];
            *calls = calls.saturating_add(1);
        }
    }

    /// Accounts that have got a cell since this was asked last.
    pub fn take_fresh(&self) -> Vec<Arc<Account>> {
        std::mem::take(&mut self.fresh.lock())
    }

    /// Hands on what an account's cell has got since it was collected last. False: the account has no
    /// cell any more.
    pub fn collect(
        &self,
        account: &Account,
        now: EpochMinutes,
        mut take: impl FnMut(Tally),
    ) -> bool {
        let mut cell = account.refused.0.lock();
        let Some(minutes) = &mut *cell else { return false };
        minutes.over.drain(..).for_each(&mut take);
        let current = minutes.current.take();
        if !current.is_empty() {
            take(current);
            return true;
        }
        let is_idle = now > minutes.current.minute.saturating_add(1);
        if is_idle {
            self.release(&minutes.names);
            self.release(&minutes.former);
            self.accounts.fetch_sub(1, Ordering::Relaxed);
            *cell = None;
        }
        !is_idle
    }

    fn release(&self, names: &Names) {
        self.names.fetch_sub(names.len(), Ordering::Relaxed);
    }

    /// Refusals that are known of nobody.
    pub fn lose(&self, denials: u64) {
        self.unattributed.fetch_add(denials, Ordering::Relaxed);
    }

    /// How many, since the start.
    pub fn unattributed(&self) -> u64 {
        self.unattributed.load(Ordering::Relaxed)
    }
}

impl Minutes {
    fn new(minute: EpochMinutes) -> Self {
        Self {
            current: Tally::new(minute),
            names: Names::default(),
            former: Names::default(),
            over: Vec::new(),
        }
    }

    /// Goes to a minute; what a clock that was set back says counts in the minute that was reached.
    fn reach(&mut self, minute: EpochMinutes, cells: &Cells) {
        let before = self.current.minute;
        if minute <= before {
            return;
        }
        let over = std::mem::replace(&mut self.current, Tally::new(minute));
        if self.over.len() >= OVER_MAX {
            cells.lose(over.denials());
        } else if !over.is_empty() {
            self.over.push(over);
        }
        cells.release(&self.former);
        self.former = std::mem::take(&mut self.names);
        if minute > before.saturating_add(1) {
            cells.release(&self.former);
            self.former = Names::default();
        }
    }

    /// Whether a call is not known to have been refused lately.
    fn is_new(&mut self, call_id: &str, cells: &Cells) -> bool {
        let name = name_of(call_id);
        if self.names.contains(&name) {
            return false;
        }
        let is_new = !self.former.contains(&name);
        if self.names.len() < NAMES_MAX {
            if cells.names.fetch_add(1, Ordering::Relaxed) < ALL_NAMES_MAX {
                self.names.insert(name);
            } else {
                cells.names.fetch_sub(1, Ordering::Relaxed);
            }
        }
        is_new
    }
}

/// Two calls of an account look the same once in millions: a statistic may be that wrong.
fn name_of(call_id: &str) -> u32 {
    let hash = FixedState::default().hash_one(call_id);
    u32::try_from(hash >> 32).unwrap_or_default()
}

impl Tally {
    pub fn new(minute: EpochMinutes) -> Self {
        Self {
            minute,
            counts: Default::default(),
            by_account: Slices::default(),
            by_organization: Slices::default(),
        }
    }

    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::new(self.minute))
    }

    fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }

    /// Of all reasons.
    pub fn denials(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// Adds another part of the same minute.
    pub fn add(&mut self, other: &Self) {
        let add = |sums: &mut [u32], more: &[u32]| {
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.saturating_add(*more));
        };
        add(&mut self.counts, &other.counts);
        add(&mut self.by_account, &other.by_account);
        add(&mut self.by_organization, &other.by_organization);
    }

    /// As it is reported.
    pub fn reported(&self, account: AccountId) -> Refused {
        let counts = Reason::ALL.into_iter().zip(self.counts);
        Refused {
            account,
            minute: self.minute,
            denials: counts.filter(|(_, count)| *count > 0).collect(),
            by_account: self.by_account,
            by_organization: self.by_organization,
        }
    }
}
