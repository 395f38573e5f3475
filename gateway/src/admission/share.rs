//! What one of several calls gets of money that does not suffice for all that they ask for: none of them
//! takes it all at once, and each gets more with its next renew as long as there is more. Where money is
//! plentiful nothing of this applies.

use hub::money::{Amount, Funded, Rate};

/// How a call shares what is left.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Into how many parts: one for each live call on this money, this one included, and one for the
    /// next that comes.
    pub parts: u32,
    /// Seconds from now that a call gets at least, if they can be paid: time for a renew, and for another
    /// if that is lost.
    pub least_s: u32,
    /// Seconds that the call has used already.
    pub elapsed_s: u32,
}

impl Share {
    /// Part of `most`, which is all that `money` pays for, what the call holds included: never less than
    /// the least, never more than `most`.
    pub fn of(self, rate: &Rate, money: Amount, most: Funded) -> Funded {
        let used = rate.charge(self.elapsed_s);
        let left = money.saturating_sub(used).max(Amount::ZERO);
        let part = left.micros().checked_div(i64::from(self.parts.max(1))).unwrap_or(0);
        let budget = used.saturating_add(Amount::from_micros(part));
        let by_part = rate.affordable(budget, most.seconds).map_or(0, |funded| funded.seconds);
        let least = rate.billed_seconds(self.elapsed_s.saturating_add(self.least_s));
        let seconds = by_part.max(least).min(most.seconds);
        Funded { seconds, hold: rate.charge(seconds) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(minute: i64, initial_s: u32, increment_s: u32) -> Rate {
        let minute = Amount::from_micros(minute);
        Rate::new(minute, initial_s, increment_s, Amount::ZERO, Amount::ZERO).expect("a rate")
    }

    fn shared(rate: &Rate, money: i64, wanted_s: u32, share: Share) -> u32 {
        let money = Amount::from_micros(money);
        let most = rate.affordable(money, wanted_s).expect("enough for something");
        share.of(rate, money, most).seconds
    }

    #[test]
    fn a_part_leaves_room_for_others_and_is_never_too_short_for_a_renew() {
        let rate = rate(60, 1, 1);
        let share = |parts, elapsed_s| Share { parts, least_s: 60, elapsed_s };
        assert_eq!(shared(&rate, 240, 300, share(2, 0)), 120, "the half of it");
        assert_eq!(shared(&rate, 120, 300, share(3, 0)), 60, "a third is too short");
        assert_eq!(shared(&rate, 40, 300, share(3, 0)), 40, "all, where that is less");
        // It holds 120 and has used 30; 60 more are free.
        assert_eq!(shared(&rate, 180, 330, share(3, 30)), 90);
        // The others have ended: 240 are free.
        assert_eq!(shared(&rate, 360, 400, share(2, 30)), 195);
    }

    proptest! {
        #[test]
        fn a_part_is_paid_for_and_no_more_than_all(
            minute in 1i64..5_000_000, initial in 1u32..90, increment in 1u32..90, money in 0i64..9_000_000,
            wanted in 1u32..600, parts in 0u32..9, least in 0u32..90, elapsed in 0u32..600,
        ) {
            let (rate, money) = (rate(minute, initial, increment), Amount::from_micros(money));
            let share = Share { parts, least_s: least, elapsed_s: elapsed };
            if let Some(most) = rate.affordable(money, wanted) {
                let part = share.of(&rate, money, most);
                prop_assert!(part.seconds <= most.seconds && part.hold <= money);
                prop_assert_eq!(part.hold, rate.charge(part.seconds));
                prop_assert!(part.seconds >= most.seconds.min(elapsed.saturating_add(least)));
            }
        }
    }
}
