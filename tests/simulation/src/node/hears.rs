//! What a gateway does about the effects of a reply.

use gateway::link::{Effect, Now};
use hub::call::{Call, Cause};
use hub::clock::SECOND_US;
use hub::id::{AccountId, HolderId};
use hub::money::Amount;
use hub::state::calls::Live;
use hub::state::exchange::{Found, Message};
use hub::state::request::{Event, Funded, Wanted};

use super::{
    Asked, ClientId, Freed, Key, LiveCall, Node, Said, Undecided, Waiting, key_of, record,
    release_letter,
};

impl Node {
    pub(super) fn hear(&mut self, effects: Vec<Effect<Freed>>, now: Now) {
        for effect in effects {
            match effect {
                Effect::Freed(freed) => self.free(freed, now),
                Effect::Rejected(call) | Effect::NotAdopted(call) => self.reject(&call),
                Effect::Deferred(call, waits) => {
                    self.reject(&call);
                    self.free(waits, now);
                }
                // Whoever asks again is sent on.
                Effect::Elsewhere(call) => drop(self.ended.remove(&key_of(&call))),
                Effect::Decided(call, wanted) => self.decided(call, wanted, now),
                Effect::Undecided(call) => drop(self.undecided(&call, Said::Unavailable)),
                Effect::Adopted(call, hold) => self.adopted(&call, hold),
                Effect::Granted(terms) => {
                    let stock = self.stock(terms.counter);
                    let more = terms.granted.saturating_sub(stock.granted);
                    stock.lease += u32::try_from(more).expect("few units");
                    stock.granted = stock.granted.max(terms.granted);
                    let changed = stock.unflushed_max != terms.unflushed_max;
                    stock.unflushed_max = terms.unflushed_max;
                    if changed {
                        let holding = stock.holding(terms.counter);
                        self.link.report(holding, now);
                    }
                }
                Effect::GrantedMoney(funding) => {
                    let more = funding.granted.saturating_sub(self.till.granted);
                    if more > Amount::ZERO {
                        self.till.free = self.till.free.saturating_add(more);
                        self.till.granted = funding.granted;
                    }
                }
                Effect::Answered(..) | Effect::NoAnswer(_) => {}
                Effect::Funded(_, funded) => self.funded(funded, now),
                Effect::NoMoneyAnswer(_) => self.without_money(&Said::Unavailable),
                Effect::Recount(counter) => {
                    let holding = self.stock(counter).holding(counter);
                    self.link.report(holding, now);
                }
                Effect::RecountMoney(_) => self.link.report_money(self.till.purse(), now),
                Effect::Recall(counter) => self.return_idle(counter, now),
                Effect::RecallMoney(_) => self.return_money(now),
                Effect::Found(key, found) => {
                    let call_id = String::from_utf8_lossy(&key.call_id).into_owned();
                    self.found(&(key.account, call_id.into()), &found, now);
                }
                Effect::NotFound(key) => {
                    let call_id = String::from_utf8_lossy(&key.call_id).into_owned();
                    self.answer_finders(&(key.account, call_id.into()), &Said::Unavailable);
                }
                Effect::Due(live) => self.end_orphan(&live, Cause::Expiry, 1, None, now),
                Effect::Message(message) => self.read(&message, now),
                Effect::Gone => self.is_gone = true,
            }
        }
        self.retry_for_money(now);
    }

    fn free(&mut self, freed: Freed, now: Now) {
        match freed {
            Freed::Unit(account) => self.stock(account).used -= 1,
            Freed::Flushed(account) => {
                let stock = self.stock(account);
                stock.unflushed = stock.unflushed.saturating_sub(1);
            }
            Freed::Slot { key, refund, waiter, holder } => {
                let account = key.0;
                self.stock(account).used -= 1;
                let is_ours = !self.not_ours.remove(&key);
                // What a holder that is gone was owed is the hub's again.
                if holder == self.link.holder() {
                    self.till.quarantined = self.till.quarantined.saturating_sub(refund);
                    if is_ours {
                        self.till.free = self.till.free.saturating_add(refund);
                    }
                }
                if let Some(client) = waiter {
                    let has_ended = self.ended.contains_key(&key);
                    self.say(client, if has_ended { Said::Ended } else { Said::Unavailable });
                }
                let stock = self.stock(account);
                if stock.unflushed_max == 0 || stock.idle() > 2 * stock.unflushed_max {
                    self.return_idle(account, now);
                }
            }
            Freed::Receipt(key, Some(client)) => {
                let has_ended = self.ended.contains_key(&key);
                self.say(client, if has_ended { Said::Ended } else { Said::Unavailable });
            }
            Freed::Receipt(_, None) => {}
            Freed::Admission(client, call_id, account) => {
                let key = (account, call_id);
                self.unflushed.remove(&key);
                let said = match self.live.get(&key) {
                    Some(known) => {
                        Said::Live { until_us: i64::from(known.lease.deadline) * SECOND_US }
                    }
                    None => Said::Unavailable,
                };
                self.say(client, said);
            }
        }
    }

    /// Another call of the name came first, or another gateway has adopted it.
    fn reject(&mut self, call: &Call) {
        let key = key_of(call);
        let was_adopting = self.adopting.remove(&key);
        self.unflushed.remove(&key);
        if self.undecided.contains_key(&key) {
            let had_unit = self.undecided(call, Said::Unavailable);
            self.stock(key.0).used -= u32::from(had_unit);
            return;
        }
        if self.live.get(&key).is_some_and(|known| known.call == *call)
            && let Some(known) = self.live.remove(&key)
        {
            self.stock(key.0).used -= 1;
            if !was_adopting {
                self.till.free = self.till.free.saturating_add(known.lease.hold);
            }
        } else if was_adopting {
            self.not_ours.insert(key);
        }
    }

    fn decided(&mut self, call: Call, wanted: Wanted, now: Now) {
        let key = key_of(&call);
        let Some(Undecided { waiting, lease, has_unit }) = self.undecided.remove(&key) else {
            return;
        };
        let patient = waiting.client != ClientId::MAX;
        let give_back = |node: &mut Self| {
            node.till.free = node.till.free.saturating_add(lease.hold);
            node.stock(key.0).used -= u32::from(has_unit);
        };
        match wanted {
            Wanted::Granted(_) if patient => {
                self.stock(key.0).used += u32::from(!has_unit);
                let until_us = i64::from(lease.deadline) * SECOND_US;
                self.live.insert(key, LiveCall { call, lease });
                self.say(waiting.client, Said::Live { until_us });
            }
            Wanted::Granted(_) => {
                self.till.free = self.till.free.saturating_add(lease.hold);
                self.stock(key.0).used += u32::from(!has_unit);
                self.link.withdraw(call, Some(Freed::Unit(key.0)), now);
            }
            // Perhaps there is an idle unit here by now.
            Wanted::Recall if patient => self.take_slot(key, waiting, lease.hold, now),
            Wanted::Refused { .. } | Wanted::Capped { .. } => {
                give_back(self);
                self.say(waiting.client, Said::NoSlot);
            }
            Wanted::Unknown | Wanted::Learning | Wanted::Recall => {
                give_back(self);
                self.say(waiting.client, Said::Unavailable);
            }
        }
    }

    /// Whether the call had a slot here.
    fn undecided(&mut self, call: &Call, said: Said) -> bool {
        let Some(undecided) = self.undecided.remove(&key_of(call)) else {
            return false;
        };
        self.till.free = self.till.free.saturating_add(undecided.lease.hold);
        self.say(undecided.waiting.client, said);
        undecided.has_unit
    }

    /// Unit and hold of the call are this holder's now.
    fn adopted(&mut self, call: &Call, hold: Amount) {
        self.adopting.remove(&key_of(call));
        let stock = self.stock(call.account());
        stock.lease += 1;
        stock.granted += 1;
        self.till.granted = self.till.granted.saturating_add(hold);
    }

    fn return_idle(&mut self, counter: AccountId, now: Now) {
        let stock = self.stock(counter);
        let idle = stock.idle();
        stock.lease -= idle;
        stock.returned += u64::from(idle);
        let holding = stock.holding(counter);
        self.link.report(holding, now);
        self.link.hurry(now);
    }

    fn return_money(&mut self, now: Now) {
        self.till.returned = self.till.returned.saturating_add(self.till.free);
        self.till.free = Amount::ZERO;
        self.link.report_money(self.till.purse(), now);
        self.link.hurry(now);
    }

    fn funded(&mut self, funded: Funded, now: Now) {
        match funded {
            Funded::Granted(_) => {}
            // Crumbs of several gateways may be enough together.
            Funded::Recall => self.return_money(now),
            Funded::Empty(_) => self.without_money(&Said::NoMoney),
            Funded::Learning => self.without_money(&Said::Unavailable),
        }
    }

    fn without_money(&mut self, said: &Said) {
        for waiting in std::mem::take(&mut self.wait_for_money) {
            self.say(waiting.client, said.clone());
        }
    }

    fn retry_for_money(&mut self, now: Now) {
        let hold = crate::installation::hold();
        while self.till.free >= hold
            && let Some(waiting) = self.wait_for_money.pop_front()
        {
            if let Asked::Admit { account, call_id } = waiting.asked.clone() {
                self.admit((account, call_id), waiting, now);
            }
        }
        if !self.wait_for_money.is_empty() {
            self.ask_for_money(now);
        }
    }

    fn found(&mut self, key: &Key, found: &Found, now: Now) {
        let (mine, rest) = std::mem::take(&mut self.wait_for_find)
            .into_iter()
            .partition::<Vec<_>, _>(|(wanted, _)| wanted == key);
        self.wait_for_find = rest.into();
        for (_, waiting) in mine {
            self.found_for(key, found, waiting, now);
        }
    }

    fn found_for(&mut self, key: &Key, found: &Found, waiting: Waiting, now: Now) {
        if self.live.contains_key(key) || self.ended.contains_key(key) {
            return self.ask(waiting.client, waiting.asked, now);
        }
        match (found, &waiting.asked) {
            (Found::Nothing, _) => self.say(waiting.client, Said::Unknown),
            (Found::Ended(_), _) => self.say(waiting.client, Said::Ended),
            (Found::Live(None, live), Asked::Release { billable_s, .. }) => {
                self.end_orphan(live, Cause::Release, *billable_s, Some(waiting.client), now);
            }
            (Found::Live(None, live), _) => self.adopt(key, live, &waiting, now),
            (Found::Live(Some(holder), _), Asked::Release { billable_s, .. }) => {
                let letter = release_letter(self.link.holder(), key, *billable_s);
                self.link.write_to(*holder, letter, now);
                self.say(waiting.client, Said::Unavailable);
            }
            (Found::Live(Some(_), _), _) => self.say(waiting.client, Said::Unavailable),
        }
    }

    /// A call without a holder goes on here; who asks is told when it is this holder's.
    fn adopt(&mut self, key: &Key, live: &Live, waiting: &Waiting, now: Now) {
        if !self.link.may_admit(now) {
            return self.say(waiting.client, Said::Unavailable);
        }
        let mut lease = live.lease;
        lease.deadline = lease.deadline.max(self.deadline(now));
        self.stock(key.0).used += 1;
        let call = live.call.clone();
        self.live.insert(key.clone(), LiveCall { call: call.clone(), lease });
        self.adopting.insert(key.clone());
        let freed = Freed::Admission(waiting.client, key.1.clone(), key.0);
        self.link.record(Event::Adopted { call, lease }, Some(freed), now);
        self.link.hurry(now);
    }

    /// A call that is nobody's ends: its slot and money are the hub's.
    fn end_orphan(
        &mut self,
        live: &Live,
        cause: Cause,
        billable_s: u32,
        waiter: Option<ClientId>,
        now: Now,
    ) {
        let key = key_of(&live.call);
        if self.live.contains_key(&key) || self.ended.contains_key(&key) {
            return;
        }
        let record = record(&live.call, &live.lease, cause, billable_s, now);
        self.ended.insert(key.clone(), record.forget_at);
        self.link.record(Event::Ended(record), Some(Freed::Receipt(key, waiter)), now);
        self.link.hurry(now);
    }

    fn answer_finders(&mut self, key: &Key, said: &Said) {
        let (mine, rest) = std::mem::take(&mut self.wait_for_find)
            .into_iter()
            .partition::<Vec<_>, _>(|(wanted, _)| wanted == key);
        self.wait_for_find = rest.into();
        for (_, waiting) in mine {
            self.say(waiting.client, said.clone());
        }
    }

    /// A letter of another gateway: end this call.
    fn read(&mut self, message: &Message, now: Now) {
        let body = &message.body;
        let Some((account, rest)) = body.split_first_chunk::<{ AccountId::LEN }>() else {
            return;
        };
        let (Some(account), Some((billable_s, call_id))) =
            (AccountId::from_bytes(account), rest.split_first_chunk::<4>())
        else {
            return;
        };
        let key = (account, String::from_utf8_lossy(call_id).into_owned().into());
        if let Some(known) = self.live.remove(&key) {
            self.end(&known, Cause::Release, u32::from_le_bytes(*billable_s), None, now);
        }
    }

    pub fn holder(&self) -> HolderId {
        self.link.holder()
    }
}
