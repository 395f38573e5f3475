//! What a gateway reports of refused admits and used keys, and that it stays small.

use hub::report::{Refused, Report, SLICES, Slices, minute_of};

use super::*;
use crate::reports::Reporter;

const MINUTE_US: i64 = 60_000_000;
/// The beginning of a minute.
const AT_US: i64 = 29_000_000 * MINUTE_US;

impl World {
    /// What an admit of an account with one slot, which is taken, is told at a time.
    fn refused_at(&self, number: u128, call_id: &str, now_us: i64) {
        let call = Admit { call_id, ..Admit::default() };
        let account = self.account(number);
        let refused = done(self.engine.admit(&account, &call, now_us)).expect_err("refused");
        assert!(matches!(refused, Refusal::Denied(_)), "{refused:?}");
    }

    /// The report that waits at the hub, taken by a control plane.
    fn take_report(&self) -> Option<Report> {
        let report = self.hub.waiting_report()?;
        self.hub.forget_report(&report);
        Some(report)
    }
}

fn reporter(world: &World) -> Reporter {
    Reporter::new(Arc::clone(&world.engine))
}

fn only(report: Option<Report>) -> Refused {
    let mut report = report.expect("a report");
    assert_eq!(report.refused.len(), 1, "{report:?}");
    report.refused.remove(0)
}

fn slices(some: &[(usize, u32)]) -> Slices {
    let mut slices = [0; SLICES];
    for (slice, calls) in some {
        slices[*slice] = *calls;
    }
    slices
}

#[test]
fn refusals_are_reported_once_by_account_minute_and_reason() {
    let world = World::new(10, &[account(0, 1, Some(1)), account(1, 1, Some(1))]);
    let mut reporter = reporter(&world);
    world.admit(0, "live").expect("admitted");
    reporter.collect(AT_US);
    assert!(done(reporter.tell()) && world.take_report().is_none(), "nothing was refused");

    for (call_id, second) in [("a", 1), ("a", 4), ("b", 4), ("c", 59)] {
        world.refused_at(0, call_id, AT_US + second * 1_000_000);
    }
    reporter.collect(AT_US + MINUTE_US);
    assert!(done(reporter.tell()));
    let refused = only(world.take_report());
    assert_eq!((refused.account, refused.minute), (sub_account(0), minute_of(AT_US)));
    assert_eq!(refused.denials, [(Reason::NoSlot, 4)], "each try");
    assert_eq!(refused.by_account, slices(&[(0, 2), (11, 1)]), "each call");
    assert_eq!(refused.by_organization, slices(&[]));
    reporter.collect(AT_US + MINUTE_US);
    assert!(done(reporter.tell()) && world.take_report().is_none(), "told once");
}

#[test]
fn a_call_that_is_tried_again_in_the_next_minute_is_still_the_same() {
    let world = World::new(10, &[account(0, 1, Some(1))]);
    let mut reporter = reporter(&world);
    world.admit(0, "live").expect("admitted");
    for second in [50, 70, 130, 250] {
        world.refused_at(0, "a", AT_US + second * 1_000_000);
    }
    reporter.collect(AT_US + 5 * MINUTE_US);
    assert!(done(reporter.tell()));
    let report = world.take_report().expect("a report");
    let calls = report.refused.iter().map(|refused| refused.by_account.iter().sum::<u32>());
    assert_eq!(calls.collect::<Vec<_>>(), [1, 0, 0, 1], "forgotten after a minute without a try");
}

#[test]
fn what_nobody_takes_is_added_up_for_the_next_report() {
    let world = World::new(10, &[account(0, 1, Some(1))]);
    let mut reporter = reporter(&world);
    world.admit(0, "live").expect("admitted");
    let mut told = Vec::new();
    for call_id in ["a", "b", "c", "d"] {
        world.refused_at(0, call_id, AT_US);
        reporter.collect(AT_US);
        told.push(done(reporter.tell()));
    }
    assert_eq!(told, [true, false, false, false], "the first waits at the hub");
    let first = world.take_report().expect("a report");
    assert!(!done(reporter.tell()), "there is more than the second");
    let second = world.take_report().expect("a report");
    assert!(done(reporter.tell()));
    let third = world.take_report().expect("a report");
    let counts =
        [first, second, third].map(|report| (report.sequence, only(Some(report)).denials[0].1));
    assert_eq!(counts, [(1, 1), (2, 1), (3, 2)]);
}

#[test]
fn the_organizations_limit_is_told_from_the_accounts() {
    let world = World::new(1, &[account(0, 0, None), account(1, 0, None)]);
    let mut reporter = reporter(&world);
    world.admit(0, "live").expect("admitted");
    world.refused_at(1, "a", AT_US + 30_000_000);
    reporter.collect(AT_US + MINUTE_US);
    assert!(done(reporter.tell()));
    let refused = only(world.take_report());
    assert_eq!((refused.by_account, refused.by_organization), (slices(&[]), slices(&[(6, 1)])));
}

#[test]
fn test_keys_are_in_no_report() {
    let world = World::new(10, &[account(0, 0, Some(0))]);
    let mut reporter = reporter(&world);
    let shadow = world.engine.directory().account(sub_account(0).shadow()).expect("known");
    let call = Admit { call_id: "a", ..Admit::default() };
    done(world.engine.admit(&shadow, &call, AT_US)).expect_err("refused");
    reporter.collect(AT_US + MINUTE_US);
    assert!(done(reporter.tell()) && world.take_report().is_none());
}

#[test]
fn keys_are_reported_when_they_were_used() {
    let world = World::new(10, &[account(0, 0, None)]);
    let mut reporter = reporter(&world);
    let scope = KeyScope::Account(sub_account(0));
    for secret in ["used", "unused"] {
        let (hash, organization) = (KeyHash::of(secret.as_bytes()), Some(organization()));
        world.publish(Change::Key { hash, scope, organization, expires_us: None });
    }
    assert_eq!(world.engine.authenticate(b"used").map(|key| key.scope), Some(scope));
    reporter.look_at_keys(AT_US);
    assert!(done(reporter.tell()));
    let report = world.take_report().expect("a report");
    let keys: Vec<_> = report.keys.iter().map(|key| (key.hash, key.minute)).collect();
    assert_eq!(keys, [(KeyHash::of(b"used"), minute_of(AT_US))]);
    reporter.look_at_keys(AT_US + MINUTE_US);
    assert!(done(reporter.tell()) && world.take_report().is_none(), "not used since");
}

#[test]
fn a_flood_of_refusals_keeps_little_and_counts_every_try() {
    const TRIES: u32 = 5_000;
    let world = World::new(10, &[account(0, 0, Some(0))]);
    let mut reporter = reporter(&world);
    for number in 0..TRIES {
        world.refused_at(0, &number.to_string(), AT_US);
    }
    // Beyond the names that are kept every try counts as a call.
    world.refused_at(0, &(TRIES - 1).to_string(), AT_US);
    world.refused_at(0, "0", AT_US);
    reporter.collect(AT_US);
    assert!(done(reporter.tell()));
    let refused = only(world.take_report());
    assert_eq!(refused.denials, [(Reason::NoSlot, TRIES + 2)]);
    assert_eq!(refused.by_account[0], TRIES + 1);
}
