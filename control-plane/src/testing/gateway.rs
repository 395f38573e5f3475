//! A gateway as far as a shared hub sees one, for tests of what a control plane does there: it joins,
//! reports calls and records, keeps those until they are in the ledger, and reports everything again to
//! a hub that has lost its memory. Decides no admission.

use std::collections::VecDeque;
use std::sync::Arc;

use hub::call::{Call, Record};
use hub::clock::{now_us, second_of};
use hub::id::{AccountId, HolderId};
use hub::redis::hub::RedisHub;
use hub::shared::{NoAnswer, SharedHub as _};
use hub::state::exchange::{Claim, Exchange, Reply, Standing, Standstill};
use hub::state::request::{Event, Granted, Holding, Lease, Sync, Want, Wanted};

use tokio::time::sleep;

use super::calls::{amount, record};
use super::sharing::POLL;

pub(crate) struct Gateway {
    hub: Arc<RedisHub>,
    shard: u8,
    pub(crate) id: HolderId,
    incarnation: u64,
    number: u64,
    /// The hub's clock as it was told last.
    clock_ms: Option<u64>,
    account: AccountId,
    /// Units that it has, all of one account.
    units: u64,
    /// The hub has lost its memory, and has not been told everything yet.
    has_to_report: bool,
    live: Vec<(Call, Lease)>,
    /// Records that the ledger may not have, as far as the hub has said.
    records: VecDeque<triomphe::Arc<Record>>,
    /// Records before those.
    settled: u64,
}

impl Gateway {
    /// One that has joined the shard of an organization, and admits calls of one account.
    pub(crate) async fn join(
        hub: &Arc<RedisHub>,
        organization: AccountId,
        account: AccountId,
    ) -> Self {
        let mut gateway = Self {
            hub: Arc::clone(hub),
            shard: organization.shard(),
            id: HolderId(rand::random()),
            incarnation: 0,
            number: 0,
            clock_ms: None,
            account,
            units: 0,
            has_to_report: false,
            live: Vec::new(),
            records: VecDeque::new(),
            settled: 0,
        };
        gateway.is_member().await;
        gateway
    }

    /// One exchange, as it is.
    pub(crate) async fn exchange(&mut self, mut exchange: Exchange) -> Result<Reply, NoAnswer> {
        self.number += 1;
        (exchange.number, exchange.incarnation) = (self.number, self.incarnation);
        exchange.sync.holder = self.id;
        let claim = |saw_ms| Claim { saw_ms, elapsed_ms: 1 };
        exchange.claim = self.clock_ms.map(claim);
        let reply = self.hub.exchange(self.shard, &exchange, false).await?.reply;
        self.clock_ms = Some(reply.clock_ms);
        while self.settled < reply.records_acknowledged {
            self.settled += 1;
            self.records.pop_front();
        }
        Ok(reply)
    }

    /// Exchanges until one counts; everything is reported again where the hub has lost its memory.
    pub(crate) async fn is_member(&mut self) -> Reply {
        for _ in 0..1_000 {
            let exchange = if self.has_to_report { self.everything() } else { Exchange::default() };
            match self.exchange(exchange).await {
                Ok(reply) if reply.standing == Standing::Member => {
                    self.has_to_report = false;
                    return reply;
                }
                Ok(reply) => {
                    assert_ne!(reply.standing, Standing::Gone, "it was reaped");
                    // Who joins has nothing to report.
                    self.has_to_report = self.incarnation > 0;
                    self.incarnation = reply.incarnation;
                }
                Err(error) => {
                    assert!(!matches!(error, NoAnswer::OtherProtocol(_)), "{error}");
                    sleep(POLL).await;
                }
            }
        }
        unreachable!("no exchange counts")
    }

    fn everything(&mut self) -> Exchange {
        self.units = self.live.len() as u64;
        let live = self.live.iter().cloned();
        let admitted = live.map(|(call, lease)| Event::Admitted { call, lease });
        let ended = self.records.iter().map(|record| Event::Ended(triomphe::Arc::clone(record)));
        let holding =
            Holding { counter: self.account, granted: self.units, returned: 0, unflushed_max: 0 };
        let sync = Sync {
            events: admitted.chain(ended).collect(),
            holdings: vec![holding],
            ..Sync::default()
        };
        Exchange { complete: true, first_record: self.settled + 1, sync, ..Exchange::default() }
    }

    /// Reports events, the ends among them as its next records.
    async fn report(&mut self, events: Vec<Event>) -> Reply {
        let first_record = self.settled + self.records.len() as u64 + 1;
        for event in &events {
            if let Event::Ended(record) = event {
                self.records.push_back(triomphe::Arc::clone(record));
            }
        }
        let sync = Sync { events, ..Sync::default() };
        let reply = self.exchange(Exchange { first_record, sync, ..Exchange::default() }).await;
        let reply = reply.expect("an answer");
        assert_eq!(reply.standing, Standing::Member);
        reply
    }

    /// What the hub says to a wish for one more unit.
    pub(crate) async fn want(&mut self) -> Wanted {
        let wants = vec![Want { counter: self.account, units: 1, recalled: true }];
        let sync = Sync { wants, ..Sync::default() };
        let first_record = self.settled + self.records.len() as u64 + 1;
        let exchange = Exchange { sync, first_record, ..Exchange::default() };
        let reply = self.exchange(exchange).await.expect("an answer");
        assert_eq!(reply.standing, Standing::Member);
        let wanted = reply.answer.wanted[0];
        if let Wanted::Granted(units) = wanted {
            self.units += u64::from(units);
        }
        wanted
    }

    /// A live call on a unit that the hub grants, once it grants any.
    pub(crate) async fn admit(&mut self, call: &Call, hold: &str) {
        for _ in 0..1_000 {
            if self.units > self.live.len() as u64
                || matches!(self.want().await, Wanted::Granted(_))
            {
                let lease = Lease {
                    deadline: second_of(now_us()) + 90,
                    granted: Granted::new(300, false),
                    hold: amount(hold),
                    answered: None,
                    renewed_us: now_us(),
                };
                self.live.push((call.clone(), lease));
                self.report(vec![Event::Admitted { call: call.clone(), lease }]).await;
                return;
            }
            sleep(POLL).await;
        }
        unreachable!("nothing is granted")
    }

    /// Ends a live call, at a cost. Its unit stays here.
    pub(crate) async fn end(&mut self, call: &Call, cost: &str) {
        self.live.retain(|(live, _)| live != call);
        self.report(vec![Event::Ended(record(call, cost, "0", 0))]).await;
    }

    /// Whether the hub has said that the ledger has all its records.
    pub(crate) async fn all_in_the_ledger(&mut self) {
        for _ in 0..1_000 {
            self.is_member().await;
            if self.records.is_empty() {
                return;
            }
            sleep(POLL).await;
        }
        unreachable!("records do not reach the ledger")
    }

    /// Has seen another stand still.
    pub(crate) async fn gives_up(&mut self, other: HolderId) {
        let beats = self.is_member().await.beats;
        let beat = beats.iter().find(|(id, _)| *id == other).expect("a member").1;
        let reap = vec![Standstill { holder: other, beat }];
        self.exchange(Exchange { reap, ..Exchange::default() }).await.expect("an answer");
    }
}
