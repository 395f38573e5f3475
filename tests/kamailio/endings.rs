//! How calls end: each way releases the slot once, with its outcome and what it costs.

use std::time::Duration;

use support::account::micros;
use support::{Account, Installation, Running, now, pause, wait_until};

use crate::packet;
use crate::proxy::{CARRIER, ENGINE, Proxy, Settings};
use crate::sipp::{CALLED, CALLING, Callers, Sipp};
use crate::{SOON, installation, look_up, proxy, wait_until_idle};

/// One unit of money per second, charged by the second.
const BY_THE_SECOND: (&str, u32, u32) = ("60", 1, 1);

/// An account by the second with this balance.
fn prepaid(installation: &Installation, balance: &str) -> (Running, Account) {
    let running = installation.start();
    let account = Account::billed(&running, "prepaid", 10, BY_THE_SECOND);
    account.recharge(&running, balance).success();
    (running, account)
}

#[test]
fn a_call_that_hangs_up_is_charged_for_its_seconds() {
    let (running, account) = prepaid(&installation(), "1000");
    let carrier = Sipp::callee("callee_answers");
    let proxy = proxy(&running, &account, &carrier);
    let caller = Callers { talk: Duration::from_secs(2), ..Callers::default() }.call(proxy.address);
    let call_id = caller.call_id(1);
    wait_until("the call is up", SOON, || caller.count("answered") == 1);
    let live = look_up(&running, &account, &call_id);
    assert_eq!(live["state"], "live");
    assert_eq!((&live["from"], &live["to"]), (&CALLING.into(), &CALLED.into()));
    assert_eq!((&live["direction"], &live["source"]), (&"outbound".into(), &"kamailio-1".into()));
    caller.finish();
    wait_until_idle(&running, &account, SOON);

    let receipt = look_up(&running, &account, &call_id);
    assert_eq!((&receipt["outcome"], &receipt["cause"]), (&"completed".into(), &"release".into()));
    let billable_s = receipt["billable_s"].as_i64().expect("a number");
    assert!((2..=3).contains(&billable_s), "{receipt}");
    let cost = micros(receipt["cost"].as_str().expect("a decimal"));
    assert_eq!(cost, billable_s * 1_000_000, "{receipt}");
    let wallet = account.wallet(&running);
    assert_eq!((wallet.balance, wallet.held), (1_000_000_000 - cost, 0));
}

#[test]
fn a_call_canceled_while_it_rings_costs_nothing() {
    let (running, account) = prepaid(&installation(), "1000");
    let carrier = Sipp::callee("callee_rings");
    let proxy = proxy(&running, &account, &carrier);
    let caller =
        Callers { scenario: "caller_cancels", talk: Duration::from_secs(1), ..Callers::default() }
            .call(proxy.address);
    let call_id = caller.call_id(1);
    wait_until("it holds a slot while it rings", SOON, || account.in_use(&running) == 1);
    assert_eq!(caller.finish(), ["canceled"]);
    wait_until_idle(&running, &account, SOON);
    let receipt = look_up(&running, &account, &call_id);
    assert_eq!((&receipt["outcome"], &receipt["billable_s"]), (&"canceled".into(), &0.into()));
    let wallet = account.wallet(&running);
    assert_eq!((wallet.balance, wallet.held), (1_000_000_000, 0));
}

#[test]
fn a_call_to_a_busy_number_or_to_nobody_is_released_with_that_outcome() {
    let running = installation().start();
    let account = Account::limited(&running, "busy", 10);
    let carrier = Sipp::callee("callee_is_busy");
    let proxy = proxy(&running, &account, &carrier);
    let caller = Callers::default().call(proxy.address);
    let busy = caller.call_id(1);
    assert_eq!(caller.finish(), ["refused 486 retry_after= warning="], "the carrier's own refusal");
    wait_until_idle(&running, &account, SOON);
    assert_eq!(look_up(&running, &account, &busy)["outcome"], "busy");

    drop(carrier);
    let caller = Callers::default().call(proxy.address);
    let nobody = caller.call_id(1);
    assert_eq!(caller.finish(), ["timed out"]);
    wait_until_idle(&running, &account, SOON);
    assert_eq!(look_up(&running, &account, &nobody)["outcome"], "failed");
}

#[test]
fn the_balance_ends_a_call_at_the_granted_second_on_both_sides() {
    let (running, account) = prepaid(&installation(), "3");
    let carrier = Sipp::callee("callee_answers");
    let proxy = proxy(&running, &account, &carrier);
    let began = now();
    let caller = Callers { scenario: "caller_waits", ..Callers::default() }.call(proxy.address);
    let call_id = caller.call_id(1);
    wait_until("the call is up", SOON, || caller.count("answered") == 1);
    assert_eq!(account.wallet(&running).available, 0, "all of it is held");
    wait_until("the caller is hung up", SOON, || caller.count("was hung up") == 1);
    // Its timer of dialogs ticks once a second, so by up to one second too early or too late.
    let lasted = Duration::from_nanos(now() - began);
    assert!(lasted >= Duration::from_secs(2), "hung up after {lasted:?}");
    wait_until("the carrier is hung up", SOON, || carrier.count("was hung up") == 1);
    caller.finish();
    wait_until_idle(&running, &account, SOON);
    let receipt = look_up(&running, &account, &call_id);
    assert_eq!((&receipt["outcome"], &receipt["billable_s"]), (&"completed".into(), &3.into()));
    let wallet = account.wallet(&running);
    assert_eq!((wallet.balance, wallet.held), (0, 0));
}

#[test]
fn a_renewed_call_outlasts_its_first_grant() {
    let (running, account) = prepaid(&installation().set("RINGFENCE_GRANT_MAX_S", "4"), "1000");
    let carrier = Sipp::callee("callee_answers");
    let settings = Settings::new(running.gateway, &account.key, carrier.port);
    let proxy = Proxy::start(settings.set("RENEW_EVERY_S", "1"));
    let caller = Callers { talk: Duration::from_secs(7), ..Callers::default() }.call(proxy.address);
    let call_id = caller.call_id(1);
    assert_eq!(caller.finish(), ["answered", "hung up"], "it hung up itself");
    wait_until_idle(&running, &account, SOON);
    let billable_s = look_up(&running, &account, &call_id)["billable_s"].as_i64();
    assert!(billable_s.is_some_and(|seconds| (7..=8).contains(&seconds)), "{billable_s:?}");
}

#[test]
fn a_call_that_ringfence_has_ended_is_hung_up_on_both_sides() {
    let running = installation().start();
    let account = Account::limited(&running, "ended", 10);
    let carrier = Sipp::callee("callee_answers");
    let settings = Settings::new(running.gateway, &account.key, carrier.port);
    let proxy = Proxy::start(settings.set("RENEW_EVERY_S", "1"));
    let caller = Callers { scenario: "caller_waits", ..Callers::default() }.call(proxy.address);
    let call_id = caller.call_id(1);
    wait_until("the call is up", SOON, || caller.count("answered") == 1);
    let mut operator = running.gateway(&account.key);
    operator.post("/v1/calls/release", &support::account::release(&call_id)).expect(200);
    assert_eq!(caller.finish(), ["answered", "was hung up"]);
    wait_until("the carrier is hung up", SOON, || carrier.count("was hung up") == 1);
}

#[test]
fn an_invite_that_arrives_four_times_takes_one_slot() {
    let running = installation().start();
    let account = Account::limited(&running, "repeated", 10);
    let carrier = Sipp::callee("callee_rings");
    let proxy = proxy(&running, &account, &carrier);
    let caller = packet::Caller::new(proxy.address, "repeated@engine");
    for _ in 0..4 {
        caller.invite(1);
    }
    wait_until("it is admitted", SOON, || account.in_use(&running) > 0);
    pause(Duration::from_millis(500));
    assert_eq!(account.in_use(&running), 1);
    caller.cancel(1);
    wait_until_idle(&running, &account, SOON);
    assert_eq!(look_up(&running, &account, "repeated@engine;tag;1")["outcome"], "canceled");
}

#[test]
fn a_new_attempt_of_the_same_call_is_another_call_and_a_long_name_is_hashed() {
    let running = installation().start();
    let account = Account::limited(&running, "named", 10);
    let carrier = Sipp::callee("callee_rings");
    let proxy = proxy(&running, &account, &carrier);
    let caller = packet::Caller::new(proxy.address, "same/name@engine");
    let long = packet::Caller::new(proxy.address, &format!("{}@engine", "x".repeat(200)));
    for attempt in [1, 2] {
        caller.invite(attempt);
        wait_until("it rings", SOON, || account.in_use(&running) == 1);
        caller.cancel(attempt);
        wait_until_idle(&running, &account, SOON);
        let name = format!("same%2Fname@engine;tag;{attempt}");
        assert_eq!(look_up(&running, &account, &name)["outcome"], "canceled");
    }
    long.invite(1);
    wait_until("it rings", SOON, || account.in_use(&running) == 1);
    // sha256 of 200 times "x", then "@engine;tag;1".
    let hashed = "8a6dcaeb86025f0ea6aba594aa2156777a0f7145c609b1cb3cfaacd98e76fdaa";
    assert_eq!(look_up(&running, &account, hashed)["state"], "live");
    long.cancel(1);
    wait_until_idle(&running, &account, SOON);
}

#[test]
fn an_inbound_call_reaches_the_engine_and_is_told_as_inbound() {
    let running = installation().start();
    let account = Account::limited(&running, "inbound", 10);
    let (engine, carrier) =
        (Sipp::callee_at(ENGINE, "callee_answers"), Sipp::callee("callee_answers"));
    let settings = Settings::new(running.gateway, &account.key, carrier.port);
    let proxy = Proxy::start(settings.set("ENGINE_ADDRESS", &format!("{ENGINE}:{}", engine.port)));
    let caller = Callers { from: CARRIER, ..Callers::default() }.call(proxy.address);
    let call_id = caller.call_id(1);
    assert_eq!(caller.finish(), ["answered", "hung up"]);
    wait_until_idle(&running, &account, SOON);
    assert_eq!(look_up(&running, &account, &call_id)["direction"], "inbound");
    assert_eq!((engine.count("was hung up"), carrier.log().len()), (1, 0));
}
