//! What goes to the hub: an exchange from what waits, and what becomes of it when no answer comes.

use std::collections::VecDeque;

use hub::call::{Call, Record};
use hub::clock::EpochSeconds;
use hub::id::HolderId;
use hub::state::exchange::{Exchange, Mail};
use hub::state::request::{Event, Holding, Lease, Purse, Sync};
use triomphe::Arc;

use super::{Bond, EVENTS_MAX, Effect, Link, Now, Outgoing, Queued, Sent};

/// Everything that the holder has at a shard, counted anew: what it holds now as granted, nothing as
/// returned. Calls whose adoption the hub has not acknowledged are not among them, nor their units.
#[derive(Debug, Default)]
pub struct Inventory {
    pub calls: Vec<(Call, Lease)>,
    pub holdings: Vec<Holding>,
    pub purses: Vec<Purse>,
}

impl<F> Queued<F> {
    /// Whether the event stands in the exchange: a complete report says by its inventory what else
    /// happened to calls.
    pub(super) fn is_told(&self, complete: bool) -> bool {
        !complete || matches!(self.event, Event::Ended(_) | Event::Adopted { .. })
    }
}

impl<F> Link<F> {
    /// Whether the next exchange must report everything: [`Link::send`] then wants an inventory, taken
    /// after the call of this.
    pub fn must_report(&self) -> bool {
        self.bond == Bond::Unreported
    }

    /// The next exchange. `inventory` counts when [`Link::must_report`]; `leaving` says that this is
    /// the last one, and nothing may be left to tell after it.
    pub fn send(&mut self, now: Now, inventory: Option<Inventory>, leaving: bool) -> Exchange {
        debug_assert!(self.sent.is_none(), "one exchange at a time");
        self.number += 1;
        self.tried_us = Some(now.boot_us);
        let joined = self.incarnation > 0;
        let mut exchange = Exchange {
            incarnation: self.incarnation,
            number: self.number,
            claim: self.claim(now),
            mail_seen: self.mail_seen,
            sync: Sync { holder: self.holder, ..Sync::default() },
            ..Exchange::default()
        };
        let told = if joined { self.tell(inventory.is_some()) } else { Outgoing::default() };
        let mut calls = None;
        if joined {
            exchange.complete = inventory.is_some();
            exchange.leaving = leaving;
            exchange.reap = self.standing_still(now);
            calls = self.fill(&mut exchange, &told, inventory);
        }
        self.sent = Some(Sent { at: now, inventory: calls, told, records_before: self.records });
        exchange
    }

    /// Takes what waits, as much as fits. A complete report is without what the inventory says anyway.
    fn tell(&mut self, complete: bool) -> Outgoing<F> {
        let count = self.unsent.events.len();
        let rest =
            self.unsent.events.split_off(if complete { count } else { count.min(EVENTS_MAX) });
        let told = Outgoing { events: rest, ..Outgoing::default() };
        let told = std::mem::replace(&mut self.unsent, told);
        self.urgent &= !self.unsent.is_empty();
        self.awaited &= !self.unsent.is_empty();
        self.waiting_since_us = self.waiting_since_us.filter(|_| !self.unsent.is_empty());
        told
    }

    /// The calls of the inventory, which come first.
    fn fill(
        &self,
        exchange: &mut Exchange,
        told: &Outgoing<F>,
        inventory: Option<Inventory>,
    ) -> Option<Vec<Call>> {
        let ahead_s = self.ahead_s();
        let sync = &mut exchange.sync;
        exchange.first_record = self.records + 1;
        sync.wants.clone_from(&told.wants);
        sync.funds.clone_from(&told.funds);
        exchange.find.clone_from(&told.find);
        let letters = told.messages.iter();
        exchange.mail = letters.map(|(to, mail)| (*to, Mail::Message(mail.clone()))).collect();
        let Some(inventory) = inventory else {
            sync.events = told.events.iter().map(|it| shifted_event(&it.event, ahead_s)).collect();
            sync.holdings = told.holdings.values().copied().collect();
            sync.purses = told.purses.values().copied().collect();
            return None;
        };
        let calls = inventory.calls.iter().map(|(call, _)| call.clone()).collect();
        let owned = |(call, lease)| Event::Admitted { call, lease: shifted(lease, ahead_s) };
        sync.events.extend(inventory.calls.into_iter().map(owned));
        if let Some((first, _)) = self.unposted.front() {
            exchange.first_record = *first;
        }
        let records = self.unposted.iter();
        sync.events
            .extend(records.map(|(_, record)| Event::Ended(shifted_record(record, ahead_s))));
        let others = told.events.iter().filter(|queued| queued.is_told(true));
        sync.events.extend(others.map(|queued| shifted_event(&queued.event, ahead_s)));
        sync.holdings = inventory.holdings;
        sync.purses = inventory.purses;
        Some(calls)
    }

    /// This holder is gone and a new one goes on in its place: it adopts the calls that are live, and
    /// what waits to be told is told by it. Units and money that lay idle are no longer its own.
    #[must_use]
    pub fn rejoin(self, holder: HolderId, live: Vec<(Call, Lease)>, now: Now) -> Self {
        let mut link = Self::new(holder, self.rhythm);
        link.unsent.find = self.unsent.find;
        for (call, lease) in live {
            link.record(Event::Adopted { call, lease }, None, now);
        }
        for (_, record) in self.unposted {
            link.record(Event::Ended(record), None, now);
        }
        for Queued { event, freed } in self.unsent.events {
            let event = match event {
                // The unit goes when somebody has heard that the call never was.
                Event::Withdrawn(call) | Event::Wanted { call, .. } if freed.is_some() => {
                    Event::Withdrawn(call)
                }
                Event::Withdrawn(_) | Event::Wanted { .. } => continue,
                // It is adopted above.
                Event::Admitted { call, lease } | Event::Adopted { call, lease } => {
                    Event::Renewed { call, lease }
                }
                Event::Renewed { .. } | Event::Ended(_) => event,
            };
            link.record(event, freed, now);
        }
        link.hurry(now);
        link
    }

    /// No answer came, or none that counts: the hub may have taken the exchange or not. Facts are told
    /// again; who asked for something is told that there is no answer.
    pub fn lost(&mut self, now: Now, effects: &mut Vec<Effect<F>>) {
        let Some(sent) = self.sent.take() else {
            return;
        };
        let told = sent.told;
        let mut events = VecDeque::with_capacity(told.events.len() + self.unsent.events.len());
        for Queued { event, freed } in told.events {
            let event = match event {
                // Perhaps recorded: undone, so that nobody is told of it, and what it had is free then.
                Event::Wanted { call, .. } => {
                    effects.push(Effect::Undecided(call.clone()));
                    effects.push(Effect::Recount(call.account()));
                    Event::Withdrawn(call)
                }
                fact => fact,
            };
            events.push_back(Queued { event, freed });
        }
        events.append(&mut self.unsent.events);
        self.unsent.events = events;
        for (counter, holding) in told.holdings {
            self.unsent.holdings.entry(counter).or_insert(holding);
        }
        for (owner, purse) in told.purses {
            self.unsent.purses.entry(owner).or_insert(purse);
        }
        // Granted and never heard of: the count in the next report brings it to light.
        for want in told.wants {
            effects.push(Effect::NoAnswer(want.counter));
            effects.push(Effect::Recount(want.counter));
        }
        for fund in told.funds {
            effects.push(Effect::NoMoneyAnswer(fund.owner));
            effects.push(Effect::RecountMoney(fund.owner));
        }
        effects.extend(told.find.into_iter().map(Effect::NotFound));
        if !self.unsent.is_empty() {
            self.has_to_tell(now);
        }
    }
}

/// A time here as one of the hub's clock.
fn shift(at: EpochSeconds, by_s: i64) -> EpochSeconds {
    u32::try_from(i64::from(at).saturating_add(by_s).max(0)).unwrap_or(u32::MAX)
}

pub(super) fn shifted(lease: Lease, by_s: i64) -> Lease {
    Lease { deadline: shift(lease.deadline, by_s), ..lease }
}

pub(super) fn shifted_record(record: &Arc<Record>, by_s: i64) -> Arc<Record> {
    if by_s == 0 {
        return Arc::clone(record);
    }
    Arc::new(Record { forget_at: shift(record.forget_at, by_s), ..Record::clone(record) })
}

fn shifted_event(event: &Event, by_s: i64) -> Event {
    match event.clone() {
        Event::Admitted { call, lease } => Event::Admitted { call, lease: shifted(lease, by_s) },
        Event::Wanted { call, lease, has_unit } => {
            Event::Wanted { call, lease: shifted(lease, by_s), has_unit }
        }
        Event::Renewed { call, lease } => Event::Renewed { call, lease: shifted(lease, by_s) },
        Event::Adopted { call, lease } => Event::Adopted { call, lease: shifted(lease, by_s) },
        Event::Ended(record) => Event::Ended(shifted_record(&record, by_s)),
        withdrawn @ Event::Withdrawn(_) => withdrawn,
    }
}
