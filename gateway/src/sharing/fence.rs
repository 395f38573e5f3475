//! Until when a shard's calls may be admitted and renewed without word from the hub, and for which
//! holder (rules 2 and 5). Read by every admit, set by the shard's exchanges. Reads no clock.

use crate::sync::{AtomicI64, AtomicU32, Ordering};

#[derive(Debug, Default)]
pub struct Fence {
    /// No admissions later than this, since boot in microseconds.
    until_us: AtomicI64,
    /// See [`Link::deadline_max_us`](crate::link::Link::deadline_max_us).
    deadline_max_us: AtomicI64,
    /// Grows with each new holder here: what an earlier one was owed is the hub's.
    generation: AtomicU32,
}

impl Fence {
    /// Whether a call may be admitted or renewed. `boot_us` is read when everything else is taken.
    pub fn is_open(&self, boot_us: i64) -> bool {
        boot_us <= self.until_us.load(Ordering::Acquire)
    }

    /// By the wall clock: the latest deadline that a stack may be told.
    pub fn deadline_max_us(&self) -> i64 {
        self.deadline_max_us.load(Ordering::Acquire)
    }

    /// Moves both. To be called when what the new bounds rest on is in force.
    pub fn set(&self, until_us: i64, deadline_max_us: i64) {
        self.until_us.store(until_us, Ordering::Release);
        self.set_deadline_max(deadline_max_us);
    }

    pub fn set_deadline_max(&self, deadline_max_us: i64) {
        self.deadline_max_us.store(deadline_max_us, Ordering::Release);
    }

    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    pub fn next_generation(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}
