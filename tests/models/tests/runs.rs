//! The small runs: what must hold holds, and every rule left out is found out.

use models::{
    Expected, Outcome, Run, composed, deadlines, exact, money, names, release, slots, tick,
};

fn small<C: Copy>(runs: &[Run<C>], check: fn(C) -> Outcome) {
    let small: Vec<_> = runs.iter().filter(|run| run.small).collect();
    assert!(!small.is_empty());
    for run in small {
        let outcome = check(run.config);
        assert!(outcome.is(run.expected), "{}: {outcome:?}", run.name);
    }
}

/// The names, without their words, of the runs that must be violated.
fn drafts<C>(runs: &[Run<C>]) -> Vec<&str> {
    let drafts = runs.iter().filter(|run| run.expected != Expected::Holds);
    drafts.filter_map(|run| run.name.split(' ').next()).collect()
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
fn a_refusal_for_slots_is_true_at_an_instant() {
    small(&exact::RUNS, exact::check);
}

#[test]
fn no_call_outlives_what_a_reap_keeps_for_it() {
    small(&deadlines::RUNS, deadlines::check);
}

#[test]
fn the_clock_of_the_hub_never_runs_ahead() {
    small(&tick::RUNS, tick::check);
}

#[test]
fn no_money_is_held_or_spent_twice() {
    small(&money::RUNS, money::check);
}

#[test]
fn an_admit_takes_a_slot_and_a_hold_or_neither() {
    small(&composed::RUNS, composed::check);
}

#[test]
fn a_call_of_which_a_stack_was_told_counts_somewhere() {
    small(&names::RUNS, names::check);
}

#[test]
fn the_runs_of_the_protocol_are_all_here_and_each_draft_is_refuted() {
    assert_eq!(drafts(&slots::RUNS), ["01", "02", "05", "06", "07", "10"]);
    assert_eq!(drafts(&release::RUNS), ["B1", "B2", "B9"]);
    assert_eq!(drafts(&names::RUNS), ["N1"]);
    let exact = ["E11", "E12", "E13", "E14", "E15", "E16", "E17", "E18", "E19", "E20"];
    assert_eq!(drafts(&exact::RUNS), exact);
    assert_eq!(drafts(&deadlines::RUNS), ["D4", "D5", "D6"]);
    assert_eq!(drafts(&tick::RUNS), ["T3", "T4", "T6", "T7"]);
    let money: Vec<String> = (12..=26).map(|number| format!("M{number}")).collect();
    assert_eq!(drafts(&money::RUNS), money);
    assert_eq!(drafts(&composed::RUNS), ["C05", "C06", "C07", "C08"]);
}
