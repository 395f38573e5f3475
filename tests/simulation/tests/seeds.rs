//! Worlds of many seeds. A seed that fails is printed; `simulate --first SEED --seeds 1 --trace` tells
//! what happened in it.

use simulation::run;

/// Every world of the seeds keeps its promises, and something happens in it.
fn all_hold(seeds: std::ops::Range<u64>) {
    let mut failures = Vec::new();
    let mut admitted = 0;
    for seed in seeds {
        match run(seed) {
            Ok(summary) => {
                admitted += summary.admitted;
                let faults = [summary.failovers, summary.partitions, summary.pauses];
                assert!(summary.crashes >= 2 && faults.iter().all(|count| *count >= 1));
            }
            Err(failure) => failures.push(failure.to_string()),
        }
    }
    assert_eq!(failures, Vec::<String>::new());
    assert!(admitted > 0, "calls are admitted");
}

#[test]
fn the_invariants_hold_in_the_first_quarter_of_two_thousand_worlds() {
    all_hold(0..500);
}

#[test]
fn the_invariants_hold_in_the_second_quarter() {
    all_hold(500..1_000);
}

#[test]
fn the_invariants_hold_in_the_third_quarter() {
    all_hold(1_000..1_500);
}

#[test]
fn the_invariants_hold_in_the_fourth_quarter() {
    all_hold(1_500..2_000);
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    for seed in [3, 141] {
        let (once, again) = (run(seed), run(seed));
        assert_eq!(once.map_err(|it| it.to_string()), again.map_err(|it| it.to_string()));
    }
}
