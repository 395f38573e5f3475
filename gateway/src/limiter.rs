//! Calls per second of an account, at this gateway.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use hub::denial::Denial;

/// Admits per second of one account. Each of several gateways enforces its part.
#[derive(Debug)]
pub struct Limiter {
    pub per_second: NonZeroU32,
    part: ArcSwap<Part>,
}

/// The part of one among so many gateways.
#[derive(Debug)]
struct Part {
    gateways: NonZeroU32,
    limiter: DefaultDirectRateLimiter,
}

impl Limiter {
    pub fn new(per_second: NonZeroU32) -> Self {
        let part = Part::new(per_second, NonZeroU32::MIN);
        Self { per_second, part: ArcSwap::from_pointee(part) }
    }

    /// Spends one token of this gateway's, or says when the next is there. Gateways that come or go
    /// begin new parts, which are full.
    pub fn spend(&self, gateways: NonZeroU32) -> Result<(), Denial> {
        if self.part.load().gateways != gateways {
            self.part.store(Arc::new(Part::new(self.per_second, gateways)));
        }
        self.part.load().limiter.check().map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            let retry_after_s = u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(1).max(1);
            Denial::RateLimited { limit: self.per_second.get(), retry_after_s }
        })
    }
}

impl Part {
    /// At least one at a time, however many gateways there are.
    fn new(per_second: NonZeroU32, gateways: NonZeroU32) -> Self {
        let period = Duration::from_secs(1) * gateways.get() / per_second.get();
        let quota = Quota::with_period(period.max(Duration::from_nanos(1)));
        let burst = NonZeroU32::new(per_second.get() / gateways.get()).unwrap_or(NonZeroU32::MIN);
        let quota = quota.expect("a period above zero").allow_burst(burst);
        Self { gateways, limiter: RateLimiter::direct(quota) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent_at_once(limiter: &Limiter, gateways: u32) -> u32 {
        let gateways = NonZeroU32::new(gateways).expect("some");
        (0..100).take_while(|_| limiter.spend(gateways).is_ok()).count().try_into().expect("few")
    }

    #[test]
    fn each_of_several_gateways_enforces_its_part_of_a_rate() {
        let limiter = Limiter::new(NonZeroU32::new(10).expect("ten"));
        assert_eq!(spent_at_once(&limiter, 1), 10);
        assert_eq!(spent_at_once(&limiter, 3), 3);
        assert_eq!(spent_at_once(&limiter, 5), 2);
        let refused = limiter.spend(NonZeroU32::new(5).expect("five"));
        assert!(matches!(refused, Err(Denial::RateLimited { limit: 10, retry_after_s: 1 })));
    }

    #[test]
    fn more_gateways_than_calls_per_second_still_get_a_call_each_and_wait_longer() {
        let limiter = Limiter::new(NonZeroU32::MIN);
        assert_eq!(spent_at_once(&limiter, 4), 1);
        let refused = limiter.spend(NonZeroU32::new(4).expect("four"));
        assert!(matches!(refused, Err(Denial::RateLimited { limit: 1, retry_after_s: 4 })));
    }
}
