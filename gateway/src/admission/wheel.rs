//! The timer wheel that ends calls whose lease has run out: one slot per second, O(1) per call.
//! It keeps no call alive, only what finds one. A renew does not touch it: a call found alive when its
//! slot comes up moves to its new one.

use hub::call_table::CallHash;
use hub::clock::EpochSeconds;

use crate::sync::{AtomicU32, Mutex, Ordering};

/// Seconds the wheel spans: above the longest lease; what lies beyond comes up early and moves on.
const SPAN: u32 = 16_384;

#[derive(Debug)]
pub struct Wheel {
    slots: Box<[Mutex<Vec<CallHash>>]>,
    /// The first second that has not come up yet.
    next: AtomicU32,
}

impl Wheel {
    pub fn new(now: EpochSeconds) -> Self {
        let slots = (0..SPAN).map(|_| Mutex::default()).collect();
        Self { slots, next: AtomicU32::new(now) }
    }

    /// `call` comes up in the second `deadline`, or the next one when that is past.
    pub fn add(&self, deadline: EpochSeconds, call: CallHash) {
        loop {
            let next = self.next.load(Ordering::Acquire);
            let second = deadline.clamp(next, next.saturating_add(SPAN.saturating_sub(1)));
            let mut calls = self.slot(second).lock();
            // A second that has passed since comes up again only when the wheel has gone round.
            if self.next.load(Ordering::Acquire) <= second {
                return calls.push(call);
            }
        }
    }

    /// The calls of one second that has passed by `now`; `None` when there is none left. To be called
    /// by one thread.
    pub fn due(&self, now: EpochSeconds) -> Option<Vec<CallHash>> {
        let second = self.next.load(Ordering::Acquire);
        if second > now {
            return None;
        }
        // Moved on first: who adds to the passed second sees that under its lock.
        self.next.store(second.saturating_add(1), Ordering::Release);
        Some(std::mem::take(&mut *self.slot(second).lock()))
    }

    fn slot(&self, second: EpochSeconds) -> &Mutex<Vec<CallHash>> {
        let index = usize::try_from(second.checked_rem(SPAN).unwrap_or(0)).unwrap_or(0);
        &self.slots[index]
    }
}

#[cfg(test)]
mod tests {
    use hub::call_table::CallHasher;
    use hub::id::AccountId;

    use super::*;

    fn call() -> CallHash {
        let account = AccountId::from_bytes(&[0; AccountId::LEN]).expect("an id");
        CallHasher::default().name(account, b"c").hash()
    }

    fn drain(wheel: &Wheel, now: EpochSeconds) -> usize {
        std::iter::from_fn(|| wheel.due(now)).map(|calls| calls.len()).sum()
    }

    #[test]
    fn calls_come_up_in_their_second_and_late_ones_in_the_next() {
        let wheel = Wheel::new(100);
        wheel.add(102, call());
        wheel.add(50, call());
        assert_eq!(drain(&wheel, 99), 0);
        assert_eq!(drain(&wheel, 100), 1);
        wheel.add(100, call());
        assert_eq!(drain(&wheel, 101), 1);
        assert_eq!(drain(&wheel, 101), 0);
        assert_eq!(drain(&wheel, 102), 1);
        wheel.add(u32::MAX, call());
        assert_eq!(drain(&wheel, 103), 0);
        assert_eq!(drain(&wheel, 102 + SPAN), 1);
    }
}
