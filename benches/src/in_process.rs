//! The parts of the gateway without sockets, set up at a given size: what the criterion benches, the
//! instruction counts and the memory figures are measured on.

pub mod engine;
pub mod lines;
pub mod names;

use crate::clock::thread_cpu_ns;
use std::time::Duration;

/// Processor time that `work` takes on this thread: what else the machine does is left out.
pub fn cpu_time(work: impl FnOnce()) -> Duration {
    let before_ns = thread_cpu_ns();
    work();
    Duration::from_nanos(thread_cpu_ns() - before_ns)
}

/// A cheap sequence of pseudo-random numbers (xorshift64, Marsaglia 2003).
#[derive(Clone, Debug)]
pub struct Sequence(u64);

impl Sequence {
    pub const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The next index below `count`.
    #[expect(clippy::cast_possible_truncation, reason = "below `count`")]
    pub const fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // Lemire's reduction: no division.
        ((self.0 as u128 * count as u128) >> 64) as usize
    }
}
