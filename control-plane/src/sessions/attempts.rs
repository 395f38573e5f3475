//! How often signing in may fail, and a password reset be asked for: per e-mail address and per source address, in windows of fixed
//! length. An attempt counts when it begins, so that many at once count too; a successful one is
//! taken back. Holds a bounded number of counts: without a place left the oldest goes.

use std::collections::HashMap;
use std::net::IpAddr;

use hub::clock::SECOND_US;
use parking_lot::Mutex;

use crate::allowance::block;

/// Failures in a window after which attempts are refused.
const FAILURES_PER_EMAIL_MAX: u32 = 10;
/// Higher: many people may come from one address.
const FAILURES_PER_SOURCE_MAX: u32 = 100;
/// Password resets that may be asked for in a window.
const RESETS_PER_EMAIL_MAX: u32 = 3;
const RESETS_PER_SOURCE_MAX: u32 = 30;
const WINDOW_US: i64 = 15 * 60 * SECOND_US;
/// Counts that are kept: about 2 MB.
const COUNTS_MAX: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Of {
    Email(String),
    Source(IpAddr),
}

struct Count {
    failures: u32,
    since_us: i64,
}

pub(crate) struct Attempts {
    counts: Mutex<HashMap<Of, Count>>,
    per_email_max: u32,
    per_source_max: u32,
}

impl Attempts {
    pub(crate) fn to_sign_in() -> Self {
        Self::new(FAILURES_PER_EMAIL_MAX, FAILURES_PER_SOURCE_MAX)
    }

    /// Of those none is taken back.
    pub(crate) fn to_reset() -> Self {
        Self::new(RESETS_PER_EMAIL_MAX, RESETS_PER_SOURCE_MAX)
    }

    fn new(per_email_max: u32, per_source_max: u32) -> Self {
        Self { counts: Mutex::default(), per_email_max, per_source_max }
    }

    /// Counts an attempt, or says in how many seconds the next is looked at.
    pub(crate) fn begin(
        &self,
        email: &str,
        source: Option<IpAddr>,
        now_us: i64,
    ) -> Result<(), i64> {
        let mut counts = self.counts.lock();
        let all = self.all(email, source);
        for (of, failures_max) in &all {
            if let Some(count) = counts.get(of)
                && count.failures >= *failures_max
                && now_us < count.since_us + WINDOW_US
            {
                let left_us = count.since_us + WINDOW_US - now_us;
                return Err((left_us + SECOND_US - 1) / SECOND_US);
            }
        }
        for (of, _) in all {
            make_room(&mut counts, &of, now_us);
            let count = counts.entry(of).or_insert(Count { failures: 0, since_us: now_us });
            if now_us >= count.since_us + WINDOW_US {
                *count = Count { failures: 0, since_us: now_us };
            }
            count.failures += 1;
        }
        Ok(())
    }

    /// Takes an attempt back that was none of the failures: of its e-mail nothing is left.
    pub(crate) fn succeeded(&self, email: &str, source: Option<IpAddr>) {
        let mut counts = self.counts.lock();
        counts.remove(&Of::Email(email.to_owned()));
        if let Some(count) = source.and_then(|source| counts.get_mut(&Of::Source(block(source)))) {
            count.failures = count.failures.saturating_sub(1);
        }
    }

    fn all(&self, email: &str, source: Option<IpAddr>) -> Vec<(Of, u32)> {
        let source = source.map(|source| (Of::Source(block(source)), self.per_source_max));
        [(Of::Email(email.to_owned()), self.per_email_max)].into_iter().chain(source).collect()
    }
}

fn make_room(counts: &mut HashMap<Of, Count>, of: &Of, now_us: i64) {
    if counts.len() < COUNTS_MAX || counts.contains_key(of) {
        return;
    }
    counts.retain(|_, count| now_us < count.since_us + WINDOW_US);
    if counts.len() >= COUNTS_MAX {
        let oldest = counts.iter().min_by_key(|(_, count)| count.since_us);
        if let Some(oldest) = oldest.map(|(of, _)| of.clone()) {
            counts.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    #[test]
    fn failures_of_one_e_mail_are_refused_until_their_window_is_over() {
        let attempts = Attempts::to_sign_in();
        for _ in 0..FAILURES_PER_EMAIL_MAX {
            assert_eq!(attempts.begin("a@b", HERE, 0), Ok(()));
        }
        assert_eq!(attempts.begin("a@b", HERE, 1), Err(900));
        assert_eq!(attempts.begin("a@b", None, WINDOW_US - SECOND_US), Err(1));
        assert_eq!(attempts.begin("c@b", HERE, 1), Ok(()), "another e-mail is not concerned");
        assert_eq!(attempts.begin("a@b", HERE, WINDOW_US), Ok(()));
    }

    #[test]
    fn successes_never_count() {
        let attempts = Attempts::to_sign_in();
        for _ in 0..10 * FAILURES_PER_SOURCE_MAX {
            assert_eq!(attempts.begin("a@b", HERE, 0), Ok(()));
            attempts.succeeded("a@b", HERE);
        }
    }

    #[test]
    fn failures_of_one_source_are_counted_over_all_e_mails_and_its_whole_network() {
        let attempts = Attempts::to_sign_in();
        let source = |last: u16| Some(IpAddr::V6(Ipv6Addr::new(1, 2, 3, 4, 5, 6, 7, last)));
        for number in 0..FAILURES_PER_SOURCE_MAX {
            let last = u16::try_from(number).expect("few");
            assert_eq!(attempts.begin(&format!("{number}@b"), source(last), 0), Ok(()));
        }
        assert!(attempts.begin("new@b", source(0), 0).is_err());
        assert!(attempts.begin("new@b", HERE, 0).is_ok());
    }

    #[test]
    fn counts_are_bounded_and_the_oldest_goes_first() {
        let attempts = Attempts::to_sign_in();
        for number in 0..=COUNTS_MAX {
            let at_us = i64::try_from(number).expect("small");
            assert_eq!(attempts.begin(&format!("{number}@b"), None, at_us), Ok(()));
        }
        let counts = attempts.counts.lock();
        assert_eq!(counts.len(), COUNTS_MAX);
        assert!(!counts.contains_key(&Of::Email("0@b".to_owned())));
    }
}
