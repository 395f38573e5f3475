//! Ends of calls on both sides of the flush: first this gateway knows of them, then the hub does.

use super::*;

impl World {
    fn release_unflushed(&self, call_id: &str, billable_s: Option<u32>) -> CallView {
        let release = Release { call_id, token: None, outcome: None, billable_s, costs: None };
        done(self.engine.release(&self.account(0), &release, clock::now_us())).expect("known")
    }

    /// Whether this gateway itself knows of the call.
    fn keeps(&self, call_id: &str) -> bool {
        self.engine.calls.place(sub_account(0), call_id.as_bytes()).find().is_some()
    }

    fn record_of(&self, call_id: &str) -> triomphe::Arc<Record> {
        match done(self.engine.look_up(&self.account(0), call_id)).expect("known") {
            CallView::Ended(record) => record,
            CallView::Live(live) => panic!("{live:?} is live"),
        }
    }
}

fn billed_world() -> World {
    let world =
        World::new(2, &[AccountConfig { pricing: Some(flat(60, 60)), ..account(0, 2, Some(2)) }]);
    world.publish(wallet(sub_account(0), "100", 1));
    world
}

#[test]
fn an_ended_call_is_answered_alike_before_and_after_its_record_is_flushed() {
    let world = billed_world();
    world.admit(0, "call").expect("a slot");
    world.release_unflushed("call", Some(10));
    let first = world.record_of("call");
    for flushed in [false, true] {
        assert_eq!(world.keeps("call"), !flushed);
        assert_eq!(world.record_of("call"), first);
        assert_eq!(cost(&world.release_unflushed("call", Some(99))), amount("1.2"));
        let renew = Renew { call_id: "call", token: None, requested_s: None };
        let ended =
            |refusal| matches!(refusal, Refusal::Ended(CallView::Ended(record)) if record == first);
        assert!(
            done(world.engine.renew(&world.account(0), &renew, clock::now_us())).is_err_and(ended)
        );
        assert!(
            done(world.engine.answer(&world.account(0), "call", clock::now_us())).is_err_and(ended)
        );
        // Flushes.
        assert!(world.admit(0, "call").is_err_and(ended));
    }
    assert_eq!((world.free(0), world.hub.last_record(organization().shard())), (amount("98.8"), 1));
}

#[test]
fn a_correction_is_kept_until_it_is_flushed_itself() {
    let world = billed_world();
    world.admit(0, "call").expect("a slot");
    let expire = || {
        let place =
            world.engine.calls.place(sub_account(0), b"call").find().map(|e| e.call().clone());
        world.engine.end(&place.expect("live"), Cause::Expiry, clock::now_us())
    };
    assert!(expire());
    // The expiry is not flushed yet: both records go with one flush.
    assert_eq!(cost(&world.release_unflushed("call", Some(61))), amount("2.4"));
    assert!(!expire());
    world.engine.flush().expect("recorded");
    assert!(!world.keeps("call"));
    let corrected = world.record_of("call");
    assert_eq!((corrected.revision, corrected.cause), (1, Cause::Release));
    assert_eq!(cost(&world.release_unflushed("call", Some(1))), amount("2.4"));
    assert_eq!((world.free(0), world.hub.last_record(organization().shard())), (amount("97.6"), 2));
}

#[test]
fn what_was_corrected_since_is_not_forgotten_with_the_record_before() {
    let world = billed_world();
    world.admit(0, "call").expect("a slot");
    let mut place = world.engine.calls.place(sub_account(0), b"call");
    let call = place.find().expect("live").call().clone();
    drop(place);
    assert!(world.engine.end(&call, Cause::Expiry, clock::now_us()));
    let expired = world.record_of("call");
    let place = world.engine.calls.place(sub_account(0), b"call");
    let flushed = place.flushed(&expired);
    drop(place);
    world.release_unflushed("call", Some(61));
    world.engine.calls.forget(flushed);
    assert!(world.keeps("call"), "the hub has not heard of the correction");
}

#[test]
fn a_call_that_is_to_end_is_not_renewed_and_lapses_unless_its_account_is_reactivated() {
    let directory = tempfile::tempdir().expect("a directory");
    let priced = AccountConfig { pricing: Some(flat(1, 1)), ..account(0, 1, Some(1)) };
    let settings = Settings { call_lease_s: 1, ..Settings::default() };
    let world = World::open(directory, 9, std::slice::from_ref(&priced), settings);
    world.publish(wallet(sub_account(0), "100", 1));
    world.admit(0, "call").expect("a slot");
    let set = |version, status| {
        world.publish(Change::Account(AccountConfig { version, status, ..priced.clone() }));
    };
    let renew = || {
        let renew = Renew { call_id: "call", token: None, requested_s: None };
        done(world.engine.renew(&world.account(0), &renew, clock::now_us()))
    };
    set(2, Status::Suspended);
    renew().expect("live calls go on");
    set(3, Status::Ending);
    assert!(matches!(renew(), Err(Refusal::Ended(CallView::Live(_)))));
    let list = Reconcile { source: "", live: vec!["call"], complete: false };
    let listed = done(world.engine.reconcile(&world.account(0), &list)).expect("recorded");
    assert_eq!((listed.renewed, listed.unknown), (0, 1));
    set(4, Status::Active);
    renew().expect("reactivated");
    set(5, Status::Ending);
    let held = world.free(0);
    assert!(held < amount("100"), "slot and hold count until the deadline");
    let lapsed = || {
        world.engine.expire();
        let view = done(world.engine.look_up(&world.account(0), "call")).expect("remembered");
        matches!(view, CallView::Ended(record) if record.cause == Cause::Suspended)
    };
    while !lapsed() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(world.free(0), amount("100"));
    assert_eq!(cost(&world.release(0, "call", Some(50))), amount("1"), "its one correction");
}
