//! What those see who oversee the calls of several gateways of one installation.

use std::time::Duration;

use super::*;
use crate::answer::{LivePage, Reconciled};
use crate::request::{ListLive, Reconcile};

/// What a gateway answered is at the hub so long after, also on a busy machine.
const TOLD_MAX: Duration = Duration::from_secs(3);

impl Gateway {
    async fn list(&self, source: Option<&str>, after: Option<CallPlace>, limit: usize) -> LivePage {
        let account = self.account();
        let page = ListLive { source, after, limit };
        self.engine.list_live(&account, &page).await.expect("the hub is there")
    }

    /// The names on all pages.
    async fn names(&self, limit: usize) -> Vec<String> {
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let page = self.list(None, after, limit).await;
            assert!(page.calls.len() <= limit);
            names.extend(page.calls.iter().map(|live| live.call.texts().call_id.to_owned()));
            match page.next {
                Some(next) => after = Some(next),
                None => return names,
            }
        }
    }

    pub(super) async fn in_use(&self) -> u32 {
        self.engine.concurrency(&self.account()).await.expect("the hub is there").in_use
    }

    async fn admit_for(&self, source: &str, call_id: &str) {
        let call = Admit { call_id, source, ..Admit::default() };
        let account = self.account();
        answered(|| self.engine.admit(&account, &call, clock::now_us())).await.expect("room");
    }

    async fn reconcile(&self, source: &str, live: &[&str]) -> Reconciled {
        let list = Reconcile { source, live: live.to_vec(), complete: true };
        self.engine.reconcile(&self.account(), &list).await.expect("the hub is there")
    }

    /// Waits until this gateway knows of so many calls.
    async fn knows(&self, count: u32) {
        let end = Instant::now() + TOLD_MAX;
        while self.in_use().await != count {
            assert!(Instant::now() < end, "not told in time");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

#[test]
fn who_holds_the_slots_is_told_of_all_gateways_in_the_order_of_admission() {
    installation(account(0, 0, Some(20)), None, async |hub| {
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        assert!(one.names(10).await.is_empty());
        let mut names = Vec::new();
        for call in 0..9 {
            let gateway = if call % 3 == 0 { &one } else { &two };
            names.push(format!("c{call}"));
            gateway.admit(&names[call]).await.expect("there is room");
        }
        one.knows(9).await;
        two.knows(9).await;
        for limit in [1, 2, 4, 9, 100] {
            assert_eq!(one.names(limit).await, names, "{limit}");
            assert_eq!(two.names(limit).await, names, "{limit}");
        }
        two.release("c1", 0).await.expect("it is live here");
        names.remove(1);
        one.knows(8).await;
        assert_eq!(one.names(3).await, names);
        assert_eq!(two.names(3).await, names);
    });
}

#[test]
fn what_a_gateway_has_just_answered_it_tells_at_once() {
    installation(account(0, 0, Some(1_000)), None, async |hub| {
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        two.admit("another").await.expect("there is room");
        one.knows(1).await;
        one.leases_ahead("first").await;
        for (call, count) in [("a", 4), ("b", 5), ("c", 6)] {
            one.admit(call).await.expect("there is room");
            assert_eq!(one.in_use().await, count);
            assert_eq!(one.names(100).await.len(), count as usize);
        }
        one.release("b", 0).await.expect("it is live here");
        assert_eq!(one.in_use().await, 5);
        let concurrency = one.engine.concurrency(&one.account()).await.expect("the hub is there");
        assert_eq!((concurrency.organization_in_use, concurrency.remaining), (5, 995));
    });
}

#[test]
fn a_list_of_one_source_passes_over_the_calls_of_others() {
    installation(account(0, 0, Some(20)), None, async |hub| {
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        for call in 0..6 {
            let source = if call % 2 == 0 { "even" } else { "odd" };
            two.admit_for(source, &format!("c{call}")).await;
        }
        one.knows(6).await;
        let page = one.list(Some("odd"), None, 2).await;
        assert_eq!(page.calls.len(), 2);
        let rest = one.list(Some("odd"), page.next, 2).await;
        let names: Vec<_> = rest.calls.iter().map(|live| live.call.texts().call_id).collect();
        assert_eq!((names, rest.next), (vec!["c5"], None));
    });
}

#[test]
fn calls_that_their_stack_has_lost_end_at_whatever_gateway_they_are() {
    installation(account(0, 0, Some(20)), None, async |hub| {
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        one.admit_for("stack", "here").await;
        one.admit_for("stack", "lost here").await;
        two.admit_for("stack", "there").await;
        two.admit_for("stack", "lost there").await;
        two.admit_for("another", "of another").await;
        one.knows(5).await;
        let live = ["here", "there"];
        let first = one.reconcile("stack", &live).await;
        assert_eq!(first, Reconciled { renewed: 2, freed: 0, missing: 2, unknown: 0 });
        let second = one.reconcile("stack", &live).await;
        assert_eq!(second, Reconciled { renewed: 2, freed: 2, missing: 0, unknown: 0 });
        one.knows(3).await;
        two.knows(3).await;
        assert_eq!(one.names(10).await, ["here", "there", "of another"]);
        for call in ["lost here", "lost there"] {
            let ended = two.engine.look_up(&two.account(), call).await.expect("it is known");
            let CallView::Ended(record) = ended else { panic!("{ended:?}") };
            assert_eq!(record.cause, Cause::Reconcile);
        }
    });
}

#[test]
fn without_the_hub_nothing_is_told_that_may_be_wrong() {
    installation(account(0, 0, Some(20)), None, async |hub| {
        let (one, two) = (Gateway::start(&hub).await, Gateway::start(&hub).await);
        one.admit_for("stack", "here").await;
        two.admit_for("stack", "there").await;
        one.knows(2).await;
        hub.is_down.store(true, Ordering::Relaxed);
        let unavailable = |denial: Denial| denial.reason() == Reason::HubUnavailable;
        let account = one.account();
        let page = ListLive { source: None, after: None, limit: 10 };
        assert!(one.engine.list_live(&account, &page).await.is_err_and(unavailable));
        assert!(one.engine.concurrency(&account).await.is_err_and(unavailable));
        // A stack that is told a call is unknown ends it.
        let list = Reconcile { source: "stack", live: vec!["there"], complete: false };
        assert!(one.engine.reconcile(&account, &list).await.is_err_and(unavailable));
    });
}
