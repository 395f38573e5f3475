//! What the engine counts: plain atomics, read when metrics are rendered.

use std::sync::atomic::{AtomicU64, Ordering};

use hub::call::Cause;
use hub::denial::Reason;

#[derive(Debug, Default)]
pub struct Counts {
    pub admitted: AtomicU64,
    /// Calls taken over from the process before.
    pub adopted: AtomicU64,
    refused: [AtomicU64; Reason::ALL.len()],
    released: [AtomicU64; Cause::ALL.len()],
}

impl Counts {
    pub fn admitted(&self) {
        self.admitted.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls that are live now: not counted where they begin and end, but when somebody asks.
    pub fn live(&self) -> u64 {
        // The ends first: no call ends before it has begun.
        let ended: u64 = self.releases().map(|(_, count)| count).sum();
        let begun = self.admitted.load(Ordering::Acquire) + self.adopted.load(Ordering::Acquire);
        begun.saturating_sub(ended)
    }

    pub fn refused(&self, reason: Reason) {
        self.refused[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn released(&self, cause: Cause) {
        self.released[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Refused admits so far, by reason.
    pub fn refusals(&self) -> impl Iterator<Item = (Reason, u64)> {
        let all = Reason::ALL.into_iter().zip(&self.refused);
        all.map(|(reason, count)| (reason, count.load(Ordering::Relaxed)))
    }

    /// Ended calls so far, by cause.
    pub fn releases(&self) -> impl Iterator<Item = (Cause, u64)> {
        let all = Cause::ALL.into_iter().zip(&self.released);
        all.map(|(cause, count)| (cause, count.load(Ordering::Relaxed)))
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
