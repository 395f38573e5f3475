//! Calls of which the hub decides: by their caps, and between two holders that admitted one name.

use super::*;

fn wanted(number: u8, admission: u64, has_unit: bool) -> Event {
    let call = call(number, admission, Some(pins()));
    Event::Wanted { call, lease: lease(0), has_unit }
}

fn live(hub: &Hub) -> u32 {
    hub.shard.counters.live(account(1))
}

/// Both holders have units; the first has asked for the call and may not know that it got it.
fn asked_for_by_one() -> Hub {
    let mut hub = Hub::new();
    assert_eq!(hub.want(TWO, 1), Wanted::Granted(1));
    let reply = hub.report(ONE, vec![wanted(1, 1, false)]);
    assert_eq!(reply.answer.decided, [Wanted::Granted(1)]);
    hub
}

#[test]
fn an_admission_that_was_told_waits_while_one_that_was_asked_for_may_be_undone_and_stands_then() {
    let mut hub = asked_for_by_one();
    for _ in 0..3 {
        let answer = hub.report(TWO, vec![admitted(1, 2)]).answer;
        assert_eq!((answer.deferred, answer.rejected), (vec![0], vec![]));
    }
    hub.report(ONE, vec![Event::Withdrawn(named(1))]);
    let answer = hub.report(TWO, vec![admitted(1, 2)]).answer;
    assert_eq!((answer.deferred, answer.rejected, live(&hub)), (vec![], vec![], 1));
}

#[test]
fn it_never_was_when_the_holder_that_asked_goes_on_without_undoing_its_own() {
    let mut hub = asked_for_by_one();
    assert_eq!(hub.report(TWO, vec![admitted(1, 2)]).answer.deferred, [0]);
    hub.sync(ONE, Sync::default());
    let answer = hub.report(TWO, vec![admitted(1, 2)]).answer;
    assert_eq!((answer.deferred, answer.rejected, live(&hub)), (vec![], vec![0], 1));
}

#[test]
fn the_end_of_an_admission_that_waits_is_told_after_it() {
    let mut hub = asked_for_by_one();
    let record = record(call(1, 2, Some(pins())), 0, 0);
    let both = || vec![admitted(1, 2), Event::Ended(Arc::clone(&record))];
    let answer = hub.report(TWO, both()).answer;
    assert_eq!((answer.deferred, answer.rejected), (vec![0, 1], vec![]));
    assert_eq!(hub.shard.last_record(), 0);
    hub.report(ONE, vec![Event::Withdrawn(named(1))]);
    let answer = hub.report(TWO, both()).answer;
    assert_eq!((answer.deferred, answer.rejected, live(&hub)), (vec![], vec![], 0));
    assert_eq!(hub.shard.last_record(), 1, "it is paid once");
}

#[test]
fn a_call_of_the_dead_that_was_asked_for_stands() {
    let mut hub = asked_for_by_one();
    hub.reap(TWO, ONE);
    let answer = hub.report(TWO, vec![admitted(1, 2)]).answer;
    assert_eq!((answer.deferred, answer.rejected, live(&hub)), (vec![], vec![0], 1));
}

#[test]
fn holders_together_never_pass_a_cap_and_what_ends_makes_room() {
    let mut hub = Hub::new();
    let id = CapId::outbound(organization());
    hub.shard.apply(Request::Cap { id, version: 2, most: Some(2) }, START_US);
    // Only every third call names the organization's cap.
    let decide = |hub: &mut Hub, of, number, has_unit| {
        hub.report(of, vec![wanted(number, 1, has_unit)]).answer.decided[0]
    };
    assert_eq!(decide(&mut hub, ONE, 2, false), Wanted::Granted(1));
    assert_eq!(hub.sync(TWO, wants(2, 2)).answer.wanted, [Wanted::Granted(2)]);
    assert_eq!(decide(&mut hub, TWO, 5, true), Wanted::Granted(0));
    assert_eq!(decide(&mut hub, TWO, 8, true), Wanted::Capped { position: 1, limit: 2 });
    assert_eq!(decide(&mut hub, ONE, 8, false), Wanted::Capped { position: 1, limit: 2 });
    hub.report(ONE, vec![Event::Ended(record(call(2, 1, Some(pins())), 0, 0))]);
    assert_eq!(decide(&mut hub, TWO, 8, true), Wanted::Granted(0));
    assert_eq!(hub.shard.caps().live(id), 2);
    // Memory that knows nothing learns it with the calls.
    let calls = [5, 8]
        .map(|number| Event::Admitted { call: call(number, 1, Some(pins())), lease: lease(0) });
    hub.shard = configured_shard();
    hub.begin(&[TWO], 9_000);
    let (incarnation, sync) = (hub.incarnation, Sync { events: calls.into(), ..Sync::default() });
    hub.tell(TWO, Exchange { incarnation, complete: true, sync, ..Exchange::default() });
    assert_eq!(hub.shard.caps().live(id), 2);
}

fn wants(of: u8, units: u32) -> Sync {
    let wants = vec![Want { counter: account(of), units, recalled: false }];
    Sync { wants, ..Sync::default() }
}

#[test]
fn a_cap_that_is_gone_limits_nothing_and_leaves_nothing_after_its_calls() {
    let mut hub = Hub::new();
    let id = CapId::outbound(organization());
    hub.shard.apply(Request::Cap { id, version: 2, most: Some(1) }, START_US);
    let is_granted = |reply: Reply| matches!(reply.answer.decided[0], Wanted::Granted(_));
    assert!(is_granted(hub.report(ONE, vec![wanted(2, 1, false)])));
    assert!(!is_granted(hub.report(ONE, vec![wanted(5, 1, false)])));
    hub.shard.apply(Request::CapGone { id }, START_US);
    assert!(is_granted(hub.report(ONE, vec![wanted(5, 1, false)])));
    assert!(!hub.shard.caps.by_id.is_empty());
    for number in [2, 5] {
        hub.report(ONE, vec![Event::Ended(record(call(number, 1, Some(pins())), 0, 0))]);
    }
    assert!(!hub.shard.caps.by_id.contains_key(&id));
}

#[test]
fn an_older_memorys_admission_gives_way_to_one_that_was_told_since() {
    let mut hub = asked_for_by_one();
    let old = hub.shard.clone();
    hub.report(ONE, vec![Event::Withdrawn(named(1))]);
    hub.report(TWO, vec![admitted(1, 2)]);
    hub.shard = old;
    hub.begin(&[ONE, TWO], 9_000);
    let (incarnation, complete) = (hub.incarnation, true);
    let holding = |granted| Holding { counter: account(1), granted, returned: 0, unflushed_max: 0 };
    let sync = Sync { events: vec![admitted(1, 2)], holdings: vec![holding(1)], ..Sync::default() };
    let answer =
        hub.tell(TWO, Exchange { incarnation, complete, sync, ..Exchange::default() }).answer;
    assert_eq!((answer.rejected, live(&hub)), (vec![], 1));
    // The other does not have it, or had not told its stack anything else.
    let sync = Sync { holdings: vec![holding(0)], ..Sync::default() };
    hub.tell(ONE, Exchange { incarnation, complete, sync, ..Exchange::default() });
    assert!(!hub.shard.is_learning());
    assert_eq!((live(&hub), hub.leased()), (1, 1));
}
