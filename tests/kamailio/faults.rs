//! What breaks under live calls: Ringfence away, the proxy killed.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use support::{Account, now, wait_until};

use crate::proxy::{Proxy, Settings};
use crate::sipp::{Callers, Sipp};
use crate::{SOON, installation, look_up, proxy, wait_until_idle};

#[test]
fn without_ringfence_new_calls_get_503_and_ends_of_calls_are_told_when_it_is_back() {
    let installation = installation();
    let running = installation.start();
    let account = Account::limited(&running, "away", 10);
    let carrier = Sipp::callee("callee_answers");
    let proxy = proxy(&running, &account, &carrier);
    let talking = Callers { calls: 3, talk: Duration::from_secs(2), ..Callers::default() }
        .call(proxy.address);
    let call_id = talking.call_id(1);
    wait_until("three calls are up", SOON, || talking.count("answered") == 3);

    let gateway = running.gateway.to_string();
    running.kill();
    let refused = Callers::default().call(proxy.address).finish();
    assert_eq!(refused, ["refused 503 retry_after= 5 warning= 399 ringfence \"unreachable\""]);
    assert_eq!(talking.finish().len(), 6, "live calls go on and end as they like");
    let log = proxy.log();
    assert!(log.contains("no answer to admit") && !log.contains(&account.key), "{log}");

    let running = installation.set("RINGFENCE_GATEWAY_LISTEN", &gateway).start();
    wait_until_idle(&running, &account, SOON);
    let receipt = look_up(&running, &account, &call_id);
    assert_eq!((&receipt["outcome"], &receipt["cause"]), (&"completed".into(), &"release".into()));
    // From its answer to when the end was told: however long the start took, but not for ever.
    let billable_s = receipt["billable_s"].as_u64();
    assert!(billable_s.is_some_and(|seconds| (1..=SOON.as_secs()).contains(&seconds)), "{receipt}");
}

#[test]
fn a_gateway_that_hangs_refuses_within_seconds_and_keeps_no_slot_once_it_goes_on() {
    let lease_s = 6;
    let running = installation().set("RINGFENCE_CALL_LEASE_S", &lease_s.to_string()).start();
    let account = Account::limited(&running, "hangs", 10);
    let carrier = Sipp::callee("callee_answers");
    let proxy = proxy(&running, &account, &carrier);
    let ringfence = Pid::from_raw(running.pid().cast_signed()).expect("a process has an id");
    kill_process(ringfence, Signal::STOP).expect("it runs");
    let from = now();
    let refused = Callers { calls: 5, ..Callers::default() }.call(proxy.address).finish();
    let waited = Duration::from_nanos(now() - from);
    kill_process(ringfence, Signal::CONT).expect("it runs");
    assert!(refused.iter().all(|heard| heard.starts_with("refused 503 ")), "{refused:?}");
    assert_eq!(refused.len(), 5);
    assert!(waited < SOON, "{waited:?}");
    // It may have admitted them after all: released by an event, or by the end of the lease.
    wait_until_idle(&running, &account, Duration::from_secs(lease_s + 2));
    let admitted = Callers::default().call(proxy.address).finish();
    assert_eq!(admitted, ["answered", "hung up"]);
}

/// More than one batch of renewals.
const CALLS: u32 = 100;

#[test]
fn slots_of_a_killed_proxy_are_back_within_the_lease() {
    let lease_s = 6;
    let running = installation().set("RINGFENCE_CALL_LEASE_S", &lease_s.to_string()).start();
    let account = Account::limited(&running, "killed", CALLS);
    let carrier = Sipp::callee("callee_answers");
    let settings = Settings::new(running.gateway, &account.key, carrier.port);
    let proxy = Proxy::start(settings.set("RENEW_EVERY_S", "2"));
    let talking =
        Callers { scenario: "caller_waits", calls: CALLS, per_second: 60, ..Callers::default() }
            .call(proxy.address);
    let call_id = talking.call_id(1);
    wait_until("all calls are up", SOON, || talking.count("answered") == CALLS as usize);
    // Longer than the lease: only renewals keep them.
    support::pause(Duration::from_secs(lease_s + 2));
    assert_eq!(account.in_use(&running), u64::from(CALLS), "renewed calls keep their slots");

    proxy.kill();
    assert_eq!(account.in_use(&running), u64::from(CALLS));
    wait_until_idle(&running, &account, Duration::from_secs(lease_s + 2));
    assert_eq!(look_up(&running, &account, &call_id)["cause"], "expiry");
}

#[test]
fn an_operator_may_let_calls_through_while_ringfence_is_away() {
    let running = installation().start();
    let account = Account::limited(&running, "open", 10);
    let carrier = Sipp::callee("callee_answers");
    let settings = Settings::new(running.gateway, &account.key, carrier.port);
    let settings = settings.enable("ADMIT_WHEN_UNREACHABLE").set("UNREACHABLE_CALL_MAX_S", "2");
    let proxy = Proxy::start(settings);
    running.kill();
    let through = Callers { scenario: "caller_waits", ..Callers::default() }.call(proxy.address);
    assert_eq!(through.finish(), ["answered", "was hung up"], "not for longer than configured");
}

#[test]
fn a_side_that_dies_without_a_bye_frees_its_slot_and_the_other_side() {
    let running = installation().start();
    let account = Account::limited(&running, "dies", 10);
    let carrier = Sipp::callee("callee_answers");
    let settings = Settings::new(running.gateway, &account.key, carrier.port);
    // Kamailio asks every 30 s at the most; the rest is a question's time-out and a last grace.
    let proxy = Proxy::start(settings.set("KEEPALIVE_FAILURES", "1"));
    let dying = Callers { scenario: "caller_waits", ..Callers::default() }.call(proxy.address);
    wait_until("the call is up", SOON, || dying.count("answered") == 1);
    drop(dying);
    wait_until_idle(&running, &account, Duration::from_secs(75));
    wait_until("the other side is hung up", SOON, || carrier.count("was hung up") == 1);
}
