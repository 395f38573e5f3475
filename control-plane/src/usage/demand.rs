//! How many more slots refused calls would have needed. Pure.
//!
//! What is known: when each call was refused for slots first, to a slice of five seconds. What is
//! assumed: each of them would have lasted the same time, and whoever was admitted would have been
//! admitted all the same. A refused call is *wanted* from its refusal for that time. The slots that it
//! needs beside those in use, all of which were in use when it was refused, are those of the refused
//! calls that were wanted already, and one more: its *rank*. So `k` more slots serve every call whose
//! rank is at most `k`, and the answer is the least `k` that serves the share asked for. It is never too
//! few under these assumptions, and may be more than enough: calls that would still have been refused
//! count as if they had kept a slot. Calls of one slice are ranked one after the other.

use std::collections::VecDeque;

/// Calls refused at the beginning of a slice, in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) at_us: i64,
    pub(super) calls: u64,
}

/// Calls of one slice: their ranks follow that of the last call wanted before, `others`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ranked {
    pub(super) at_us: i64,
    pub(super) calls: u64,
    others: u64,
}

impl Ranked {
    /// The highest rank: how many slots were wanted at once.
    pub(super) const fn wanted(&self) -> u64 {
        self.others.saturating_add(self.calls)
    }

    /// Those that `slots` more would have served.
    fn served(&self, slots: u64) -> u64 {
        slots.saturating_sub(self.others).min(self.calls)
    }
}

/// Ranks calls, in the order of time, that each would have lasted `duration_us`.
pub(super) fn rank(refused: impl IntoIterator<Item = Refused>, duration_us: i64) -> Vec<Ranked> {
    let (mut wanted, mut others) = (VecDeque::new(), 0_u64);
    let mut ranked = Vec::new();
    for Refused { at_us, calls } in refused {
        while let Some(Refused { calls, .. }) = wanted
            .pop_front_if(|first: &mut Refused| first.at_us.saturating_add(duration_us) <= at_us)
        {
            others = others.saturating_sub(calls);
        }
        ranked.push(Ranked { at_us, calls, others });
        wanted.push_back(Refused { at_us, calls });
        others = others.saturating_add(calls);
    }
    ranked
}

/// The least number of slots that would have served `percent` of all these calls, or more.
pub(super) fn slots_for(ranked: &[Ranked], percent: u64) -> u64 {
    let calls: u64 = ranked.iter().map(|slice| slice.calls).sum();
    let served = |slots| ranked.iter().map(|slice| slice.served(slots)).sum::<u64>();
    let is_enough =
        |slots| u128::from(served(slots)) * 100 >= u128::from(calls) * u128::from(percent);
    let (mut low, mut high) = (0, ranked.iter().map(Ranked::wanted).max().unwrap_or_default());
    while low < high {
        let middle = low + (high - low) / 2;
        if is_enough(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(slices: &[(i64, u64)]) -> Vec<Refused> {
        slices.iter().map(|(at_us, calls)| Refused { at_us: *at_us, calls: *calls }).collect()
    }

    #[test]
    fn calls_that_are_wanted_at_once_need_a_slot_each() {
        let slots = |slices: &[(i64, u64)], percent| slots_for(&rank(refused(slices), 60), percent);
        assert_eq!(slots(&[], 95), 0);
        assert_eq!(slots(&[(0, 1)], 95), 1);
        assert_eq!(slots(&[(0, 1), (60, 1), (120, 1)], 100), 1, "one after the other");
        assert_eq!(slots(&[(0, 1), (59, 1), (118, 1)], 100), 2);
        assert_eq!(slots(&[(0, 20)], 95), 19, "19 of 20 are 95 %");
        assert_eq!(slots(&[(0, 20)], 100), 20);
        assert_eq!(slots(&[(0, 95), (1_000, 200)], 50), 74, "148 of 295: 74 and 74");
    }

    /// Call by call: how many others are wanted when it comes.
    fn plainly(calls: &[i64], duration: i64, percent: usize) -> usize {
        let ranks: Vec<usize> = calls
            .iter()
            .enumerate()
            .map(|(index, at)| {
                1 + calls[..index].iter().filter(|before| **before + duration > *at).count()
            })
            .collect();
        (0..=ranks.len())
            .find(|slots| {
                ranks.iter().filter(|rank| *rank <= slots).count() * 100 >= ranks.len() * percent
            })
            .expect("some number is enough")
    }

    /// As it would have been: a call takes a slot if one is free, else it is lost.
    fn served_by(calls: &[i64], duration: i64, slots: usize) -> usize {
        let mut ends: Vec<i64> = Vec::new();
        let mut served = 0;
        for at in calls {
            ends.retain(|end| end > at);
            if ends.len() < slots {
                ends.push(at + duration);
                served += 1;
            }
        }
        served
    }

    proptest! {
        #[test]
        fn the_number_is_that_of_a_plain_count_and_is_enough(
            mut calls in prop::collection::vec(0_i64..600, 0..120),
            duration in 1_i64..200,
            percent in 1_usize..=100,
        ) {
            calls.sort_unstable();
            let mut slices: Vec<(i64, u64)> = Vec::new();
            for at in &calls {
                match slices.last_mut() {
                    Some((last, calls)) if last == at => *calls += 1,
                    _ => slices.push((*at, 1)),
                }
            }
            let slots = slots_for(&rank(refused(&slices), duration), percent as u64);
            let slots = usize::try_from(slots).expect("few");
            prop_assert_eq!(slots, plainly(&calls, duration, percent));
            prop_assert!(served_by(&calls, duration, slots) * 100 >= calls.len() * percent);
        }
    }
}
