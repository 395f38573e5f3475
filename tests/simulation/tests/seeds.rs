//! Worlds of many seeds.

use simulation::run;

#[test]
fn the_invariants_hold_in_every_world() {
    let mut failures = Vec::new();
    let mut admitted = 0;
    for seed in 0..20 {
        match run(seed) {
            Ok(summary) => admitted += summary.admitted,
            Err(failure) => failures.push(failure.to_string()),
        }
    }
    assert_eq!(failures, Vec::<String>::new());
    assert!(admitted > 0);
}
