//! Calls as a gateway reports them to the hub, for tests of what becomes of their records.

use hub::call::{Call, Cause, Direction, Facts, Outcome, Pins, Record, Texts};
use hub::clock::{Moment, SECOND_US, now_us, second_of};
use hub::directory::Billing;
use hub::id::AccountId;
use hub::money::{Amount, Currency, Rate};
use hub::state::request::{Event, Granted, Lease, Sync, Want};
use triomphe::Arc;

use super::Harness;

pub(crate) fn amount(text: &str) -> Amount {
    text.parse().expect("an amount")
}

/// A call on an account; `billing` is none when it is not billed.
pub(crate) fn call(account: AccountId, call_id: &str, billing: Option<Billing>) -> Call {
    let rate = Rate::new(amount("1.20"), 60, 60, Amount::ZERO, Amount::ZERO).expect("a rate");
    let facts = Facts {
        admitted_us: now_us() - 90 * SECOND_US,
        admission: 1,
        pins: billing
            .map(|billing| Arc::new(Pins { billing, currency: Currency::INR, rate, deck: None })),
        account,
        direction: Direction::Outbound,
        lease_s: 0,
    };
    let texts =
        Texts { call_id, from: "+9111", to: "+9122", agent_id: "agent", source: "kamailio-1" };
    Call::new(facts, texts).expect("short texts")
}

/// The record of a call that cost `cost`, of it `debt`.
pub(crate) fn record(call: &Call, cost: &str, debt: &str, revision: u32) -> Arc<Record> {
    let ended_us = now_us();
    Arc::new(Record {
        call: call.clone(),
        answered: Some(Moment::at(ended_us - 60 * SECOND_US)),
        ended_us,
        outcome: Outcome::Completed,
        cause: if revision == 0 { Cause::Release } else { Cause::Expiry },
        billable_s: 60,
        cost: amount(cost),
        debt: amount(debt),
        revision,
        granted_s: 300,
        forget_at: second_of(ended_us) + 600,
        costs: Some(r#"{"llm":"0.1"}"#.into()),
    })
}

impl Harness {
    /// Reports events of the first organization's calls to the hub.
    pub(crate) fn report(&self, events: Vec<Event>, wants: Vec<Want>) {
        let hub = self.plane.app.hub.embedded();
        let organization: AccountId = self.organization_id.parse().expect("an id");
        let sync = Sync { holder: hub.holder(), events, wants, ..Sync::default() };
        hub.sync(&mut [(organization.shard(), sync)]).expect("recorded");
    }

    /// A live call that holds money.
    pub(crate) fn admit(&self, call: &Call, hold: &str) {
        let lease = Lease {
            deadline: second_of(now_us()) + 90,
            granted: Granted::new(300, false),
            hold: amount(hold),
            answered: None,
            renewed_us: now_us(),
        };
        let want = Want { counter: call.account(), units: 1, recalled: true };
        self.report(Vec::new(), vec![want]);
        self.report(vec![Event::Admitted { call: call.clone(), lease }], Vec::new());
    }

    pub(crate) fn end(&self, record: Arc<Record>) {
        self.report(vec![Event::Ended(record)], Vec::new());
    }

    /// Admits and ends a call at once.
    pub(crate) fn finished(&self, call: &Call, cost: &str, debt: &str) {
        self.admit(call, cost);
        self.end(record(call, cost, debt, 0));
    }
}
