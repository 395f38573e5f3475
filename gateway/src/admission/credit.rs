//! How many admits of one account may be answered before a shared hub has them (rule 9, I5). Taken by
//! admits on any thread; set by whoever hears what the hub says, one thread at a time.

use crate::sync::{AtomicI32, AtomicU32, Ordering};

#[derive(Debug, Default)]
pub struct Credit {
    /// Admits that may still be; below zero after the limit below fell.
    left: AtomicI32,
    /// The most that may be: 0 where each admit is the hub's to decide.
    max: AtomicU32,
}

impl Credit {
    pub fn max(&self) -> u32 {
        self.max.load(Ordering::Acquire)
    }

    /// Whether each admit is the hub's to decide.
    pub fn is_exact(&self) -> bool {
        self.max() == 0
    }

    /// Takes the right to answer one admit before a shared hub has it.
    pub fn take(&self) -> bool {
        let one_less = |left: i32| left.checked_sub(1).filter(|left| *left >= 0);
        self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less).is_ok()
    }

    /// The hub has an admit, or it is undone.
    pub fn give_back(&self) {
        self.left.fetch_add(1, Ordering::AcqRel);
    }

    /// Sets the most; whether that is a change.
    pub fn set_max(&self, max: u32) -> bool {
        let before = self.max.swap(max, Ordering::AcqRel);
        let difference = i64::from(max).saturating_sub(i64::from(before));
        self.left.fetch_add(i32::try_from(difference).unwrap_or(i32::MAX), Ordering::AcqRel);
        difference != 0
    }

    /// How many are unflushed at the most, now and until the most is set again.
    pub fn bound(&self) -> u32 {
        // Below zero: more are unflushed than may be from now on.
        let beyond = self.left.load(Ordering::Acquire).min(0).unsigned_abs();
        self.max().saturating_add(beyond)
    }

    /// Nothing may be unflushed any more, and nothing that was counts. Nobody takes or gives back
    /// meanwhile.
    pub fn forfeit(&self) {
        self.max.store(0, Ordering::Release);
        self.left.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_is_taken_up_to_the_most_and_a_lower_one_counts_what_is_out() {
        let credit = Credit::default();
        assert!(!credit.take());
        assert!(credit.set_max(2));
        assert!(credit.take() && credit.take() && !credit.take());
        assert!(credit.set_max(1) && !credit.set_max(1));
        assert_eq!(credit.bound(), 2);
        credit.give_back();
        assert_eq!((credit.bound(), credit.take()), (1, false));
        credit.give_back();
        assert!(credit.take());
    }
}
