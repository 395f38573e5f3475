//! Slots: what is used is leased, nothing is lost, and what was given away is not used again.

use std::sync::Arc;

use interleavings::admission::slots::{Slots, SlotsNow};
use interleavings::exploration::{Fault, explore, refute};
use interleavings::sync::{AtomicU32, Ordering};

use crate::{end, with};

const CAP: u32 = 8;

fn leased(units: u32) -> Arc<Slots> {
    let slots = Slots::default();
    slots.extend(units);
    Arc::new(slots)
}

fn two_take_the_last_slot() {
    let slots = leased(1);
    let other = with(&slots, |slots| slots.take(CAP).is_ok());
    let taken = u32::from(slots.take(CAP).is_ok()) + u32::from(end(other));
    assert_eq!(taken, 1, "more is used than leased");
    assert_eq!(slots.now(), SlotsNow { lease: 1, used: 1 }, "a slot is lost");
}

#[test]
fn no_more_is_used_than_leased() {
    explore(two_take_the_last_slot);
    refute(Fault::Torn, "more is used than leased", two_take_the_last_slot);
}

/// Two calls come and go while units come and go.
fn units_come_and_go() {
    let slots = leased(2);
    let a_call = |slots: &Slots| slots.take(CAP).map_or(0, |_| slots.give_back(|| CAP));
    let caller = with(&slots, a_call);
    let hub = with(&slots, |slots| {
        slots.extend(1);
        slots.shrink(1)
    });
    let returned = a_call(&slots) + end(caller) + end(hub);
    let now = slots.now();
    assert_eq!((now.lease + returned, now.used), (3, 0), "a unit is lost or made up");
}

#[test]
fn used_idle_and_returned_units_sum_to_what_was_granted() {
    explore(units_come_and_go);
    refute(Fault::Torn, "a unit is lost or made up", units_come_and_go);
}

fn a_unit_is_returned_while_a_call_wants_it() {
    let slots = leased(1);
    let hub = with(&slots, |slots| slots.shrink(0));
    let taken = slots.take(CAP).is_ok();
    assert_eq!(u32::from(taken) + end(hub), 1, "a returned unit is used");
}

#[test]
fn a_returned_unit_is_not_taken() {
    explore(a_unit_is_returned_while_a_call_wants_it);
    refute(Fault::Torn, "a returned unit is used", a_unit_is_returned_while_a_call_wants_it);
}

fn a_lease_is_forfeited_while_calls_come_and_go() {
    let slots = leased(2);
    slots.take(CAP).expect("a slot");
    let other = with(&slots, |slots| slots.take(CAP).is_ok());
    let leaver = with(&slots, Slots::leave);
    slots.forfeit();
    let late = slots.take(CAP).is_ok();
    let used = u32::from(end(other));
    end(leaver);
    assert!(!late, "a forfeited unit is used");
    assert_eq!(slots.now(), SlotsNow { lease: 0, used }, "a forfeited unit is leased");
}

#[test]
fn a_forfeited_unit_is_not_taken_and_calls_go_on_to_count() {
    explore(a_lease_is_forfeited_while_calls_come_and_go);
    refute(Fault::Torn, "a forfeited unit is", a_lease_is_forfeited_while_calls_come_and_go);
}

/// What the calls of one slot write, one after the other, without any order of its own.
fn two_calls_after_each_other_write() {
    let shared = Arc::new((leased(1), loom::sync::atomic::AtomicU32::new(0)));
    let call = |(slots, written): &(Arc<Slots>, loom::sync::atomic::AtomicU32)| {
        if slots.take(CAP).is_err() {
            return 0;
        }
        written.store(written.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        slots.give_back(|| CAP);
        1
    };
    let other = with(&shared, call);
    let calls = call(&shared) + end(other);
    let written = shared.1.load(Ordering::Relaxed);
    assert_eq!(written, calls, "a call does not see what the one before it wrote");
}

#[test]
fn who_takes_a_slot_sees_all_that_was_done_before_it_was_given_back() {
    explore(two_calls_after_each_other_write);
    let promise = "a call does not see what the one before it wrote";
    refute(Fault::Unordered, promise, two_calls_after_each_other_write);
}

/// The only call ended before another was wanted; its end is flushed meanwhile.
fn an_end_is_flushed_while_a_call_wants_its_slot() {
    let slots = leased(1);
    slots.take(CAP).expect("a slot");
    slots.quarantine();
    let flush = with(&slots, |slots| slots.free_ended(|| CAP));
    let refused = slots.take(CAP).is_err_and(|found| slots.are_taken(found));
    end(flush);
    assert!(!refused, "refused for a call that has ended");
    assert_eq!(slots.quarantined(), 0, "a slot stays in quarantine");
}

#[test]
fn a_slot_in_quarantine_is_not_taken_for_one_in_use() {
    explore(an_end_is_flushed_while_a_call_wants_its_slot);
    let promise = "refused for a call that has ended";
    refute(Fault::Unordered, promise, an_end_is_flushed_while_a_call_wants_its_slot);
}

fn a_cap_is_lowered_while_a_call_ends() {
    let slots = leased(2);
    (0..2).for_each(|_| assert!(slots.take(CAP).is_ok()));
    let shared = Arc::new((slots, AtomicU32::new(2)));
    let ended = with(&shared, |(slots, cap)| slots.give_back(|| cap.load(Ordering::Acquire)));
    let (slots, cap) = &*shared;
    cap.store(1, Ordering::Release);
    let returned = slots.shrink(1) + end(ended);
    let now = slots.now();
    assert!(now.lease <= 1, "more is leased than the cap");
    assert_eq!(now.lease + returned, 2, "a unit is lost or made up");
}

#[test]
fn a_lowered_cap_leaves_no_idle_unit_above_it() {
    explore(a_cap_is_lowered_while_a_call_ends);
    let promise = "more is leased than the cap";
    refute(Fault::Unordered, promise, a_cap_is_lowered_while_a_call_ends);
}
