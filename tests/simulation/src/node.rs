//! One gateway of the simulation: the decisions of an admission over a real [`Link`], for two accounts
//! on one wallet. It answers through [`Said`]; it knows nothing of the world but the time it is given.

mod hears;
mod holds;
mod reports;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gateway::link::{Link, Now, Rhythm};
use hub::call::{Call, Cause, Facts, Outcome, Pins, Record, Texts};
use hub::clock::{EpochSeconds, SECOND_US, second_of};
use hub::id::{AccountId, HolderId};
use hub::money::Amount;
use hub::state::exchange::{CallKey, Message};
use hub::state::request::{Event, Fund, Granted, Lease, Want};
use triomphe::Arc;

use crate::installation;
pub use holds::{Asked, ClientId, Freed, LiveCall, Said, Stock, Till};

/// How long a request waits for the hub.
const PATIENCE_US: i64 = 250_000;
/// A receipt is kept so long after the deadline, in seconds.
const TOMBSTONE_S: u32 = 600;

/// A request that waits.
#[derive(Clone, Debug)]
struct Waiting {
    client: ClientId,
    asked: Asked,
    until_us: i64,
}

/// A call of which the hub decides: whether it gets a slot, whether its cap allows it.
#[derive(Clone, Debug)]
struct Undecided {
    waiting: Waiting,
    lease: Lease,
    /// It has a slot here.
    has_unit: bool,
}

pub type Key = (AccountId, Box<str>);

#[derive(Debug)]
pub struct Node {
    pub link: Link<Freed>,
    rhythm: Rhythm,
    pub stocks: BTreeMap<AccountId, Stock>,
    pub till: Till,
    pub live: BTreeMap<Key, LiveCall>,
    /// Calls that the hub has not said are this holder's.
    adopting: BTreeSet<Key>,
    /// Calls that turned out to be another's after they had ended here.
    not_ours: BTreeSet<Key>,
    /// Calls of which nobody may be told before the hub has them.
    unflushed: BTreeSet<Key>,
    ended: BTreeMap<Key, EpochSeconds>,
    undecided: BTreeMap<Key, Undecided>,
    /// Admits that wait for money, and calls that wait to be found.
    wait_for_money: VecDeque<Waiting>,
    wait_for_find: VecDeque<(Key, Waiting)>,
    admissions: u64,
    /// Answers, in order; the world takes them.
    pub said: Vec<(ClientId, Said)>,
    /// The holder was reaped and needs a new id.
    pub is_gone: bool,
}

impl Node {
    pub fn new(holder: HolderId, rhythm: Rhythm, admissions: u64) -> Self {
        Self {
            link: Link::new(holder, rhythm),
            rhythm,
            stocks: installation::accounts().into_iter().map(|id| (id, Stock::default())).collect(),
            till: Till::default(),
            live: BTreeMap::new(),
            adopting: BTreeSet::new(),
            unflushed: BTreeSet::new(),
            not_ours: BTreeSet::new(),
            ended: BTreeMap::new(),
            undecided: BTreeMap::new(),
            wait_for_money: VecDeque::new(),
            wait_for_find: VecDeque::new(),
            admissions,
            said: Vec::new(),
            is_gone: false,
        }
    }

    fn stock(&mut self, account: AccountId) -> &mut Stock {
        self.stocks.entry(account).or_default()
    }

    pub fn ask(&mut self, client: ClientId, asked: Asked, now: Now) {
        let waiting = Waiting { client, asked, until_us: now.boot_us + PATIENCE_US };
        match waiting.asked.clone() {
            Asked::Admit { account, call_id } => self.admit((account, call_id), waiting, now),
            Asked::Renew { account, call_id } => self.renew(&(account, call_id), waiting, now),
            Asked::Release { account, call_id, billable_s } => {
                self.release(&(account, call_id), billable_s, waiting, now);
            }
        }
    }

    fn say(&mut self, client: ClientId, said: Said) {
        self.said.push((client, said));
    }

    /// The latest deadline that may be told.
    fn deadline(&self, now: Now) -> EpochSeconds {
        let lease_us = i64::from(self.rhythm.call_lease_s) * SECOND_US;
        second_of(now.wall_us.saturating_add(lease_us).min(self.link.deadline_max_us()))
    }

    fn admit(&mut self, key: Key, waiting: Waiting, now: Now) {
        if self.adopting.contains(&key) || self.unflushed.contains(&key) {
            return self.say(waiting.client, Said::Unavailable);
        }
        if let Some(known) = self.live.get(&key) {
            let until_us = i64::from(known.lease.deadline) * SECOND_US;
            return self.say(waiting.client, Said::Live { until_us });
        }
        if self.ended.contains_key(&key) {
            return self.say(waiting.client, Said::Ended);
        }
        if self.undecided.contains_key(&key) || !self.link.may_admit(now) {
            return self.say(waiting.client, Said::Unavailable);
        }
        let hold = installation::hold();
        if self.till.free < hold {
            self.ask_for_money(now);
            return self.wait_for_money.push_back(waiting);
        }
        self.till.free = self.till.free.saturating_sub(hold);
        self.take_slot(key, waiting, hold, now);
    }

    fn take_slot(&mut self, key: Key, waiting: Waiting, hold: Amount, now: Now) {
        let lease = Lease {
            deadline: self.deadline(now),
            granted: Granted::new(300, false),
            hold,
            answered: None,
            renewed_us: now.wall_us,
        };
        let call = self.call(&key, now);
        let account = key.0;
        let stock = self.stock(account);
        let has_unit = stock.used < stock.lease;
        stock.used += u32::from(has_unit);
        if !has_unit || !call.caps().is_empty() {
            let freed = has_unit.then_some(Freed::Unit(account));
            self.link.record(Event::Wanted { call, lease, has_unit }, freed, now);
            self.link.hurry(now);
            self.undecided.insert(key, Undecided { waiting, lease, has_unit });
            return;
        }
        let fast = stock.unflushed < stock.unflushed_max;
        let until_us = i64::from(lease.deadline) * SECOND_US;
        let freed = if fast {
            stock.unflushed += 1;
            self.say(waiting.client, Said::Live { until_us });
            Freed::Flushed(account)
        } else {
            self.link.hurry(now);
            self.unflushed.insert(key.clone());
            Freed::Admission(waiting.client, key.1.clone(), account)
        };
        self.link.record(Event::Admitted { call: call.clone(), lease }, Some(freed), now);
        self.live.insert(key, LiveCall { call, lease });
        if fast {
            self.fetch_block(account, now);
        }
    }

    /// A fast holder keeps some idle units, so that the next admit finds one.
    fn fetch_block(&mut self, counter: AccountId, now: Now) {
        let stock = self.stocks[&counter];
        let (idle, wished) = (stock.idle(), 2 * stock.unflushed_max);
        if stock.unflushed_max > 0 && idle < stock.unflushed_max {
            let want = Want { counter, units: wished - idle, recalled: false };
            self.link.want(want, now);
        }
    }

    fn call(&mut self, key: &Key, now: Now) -> Call {
        self.admissions += 1;
        let pins = Pins {
            billing: hub::directory::Billing::Consolidated,
            currency: hub::money::Currency::INR,
            rate: installation::rate(),
            deck: None,
        };
        let facts = Facts {
            admitted_us: now.wall_us,
            admission: self.admissions,
            pins: Some(Arc::new(pins)),
            account: key.0,
            direction: hub::call::Direction::Outbound,
            lease_s: 0,
        };
        let texts = Texts { call_id: &key.1, ..Texts::default() };
        Call::with_caps(facts, texts, installation::caps_of(&key.1)).expect("a short name")
    }

    fn ask_for_money(&mut self, now: Now) {
        let hold = installation::hold();
        let most = Amount::from_micros(hold.micros() * 8);
        self.link.fund(Fund { owner: installation::organization(), least: hold, most }, now);
    }

    fn renew(&mut self, key: &Key, waiting: Waiting, now: Now) {
        let deadline = self.deadline(now);
        // A fenced gateway renews nothing, and nobody what the hub may not know as its own.
        let is_known = !self.adopting.contains(key) && !self.unflushed.contains(key);
        let may = is_known && self.link.may_admit(now);
        match self.live.get_mut(key) {
            Some(known) if may => {
                known.lease.deadline = known.lease.deadline.max(deadline);
                known.lease.renewed_us = now.wall_us;
                let (call, lease) = (known.call.clone(), known.lease);
                let until_us = i64::from(lease.deadline) * SECOND_US;
                self.link.record(Event::Renewed { call, lease }, None, now);
                self.say(waiting.client, Said::Live { until_us });
            }
            Some(_) => self.say(waiting.client, Said::Unavailable),
            None if self.ended.contains_key(key) => self.say(waiting.client, Said::Ended),
            None => self.look_for(key.clone(), waiting, now),
        }
    }

    fn release(&mut self, key: &Key, billable_s: u32, waiting: Waiting, now: Now) {
        if let Some(known) = self.live.remove(key) {
            return self.end(&known, Cause::Release, billable_s, Some(waiting.client), now);
        }
        if self.ended.contains_key(key) {
            // The end may not be at the hub yet: the receipt follows it.
            let receipt = Some(Freed::Receipt(key.clone(), Some(waiting.client)));
            return self.link.record(Event::Withdrawn(Self::nobody(key, now)), receipt, now);
        }
        self.look_for(key.clone(), waiting, now);
    }

    /// A call that never was: its withdrawal marks a place in the order of events.
    fn nobody(key: &Key, now: Now) -> Call {
        let facts = Facts {
            admitted_us: now.wall_us,
            admission: 0,
            pins: None,
            account: key.0,
            direction: hub::call::Direction::Outbound,
            lease_s: 0,
        };
        Call::new(facts, Texts { call_id: &key.1, ..Texts::default() }).expect("a short name")
    }

    fn look_for(&mut self, key: Key, waiting: Waiting, now: Now) {
        let call_id = key.1.as_bytes().into();
        self.link.find(CallKey { account: key.0, call_id }, now);
        self.wait_for_find.push_back((key, waiting));
    }

    /// A call of this gateway ends; its slot and refund wait for the hub.
    fn end(
        &mut self,
        known: &LiveCall,
        cause: Cause,
        billable_s: u32,
        waiter: Option<ClientId>,
        now: Now,
    ) {
        let record = record(&known.call, &known.lease, cause, billable_s, now);
        let refund = known.lease.hold.saturating_sub(record.cost);
        self.till.quarantined = self.till.quarantined.saturating_add(refund);
        let key = key_of(&known.call);
        let account = key.0;
        let freed = Freed::Slot { key: key.clone(), refund, waiter, holder: self.link.holder() };
        self.ended.insert(key, record.forget_at);
        self.link.record(Event::Ended(record), Some(freed), now);
        let is_exact = self.stock(account).unflushed_max == 0;
        match waiter {
            Some(_) if is_exact => self.link.hurry(now),
            Some(_) => self.link.is_awaited(now),
            None => {}
        }
    }

    /// Time passes: leases run out, patience ends.
    pub fn tick(&mut self, now: Now) {
        let second = second_of(now.wall_us);
        self.ended.retain(|_, forget_at| *forget_at > second);
        if self.link.may_admit(now) {
            let due = self.live.iter().filter(|(_, known)| known.lease.deadline <= second);
            let due: Vec<Key> = due.map(|(key, _)| key.clone()).collect();
            for key in due {
                if let Some(known) = self.live.remove(&key) {
                    self.end(&known, Cause::Expiry, 1, None, now);
                }
            }
        }
        self.end_patience(now);
    }

    fn end_patience(&mut self, now: Now) {
        let over = |waiting: &Waiting| waiting.until_us <= now.boot_us;
        let mut tired: Vec<Waiting> = Vec::new();
        let keys = self.undecided.iter().filter(|(_, undecided)| over(&undecided.waiting));
        // Answered when the decision comes, which is then undone.
        tired.extend(keys.map(|(_, undecided)| undecided.waiting.clone()));
        for undecided in self.undecided.values_mut().filter(|it| over(&it.waiting)) {
            undecided.waiting.until_us = i64::MAX;
            undecided.waiting.client = ClientId::MAX;
        }
        let (late, rest) = self.wait_for_money.drain(..).partition::<Vec<_>, _>(over);
        self.wait_for_money = rest.into();
        let is_late = |(_, waiting): &(Key, Waiting)| over(waiting);
        let (unfound, rest) = self.wait_for_find.drain(..).partition::<Vec<_>, _>(is_late);
        self.wait_for_find = rest.into();
        tired.extend(late);
        tired.extend(unfound.into_iter().map(|(_, waiting)| waiting));
        for waiting in tired {
            self.say(waiting.client, Said::Unavailable);
        }
    }
}

fn key_of(call: &Call) -> Key {
    (call.account(), call.texts().call_id.into())
}

fn record(call: &Call, lease: &Lease, cause: Cause, billable_s: u32, now: Now) -> Arc<Record> {
    let cost = installation::rate().charge(billable_s).min(lease.hold);
    Arc::new(Record {
        call: call.clone(),
        answered: lease.answered,
        ended_us: now.wall_us,
        outcome: Outcome::Completed,
        cause,
        billable_s,
        cost,
        debt: Amount::ZERO,
        revision: 0,
        granted_s: lease.granted_s(),
        forget_at: lease.deadline.saturating_add(TOMBSTONE_S),
        costs: None,
    })
}

/// A letter that asks the gateway of a call to end it.
fn release_letter(from: HolderId, key: &Key, billable_s: u32) -> Message {
    let mut body = key.0.to_bytes().to_vec();
    body.extend(billable_s.to_le_bytes());
    body.extend(key.1.as_bytes());
    Message { from, ticket: 0, body: body.into() }
}
