//! Funds: no money is held twice, none is lost, and none goes below zero.

use std::sync::Arc;

use hub::money::{Amount, Rate};
use interleavings::admission::funds::{Funds, Shortage};
use interleavings::exploration::{Fault, explore, refute};

use crate::{end, with};

/// What a minute costs.
const MINUTE: i64 = 1_200_000;

fn rate() -> Rate {
    let minute = Amount::from_micros(MINUTE);
    Rate::new(minute, 60, 60, Amount::ZERO, Amount::ZERO).expect("a rate")
}

fn minutes(count: i64) -> Arc<Funds> {
    let funds = Funds::default();
    funds.add(Amount::from_micros(count * MINUTE));
    Arc::new(funds)
}

/// Holds a minute; what is held.
fn hold(funds: &Funds) -> i64 {
    funds.hold(&rate(), Amount::ZERO, 60, None).map_or(0, |held| held.funded.hold.micros())
}

fn two_hold_the_last_minute() {
    let funds = minutes(1);
    let other = with(&funds, hold);
    let held = hold(&funds) + end(other);
    assert_eq!(held, MINUTE, "money is held twice");
    assert_eq!(funds.free(), Amount::ZERO, "money is lost");
}

#[test]
fn no_money_is_held_twice() {
    explore(two_hold_the_last_minute);
    refute(Fault::Torn, "money is held twice", two_hold_the_last_minute);
}

/// A hold is undone, a charge goes beyond its hold, a refund comes back.
fn money_comes_and_goes() {
    let funds = minutes(2);
    let refund = Amount::from_micros(MINUTE / 2);
    funds.quarantine(refund);
    let undone = with(&funds, |funds| funds.add(Amount::from_micros(hold(funds))));
    let flush = with(&funds, move |funds| funds.free_refund(refund));
    let debt = funds.charge(Amount::from_micros(2 * MINUTE)).micros();
    let free = funds.free();
    end(undone);
    end(flush);
    assert!(free >= Amount::ZERO, "free money is below zero");
    let paid = 2 * MINUTE - debt;
    let sum = funds.free().micros() + funds.quarantined().micros() + paid;
    assert_eq!(sum, 2 * MINUTE + refund.micros(), "money is lost or made up");
}

#[test]
fn free_held_and_charged_money_sums_to_what_was_added() {
    explore(money_comes_and_goes);
    refute(Fault::Torn, "money is lost or made up", money_comes_and_goes);
}

fn money_is_recalled_while_a_call_wants_it() {
    let funds = minutes(1);
    let hub = with(&funds, |funds| funds.take_all().micros());
    assert_eq!(hold(&funds) + end(hub), MINUTE, "returned money is held");
}

#[test]
fn returned_money_is_not_held() {
    explore(money_is_recalled_while_a_call_wants_it);
    refute(Fault::Torn, "returned money is held", money_is_recalled_while_a_call_wants_it);
}

/// All money is a refund whose flush is under way.
fn a_refund_is_flushed_while_a_call_wants_it(looks_again: bool) {
    let funds = Arc::new(Funds::default());
    let refund = Amount::from_micros(MINUTE);
    funds.quarantine(refund);
    let flush = with(&funds, move |funds| funds.free_refund(refund));
    let is_refused = if looks_again {
        funds.hold_first(&rate(), 60, None) == Err(Shortage::Empty)
    } else {
        hold(&funds) == 0 && funds.quarantined() == Amount::ZERO
    };
    end(flush);
    assert!(!is_refused, "refused for money that came back");
}

#[test]
fn a_refund_in_quarantine_is_not_taken_for_none() {
    explore(|| a_refund_is_flushed_while_a_call_wants_it(true));
    let promise = "refused for money that came back";
    refute(Fault::Unordered, promise, || a_refund_is_flushed_while_a_call_wants_it(true));
    refute(Fault::None, promise, || a_refund_is_flushed_while_a_call_wants_it(false));
}
