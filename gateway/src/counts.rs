//! What the engine counts: plain atomics, read when metrics are rendered.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use hub::call::Cause;
use hub::denial::Reason;

#[derive(Debug, Default)]
pub struct Counts {
    pub admitted: AtomicU64,
    pub live: AtomicI64,
    refused: [AtomicU64; Reason::ALL.len()],
    released: [AtomicU64; Cause::ALL.len()],
}

impl Counts {
    pub fn admitted(&self) {
        self.admitted.fetch_add(1, Ordering::Relaxed);
        self.live.fetch_add(1, Ordering::Relaxed);
    }

    pub fn refused(&self, reason: Reason) {
        self.refused[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn released(&self, cause: Cause) {
        self.released[cause as usize].fetch_add(1, Ordering::Relaxed);
        self.live.fetch_sub(1, Ordering::Relaxed);
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
