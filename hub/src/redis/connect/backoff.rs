//! The pause before the next attempt to connect: doubled with each failure in a row, bounded, and
//! spread, so that many gateways do not come back in one instant.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Doublings after which the longest pause is reached at the latest.
const DOUBLINGS_MAX: u32 = 16;

pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    random: SmallRng,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration, seed: u64) -> Self {
        Self { min, max, random: SmallRng::seed_from_u64(seed) }
    }

    /// The pause after that many failures in a row: between half of the bound and the bound.
    pub(super) fn pause(&mut self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(DOUBLINGS_MAX);
        let bound = self.min.saturating_mul(1 << doublings).min(self.max);
        bound.mul_f64(self.random.random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_its_bound_and_is_spread() {
        let (min, max) = (Duration::from_millis(10), Duration::from_secs(1));
        let mut backoff = Backoff::new(min, max, 7);
        for failures in 1..40 {
            let bound = (min * (1 << (failures - 1).min(10))).min(max);
            let pause = backoff.pause(failures);
            assert!(bound / 2 <= pause && pause <= bound, "{failures}: {pause:?}");
        }
        let mut other = Backoff::new(min, max, 8);
        assert_ne!(backoff.pause(9), other.pause(9), "two gateways pause differently");
    }
}
