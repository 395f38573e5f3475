//! The money of one wallet that this gateway may hold for calls, in one atomic word.

use hub::money::{Amount, Funded, Rate};

use super::share::Share;
use crate::sync::{AtomicI64, Ordering};

/// Free money in micro-units, and what waits to become free. `free` is never below zero through a
/// hold or a charge; only a withdrawal by the ledger may bring it there.
#[derive(Debug, Default)]
pub struct Funds {
    free: AtomicI64,
    /// Refunds whose records are not flushed yet.
    quarantined: AtomicI64,
}

/// What a call has of the money now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub funded: Funded,
    /// The seconds that all the money would have paid for, those wanted at most: who has them has all
    /// that there is.
    pub most_s: u32,
}

/// Why there is too little for a new call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// A refund waits for its flush, which may bring enough.
    Quarantine,
    /// Nothing more is to come.
    Empty,
}

impl Funds {
    pub fn free(&self) -> Amount {
        Amount::from_micros(self.free.load(Ordering::Acquire))
    }

    pub fn quarantined(&self) -> Amount {
        Amount::from_micros(self.quarantined.load(Ordering::Acquire))
    }

    /// Raises a hold of `held` already to the price of the longest part of `wanted_s` seconds that
    /// hold and free money pay together; where that is not all of them, to what `share` leaves of it.
    /// `None` and nothing changed when not even the initial increment can be paid.
    pub fn hold(
        &self,
        rate: &Rate,
        held: Amount,
        wanted_s: u32,
        share: Option<Share>,
    ) -> Option<Held> {
        let mut free = self.free.load(Ordering::Acquire);
        loop {
            let money = Amount::from_micros(free.max(0)).saturating_add(held);
            let most = rate.affordable(money, wanted_s)?;
            let funded = match share {
                Some(share) if most.seconds < wanted_s => share.of(rate, money, most),
                _ => most,
            };
            let held_now = Held { funded, most_s: most.seconds };
            let more = funded.hold.saturating_sub(held).micros();
            if more <= 0 {
                return Some(held_now);
            }
            let left = free.saturating_sub(more);
            match self.free.compare_exchange_weak(free, left, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(held_now),
                Err(changed) => free = changed,
            }
        }
    }

    /// [`Funds::hold`] for a new call. No refund is overlooked on its way out of quarantine.
    pub fn hold_first(
        &self,
        rate: &Rate,
        wanted_s: u32,
        share: Option<Share>,
    ) -> Result<Held, Shortage> {
        if let Some(held) = self.hold(rate, Amount::ZERO, wanted_s, share) {
            return Ok(held);
        }
        if self.quarantined() > Amount::ZERO {
            return Err(Shortage::Quarantine);
        }
        // What left the quarantine between the two readings is free now.
        self.hold(rate, Amount::ZERO, wanted_s, share).ok_or(Shortage::Empty)
    }

    /// Takes a charge beyond a hold; what the money did not suffice for is returned.
    pub fn charge(&self, amount: Amount) -> Amount {
        let mut free = self.free.load(Ordering::Acquire);
        loop {
            let paid = amount.micros().min(free.max(0));
            let left = free.saturating_sub(paid);
            match self.free.compare_exchange_weak(free, left, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return amount.saturating_sub(Amount::from_micros(paid)),
                Err(changed) => free = changed,
            }
        }
    }

    /// Adds money, or takes it when negative: a recharge, a withdrawal, an undone hold.
    pub fn add(&self, amount: Amount) {
        self.free.fetch_add(amount.micros(), Ordering::AcqRel);
    }

    /// Takes all that is free.
    pub fn take_all(&self) -> Amount {
        Amount::from_micros(self.free.swap(0, Ordering::AcqRel))
    }

    /// Nothing is free or to become so any more.
    pub fn forfeit(&self) {
        self.free.store(0, Ordering::Release);
        self.quarantined.store(0, Ordering::Release);
    }

    /// A refund that becomes free with [`Funds::free_refund`], after its record is flushed.
    pub fn quarantine(&self, refund: Amount) {
        self.quarantined.fetch_add(refund.micros(), Ordering::AcqRel);
    }

    /// A refund that turned out to be another's.
    pub fn drop_refund(&self, refund: Amount) {
        self.quarantined.fetch_sub(refund.micros(), Ordering::AcqRel);
    }

    pub fn free_refund(&self, refund: Amount) {
        // First free, then no longer quarantined: see `hold_first`.
        self.free.fetch_add(refund.micros(), Ordering::AcqRel);
        self.quarantined.fetch_sub(refund.micros(), Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate() -> Rate {
        let minute = Amount::from_micros(1_200_000);
        Rate::new(minute, 60, 60, Amount::ZERO, Amount::ZERO).expect("a rate")
    }

    #[test]
    fn holds_cut_to_whole_increments_until_the_money_is_gone() {
        let funds = Funds::default();
        funds.add("20".parse().expect("an amount"));
        let seconds: Vec<_> = std::iter::from_fn(|| funds.hold(&rate(), Amount::ZERO, 300, None))
            .map(|held| held.funded.seconds)
            .collect();
        assert_eq!(seconds, [300, 300, 300, 60]);
        assert_eq!(funds.free(), "0.8".parse().expect("an amount"));
    }

    #[test]
    fn a_charge_beyond_the_money_leaves_zero_and_says_what_is_missing() {
        let funds = Funds::default();
        funds.add(Amount::from_micros(5));
        assert_eq!(funds.charge(Amount::from_micros(3)), Amount::ZERO);
        assert_eq!(funds.charge(Amount::from_micros(3)), Amount::from_micros(1));
        assert_eq!(funds.free(), Amount::ZERO);
    }

    #[test]
    fn a_raised_hold_takes_only_the_difference() {
        let funds = Funds::default();
        funds.add("3.6".parse().expect("an amount"));
        let first = funds.hold(&rate(), Amount::ZERO, 60, None).expect("enough").funded;
        let second = funds.hold(&rate(), first.hold, 120, None).expect("enough").funded;
        assert_eq!(second.hold, "2.4".parse().expect("an amount"));
        assert_eq!(funds.free(), "1.2".parse().expect("an amount"));
    }
}
