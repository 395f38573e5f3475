//! The slots that this gateway has of one account, in one atomic word: leased from the hub and used.
//!
//! `used` counts live calls and those whose end is not flushed yet; a slot is taken by one
//! compare-and-swap and `used ≤ lease` holds in every state of the word, except that a lease may be
//! adopted together with calls that outlived a limit.

use crate::sync::{AtomicU32, AtomicU64, Ordering};

const HALF: u32 = 32;

#[derive(Debug, Default)]
pub struct Slots {
    /// `lease` in the upper, `used` in the lower half.
    word: AtomicU64,
    /// Of the used ones those of ended calls, which wait for the flush.
    quarantined: AtomicU32,
}

/// One reading of the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotsNow {
    pub lease: u32,
    pub used: u32,
}

impl SlotsNow {
    fn unpack(word: u64) -> Self {
        let half = |value: u64| u32::try_from(value & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        Self { lease: half(word >> HALF), used: half(word) }
    }

    fn pack(self) -> u64 {
        u64::from(self.lease) << HALF | u64::from(self.used)
    }
}

impl Slots {
    pub fn now(&self) -> SlotsNow {
        SlotsNow::unpack(self.word.load(Ordering::Acquire))
    }

    /// Takes one slot, of `cap` at the most; the number in use with it, or the state in which none was
    /// free. A unit above a lowered cap may be idle for a moment: it is not taken.
    pub fn take(&self, cap: u32) -> Result<u32, SlotsNow> {
        self.change(|now| {
            let used = now.used.checked_add(1).filter(|used| *used <= now.lease.min(cap))?;
            Some(SlotsNow { used, ..now })
        })
        .map(|now| now.used)
    }

    /// Gives one slot back; how many units go back to the hub, as the lease is above the cap.
    pub fn give_back(&self, cap: impl Fn() -> u32) -> u32 {
        let cap_before = cap();
        let kept = |now: SlotsNow| {
            let surplus = u32::from(now.lease > cap_before);
            SlotsNow { lease: now.lease.saturating_sub(surplus), used: now.used.saturating_sub(1) }
        };
        let before = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            Some(kept(SlotsNow::unpack(word)).pack())
        });
        let surplus = before.is_ok_and(|word| SlotsNow::unpack(word).lease > cap_before);
        // Whoever has lowered the cap since found the slot in use, and left its unit to this call.
        let cap_now = cap();
        let lowered = if cap_now < cap_before { self.shrink(cap_now) } else { 0 };
        lowered.saturating_add(u32::from(surplus))
    }

    /// A call has ended; its slot counts as used until the hub has that.
    pub fn quarantine(&self) {
        self.quarantined.fetch_add(1, Ordering::AcqRel);
    }

    pub fn quarantined(&self) -> u32 {
        self.quarantined.load(Ordering::Acquire)
    }

    /// [`Slots::give_back`] of an ended call.
    pub fn free_ended(&self, cap: impl Fn() -> u32) -> u32 {
        let returns = self.give_back(cap);
        self.end_quarantine();
        returns
    }

    /// [`Slots::leave`] of an ended call.
    pub fn leave_ended(&self) {
        self.leave();
        self.end_quarantine();
    }

    /// After the slot is free: who finds none free and none in quarantine is refused.
    fn end_quarantine(&self) {
        self.quarantined.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether all slots are in use by live calls, as [`Slots::take`] found them: none is in quarantine,
    /// and none was freed since.
    pub fn are_taken(&self, found: SlotsNow) -> bool {
        self.quarantined() == 0 && self.now() == found
    }

    /// The hub granted `units` more.
    pub fn extend(&self, units: u32) {
        // An update that always succeeds.
        let _always =
            self.change(|now| Some(SlotsNow { lease: now.lease.saturating_add(units), ..now }));
    }

    /// Counts a call whose unit comes later, or came to another count: nobody else finds it idle.
    pub fn enter(&self) {
        let _always = self.change(|now| Some(SlotsNow { used: now.used.saturating_add(1), ..now }));
    }

    /// A call counts no more; its unit is idle.
    pub fn leave(&self) {
        let _always = self.change(|now| Some(SlotsNow { used: now.used.saturating_sub(1), ..now }));
    }

    /// No unit is leased any more; calls go on to count.
    pub fn forfeit(&self) {
        let _always = self.change(|now| Some(SlotsNow { lease: 0, ..now }));
    }

    /// Takes over a call with its unit, as after a restart.
    pub fn adopt(&self) {
        let _always = self.change(|now| {
            Some(SlotsNow { lease: now.lease.saturating_add(1), used: now.used.saturating_add(1) })
        });
    }

    /// Gives up idle units above `keep`; how many.
    pub fn shrink(&self, keep: u32) -> u32 {
        let before = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let now = SlotsNow::unpack(word);
            Some(SlotsNow { lease: now.lease.min(now.used.max(keep)), ..now }.pack())
        });
        before.map_or(0, |word| {
            let now = SlotsNow::unpack(word);
            now.lease.saturating_sub(now.used.max(keep))
        })
    }

    /// Acquire and release pair a freed slot with the call that takes it next.
    fn change(&self, next: impl Fn(SlotsNow) -> Option<SlotsNow>) -> Result<SlotsNow, SlotsNow> {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let now = SlotsNow::unpack(word);
            let Some(then) = next(now) else {
                return Err(now);
            };
            match self.word.compare_exchange_weak(
                word,
                then.pack(),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Ok(then),
                Err(changed) => word = changed,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_taken_up_to_the_lease_and_given_back() {
        let slots = Slots::default();
        assert!(slots.take(9).is_err());
        slots.extend(2);
        assert_eq!(slots.take(9), Ok(1));
        assert_eq!(slots.take(9), Ok(2));
        assert_eq!(slots.take(9), Err(SlotsNow { lease: 2, used: 2 }));
        assert_eq!(slots.give_back(|| 2), 0);
        assert_eq!(slots.take(9), Ok(2));
    }

    #[test]
    fn a_slot_above_a_lowered_cap_goes_back_to_the_hub() {
        let slots = Slots::default();
        slots.extend(3);
        slots.take(9).expect("free");
        slots.take(9).expect("free");
        assert_eq!(slots.shrink(1), 1);
        assert_eq!(slots.give_back(|| 1), 1);
        assert_eq!(slots.now(), SlotsNow { lease: 1, used: 1 });
        assert_eq!(slots.give_back(|| 1), 0);
        assert_eq!(slots.shrink(1), 0);
        assert_eq!(slots.shrink(0), 1);
    }

    #[test]
    fn a_unit_above_a_lowered_cap_is_not_taken_though_it_is_idle() {
        let slots = Slots::default();
        slots.extend(3);
        slots.take(3).expect("free");
        assert_eq!(slots.take(1), Err(SlotsNow { lease: 3, used: 1 }));
    }

    #[test]
    fn two_threads_never_take_more_than_the_lease() {
        let slots = Slots::default();
        slots.extend(100);
        let taken: usize = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..100).filter(|_| slots.take(200).is_ok()).count()))
                .collect();
            takers.into_iter().map(|taker| taker.join().expect("a taker")).sum()
        });
        assert_eq!(taken, 100);
        assert_eq!(slots.now(), SlotsNow { lease: 100, used: 100 });
    }
}
