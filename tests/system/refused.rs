//! What was refused at gateways is in the usage at control planes, also after a stop.

use serde_json::{Value, json};
use support::account::admit;
use support::process::ORGANIZATION_KEY;
use support::{Account, Running, wait_until};

use crate::installation;
use crate::several::{SOON, Several, ask};

/// Refused for slots so far, as the organization sees it: tries and calls.
fn refused(plane: &Running, account: &Account) -> (Value, Value) {
    let mut organization = plane.control_plane(ORGANIZATION_KEY);
    let path = format!("/v1/sub-accounts/{}/usage", account.id);
    let denials = organization.get(&path).expect(200)["denials"]["no_slot"].clone();
    let demand = organization.get(&format!("{path}/refused-demand")).expect(200);
    (denials, demand["refused_calls"].clone())
}

#[test]
fn refused_admits_are_in_the_usage_soon_and_those_before_a_stop_after_it() {
    let installation = installation();
    let running = installation.start();
    let account = Account::limited(&running, "refused", 1);
    let mut stack = running.gateway(&account.key);
    stack.post("/v1/calls/admit", &admit("live")).expect(200);
    for call_id in ["a", "a", "b"] {
        stack.post("/v1/calls/admit", &admit(call_id)).expect(409);
    }
    wait_until("they are in the usage", SOON, || {
        refused(&running, &account) == (json!(3), json!(2))
    });
    stack.post("/v1/calls/admit", &admit("c")).expect(409);
    running.stop();
    let running = installation.start();
    assert_eq!(refused(&running, &account), (json!(4), json!(3)));
    running.stop();
}

#[test]
fn refusals_of_several_gateways_add_up_and_one_that_stops_tells_its_last() {
    let mut several = Several::start();
    let account = several.limited(1);
    // The leases of this installation are short, and this call is to outlive the test.
    let live = json!({"call_id": "live", "lease_s": 600});
    wait_until("the call is admitted", SOON, || {
        several.gateways[0].gateway(&account.key).post("/v1/calls/admit", &live).status == 200
    });
    for gateway in &several.gateways {
        assert_eq!(ask(gateway, &account, "a").0, 409);
    }
    let counted = |several: &Several, tries: i64, calls: i64| {
        wait_until("they are in the usage", SOON, || {
            refused(&several.plane, &account) == (json!(tries), json!(calls))
        });
    };
    // One call that is tried at two gateways is told by both.
    counted(&several, 2, 2);
    // A gateway that stops tells what it has.
    let gateway = several.gateways.pop().expect("two");
    assert_eq!(ask(&gateway, &account, "b").0, 409);
    gateway.stop();
    counted(&several, 3, 3);
    several.stop();
}
