//! When the requests of an open loop are due. A request that is sent late is due when it was due:
//! the delay belongs to its latency (no coordinated omission).

use benches::clock::SECOND_NS;

/// Evenly spaced moments of the monotonic clock, from a start to an end.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    start_ns: u64,
    end_ns: u64,
    interval_ns: f64,
    next: u64,
}

impl Schedule {
    #[expect(clippy::cast_precision_loss, reason = "a second has 30 bits")]
    pub fn new(start_ns: u64, end_ns: u64, rate_per_s: f64) -> Self {
        Self { start_ns, end_ns, interval_ns: SECOND_NS as f64 / rate_per_s, next: 0 }
    }

    /// When the next request is due; `None` after the end.
    #[expect(clippy::cast_precision_loss, reason = "exact for 100 days")]
    #[expect(clippy::cast_possible_truncation, reason = "as above")]
    #[expect(clippy::cast_sign_loss, reason = "never below 0")]
    pub fn next_ns(&self) -> Option<u64> {
        // Multiplied anew each time: a sum of intervals would drift.
        let due_ns = self.start_ns + (self.next as f64 * self.interval_ns) as u64;
        (due_ns < self.end_ns).then_some(due_ns)
    }

    /// The moment of the next request if that has come; the one after it is then next.
    pub fn take(&mut self, now_ns: u64) -> Option<u64> {
        let due_ns = self.next_ns().filter(|due_ns| *due_ns <= now_ns)?;
        self.next += 1;
        Some(due_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_late_was_due_in_time() {
        let mut schedule = Schedule::new(SECOND_NS, 2 * SECOND_NS, 4.0);
        assert_eq!(schedule.take(SECOND_NS - 1), None);
        let late: Vec<_> = std::iter::from_fn(|| schedule.take(10 * SECOND_NS)).collect();
        assert_eq!(late, [1_000_000_000, 1_250_000_000, 1_500_000_000, 1_750_000_000]);
        assert_eq!(schedule.next_ns(), None);
    }
}
