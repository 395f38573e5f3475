//! The small runs: what must hold holds, and every rule left out is found out.

use models::{Outcome, Run, release, slots};

fn small<C: Copy>(runs: &[Run<C>], check: fn(C) -> Outcome) {
    let small: Vec<_> = runs.iter().filter(|run| run.small).collect();
    assert!(!small.is_empty());
    for run in small {
        let outcome = check(run.config);
        assert!(outcome.is(run.expected), "{}: {outcome:?}", run.name);
    }
}

#[test]
fn the_slots_of_an_account_survive_crashes_and_failovers() {
    small(&slots::RUNS, slots::check);
}

#[test]
fn a_unit_is_free_only_when_no_call_lives_on_it() {
    small(&release::RUNS, release::check);
}

#[test]
fn the_runs_of_the_protocol_are_all_here_and_each_draft_is_refuted() {
    let names = slots::RUNS.iter().map(|run| (run.name, run.expected));
    let names = names.chain(release::RUNS.iter().map(|run| (run.name, run.expected)));
    let violated: Vec<_> = names
        .filter(|(_, expected)| *expected == models::Expected::Violated)
        .map(|(name, _)| &name[..2])
        .collect();
    assert_eq!(violated, ["01", "02", "05", "06", "07", "10", "B1", "B2", "B9"]);
}
