//! Credit: never more admits out than may be, and the hub is told of no fewer than there are.

use std::sync::Arc;

use interleavings::admission::credit::Credit;
use interleavings::exploration::{Fault, explore, refute};

use crate::{end, with};

fn of(max: u32) -> Arc<Credit> {
    let credit = Credit::default();
    credit.set_max(max);
    Arc::new(credit)
}

/// Takes what is left; how much that was.
fn drain(credit: &Credit) -> u32 {
    (0..4).map(|_| u32::from(credit.take())).sum()
}

fn two_take_the_last() {
    let credit = of(1);
    let other = with(&credit, Credit::take);
    let taken = u32::from(credit.take()) + u32::from(end(other));
    assert_eq!(taken, 1, "more credit is taken than there is");
}

#[test]
fn no_more_credit_is_taken_than_granted() {
    explore(two_take_the_last);
    refute(Fault::Torn, "more credit is taken than there is", two_take_the_last);
}

/// One admit is out and comes back, another is made, and the hub raises and lowers the most.
fn the_most_changes_while_credit_is_taken_and_given_back() {
    let credit = of(2);
    assert!(credit.take());
    let flush = with(&credit, Credit::give_back);
    let admit = with(&credit, Credit::take);
    credit.set_max(3);
    credit.set_max(1);
    end(flush);
    let out = u32::from(end(admit));
    assert_eq!(drain(&credit) + out, out.max(1), "credit is lost or made up");
}

#[test]
fn credit_given_back_and_left_sums_to_what_is_granted() {
    explore(the_most_changes_while_credit_is_taken_and_given_back);
    let promise = "credit is lost or made up";
    refute(Fault::Torn, promise, the_most_changes_while_credit_is_taken_and_given_back);
}

fn the_most_falls_while_credit_is_taken() {
    let credit = of(2);
    let others: Vec<_> = (0..2).map(|_| with(&credit, Credit::take)).collect();
    credit.set_max(1);
    let told = credit.bound();
    let out: u32 = others.into_iter().map(|other| u32::from(end(other))).sum();
    assert!(out <= told, "more is unflushed than the hub is told");
}

#[test]
fn the_hub_is_told_of_no_fewer_unflushed_admits_than_there_are() {
    explore(the_most_falls_while_credit_is_taken);
    let promise = "more is unflushed than the hub is told";
    refute(Fault::Torn, promise, the_most_falls_while_credit_is_taken);
}
