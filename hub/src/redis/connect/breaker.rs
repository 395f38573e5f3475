//! When calls stop trying: after some failures in a row, until the server has answered again. Counts
//! only; who counts decides what a failure is.

use std::sync::atomic::{AtomicU32, Ordering};

/// Failures in a row of one way to one server. At the maximum calls fail at once, until an answer.
pub(super) struct Breaker {
    failures: AtomicU32,
    max: u32,
}

impl Breaker {
    pub(super) fn new(max: u32) -> Self {
        Self { failures: AtomicU32::new(0), max: max.max(1) }
    }

    pub(super) fn failed(&self) -> u32 {
        // Independent counts: nothing else is published by them.
        self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// The server answered while connecting: calls may try, but the first that fails opens it again.
    pub(super) fn connected(&self) {
        let below = |failures: u32| Some(failures.min(self.max - 1));
        let _always = self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below);
    }

    /// A call was answered.
    pub(super) fn answered(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_by_an_answer() {
        let breaker = Breaker::new(3);
        assert!((1..=2).all(|count| breaker.failed() == count && !breaker.is_open()));
        breaker.answered();
        assert!((1..=3).all(|count| breaker.failed() == count), "an answer ends the row");
        assert!(breaker.is_open());
        breaker.connected();
        assert!(!breaker.is_open(), "the server answered while connecting");
        breaker.failed();
        assert!(breaker.is_open(), "and the first call failed again");
        breaker.answered();
        assert!(!breaker.is_open());
    }
}
