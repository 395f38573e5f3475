//! Counts calls into the intervals of a window, one call after the other in the order of their
//! admissions. Pure; takes as much memory as calls are live at once.
//!
//! A call counts in the interval in which it was admitted. It is live from its admission, included,
//! to its end, excluded, and so adds to the concurrency of every interval that it touches.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Of a finished call, what is counted.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    pub(super) admitted_us: i64,
    pub(super) ended_us: i64,
    pub(super) answered: bool,
    pub(super) outcome: String,
    pub(super) billable_s: i64,
    pub(super) cost: i64,
    pub(super) debt: i64,
}

/// What was counted in one interval; money in micro-units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) calls: i64,
    pub(super) answered: i64,
    pub(super) billable_s: i64,
    pub(super) cost: i64,
    pub(super) debt: i64,
    /// The most calls that were live at once.
    pub(super) peak: usize,
    pub(super) outcomes: BTreeMap<String, i64>,
}

pub(super) struct Tally<'a> {
    /// When each interval begins, and the end of the last.
    cuts: &'a [i64],
    sums: Vec<Sums>,
    /// The interval that has been reached.
    at: usize,
    /// When the calls end that are live there.
    ends: BinaryHeap<Reverse<i64>>,
}

impl<'a> Tally<'a> {
    /// Of one interval at least.
    pub(super) fn new(cuts: &'a [i64]) -> Self {
        let sums = vec![Sums::default(); cuts.len().saturating_sub(1)];
        Self { cuts, sums, at: 0, ends: BinaryHeap::new() }
    }

    /// Counts the next call: admitted no earlier than those before, or before the window and live
    /// when it begins.
    pub(super) fn count(&mut self, call: Counted) {
        let early = self.cuts.first().is_some_and(|from_us| call.admitted_us < *from_us);
        if !early {
            self.reach(call.admitted_us);
            self.end_until(call.admitted_us);
        }
        self.ends.push(Reverse(call.ended_us));
        self.note_live();
        let Some(sums) = self.sums.get_mut(self.at).filter(|_| !early) else { return };
        sums.calls += 1;
        sums.answered += i64::from(call.answered);
        sums.billable_s = sums.billable_s.saturating_add(call.billable_s);
        sums.cost = sums.cost.saturating_add(call.cost);
        sums.debt = sums.debt.saturating_add(call.debt);
        *sums.outcomes.entry(call.outcome).or_default() += 1;
    }

    /// The sums of every interval.
    pub(super) fn finish(mut self) -> Vec<Sums> {
        self.reach(i64::MAX);
        self.sums
    }

    /// Goes to the interval in which `us` lies, or the last one.
    fn reach(&mut self, us: i64) {
        while self.at + 1 < self.sums.len() && self.cuts[self.at + 1] <= us {
            self.at += 1;
            self.end_until(self.cuts[self.at]);
            self.note_live();
        }
    }

    fn end_until(&mut self, us: i64) {
        while self.ends.peek().is_some_and(|Reverse(end_us)| *end_us <= us) {
            self.ends.pop();
        }
    }

    fn note_live(&mut self) {
        if let Some(sums) = self.sums.get_mut(self.at) {
            sums.peak = sums.peak.max(self.ends.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn call(admitted_us: i64, ended_us: i64) -> Counted {
        let outcome = "completed".to_owned();
        Counted { admitted_us, ended_us, answered: true, outcome, billable_s: 1, cost: 2, debt: 0 }
    }

    fn peaks(cuts: &[i64], calls: &[(i64, i64)]) -> Vec<usize> {
        let mut tally = Tally::new(cuts);
        for (admitted, ended) in calls {
            tally.count(call(*admitted, *ended));
        }
        tally.finish().iter().map(|sums| sums.peak).collect()
    }

    #[test]
    fn a_call_adds_to_the_concurrency_of_every_interval_that_it_touches() {
        let cuts = [0, 10, 20, 30];
        assert_eq!(peaks(&cuts, &[]), [0, 0, 0]);
        assert_eq!(peaks(&cuts, &[(-5, 15), (-1, 3), (12, 13)]), [2, 2, 0]);
        // One begins when the other ends: never two.
        assert_eq!(peaks(&cuts, &[(0, 5), (5, 10), (10, 20)]), [1, 1, 0]);
        assert_eq!(peaks(&cuts, &[(0, 100), (9, 21), (29, 29)]), [2, 2, 2]);
    }

    #[test]
    fn a_call_is_counted_once_where_it_was_admitted() {
        let mut tally = Tally::new(&[0, 10, 20]);
        for (admitted, ended) in [(-5, 15), (9, 19), (10, 11)] {
            tally.count(call(admitted, ended));
        }
        let sums = tally.finish();
        let counted: Vec<_> = sums.iter().map(|sums| (sums.calls, sums.cost)).collect();
        assert_eq!(counted, [(1, 2), (1, 2)]);
        assert_eq!(sums[0].outcomes["completed"], 1);
    }

    proptest! {
        /// Looked at in every instant.
        #[test]
        fn peaks_are_what_an_observer_would_have_seen(
            mut calls in prop::collection::vec((-20_i64..40, 1_i64..30), 0..40),
            mut inner in prop::collection::btree_set(1_i64..40, 0..6),
        ) {
            inner.extend([0, 40]);
            let cuts: Vec<i64> = inner.into_iter().collect();
            calls.sort_unstable();
            let calls: Vec<_> = calls
                .into_iter()
                .map(|(from, length)| (from, from + length))
                .filter(|(from, to)| *from >= 0 || *to > 0)
                .collect();
            let live = |at: i64| calls.iter().filter(|(from, to)| (*from..*to).contains(&at)).count();
            let seen: Vec<usize> = cuts
                .windows(2)
                .map(|cut| (cut[0]..cut[1]).map(live).max().unwrap_or_default())
                .collect();
            prop_assert_eq!(peaks(&cuts, &calls), seen);
        }
    }
}
