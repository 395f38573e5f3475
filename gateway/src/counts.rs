//! What the engine counts, read when metrics are rendered. What several threads count at once is
//! atomic; calls are counted by shard, under the lock of its queue.

use hub::call::Cause;
use hub::denial::Reason;

use crate::sync::{AtomicU64, Ordering};

/// Refused admits, by reason.
#[derive(Debug, Default)]
pub struct Refusals([AtomicU64; Reason::ALL.len()]);

impl Refusals {
    pub fn add(&self, reason: Reason) {
        self.0[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// So far, by reason.
    pub fn now(&self) -> impl Iterator<Item = (Reason, u64)> {
        let all = Reason::ALL.into_iter().zip(&self.0);
        all.map(|(reason, count)| (reason, count.load(Ordering::Relaxed)))
    }
}

/// Calls that began and ended since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallCounts {
    pub admitted: u64,
    /// Taken over from the process before, or from another gateway.
    pub adopted: u64,
    /// Left to another gateway, or to the hub.
    pub left: u64,
    released: [u64; Cause::ALL.len()],
}

impl CallCounts {
    pub fn release(&mut self, cause: Cause) {
        self.released[cause as usize] += 1;
    }

    pub fn live(&self) -> u64 {
        (self.admitted + self.adopted).saturating_sub(self.left + self.released.iter().sum::<u64>())
    }

    /// Ended calls, by cause.
    pub fn releases(&self) -> impl Iterator<Item = (Cause, u64)> {
        Cause::ALL.into_iter().zip(self.released)
    }

    /// Adds another shard's counts to these.
    pub fn add(&mut self, other: &Self) {
        self.admitted += other.admitted;
        self.adopted += other.adopted;
        self.left += other.left;
        self.released.iter_mut().zip(other.released).for_each(|(sum, count)| *sum += count);
    }
}

/// Bucket `i` counts what took less than `2^i` microseconds and not less than half of that; the last
/// one everything longer.
const BUCKETS: usize = 24;

/// How long something took, counted by powers of two.
#[derive(Debug, Default)]
pub struct Durations {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

/// One reading of durations.
#[derive(Clone, Debug)]
pub struct DurationCounts {
    pub buckets: Vec<u64>,
    pub sum_us: u64,
}

impl Durations {
    pub fn add(&self, duration_us: i64) {
        let duration_us = u64::try_from(duration_us).unwrap_or(0);
        let bucket = (u64::BITS - duration_us.leading_zeros()) as usize;
        self.buckets[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(duration_us, Ordering::Relaxed);
    }

    pub fn now(&self) -> DurationCounts {
        let buckets = self.buckets.iter();
        DurationCounts {
            buckets: buckets.map(|count| count.load(Ordering::Relaxed)).collect(),
            sum_us: self.sum_us.load(Ordering::Relaxed),
        }
    }
}
