//! How long a call may last on its money, and what it costs at its end (design, section 3).

use hub::call::{Cause, Outcome};
use hub::clock::SECOND_US;
use hub::state::request::Lease;

/// Bounds of a grant that do not depend on money.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub requested_s: Option<u32>,
    /// The first grant when nothing else bounds it, or the lease that the stack asked for.
    pub usual_s: u32,
    /// The account's longest call.
    pub duration_max_s: Option<u32>,
}

impl Bounds {
    /// The seconds that one grant adds, if the money suffices.
    pub fn first_grant_s(self) -> u32 {
        let asked = self.requested_s.unwrap_or(u32::MAX).min(self.usual_s);
        asked.min(self.duration_max_s.unwrap_or(u32::MAX))
    }

    /// The seconds from answer that a renew asks for after `elapsed_s`.
    pub fn extended_s(self, elapsed_s: u32) -> u32 {
        let extended = elapsed_s.saturating_add(self.first_grant_s());
        extended.min(self.duration_max_s.unwrap_or(u32::MAX))
    }
}

/// Started seconds from `from_us` to `to_us`.
pub fn started_seconds(from_us: i64, to_us: i64) -> u32 {
    let elapsed = to_us.saturating_sub(from_us).max(0);
    let seconds = elapsed.saturating_add(SECOND_US.saturating_sub(1)).checked_div(SECOND_US);
    seconds.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(u32::MAX)
}

/// Seconds that count against a live call's grant: a call never reported answered counts as answered
/// at admit.
pub fn elapsed_s(admitted_us: i64, lease: &Lease, now_us: i64) -> u32 {
    started_seconds(lease.answered_us().unwrap_or(admitted_us), now_us)
}

/// The instant at which the grant of a live call ends; `None`: never.
pub fn granted_until_us(lease: &Lease) -> Option<i64> {
    let from = lease.answered_us().unwrap_or(lease.renewed_us);
    (lease.granted_s() > 0)
        .then(|| from.saturating_add(i64::from(lease.granted_s()).saturating_mul(SECOND_US)))
}

/// How a call ended, as far as its price needs it.
#[derive(Clone, Copy, Debug)]
pub struct Ending<'a> {
    pub cause: Cause,
    pub ended_us: i64,
    pub outcome: Option<Outcome>,
    pub billable_s: Option<u32>,
    /// The reported breakdown of costs.
    pub costs: Option<&'a str>,
}

impl Ending<'_> {
    /// An end of which no stack says anything.
    pub const fn unsaid(cause: Cause, ended_us: i64) -> Self {
        Self { cause, ended_us, outcome: None, billable_s: None, costs: None }
    }
}

/// The outcome and the seconds to charge.
pub fn billable(admitted_us: i64, lease: &Lease, ending: Ending<'_>) -> (Outcome, u32) {
    let reported = ending.billable_s.unwrap_or(0) > 0;
    let usual = if lease.answered_us().is_some() || reported {
        Outcome::Completed
    } else {
        Outcome::Canceled
    };
    let outcome = ending.outcome.unwrap_or(usual);
    let seconds = if ending.cause != Cause::Release {
        // Nobody says when it ended: it lasted at least until it was last heard of, and not beyond
        // what was granted.
        let heard = lease.answered_us().map_or(0, |from| started_seconds(from, lease.renewed_us));
        if lease.granted_s() > 0 { heard.min(lease.granted_s()) } else { heard }
    } else if let Some(billable_s) = ending.billable_s {
        billable_s
    } else {
        match (lease.answered_us(), outcome) {
            (Some(answered_us), _) => started_seconds(answered_us, ending.ended_us),
            (None, Outcome::Completed) => started_seconds(admitted_us, ending.ended_us),
            (None, _) => 0,
        }
    };
    (outcome, seconds)
}

#[cfg(test)]
mod tests {
    use hub::clock::Moment;
    use hub::money::Amount;
    use hub::state::request::Granted;

    use super::*;

    const ADMITTED: i64 = 1_000_000_000;

    fn lease(answered_us: Option<i64>) -> Lease {
        let renewed_us = ADMITTED + 30 * SECOND_US;
        let answered = answered_us.map(Moment::at);
        let granted = Granted::new(20, false);
        Lease { deadline: 0, granted, hold: Amount::ZERO, answered, renewed_us }
    }

    fn release(outcome: Option<Outcome>, billable_s: Option<u32>) -> Ending<'static> {
        let ended_us = ADMITTED + 62 * SECOND_US + 1;
        Ending { cause: Cause::Release, ended_us, outcome, billable_s, costs: None }
    }

    #[test]
    fn a_release_charges_what_the_stack_says_else_the_answered_time() {
        let answered = lease(Some(ADMITTED + 2 * SECOND_US));
        let silent = lease(None);
        let of = |lease: &Lease, outcome, billable_s| {
            billable(ADMITTED, lease, release(outcome, billable_s))
        };
        assert_eq!(of(&answered, None, None), (Outcome::Completed, 61));
        assert_eq!(of(&answered, None, Some(7)), (Outcome::Completed, 7));
        assert_eq!(of(&silent, None, None), (Outcome::Canceled, 0));
        assert_eq!(of(&silent, None, Some(7)), (Outcome::Completed, 7));
        assert_eq!(of(&silent, Some(Outcome::Completed), None), (Outcome::Completed, 63));
        assert_eq!(of(&silent, Some(Outcome::Busy), None), (Outcome::Busy, 0));
    }

    #[test]
    fn an_expiry_charges_to_the_last_sign_of_life_within_the_grant() {
        let expiry = Ending { cause: Cause::Expiry, ..release(None, None) };
        let early = lease(Some(ADMITTED + 2 * SECOND_US));
        assert_eq!(billable(ADMITTED, &early, expiry), (Outcome::Completed, 20));
        let late = lease(Some(ADMITTED + 25 * SECOND_US));
        assert_eq!(billable(ADMITTED, &late, expiry), (Outcome::Completed, 5));
        assert_eq!(billable(ADMITTED, &lease(None), expiry), (Outcome::Canceled, 0));
    }

    #[test]
    fn a_grant_is_the_least_of_its_bounds_and_a_renew_adds_one() {
        let bounds = Bounds { requested_s: Some(400), usual_s: 300, duration_max_s: Some(350) };
        assert_eq!(bounds.first_grant_s(), 300);
        assert_eq!(bounds.extended_s(40), 340);
        assert_eq!(bounds.extended_s(90), 350);
    }
}
