//! Caps of numbers and directions at a hub that gateways share.

use hub::denial::CapOf;

use super::super::caps::{from_number, number};
use super::*;

fn is_capped(result: &Result<Grant, Refusal>) -> bool {
    matches!(result, Err(Refusal::Denied(Denial::Capped { of: CapOf::Number, .. })))
}

async fn admit_from_number(gateway: &Gateway, call_id: &str) -> Result<Grant, Refusal> {
    let (account, call) = (gateway.account(), from_number(call_id));
    answered(|| gateway.engine.admit(&account, &call, clock::now_us())).await
}

#[test]
fn gateways_count_their_calls_against_one_number_together() {
    installation(account(0, 0, Some(1_000)), None, async |hub| {
        hub.publish(Change::Resource(number(5)));
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        // Units lie at both: neither says yes alone.
        one.admit("warm").await.expect("there is room");
        two.admit("warm too").await.expect("there is room");
        for call in 0..5 {
            let gateway = if call % 2 == 0 { &one } else { &two };
            admit_from_number(gateway, &format!("c{call}")).await.expect("there is room");
        }
        for gateway in [&one, &two] {
            for attempt in 0..10 {
                let refused = admit_from_number(gateway, &format!("x{attempt}")).await;
                assert!(is_capped(&refused), "{refused:?}");
            }
        }
        let used = || [&one, &two].map(|gateway| gateway.account().slots.now().used);
        assert_eq!(used().iter().sum::<u32>(), 7, "refusals give their units back");
        two.release("c0", 0).await.expect("it is live at the other");
        admit_from_number(&two, "c5").await.expect("one has ended");
        assert!(is_capped(&admit_from_number(&one, "c6").await));
    });
}

#[test]
fn calls_count_again_after_the_hub_has_lost_its_memory() {
    installation(account(0, 0, Some(1_000)), None, async |hub| {
        hub.publish(Change::Resource(number(3)));
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        for call in 0..3 {
            admit_from_number(&one, &format!("c{call}")).await.expect("there is room");
        }
        hub.forget_everything();
        within(Duration::from_secs(5), || !hub.shard.lock().is_learning()).await;
        assert!(is_capped(&admit_from_number(&two, "d").await));
        one.release("c1", 0).await.expect("it is live");
        admit_from_number(&two, "d").await.expect("one has ended");
    });
}

#[test]
fn calls_of_a_killed_gateway_count_until_their_lease_is_over() {
    installation(account(0, 0, Some(1_000)), None, async |hub| {
        hub.publish(Change::Resource(number(2)));
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        for call in 0..2 {
            admit_from_number(&one, &format!("c{call}")).await.expect("there is room");
        }
        one.kill();
        assert!(admit_from_number(&two, "d").await.is_err(), "both may go on");
        let end = Instant::now() + Duration::from_secs(15);
        while admit_from_number(&two, "d").await.is_err() {
            assert!(Instant::now() < end, "the cap does not come back");
            sleep(Duration::from_millis(100)).await;
        }
    });
}

#[test]
fn an_account_that_is_open_without_the_hub_is_closed_for_calls_with_a_cap() {
    let config = AccountConfig { on_hub_loss: OnHubLoss::Open, ..account(0, 0, Some(10)) };
    installation(config, None, async |hub| {
        hub.publish(Change::Resource(number(5)));
        let one = Gateway::start(&hub).await;
        one.admit("warm").await.expect("there is room");
        hub.is_down.store(true, Ordering::Relaxed);
        hub.may_exceed.store(true, Ordering::Relaxed);
        within(Duration::from_secs(3), || one.engine.admits(organization().shard()).is_err()).await;
        let refused = admit_from_number(&one, "c").await;
        let unavailable = Denial::from(Reason::HubUnavailable);
        assert!(matches!(refused, Err(Refusal::Denied(denial)) if denial == unavailable));
        one.admit("plain").await.expect("open for others");
    });
}
