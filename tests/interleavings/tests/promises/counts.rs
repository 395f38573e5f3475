//! Counts: whoever counts at the same time as another is counted.

use std::sync::Arc;

use hub::denial::Reason;
use interleavings::counts::{Durations, Refusals};
use interleavings::exploration::{Fault, explore, refute};

use crate::{end, with};

fn two_are_counted_at_once() {
    let counts = Arc::new((Refusals::default(), Durations::default()));
    let count = |(refusals, durations): &(Refusals, Durations)| {
        refusals.add(Reason::NoSlot);
        durations.add(3);
    };
    let other = with(&counts, count);
    count(&counts);
    end(other);
    let refused: u64 = counts.0.now().map(|(_, count)| count).sum();
    let durations = counts.1.now();
    let lasted = (durations.buckets.iter().sum::<u64>(), durations.sum_us);
    assert_eq!((refused, lasted), (2, (2, 6)), "a count is lost");
}

#[test]
fn no_count_is_lost() {
    explore(two_are_counted_at_once);
    refute(Fault::Torn, "a count is lost", two_are_counted_at_once);
}
