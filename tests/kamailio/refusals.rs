//! Calls that are refused: the caller hears the SIP code of the denial, and no slot is kept.

use std::time::Duration;

use support::process::ORGANIZATION_KEY;
use support::{Account, wait_until};

use crate::sipp::{Callers, Sipp};
use crate::{SOON, installation, proxy, wait_until_idle};

const SHORT: Duration = Duration::from_millis(200);

#[test]
fn a_call_above_the_limit_is_refused_with_486_and_the_next_after_a_hang_up_is_not() {
    let running = installation().start();
    let account = Account::limited(&running, "two", 2);
    let carrier = Sipp::callee("callee_answers");
    let proxy = proxy(&running, &account, &carrier);

    let talking = Callers { calls: 2, talk: Duration::from_secs(3), ..Callers::default() }
        .call(proxy.address);
    wait_until("two calls are up", SOON, || talking.count("answered") == 2);
    assert_eq!(account.in_use(&running), 2);
    let refused = Callers { talk: SHORT, ..Callers::default() }.call(proxy.address).finish();
    assert_eq!(refused, ["refused 486 retry_after= 1 warning= 399 ringfence \"no_slot\""]);

    assert_eq!(talking.finish().len(), 4, "both went on undisturbed");
    wait_until_idle(&running, &account, SOON);
    let admitted = Callers { talk: SHORT, ..Callers::default() }.call(proxy.address).finish();
    assert_eq!(admitted, ["answered", "hung up"]);
    wait_until_idle(&running, &account, SOON);
}

#[test]
fn a_call_on_an_empty_wallet_is_refused_with_402() {
    let running = installation().start();
    let account = Account::billed(&running, "empty", 10, ("1.20", 60, 60));
    let carrier = Sipp::callee("callee_answers");
    let proxy = proxy(&running, &account, &carrier);
    let refused = Callers { talk: SHORT, ..Callers::default() }.call(proxy.address).finish();
    assert!(refused[0].starts_with("refused 402 "), "{refused:?}");
    assert!(refused[0].ends_with("\"insufficient_balance\""), "{refused:?}");
    assert_eq!(account.in_use(&running), 0);
    assert!(carrier.log().is_empty(), "nobody was called");
}

#[test]
fn a_call_of_a_suspended_account_is_refused_with_403() {
    let running = installation().start();
    let account = Account::limited(&running, "suspended", 10);
    let carrier = Sipp::callee("callee_answers");
    let proxy = proxy(&running, &account, &carrier);
    let admitted = Callers { talk: SHORT, ..Callers::default() }.call(proxy.address).finish();
    assert_eq!(admitted, ["answered", "hung up"]);

    let path = format!("/v1/sub-accounts/{}/suspend", account.id);
    running.control_plane(ORGANIZATION_KEY).post(&path, &serde_json::json!({})).expect(200);
    wait_until("the suspension is in force", SOON, || {
        let heard = Callers { talk: SHORT, ..Callers::default() }.call(proxy.address).finish();
        heard[0].starts_with("refused 403 ") && heard[0].ends_with("\"suspended\"")
    });
    wait_until_idle(&running, &account, SOON);
}

#[test]
fn a_stranger_is_refused_without_asking() {
    let running = installation().start();
    let account = Account::limited(&running, "stranger", 10);
    let carrier = Sipp::callee("callee_answers");
    let proxy = proxy(&running, &account, &carrier);
    let stranger = Callers { from: "127.0.0.3", ..Callers::default() }.call(proxy.address);
    assert_eq!(stranger.finish(), ["refused 403 retry_after= warning="]);
    assert_eq!(carrier.log().len(), 0);
}
