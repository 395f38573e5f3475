//! What stacks see that ask several gateways of one installation.

use std::time::Duration;

use super::*;

#[test]
fn two_gateways_share_a_limit_and_refuse_only_what_is_beyond_it() {
    installation(account(0, 0, Some(10)), None, async |hub| {
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        for call in 0..10 {
            let gateway = if call % 2 == 0 { &one } else { &two };
            gateway.admit(&format!("c{call}")).await.expect("there is room");
        }
        assert!(is_no_slot(&one.admit("more").await));
        assert!(is_no_slot(&two.admit("more").await));
        one.release("c0", 0).await.expect("it is live here");
        two.admit("next").await.expect("the slot is free for everybody");
        assert!(is_no_slot(&one.admit("more").await));
    });
}

#[test]
fn many_admits_at_once_are_admitted_up_to_the_limit_exactly() {
    for cap in [1, 7, 100, 400] {
        installation(account(0, 0, Some(cap)), None, async |hub| {
            let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
            let mut tasks = Vec::new();
            for call in 0..cap + 50 {
                let gateway = if call % 2 == 0 { &one } else { &two };
                let engine = Arc::clone(&gateway.engine);
                tasks.push(tokio::task::spawn_local(async move {
                    admit(&engine, &format!("c{call}")).await
                }));
            }
            let (mut admitted, mut refused) = (0, 0);
            for task in tasks {
                match task.await.expect("no panic") {
                    Ok(_) => admitted += 1,
                    refusal if is_no_slot(&refusal) => refused += 1,
                    refusal => panic!("{refusal:?}"),
                }
            }
            assert_eq!((admitted, refused), (cap, 50));
        });
    }
}

#[test]
fn a_call_is_answered_renewed_and_released_at_any_gateway() {
    let config = AccountConfig { pricing: Some(flat(60, 1)), ..account(0, 0, Some(10)) };
    installation(config, Some("100"), async |hub| {
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        one.admit("call").await.expect("there is room");
        let account = two.account();
        two.engine.answer(&account, "call", clock::now_us()).await.expect("it is live");
        let renewed = two.renew("call").await.expect("it is live");
        assert!(renewed.lease.answered.is_some());
        let seen = two.engine.look_up(&account, "call").await.expect("it is known");
        assert!(matches!(seen, CallView::Live(_)));
        assert_eq!(cost_of(two.release("call", 61).await), amount("1.22"));
        assert_eq!(cost_of(one.release("call", 5).await), amount("1.22"));
        assert_eq!(cost_of(two.release("call", 5).await), amount("1.22"));
        assert!(matches!(two.renew("call").await, Err(Refusal::Ended(_))));
        assert!(
            two.release("unheard-of", 5).await.is_err_and(|it| it.reason() == Reason::UnknownCall)
        );
    });
}

#[test]
fn one_name_is_one_call_wherever_it_is_admitted() {
    installation(account(0, 0, Some(4)), None, async |hub| {
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        let first = one.admit("same").await.expect("there is room");
        let second = two.admit("same").await.expect("it is live already");
        assert!(second.duplicate);
        assert_eq!(first.call.facts(), second.call.facts());
        for other in ["b", "c", "d"] {
            two.admit(other).await.expect("the name took one slot only");
        }
        assert!(is_no_slot(&two.admit("e").await));
    });
}

#[test]
fn a_name_admitted_at_two_gateways_at_once_is_one_call_and_either_token_proves_it() {
    installation(account(0, 0, Some(1_000)), None, async |hub| {
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        one.leases_ahead("first").await;
        two.leases_ahead("second").await;
        let live = || hub.shard.lock().counters().live(sub_account(0));
        for (name, at) in [("a", &one), ("b", &two)] {
            let (first, second) = tokio::join!(one.admit(name), two.admit(name));
            let (first, second) = (first.expect("from memory"), second.expect("from memory"));
            assert!(!first.duplicate && !second.duplicate, "neither knows of the other");
            at.engine.answer(&at.account(), name, clock::now_us()).await.expect("it is live");
            within(Duration::from_secs(5), || live() == 5 && !(one.has(name) && two.has(name)))
                .await;
            for (gateway, grant) in [(&one, &second), (&two, &first)] {
                let token = gateway.engine.token(grant);
                let renewed = gateway.renew_by(name, Some(token.as_str())).await;
                assert!(renewed.expect("it is its call").lease.answered.is_some(), "{name}");
            }
            let token = two.engine.token(&second);
            two.release_by(name, Some(token.as_str()), 0).await.expect("it is its call");
            within(Duration::from_secs(5), || live() == 4).await;
        }
    });
}

#[test]
fn a_call_that_one_gateway_is_about_to_undo_is_not_told_by_another() {
    // So few that the hub decides each.
    installation(account(0, 0, Some(4)), None, async |hub| {
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        for attempt in 0..60_u64 {
            let name = format!("c{attempt}");
            let (engine, call_id) = (Arc::clone(&one.engine), name.clone());
            let first = tokio::task::spawn_local(async move { admit(&engine, &call_id).await });
            sleep(Duration::from_micros(attempt * 20)).await;
            // Its stack has gone elsewhere.
            first.abort();
            two.admit(&name).await.expect("there is room");
            sleep(Duration::from_millis(8)).await;
            two.release(&name, 0).await.expect("it is live");
        }
    });
}

#[test]
fn a_rate_of_calls_is_divided_among_the_gateways_that_there_are() {
    let config = AccountConfig { cps_limit: Some(2), ..account(0, 0, Some(100)) };
    installation(config, None, async |hub| {
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        let gateways = || one.engine.gateways(one.account().organization.shard).get();
        within(Duration::from_secs(5), || gateways() == 2).await;
        let is_limited = |refusal: &Refusal| {
            matches!(refusal, Refusal::Denied(Denial::RateLimited { limit: 2, .. }))
        };
        let refusals = async |gateway: &Gateway| {
            let mut refused = 0;
            for call in 0..50 {
                let answer = gateway.admit(&format!("{call}")).await;
                refused += u32::from(answer.is_err_and(|refusal| is_limited(&refusal)));
            }
            refused
        };
        assert!(refusals(&one).await > 0, "its part is one call per second");
        two.leave().await;
        within(Duration::from_secs(5), || gateways() == 1).await;
    });
}

#[test]
fn two_gateways_spend_a_wallet_to_its_last_call_and_never_beyond() {
    // Each call holds one minute of 1.20.
    let config = AccountConfig {
        pricing: Some(flat(60, 60)),
        duration_max_s: Some(60),
        ..account(0, 0, Some(1_000))
    };
    installation(config, Some("24.5"), async |hub| {
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        let mut admitted = Vec::new();
        let mut refused = 0;
        for call in 0..30 {
            let (gateway, call_id) = (if call % 2 == 0 { &one } else { &two }, format!("c{call}"));
            match gateway.admit(&call_id).await {
                Ok(_) => admitted.push(call_id),
                Err(Refusal::Denied(Denial::InsufficientBalance { .. })) => refused += 1,
                Err(refusal) => panic!("{refusal:?}"),
            }
        }
        assert_eq!((admitted.len(), refused), (20, 10));
        for call_id in &admitted {
            assert_eq!(cost_of(two.release(call_id, 60).await), amount("1.2"));
        }
        within(Duration::from_secs(5), || {
            let shard = hub.shard.lock();
            let wallets = shard.wallets();
            wallets.used(sub_account(0)).spent == amount("24")
                && wallets.used(sub_account(0)).held == amount("0")
        })
        .await;
        assert!(one.admit("more").await.is_err());
    });
}

#[test]
fn a_gateway_that_leaves_gives_all_back_and_its_calls_go_on_elsewhere() {
    let config = AccountConfig { pricing: Some(flat(60, 60)), ..account(0, 0, Some(20)) };
    installation(config, Some("1000"), async |hub| {
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        for call in 0..5 {
            one.admit(&format!("c{call}")).await.expect("there is room");
        }
        one.leave().await;
        let began = Instant::now();
        for call in 5..20 {
            two.admit(&format!("c{call}")).await.expect("what lay idle is free");
        }
        assert!(is_no_slot(&two.admit("more").await));
        two.renew("c0").await.expect("it goes on here");
        assert_eq!(cost_of(two.release("c0", 60).await), amount("1.2"));
        assert_eq!(cost_of(two.release("c1", 60).await), amount("1.2"));
        two.admit("c20").await.expect("one slot is back");
        two.admit("c21").await.expect("another is");
        assert!(began.elapsed() < Duration::from_secs(3), "nothing waited for a lease");
    });
}

#[test]
fn slots_of_a_killed_gateway_come_back() {
    installation(account(0, 0, Some(40)), None, async |hub| {
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        for call in 0..5 {
            one.admit(&format!("c{call}")).await.expect("there is room");
        }
        two.admit("own").await.expect("there is room");
        // What it answered is at the hub.
        within(Duration::from_secs(1), || hub.shard.lock().counters().live(sub_account(0)) == 6)
            .await;
        one.kill();
        let (mut call, mut renewed) = (0, Instant::now());
        let end = renewed + Duration::from_secs(20);
        // Until all the slots are in use here, calls of the dead among them ended by their lease.
        while two.account().slots.now().used < 40 {
            call += 1;
            drop(two.admit(&format!("d{call}")).await);
            sleep(Duration::from_millis(20)).await;
            assert!(Instant::now() < end, "slots do not come back");
            if renewed.elapsed() > Duration::from_secs(1) {
                renewed = Instant::now();
                for kept in (1..=call).map(|call| format!("d{call}")).chain(["own".to_owned()]) {
                    let account = two.account();
                    if two.engine.calls.place(account.id, kept.as_bytes()).find().is_some() {
                        two.renew(&kept).await.expect("it is live here");
                    }
                }
            }
        }
        let shard = hub.shard.lock();
        assert_eq!(shard.counters().live(sub_account(0)), 40);
    });
}

#[test]
fn a_call_that_its_gateway_told_nobody_of_goes_on_or_is_paid_by_its_token() {
    let config = AccountConfig { pricing: Some(flat(60, 60)), ..account(0, 0, Some(10_000)) };
    installation(config, Some("10000"), async |hub| {
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        // Slots, money and credit are here before the hub is out of reach.
        one.leases_ahead("first").await;
        hub.is_down.store(true, Ordering::Relaxed);
        let mut tokens = Vec::new();
        for call_id in ["goes on", "is paid"] {
            let grant = one.admit(call_id).await.expect("from memory");
            tokens.push(one.engine.token(&grant));
        }
        one.kill();
        hub.is_down.store(false, Ordering::Relaxed);
        two.until_open().await;
        let unknown = two.release("is paid", 61).await;
        assert!(unknown.is_err_and(|denial| denial.reason() == Reason::UnknownCall));
        let receipt = two.release_by("is paid", Some(tokens[1].as_str()), 61).await;
        assert_eq!(cost_of(receipt), amount("2.4"));
        let of_another = two.renew_by("goes on", Some(tokens[1].as_str())).await;
        assert!(of_another.is_err());
        two.renew_by("goes on", Some(tokens[0].as_str())).await.expect("it is live here");
        assert_eq!(cost_of(two.release("goes on", 30).await), amount("1.2"));
        within(Duration::from_secs(5), || hub.shard.lock().backlog() >= 2).await;
    });
}

#[test]
fn a_hub_without_memory_learns_what_gateways_have_and_admission_goes_on() {
    let config = AccountConfig { pricing: Some(flat(60, 60)), ..account(0, 0, Some(100)) };
    installation(config, Some("10000"), async |hub| {
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        for call in 0..30 {
            let gateway = if call % 2 == 0 { &one } else { &two };
            gateway.admit(&format!("c{call}")).await.expect("there is room");
        }
        hub.forget_everything();
        within(Duration::from_secs(3), || !hub.shard.lock().is_learning()).await;
        one.until_open().await;
        for call in 30..100 {
            one.admit(&format!("c{call}")).await.expect("there is room");
        }
        assert!(is_no_slot(&two.admit("more").await));
        for call in 0..100 {
            assert_eq!(
                cost_of(two.release(&format!("c{call}"), 60).await),
                amount("1.2"),
                "{call}"
            );
        }
        within(Duration::from_secs(5), || hub.shard.lock().backlog() == 100).await;
        assert_eq!(hub.shard.lock().wallets().used(sub_account(0)).spent, amount("120"));
    });
}

#[test]
fn calls_that_only_an_old_copy_of_the_hub_has_live_give_their_slots_back() {
    installation(account(0, 0, Some(10)), None, async |hub| {
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        let gone = Gateway::start(&hub).await;
        for call in 0..3 {
            gone.admit(&format!("c{call}")).await.expect("there is room");
        }
        within(Duration::from_secs(1), || hub.shard.lock().counters().live(sub_account(0)) == 3)
            .await;
        let old = hub.shard.lock().clone();
        gone.leave().await;
        let none_live = || hub.shard.lock().counters().live(sub_account(0)) == 0;
        within(Duration::from_secs(20), none_live).await;
        // Also when all who are left have ended them before.
        for _ in 0..3 {
            hub.restore(old.clone());
            let are_over = || !hub.shard.lock().is_learning() && none_live();
            within(Duration::from_secs(10), are_over).await;
        }
        assert_eq!(one.in_use().await + two.in_use().await, 0);
    });
}

#[test]
fn a_gateway_that_is_cut_off_stops_within_the_fence_and_goes_on_afterwards() {
    installation(account(0, 0, Some(100)), None, async |hub| {
        let one = Gateway::start(&hub).await;
        one.admit("a").await.expect("there is room");
        hub.is_down.store(true, Ordering::Relaxed);
        within(Duration::from_secs(3), || one.engine.admits(organization().shard()).is_err()).await;
        assert!(one.admit("b").await.is_err());
        // The end of a call is taken all the same, and told later.
        one.release("a", 0).await.expect("a receipt");
        hub.is_down.store(false, Ordering::Relaxed);
        one.until_open().await;
        one.admit("b").await.expect("there is room");
        within(Duration::from_secs(2), || hub.shard.lock().backlog() == 1).await;
    });
}

#[test]
fn an_open_account_goes_on_up_to_its_limit_without_the_hub_and_is_counted_when_it_is_back() {
    let open = AccountConfig { on_hub_loss: OnHubLoss::Open, ..account(0, 0, Some(4)) };
    installation(open, None, async |hub| {
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        one.admit("a").await.expect("there is room");
        let is_lost = |gateway: &Gateway| gateway.engine.admits(organization().shard()).is_err();
        hub.may_exceed.store(true, Ordering::Relaxed);
        hub.is_down.store(true, Ordering::Relaxed);
        within(Duration::from_secs(3), || is_lost(&one) && is_lost(&two)).await;
        for call_id in ["b", "c", "d"] {
            one.admit(call_id).await.expect("it is open");
        }
        assert!(is_no_slot(&one.admit("e").await));
        assert!(one.admit("b").await.expect("it is live").duplicate);
        for call_id in ["a", "b"] {
            one.renew(call_id).await.expect("it is open");
        }
        one.release("c", 0).await.expect("a receipt");
        two.admit("other").await.expect("what the others do is not known");
        hub.is_down.store(false, Ordering::Relaxed);
        let live = || hub.shard.lock().counters().live(sub_account(0));
        within(Duration::from_secs(5), || live() == 4).await;
        one.until_open().await;
        assert!(is_no_slot(&one.admit("f").await), "four are live, of whom the hub knows again");
        for call_id in ["a", "b", "d", "other"] {
            two.release(call_id, 0).await.expect("each is known everywhere");
        }
        within(Duration::from_secs(5), || live() == 0 && hub.shard.lock().backlog() == 5).await;
    });
}

#[test]
fn money_is_closed_without_the_hub_whatever_the_account_says() {
    let open = AccountConfig {
        on_hub_loss: OnHubLoss::Open,
        pricing: Some(flat(60, 60)),
        ..account(0, 0, Some(4))
    };
    installation(open, Some("100"), async |hub| {
        let one = Gateway::start(&hub).await;
        one.admit("a").await.expect("there is room");
        hub.is_down.store(true, Ordering::Relaxed);
        within(Duration::from_secs(3), || one.engine.admits(organization().shard()).is_err()).await;
        let refusal = one.admit("b").await.expect_err("billed");
        assert!(
            matches!(refusal, Refusal::Denied(denial) if denial.reason() == Reason::HubUnavailable)
        );
    });
}

#[test]
fn a_change_of_configuration_is_in_force_at_every_gateway() {
    installation(account(0, 0, Some(10)), None, async |hub| {
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        one.admit("a").await.expect("active");
        let suspended =
            AccountConfig { status: Status::Suspended, version: 2, ..account(0, 0, Some(10)) };
        hub.publish(Change::Account(suspended));
        for gateway in [&one, &two] {
            within(Duration::from_millis(500), || {
                gateway.account().terms().status == Status::Suspended
            })
            .await;
            assert!(gateway.admit("b").await.is_err());
        }
    });
}
