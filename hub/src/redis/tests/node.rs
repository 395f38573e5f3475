//! A gateway as the hub meets it: it leases units and money, admits on them, and reports all that it
//! did until a reply says that it counted.

use std::collections::{BTreeMap, BTreeSet};

use triomphe::Arc;

use super::operation::Act;
use super::world::{account, call, lease, organization, owner_of, record};
use crate::call::{Call, Record};
use crate::id::{AccountId, HolderId};
use crate::money::Amount;
use crate::state::calls::Live;
use crate::state::exchange::{
    CallKey, Claim, Exchange, Found, Mail, Message, Reply, Standing, Standstill,
};
use crate::state::request::{Event, Fund, Funded, Holding, Lease, Purse, Sync, Want, Wanted};

#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) id: HolderId,
    incarnation: u64,
    number: u64,
    clock_ms: u64,
    mail_seen: u64,
    must_tell_all: bool,
    /// Granted, returned, unflushed at most.
    units: BTreeMap<u8, (u64, u64, u32)>,
    /// Granted, returned, spent.
    money: BTreeMap<AccountId, (i64, i64, i64)>,
    pub(super) live: Vec<(u8, Call, Lease)>,
    /// What no reply has acknowledged yet.
    outbox: Vec<Event>,
    records: Vec<(u64, Arc<Record>)>,
    next_record: u64,
    beats: Vec<(HolderId, u64)>,
    /// Calls of nobody that it was told of.
    orphans: Vec<Live>,
    pub(super) is_leaving: bool,
}

impl Node {
    pub(super) fn new(id: u128) -> Self {
        Self { id: HolderId(id), next_record: 1, ..Self::default() }
    }

    /// The same process under a new id: its calls are to be adopted.
    pub(super) fn reborn(&mut self, id: u128) {
        let mut node = Self::new(id);
        node.live = std::mem::take(&mut self.live);
        let adopted = node
            .live
            .iter()
            .map(|(_, call, lease)| Event::Adopted { call: call.clone(), lease: *lease });
        node.outbox.extend(adopted);
        for (_, record) in std::mem::take(&mut self.records) {
            node.record(record);
        }
        *self = node;
    }

    /// Records of shadows are not numbered: nobody posts them.
    fn record(&mut self, record: Arc<Record>) {
        if !record.call.account().is_shadow() {
            self.records.push((self.next_record, record.clone()));
            self.next_record += 1;
        }
        self.outbox.push(Event::Ended(record));
    }

    fn used(&self, of: u8) -> u64 {
        let wanted = self.outbox.iter().filter(
            |event| matches!(event, Event::Wanted { call, .. } if call.account() == account(of)),
        );
        (self.live.iter().filter(|(number, ..)| *number == of).count() + wanted.count()) as u64
    }

    fn idle_units(&self, of: u8) -> u64 {
        let (granted, returned, _) = self.units.get(&of).copied().unwrap_or_default();
        (granted - returned).saturating_sub(self.used(of))
    }

    fn held(&self, owner: AccountId) -> i64 {
        let paid = self.live.iter().filter(|(number, ..)| owner_of(*number) == Some(owner));
        paid.map(|(.., lease)| lease.hold.micros()).sum()
    }

    fn idle_money(&self, owner: AccountId) -> i64 {
        let (granted, returned, spent) = self.money.get(&owner).copied().unwrap_or_default();
        granted - returned - spent - self.held(owner)
    }

    /// What can be held for a call of the account, of at most `hold`.
    fn affordable(&self, of: u8, hold: i64) -> i64 {
        owner_of(of).map_or(0, |owner| hold.min(self.idle_money(owner)).max(0))
    }

    /// The next exchange, with what `acts` add to it.
    pub(super) fn exchange(
        &mut self,
        acts: &[Act],
        elapsed_ms: u64,
        others: &[HolderId],
    ) -> Exchange {
        self.number += 1;
        let mut exchange = Exchange {
            incarnation: self.incarnation,
            number: self.number,
            claim: (self.clock_ms > 0).then_some(Claim { saw_ms: self.clock_ms, elapsed_ms }),
            mail_seen: self.mail_seen,
            ..Exchange::default()
        };
        exchange.sync.holder = self.id;
        for act in acts {
            self.act(*act, &mut exchange, others);
        }
        if std::mem::take(&mut self.must_tell_all) {
            exchange.complete = true;
            self.tell_all();
        }
        let ended = |event: &&Event| matches!(event, Event::Ended(record) if !record.call.account().is_shadow());
        let ends = self.outbox.iter().filter(ended).count() as u64;
        exchange.first_record = if ends > 0 { self.next_record - ends } else { 0 };
        exchange.leaving = self.is_leaving;
        exchange.sync.events.clone_from(&self.outbox);
        self.report(&mut exchange.sync);
        exchange
    }

    /// Everything in place of what the hub knows: what it has now counts as granted. Calls that it is
    /// about to adopt are not among it.
    fn tell_all(&mut self) {
        let adopted = |event: &Event| matches!(event, Event::Adopted { .. });
        self.outbox.retain(adopted);
        let is_adopted = |call: &Call| {
            let of =
                |event: &Event| matches!(event, Event::Adopted { call: one, .. } if one == call);
            self.outbox.iter().any(of)
        };
        let owned = self.live.iter().filter(|(_, call, _)| !is_adopted(call));
        let owned =
            owned.map(|(_, call, lease)| Event::Admitted { call: call.clone(), lease: *lease });
        let ended = self.records.iter().map(|(_, record)| Event::Ended(record.clone()));
        let all = owned.chain(ended).collect::<Vec<_>>();
        self.outbox.extend(all);
        for (granted, returned, _) in self.units.values_mut() {
            (*granted, *returned) = (*granted - *returned, 0);
        }
        for (granted, returned, spent) in self.money.values_mut() {
            (*granted, *returned, *spent) = (*granted - *returned - *spent, 0, 0);
        }
    }

    fn report(&self, sync: &mut Sync) {
        for (number, (granted, returned, unflushed_max)) in &self.units {
            let (granted, returned, unflushed_max) = (*granted, *returned, *unflushed_max);
            let counter = account(*number);
            sync.holdings.push(Holding { counter, granted, returned, unflushed_max });
        }
        for (owner, (granted, returned, _)) in &self.money {
            sync.purses.push(Purse {
                owner: *owner,
                granted: Amount::from_micros(*granted),
                returned: Amount::from_micros(*returned),
                unflushed_max: Amount::from_micros(8),
            });
        }
    }

    fn act(&mut self, act: Act, exchange: &mut Exchange, others: &[HolderId]) {
        let now_ms = self.clock_ms;
        let new = |of, name| call(of, name, now_ms % 7 + u64::from(name) + (self.number << 8));
        match act {
            Act::Admit { of, name, hold } if self.idle_units(of) > 0 => {
                let (call, lease) =
                    (new(of, name), lease(now_ms, self.affordable(of, hold.into())));
                // Nobody is told of it before the hub has it.
                if !call.caps().is_empty() {
                    self.outbox.push(Event::Wanted { call, lease, has_unit: true });
                    return;
                }
                self.live.push((of, call.clone(), lease));
                self.outbox.push(Event::Admitted { call, lease });
            }
            Act::Wanted { of, name, hold } => {
                let hold = self.affordable(of, hold.into());
                let (call, lease) = (new(of, name), lease(now_ms, hold));
                self.outbox.push(Event::Wanted { call, lease, has_unit: false });
            }
            Act::Want { of, units, recalled } => {
                exchange.sync.wants.push(Want {
                    counter: account(of),
                    units: units.into(),
                    recalled,
                });
            }
            Act::GiveBack { of, units } => {
                let units = self.idle_units(of).min(units.into());
                self.units.entry(of).or_default().1 += units;
            }
            Act::Fund { own, least, most } => exchange.sync.funds.push(Fund {
                owner: if own { account(1) } else { organization(0) },
                least: Amount::from_micros(least.into()),
                most: Amount::from_micros(most.into()),
            }),
            Act::PayBack { own, amount } => {
                let owner = if own { account(1) } else { organization(0) };
                let amount = self.idle_money(owner).min(amount.into()).max(0);
                self.money.entry(owner).or_default().1 += amount;
            }
            Act::Find { of, name } => {
                let call_id = format!("call-{name}").into_bytes().into();
                exchange.find.push(CallKey { account: account(of), call_id });
            }
            Act::Tell { node, body } => {
                let message = Message { from: self.id, ticket: 3, body: [body].into() };
                exchange
                    .mail
                    .push((others[usize::from(node) % others.len()], Mail::Message(message)));
            }
            Act::Reap { node } => {
                let standing = self.beats.get(usize::from(node) % self.beats.len().max(1));
                exchange.reap.extend(
                    standing.map(|(holder, beat)| Standstill { holder: *holder, beat: *beat }),
                );
            }
            Act::Leave => self.is_leaving = true,
            _ => self.act_on_call(act, now_ms),
        }
    }

    fn act_on_call(&mut self, act: Act, now_ms: u64) {
        let at = |call: u8, of: usize| usize::from(call) % of.max(1);
        match act {
            Act::Renew { call, more } if !self.live.is_empty() => {
                let position = at(call, self.live.len());
                let more = self.affordable(self.live[position].0, more.into());
                let (_, call, kept) = &mut self.live[position];
                *kept = lease(now_ms, kept.hold.micros() + more);
                self.outbox.push(Event::Renewed { call: call.clone(), lease: *kept });
            }
            Act::End { call, cost } if !self.live.is_empty() => {
                let (of, call, lease) = self.live.swap_remove(at(call, self.live.len()));
                let record = record(call, now_ms, i64::from(cost).min(lease.hold.micros()), 0);
                self.spend(of, record.taken());
                self.record(record);
            }
            Act::Correct { record: position, cost } if !self.records.is_empty() => {
                let position = at(position, self.records.len());
                let call = self.records[position].1.call.clone();
                self.record(record(call, now_ms, cost.into(), 1));
            }
            Act::Withdraw { call } if !self.live.is_empty() => {
                let (_, call, _) = self.live.swap_remove(at(call, self.live.len()));
                self.outbox.push(Event::Withdrawn(call));
            }
            Act::Adopt { orphan, is_end } if !self.orphans.is_empty() => {
                let Live { call, .. } = self.orphans.swap_remove(at(orphan, self.orphans.len()));
                let is_mine = self.live.iter().any(|(_, mine, _)| *mine == call);
                if is_end {
                    self.record(record(call, now_ms, 2, 0));
                } else if let Some(of) = number_of(call.account()).filter(|_| !is_mine) {
                    let lease = lease(now_ms, 3);
                    self.live.push((of, call.clone(), lease));
                    self.outbox.push(Event::Adopted { call, lease });
                }
            }
            _ => {}
        }
    }

    fn spend(&mut self, of: u8, amount: Amount) {
        if let Some(owner) = owner_of(of) {
            self.money.entry(owner).or_default().2 += amount.micros();
        }
    }

    /// What follows from the reply to `exchange`; a new id is needed when it returns true.
    pub(super) fn take(&mut self, exchange: &Exchange, reply: &Reply) -> bool {
        (self.clock_ms, self.incarnation) = (reply.clock_ms, reply.incarnation);
        match reply.standing {
            Standing::Member => self.counted(exchange, reply),
            Standing::OtherIncarnation => self.must_tell_all = exchange.incarnation > 0,
            Standing::Unreported => self.must_tell_all = true,
            Standing::Outdated => {}
            Standing::Gone => return true,
        }
        false
    }

    fn counted(&mut self, exchange: &Exchange, reply: &Reply) {
        let mut position = 0..;
        self.outbox
            .retain(|_| position.next().is_some_and(|at| reply.answer.deferred.contains(&at)));
        self.mail_seen = exchange.mail_seen + reply.mail.len() as u64;
        self.records.retain(|(own, _)| *own > reply.records_acknowledged);
        self.beats.clone_from(&reply.beats);
        self.orphans.extend(reply.due.iter().cloned());
        for found in &reply.found {
            if let Found::Live(None, live) = found {
                self.orphans.push(live.clone());
            }
        }
        let mut decided = reply.answer.decided.iter();
        for (position, event) in exchange.sync.events.iter().enumerate() {
            let is_rejected = reply.answer.rejected.contains(&position);
            match event {
                Event::Wanted { call, lease, .. } => {
                    let is_granted = matches!(decided.next(), Some(Wanted::Granted(_)));
                    if let Some(of) =
                        number_of(call.account()).filter(|_| is_granted && !is_rejected)
                    {
                        self.live.push((of, call.clone(), *lease));
                    }
                }
                Event::Admitted { call, .. } | Event::Adopted { call, .. } if is_rejected => {
                    self.live.retain(|(_, mine, _)| mine != call);
                }
                _ => {}
            }
        }
        for terms in &reply.terms {
            if let Some(of) = number_of(terms.counter) {
                let units = self.units.entry(of).or_default();
                (units.0, units.2) = (terms.granted.max(units.0), terms.unflushed_max);
            }
        }
        for funding in &reply.funding {
            let purse = self.money.entry(funding.owner).or_default();
            purse.0 = purse.0.max(funding.granted.micros());
        }
    }
}

fn number_of(id: AccountId) -> Option<u8> {
    (0..super::world::ACCOUNTS).find(|number| account(*number) == id)
}

/// What the lists of operations reached, so that a test can say that none of it is missing.
#[derive(Debug, Default)]
pub(super) struct Seen(pub(super) BTreeSet<&'static str>);

impl Seen {
    pub(super) fn note(&mut self, exchange: &Exchange, reply: &Reply) {
        let mut saw = |what, is_so: bool| {
            if is_so {
                self.0.insert(what);
            }
        };
        saw("member", reply.standing == Standing::Member);
        saw("other incarnation", reply.standing == Standing::OtherIncarnation);
        saw("unreported", reply.standing == Standing::Unreported);
        saw("outdated", reply.standing == Standing::Outdated);
        saw("gone", reply.standing == Standing::Gone);
        saw("complete", exchange.complete && reply.standing == Standing::Member);
        for wanted in reply.answer.wanted.iter().chain(&reply.answer.decided) {
            match wanted {
                Wanted::Granted(0) => saw("another call of the name", true),
                Wanted::Granted(_) => saw("granted", true),
                Wanted::Recall => saw("recall", true),
                Wanted::Capped { position: 0, .. } => saw("capped", true),
                Wanted::Capped { .. } => saw("capped by the second", true),
                Wanted::Refused { scope, .. } => saw(scope_of(*scope), true),
                Wanted::Unknown => saw("unknown counter", true),
                Wanted::Learning => saw("learning", true),
            }
        }
        for funded in &reply.answer.funded {
            match funded {
                Funded::Granted(_) => saw("funded", true),
                Funded::Recall => saw("money recalled", true),
                Funded::Empty(_) => saw("empty", true),
                Funded::Learning => {}
            }
        }
        saw("deferred", !reply.answer.deferred.is_empty());
        saw("rejected", !reply.answer.rejected.is_empty());
        saw("fast", reply.terms.iter().any(|terms| terms.unflushed_max > 0));
        saw("mail", !reply.mail.is_empty());
        saw("due", !reply.due.is_empty());
        saw("records acknowledged", reply.records_acknowledged > 0);
        for found in &reply.found {
            match found {
                Found::Nothing => {}
                Found::Live(None, _) => saw("found an orphan", true),
                Found::Live(Some(_), _) => saw("found another's", true),
                Found::Ended(_) => saw("found a tombstone", true),
            }
        }
    }
}

fn scope_of(scope: crate::denial::Scope) -> &'static str {
    match scope {
        crate::denial::Scope::Account => "refused for the cap",
        crate::denial::Scope::Organization => "refused for the total",
    }
}
