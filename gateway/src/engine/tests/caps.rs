//! Agents, numbers, providers and their caps, with an embedded hub.

use std::sync::atomic::{AtomicUsize, Ordering};

use hub::call::Direction;
use hub::cap::CapId;
use hub::denial::CapOf;
use hub::directory::{ResourceConfig, ResourceKind};

use super::*;

pub(super) const NUMBER: &str = "919812345678";
const CARRIER: &str = "carrier";

pub(super) fn resource(kind: ResourceKind, name: &str, owner: Option<u128>) -> ResourceConfig {
    ResourceConfig {
        organization: organization(),
        kind,
        name: name.into(),
        version: 1,
        account: owner.map(sub_account),
        id: CapId::of(ulid(1_000 + kind as u128)),
        cap: None,
    }
}

pub(super) fn number(most: u32) -> ResourceConfig {
    ResourceConfig { cap: Some(most), ..resource(ResourceKind::Number, NUMBER, None) }
}

fn provider(most: u32) -> ResourceConfig {
    ResourceConfig { cap: Some(most), ..resource(ResourceKind::Provider, CARRIER, None) }
}

/// From the number, written as people write it.
pub(super) fn from_number(call_id: &str) -> Admit<'_> {
    Admit { call_id, from: "+91 98123 45678", ..Admit::default() }
}

fn through_carrier(call_id: &str) -> Admit<'_> {
    Admit { provider: CARRIER, ..from_number(call_id) }
}

fn two_accounts() -> [AccountConfig; 2] {
    [account(0, 0, Some(50)), account(1, 0, Some(50))]
}

fn capped(of: CapOf, limit: u32) -> Denial {
    Denial::Capped { of, limit }
}

#[test]
fn calls_of_several_accounts_count_against_one_number_and_an_end_makes_room() {
    let world = World::new(100, &two_accounts());
    world.publish(Change::Resource(number(3)));
    for (of, call_id) in [(0, "a"), (1, "b"), (0, "c")] {
        world.admit_as(&world.account(of), &from_number(call_id)).expect("there is room");
    }
    let refused = denied(world.admit_as(&world.account(1), &from_number("d")));
    assert_eq!(refused, capped(CapOf::Number, 3));
    assert_eq!(world.account(1).slots.now().used, 1, "its slot is free again");
    // Towards the number it is another direction's: not this number's call.
    let towards = Admit { call_id: "e", to: "+919812345678", ..Admit::default() };
    world.admit_as(&world.account(1), &towards).expect("the number is not its own");
    let inbound = Admit { call_id: "f", direction: Direction::Inbound, ..towards.clone() };
    assert_eq!(denied(world.admit_as(&world.account(1), &inbound)), capped(CapOf::Number, 3));
    world.release(0, "a", None);
    world.admit_as(&world.account(1), &from_number("d")).expect("one has ended");
}

#[test]
fn a_slot_that_was_released_in_this_turn_is_waited_for() {
    let world = World::new(100, &two_accounts());
    world.publish(Change::Resource(number(1)));
    world.admit_as(&world.account(0), &from_number("a")).expect("there is room");
    let release =
        Release { call_id: "a", token: None, outcome: None, billable_s: None, costs: None };
    done(world.engine.release(&world.account(0), &release, clock::now_us())).expect("known");
    world.admit_as(&world.account(1), &from_number("b")).expect("it has ended");
}

#[test]
fn a_call_takes_all_its_caps_or_none() {
    let world = World::new(100, &[account(0, 0, Some(50)), account(1, 0, Some(50))]);
    world.publish(Change::Resource(number(9)));
    world.publish(Change::Resource(provider(2)));
    for call_id in ["a", "b"] {
        world.admit_as(&world.account(0), &through_carrier(call_id)).expect("there is room");
    }
    for _ in 0..20 {
        let refused = denied(world.admit_as(&world.account(0), &through_carrier("c")));
        assert_eq!(refused, capped(CapOf::Provider, 2));
    }
    for call in 0..7 {
        let call_id = format!("n{call}");
        world.admit_as(&world.account(1), &from_number(&call_id)).expect("nothing was taken");
    }
    let refused = denied(world.admit_as(&world.account(1), &from_number("n7")));
    assert_eq!(refused, capped(CapOf::Number, 9));
}

#[test]
fn a_cap_of_outbound_calls_keeps_the_rest_for_inbound_ones() {
    let config = AccountConfig { outbound_cap: Some(3), ..account(0, 0, Some(5)) };
    let world = World::new(100, std::slice::from_ref(&config));
    for call in 0..3 {
        world.admit(0, &format!("out{call}")).expect("there is room");
    }
    assert_eq!(denied(world.admit(0, "out3")), capped(CapOf::Outbound, 3));
    let inbound = |call_id| Admit { call_id, direction: Direction::Inbound, ..Admit::default() };
    for call_id in ["in0", "in1"] {
        world.admit_as(&world.account(0), &inbound(call_id)).expect("these are kept for it");
    }
    let full = Denial::NoSlot { scope: Scope::Account, limit: 5, in_use: 5 };
    assert_eq!(denied(world.admit_as(&world.account(0), &inbound("in2"))), full);
    world.release(0, "in0", None);
    assert_eq!(denied(world.admit(0, "out3")), capped(CapOf::Outbound, 3));
    world.publish(Change::Account(AccountConfig { outbound_cap: None, version: 2, ..config }));
    world.admit(0, "out3").expect("no cap any more");
}

#[test]
fn what_is_another_accounts_is_refused_and_what_is_shared_or_unknown_is_not() {
    let world = World::new(100, &two_accounts());
    world.publish(Change::Resource(resource(ResourceKind::Agent, "ag-0", Some(0))));
    world.publish(Change::Resource(resource(ResourceKind::Number, NUMBER, Some(0))));
    let forbidden = Denial::from(Reason::Forbidden);
    let agent = |call_id, agent_id| Admit { call_id, agent_id, ..Admit::default() };
    world.admit_as(&world.account(0), &agent("a", "ag-0")).expect("its own");
    assert_eq!(denied(world.admit_as(&world.account(1), &agent("b", "ag-0"))), forbidden);
    world.admit_as(&world.account(1), &agent("b", "ag-9")).expect("nobody's");
    world.admit_as(&world.account(0), &from_number("c")).expect("its own");
    assert_eq!(denied(world.admit_as(&world.account(1), &from_number("d"))), forbidden);
    // A test key cannot do what its account cannot.
    let shadow = world.engine.directory().account(sub_account(1).shadow()).expect("a shadow");
    assert_eq!(denied(world.admit_as(&shadow, &from_number("d"))), forbidden);
    let shared = ResourceConfig { version: 2, ..resource(ResourceKind::Number, NUMBER, None) };
    world.publish(Change::Resource(shared));
    world.admit_as(&world.account(1), &from_number("d")).expect("shared now");
    world.publish(Change::Resource(ResourceConfig { version: 1, ..number(0) }));
    world.admit_as(&world.account(1), &from_number("e")).expect("older news changes nothing");
    let (organization, kind, id) = (organization(), ResourceKind::Agent, CapId::of(ulid(1_000)));
    let gone = |id| Change::ResourceGone { organization, kind, name: "ag-0".into(), id };
    world.publish(gone(CapId::of(ulid(9))));
    assert_eq!(denied(world.admit_as(&world.account(1), &agent("f", "ag-0"))), forbidden);
    world.publish(gone(id));
    world.admit_as(&world.account(1), &agent("f", "ag-0")).expect("nobody's any more");
}

#[test]
fn a_provider_that_the_organization_does_not_have_is_a_bad_field() {
    let world = World::new(100, &two_accounts());
    let field = |denial| match denial {
        Denial::InvalidRequest(bad) => bad[0].field.clone(),
        other => panic!("{other:?}"),
    };
    let refused = world.admit_as(&world.account(0), &through_carrier("a"));
    assert_eq!(field(denied(refused)), "provider");
    world.publish(Change::Resource(ResourceConfig { cap: None, ..provider(0) }));
    world.admit_as(&world.account(0), &through_carrier("a")).expect("it is known now");
}

#[test]
fn calls_of_test_keys_count_against_no_number() {
    let world = World::new(100, &two_accounts());
    world.publish(Change::Resource(number(1)));
    let shadow = world.engine.directory().account(sub_account(0).shadow()).expect("a shadow");
    for call_id in ["t0", "t1"] {
        world.admit_as(&shadow, &from_number(call_id)).expect("it does not count");
    }
    world.admit_as(&world.account(0), &from_number("a")).expect("there is room");
    assert_eq!(
        denied(world.admit_as(&world.account(0), &from_number("b"))),
        capped(CapOf::Number, 1)
    );
}

#[test]
fn live_calls_count_again_after_a_restart() {
    let world = World::new(100, &two_accounts());
    world.publish(Change::Resource(number(2)));
    for call_id in ["a", "b"] {
        world.admit_as(&world.account(0), &from_number(call_id)).expect("there is room");
    }
    let world = world.restart(100, &two_accounts());
    world.publish(Change::Resource(number(2)));
    let refused = denied(world.admit_as(&world.account(1), &from_number("c")));
    assert_eq!(refused, capped(CapOf::Number, 2));
    world.release(0, "a", None);
    world.admit_as(&world.account(1), &from_number("c")).expect("one has ended");
}

#[test]
fn a_lowered_cap_ends_no_call_and_admits_none_until_use_has_fallen() {
    let world = World::new(100, &two_accounts());
    world.publish(Change::Resource(number(3)));
    for call_id in ["a", "b", "c"] {
        world.admit_as(&world.account(0), &from_number(call_id)).expect("there is room");
    }
    world.publish(Change::Resource(ResourceConfig { version: 2, ..number(1) }));
    for call_id in ["a", "b"] {
        let refused = denied(world.admit_as(&world.account(0), &from_number("d")));
        assert_eq!(refused, capped(CapOf::Number, 1));
        world.release(0, call_id, None);
    }
    assert_eq!(
        denied(world.admit_as(&world.account(0), &from_number("d"))),
        capped(CapOf::Number, 1)
    );
    world.release(0, "c", None);
    world.admit_as(&world.account(0), &from_number("d")).expect("none is live");
}

#[test]
fn a_cap_goes_with_what_had_it_when_no_call_counts_any_more() {
    let world = World::new(100, &two_accounts());
    let id = number(1).id;
    let is_kept = || world.engine.directory().has_cap(id);
    let gone = || {
        let (organization, kind) = (organization(), ResourceKind::Number);
        Change::ResourceGone { organization, kind, name: NUMBER.into(), id }
    };
    world.publish(Change::Resource(number(1)));
    assert!(is_kept());
    world.publish(gone());
    assert!(!is_kept(), "nothing needs it");
    world.publish(Change::Resource(number(1)));
    world.admit_as(&world.account(0), &from_number("a")).expect("there is room");
    world.publish(gone());
    assert!(is_kept(), "a call counts");
    world.publish(Change::Resource(number(1)));
    assert_eq!(
        denied(world.admit_as(&world.account(0), &from_number("b"))),
        capped(CapOf::Number, 1)
    );
    world.release(0, "a", None);
    world.publish(gone());
    assert!(!is_kept());
}

/// Several threads at one number: never more live than it has room for, and no refusal that leaves
/// something taken.
#[test]
fn parallel_admits_never_pass_a_cap() {
    const MOST: usize = 7;
    let world = World::new(1_000, &[account(0, 0, Some(500)), account(1, 0, Some(500))]);
    world.publish(Change::Resource(number(7)));
    let live = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let (world, live) = (&world, &live);
            threads.spawn(move || {
                let account = world.account(thread % 2);
                for call in 0..2_000 {
                    let call_id = format!("{thread}-{call}");
                    let admitted =
                        done(world.engine.admit(&account, &from_number(&call_id), clock::now_us()));
                    if admitted.is_err() {
                        continue;
                    }
                    assert!(live.fetch_add(1, Ordering::AcqRel) < MOST, "over the cap");
                    live.fetch_sub(1, Ordering::AcqRel);
                    let (token, outcome, billable_s, costs) = (None, None, None, None);
                    let release = Release { call_id: &call_id, token, outcome, billable_s, costs };
                    done(world.engine.release(&account, &release, clock::now_us())).expect("live");
                    world.engine.flush().expect("recorded");
                }
            });
        }
    });
    world.engine.flush().expect("recorded");
    world.hub.check().expect("invariants");
    for call in 0..7 {
        let call_id = format!("last{call}");
        world.admit_as(&world.account(0), &from_number(&call_id)).expect("all are free");
    }
    assert_eq!(
        denied(world.admit_as(&world.account(0), &from_number("x"))),
        capped(CapOf::Number, 7)
    );
}
