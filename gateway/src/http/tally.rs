//! Counts what was asked and answered, for the operations listener to render. One tally per thread,
//! added up when read; must never be shared between threads on the hot path.

use std::sync::atomic::{AtomicU64, Ordering};

use hub::denial::Reason;

use super::router::Operation;

/// Buckets of the admission duration: bucket `i` counts what took less than `2^i` microseconds and
/// not less than half of that; the last one everything longer.
pub const DURATION_BUCKETS: usize = 24;
/// Answers that are not a denial, then each reason.
const OUTCOMES: usize = 1 + Reason::ALL.len();

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Tally {
    answers: [[AtomicU64; OUTCOMES]; Operation::ALL.len()],
    admissions: [AtomicU64; DURATION_BUCKETS],
    admissions_us: AtomicU64,
    connections_opened: AtomicU64,
    connections_refused: AtomicU64,
    /// Connections ended because they were too slow.
    connections_timed_out: AtomicU64,
    /// Connections that did not get through the TLS handshake.
    handshakes_failed: AtomicU64,
}

impl Tally {
    /// Answers to an operation: `None` is one that was not denied.
    pub fn answers(&self, operation: Operation, reason: Option<Reason>) -> u64 {
        self.answers[operation as usize][place(reason)].load(Ordering::Relaxed)
    }

    /// How often an admission took so long; see [`DURATION_BUCKETS`].
    pub fn admissions(&self) -> [u64; DURATION_BUCKETS] {
        std::array::from_fn(|bucket| self.admissions[bucket].load(Ordering::Relaxed))
    }

    /// The sum of all admission durations, in microseconds.
    pub fn admissions_us(&self) -> u64 {
        self.admissions_us.load(Ordering::Relaxed)
    }

    pub fn connections_opened(&self) -> u64 {
        self.connections_opened.load(Ordering::Relaxed)
    }

    pub fn connections_refused(&self) -> u64 {
        self.connections_refused.load(Ordering::Relaxed)
    }

    pub fn connections_timed_out(&self) -> u64 {
        self.connections_timed_out.load(Ordering::Relaxed)
    }

    pub fn handshakes_failed(&self) -> u64 {
        self.handshakes_failed.load(Ordering::Relaxed)
    }

    pub(super) fn answered(&self, operation: Operation, reason: Option<Reason>) {
        grow(&self.answers[operation as usize][place(reason)], 1);
    }

    pub(super) fn admitted_in(&self, duration_us: i64) {
        let duration_us = u64::try_from(duration_us).unwrap_or(0);
        let bucket = (u64::BITS - duration_us.leading_zeros()) as usize;
        grow(&self.admissions[bucket.min(DURATION_BUCKETS - 1)], 1);
        grow(&self.admissions_us, duration_us);
    }

    pub(super) fn opened(&self) {
        grow(&self.connections_opened, 1);
    }

    pub(super) fn refused(&self) {
        grow(&self.connections_refused, 1);
    }

    pub(super) fn timed_out(&self) {
        grow(&self.connections_timed_out, 1);
    }

    pub(super) fn handshake_failed(&self) {
        grow(&self.handshakes_failed, 1);
    }

    /// Adds another thread's counts to this one.
    pub(super) fn add(&self, other: &Self) {
        let mine = self.answers.iter().flatten().chain(&self.admissions);
        let theirs = other.answers.iter().flatten().chain(&other.admissions);
        let mine = mine.chain([
            &self.admissions_us,
            &self.connections_opened,
            &self.connections_refused,
            &self.connections_timed_out,
            &self.handshakes_failed,
        ]);
        let theirs = theirs.chain([
            &other.admissions_us,
            &other.connections_opened,
            &other.connections_refused,
            &other.connections_timed_out,
            &other.handshakes_failed,
        ]);
        mine.zip(theirs).for_each(|(sum, count)| grow(sum, count.load(Ordering::Relaxed)));
    }
}

const fn place(reason: Option<Reason>) -> usize {
    match reason {
        None => 0,
        Some(reason) => 1 + reason as usize,
    }
}

/// Only the owning thread writes, so a load and a store lose nothing and cost less than an addition
/// that is atomic.
fn grow(count: &AtomicU64, by: u64) {
    count.store(count.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_threads_add_up() {
        let (sum, one) = (Tally::default(), Tally::default());
        one.answered(Operation::Admit, Some(Reason::Draining));
        one.answered(Operation::Admit, None);
        one.admitted_in(0);
        one.admitted_in(5);
        one.admitted_in(i64::MAX);
        one.refused();
        one.handshake_failed();
        sum.add(&one);
        sum.add(&one);
        assert_eq!(sum.answers(Operation::Admit, Some(Reason::Draining)), 2);
        assert_eq!(sum.answers(Operation::Admit, None), 2);
        assert_eq!(sum.answers(Operation::Release, None), 0);
        assert_eq!((sum.connections_refused(), sum.handshakes_failed()), (2, 2));
        let buckets = sum.admissions();
        assert_eq!((buckets[0], buckets[3], buckets[DURATION_BUCKETS - 1]), (2, 2, 2));
    }
}
