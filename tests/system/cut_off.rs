//! A gateway that has money of a wallet idle and is cut off: what it has cannot be moved meanwhile, and
//! nothing is lost or spent twice for that.

use serde_json::json;
use support::account::Organization;
use support::process::ORGANIZATION_KEY;
use support::relay::Relay;
use support::{Account, wait_until};

use crate::several::{SOON, Several, ask, gateway_behind, know};

#[test]
fn money_of_a_gateway_that_is_cut_off_is_not_moved_until_it_is_back_and_then_it_adds_up() {
    let several = Several::start();
    let relay = Relay::start(several.redis.port());
    let far = gateway_behind(&relay).start();
    let mut administrator = several.plane.control_plane(ORGANIZATION_KEY);
    Organization::recharge(&several.plane, "100.00").success();
    administrator.patch("/v1/organization", &json!({"recharge_policy": "transfer"})).success();
    let consolidated = Account::create(
        &mut administrator,
        &json!({
            "name": "on the organization's wallet", "billing_mode": "consolidated",
            "region": "india", "concurrency_limit": 50,
            "rate": {"per_minute": "1.00", "initial_s": 60, "increment_s": 60},
        }),
    );
    let isolated = Account::billed(&several.plane, "takes it all", 10, ("1.00", 60, 60));
    several.know(&consolidated);
    know(&far, &consolidated);
    let call = |gateway, call_id: &str| {
        assert_eq!(ask(gateway, &consolidated, call_id).0, 200);
        let nothing = json!({"call_id": call_id, "billable_s": 0});
        gateway.gateway(&consolidated.key).post("/v1/calls/release", &nothing).expect(200);
    };
    call(&far, "leaves-money-idle");
    let balances = || {
        let organization = Organization::wallet(&several.plane).balance;
        (organization / 1_000_000, isolated.wallet(&several.plane).balance / 1_000_000)
    };

    relay.cut();
    let refused = isolated.recharge(&several.plane, "100.00").expect(402);
    assert_eq!(refused["reason"], "insufficient_balance", "{refused}");
    assert_eq!(refused["required"], "100.00", "{refused}");
    let available: f64 =
        refused["available"].as_str().and_then(|text| text.parse().ok()).expect("it is said");
    assert!((1.0..100.0).contains(&available), "{refused}");
    assert_eq!(balances(), (100, 0), "nothing has moved");
    call(&several.gateways[0], "meanwhile");
    isolated.recharge(&several.plane, "10.00").success();
    assert_eq!(balances(), (90, 10), "what nobody else may have is moved");

    relay.mend();
    wait_until("the rest is moved", SOON, || {
        isolated.recharge(&several.plane, "90.00").status == 200
    });
    assert_eq!(balances(), (0, 100));
    for (number, gateway) in several.gateways.iter().chain([&far]).enumerate() {
        let (status, refused) = ask(gateway, &consolidated, &format!("later-{number}"));
        assert_eq!((status, &refused["reason"]), (402, &"insufficient_balance".into()));
        let (status, said) = ask(gateway, &isolated, &format!("paid-{number}"));
        assert_eq!(status, 200, "{said}");
    }
    far.stop();
    several.stop();
}
