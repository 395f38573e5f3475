//! How many requests each principal may send in a second, and each address of those who show nothing
//! that counts. What one spends is not another's; a request with a valid key is never counted for its
//! address, so that clients behind one proxy do not share what they have.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::principal::{Identity, Principal};
use crate::problem::{Kind, Problem};

/// Counts that are kept before those are forgotten that are whole again.
const SWEEP_AT: usize = 10_000;
/// Counts that are kept: some 10 MB. Each is whole again a second after its last request, so it takes
/// as many different principals in one second to reach it; the rest of that second is refused to all.
const COUNTS_MAX: usize = 100_000;

/// What a request leaves of an allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    limit: u32,
    remaining: u32,
    /// Until it is whole again.
    reset_s: u32,
}

impl Left {
    fn headers(self) -> [(HeaderName, HeaderValue); 3] {
        [
            ("x-ratelimit-limit", self.limit),
            ("x-ratelimit-remaining", self.remaining),
            ("x-ratelimit-reset", self.reset_s),
        ]
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from(value)))
    }

    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        headers.extend(self.headers().map(|(name, value)| (Some(name), value)));
    }

    fn refusal(self, retry_after_s: u32) -> Problem {
        let detail = format!(
            "more than {} requests in a second; try again in {retry_after_s} s",
            self.limit
        );
        let problem = Problem::new(Kind::RateLimited, detail)
            .with("retry_after_s", retry_after_s)
            .with("limit", self.limit)
            .with_header(header::RETRY_AFTER, HeaderValue::from(retry_after_s));
        self.told_by(problem)
    }

    /// A refusal that tells it, too.
    pub(crate) fn told_by(self, problem: Problem) -> Problem {
        self.headers()
            .into_iter()
            .fold(problem, |problem, (name, value)| problem.with_header(name, value))
    }
}

/// All allowances of a control plane; each control plane counts for itself.
pub(crate) struct Allowances {
    of_principals: Each<String, MonotonicClock>,
    of_addresses: Each<IpAddr, MonotonicClock>,
}

impl Allowances {
    pub(crate) fn new(requests_per_s: NonZeroU32, open_requests_per_s: NonZeroU32) -> Self {
        Self {
            of_principals: Each::new(requests_per_s, MonotonicClock),
            of_addresses: Each::new(open_requests_per_s, MonotonicClock),
        }
    }

    /// Takes one request from the principal's allowance: of a key its own, of a user that of all its
    /// sessions.
    pub(crate) fn spend(&self, principal: &Principal) -> Result<Left, Problem> {
        let whose = match &principal.identity {
            Identity::User(signed_in) => signed_in.user.id.clone(),
            Identity::Key(_) | Identity::Nobody => principal.id.clone(),
        };
        self.of_principals.spend(whose)
    }

    /// Takes one request from an address's allowance. Without an address nothing is counted.
    pub(crate) fn spend_openly(&self, source: Option<IpAddr>) -> Result<Option<Left>, Problem> {
        source.map(|source| self.of_addresses.spend(block(source))).transpose()
    }
}

/// What one client has of addresses: of IPv6 a network of 64 bits.
pub(crate) fn block(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// One allowance for each of many.
struct Each<K: Hash + Eq + Clone, C: Clock> {
    limiter: RateLimiter<K, HashMapStateStore<K>, C, StateInformationMiddleware>,
    limit: NonZeroU32,
    clock: C,
    /// Where counts are looked through the next time.
    sweep_at: AtomicUsize,
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Each<K, C> {
    fn new(per_second: NonZeroU32, clock: C) -> Self {
        let limiter = RateLimiter::hashmap_with_clock(Quota::per_second(per_second), clock.clone());
        Self {
            limiter: limiter.with_middleware(),
            limit: per_second,
            clock,
            sweep_at: AtomicUsize::new(SWEEP_AT),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "a key is as small as a reference")]
    fn spend(&self, whose: K) -> Result<Left, Problem> {
        let limit = self.limit.get();
        if !self.has_room() {
            return Err(Left { limit, remaining: 0, reset_s: 1 }.refusal(1));
        }
        match self.limiter.check_key(&whose) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let spent = limit.saturating_sub(remaining);
                // All of it is there again after a second.
                Ok(Left { limit, remaining, reset_s: spent.min(1) })
            }
            Err(until) => {
                let wait = until.wait_time_from(self.clock.now());
                let retry_after_s = u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(1);
                let left = Left { limit, remaining: 0, reset_s: 1 };
                Err(left.refusal(retry_after_s.max(1)))
            }
        }
    }

    /// Forgets what is whole again, each time as many counts have come as there were.
    fn has_room(&self) -> bool {
        let counts = self.limiter.len();
        if counts < self.sweep_at.load(Ordering::Relaxed) {
            return true;
        }
        self.limiter.retain_recent();
        let counts = self.limiter.len();
        let next = counts.saturating_mul(2).clamp(SWEEP_AT, COUNTS_MAX);
        // A hint: whoever writes it last is right enough.
        self.sweep_at.store(next, Ordering::Relaxed);
        counts < COUNTS_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn each(per_second: u32) -> (Each<u32, FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let limit = NonZeroU32::new(per_second).expect("above zero");
        (Each::new(limit, clock.clone()), clock)
    }

    #[test]
    fn an_allowance_is_spent_refused_and_whole_again_after_a_second() {
        let (each, clock) = each(3);
        for remaining in [2, 1, 0] {
            let left = each.spend(1).expect("left");
            assert_eq!(left, Left { limit: 3, remaining, reset_s: 1 });
        }
        assert!(each.spend(1).is_err());
        assert!(each.spend(2).is_ok(), "what one spends is not another's");
        clock.advance(Duration::from_millis(334));
        assert!(each.spend(1).is_ok());
        assert!(each.spend(1).is_err());
        clock.advance(SECOND);
        assert_eq!(each.spend(1).expect("whole").remaining, 2);
    }

    #[test]
    fn what_is_kept_has_an_end_and_nobody_known_is_forgotten_by_it() {
        let (each, clock) = each(2);
        for whose in 0..u32::try_from(COUNTS_MAX).expect("small") {
            each.spend(whose).expect("room");
        }
        assert!(each.spend(u32::MAX).is_err(), "no room in this second");
        assert!(each.limiter.len() <= COUNTS_MAX);
        clock.advance(SECOND);
        assert!(each.spend(u32::MAX).is_ok());
        assert!(each.limiter.len() <= SWEEP_AT);
    }

    proptest! {
        #[test]
        fn in_no_second_more_than_twice_the_limit_is_let_through(
            limit in 1_u32..50, waits_ms in prop::collection::vec(0_u64..200, 1..200)
        ) {
            let (each, clock) = each(limit);
            let (mut now_ms, mut let_through) = (0, Vec::new());
            for wait_ms in waits_ms {
                clock.advance(Duration::from_millis(wait_ms));
                now_ms += wait_ms;
                if each.spend(0).is_ok() {
                    let_through.push(now_ms);
                }
                let recent = let_through.iter().filter(|at_ms| now_ms - **at_ms < 1_000).count();
                prop_assert!(recent <= 2 * limit as usize);
            }
        }
    }

    #[test]
    fn a_client_has_one_address_or_one_network() {
        let v6 = |text: &str| block(text.parse().expect("an address"));
        assert_eq!(v6("2001:db8::1"), v6("2001:db8::ffff:1"));
        assert_ne!(v6("2001:db8::1"), v6("2001:db8:0:1::1"));
        assert_eq!(v6("::ffff:192.0.2.1"), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    }
}
