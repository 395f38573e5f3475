//! What the engine does about a reply of a shared hub, effect by effect, in the order in which the link
//! gives them. Runs where the shard's exchanges run; nothing here waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hub::call::{Call, Record};
use hub::call_table::same_admission;
use hub::clock;
use hub::id::AccountId;
use hub::money::Amount;
use hub::state::calls::Live as Orphan;
use tokio::sync::oneshot::Sender;

use super::{leave_organization, leave_slot};
use crate::accounts::Account;
use crate::admission::calls::{Entry, Live, Standing};
use crate::admission::grant::Ending;
use crate::engine::{Engine, Hub};
use crate::link::Effect;
use crate::node::Freed;
use crate::sharing::{After, Sharing, Verdict};

/// Ended calls that a gateway remembers itself, at most: with more the hub is asked.
const REMEMBERED_MAX: u64 = 500_000;

/// What is known of a reply beyond its effects.
#[derive(Clone, Copy)]
pub(super) struct Heard {
    pub(super) shard: u8,
    /// All replicas that may be promoted have what the exchange said.
    pub(super) is_durable: bool,
}

impl Engine {
    pub(super) fn hear(&self, heard: Heard, effects: Vec<Effect<After>>) -> bool {
        let Hub::Shared(sharing) = &self.hub else {
            return false;
        };
        let mut is_gone = false;
        let shard = sharing.shard(heard.shard);
        for effect in effects {
            match effect {
                Effect::Freed(after) => self.free(sharing, heard, after),
                Effect::Rejected(call) => self.reject(sharing, heard.shard, &call),
                Effect::NotAdopted(call) => self.not_adopted(sharing, heard.shard, &call),
                Effect::Deferred(call, after) => {
                    self.not_adopted(sharing, heard.shard, &call);
                    self.free(sharing, heard, after);
                }
                // Whoever asks again is sent on.
                Effect::Elsewhere(call) => self.forget(&call),
                Effect::Decided(call, wanted) => self.decided(sharing, heard, &call, wanted),
                // Its slot, if it has one here, is free when the hub has the withdrawal.
                Effect::Undecided(call) => {
                    drop(self.undecide(sharing, heard.shard, &call, Verdict::Unavailable));
                }
                Effect::Adopted(call, hold) => self.adopted(sharing, heard.shard, &call, hold),
                Effect::Answered(..) | Effect::NoAnswer(_) => {}
                Effect::Granted(terms) => self.with_account(terms.counter, |account| {
                    let (granted, unflushed_max) = (terms.granted, terms.unflushed_max);
                    shard.change(|state, now| state.granted(account, granted, unflushed_max, now));
                }),
                Effect::GrantedMoney(funding) => {
                    let more = shard.state.lock().granted_money(funding.owner, funding.granted);
                    self.directory.wallet(funding.owner).funds.add(more);
                }
                Effect::Funded(owner, funded) => {
                    tell_all(shard.state.lock().waiting.take_fundings(owner), &Some(funded));
                }
                Effect::NoMoneyAnswer(owner) => {
                    tell_all(shard.state.lock().waiting.take_fundings(owner), &None);
                }
                Effect::Recount(counter) => self.with_account(counter, |account| {
                    shard.change(|state, now| state.report(account, now));
                }),
                Effect::RecountMoney(owner) => {
                    shard.change(|state, now| state.report_money(owner, now));
                }
                Effect::Recall(counter) => self.with_account(counter, |account| {
                    shard.change(|state, now| {
                        state.return_idle(account, 0, now);
                        state.link.hurry(now);
                    });
                }),
                Effect::RecallMoney(owner) => self.return_money(sharing, heard.shard, owner),
                Effect::Found(key, found) => {
                    tell_all(shard.state.lock().waiting.take_finds(&key), &Some(found));
                }
                Effect::NotFound(key) => {
                    tell_all(shard.state.lock().waiting.take_finds(&key), &None);
                }
                Effect::Due(orphan) => self.end_due(sharing, &orphan),
                Effect::Message(message) => Self::read_letter(sharing, heard.shard, message),
                Effect::Gone => is_gone = true,
            }
        }
        is_gone
    }

    fn with_account(&self, id: AccountId, then: impl FnOnce(&Arc<Account>)) {
        if let Some(account) = self.directory.account(id) {
            then(&account);
        }
    }

    /// The hub has an event.
    fn free(&self, sharing: &Sharing, heard: Heard, after: After) {
        match after {
            After::Credit { account, generation } => {
                let shard = sharing.shard(account.organization.shard);
                if shard.fence.generation() == generation {
                    account.credit.give_back();
                    fetch_block(sharing, &account);
                }
            }
            After::Told { call, told, durable } => {
                self.told(sharing, heard, (&call, durable), told);
            }
            After::Withdrawn { account } => leave_slot(&account),
            After::Heard { call, told } => {
                let is_here = (self.calls.place(call.account(), call.call_id()).find())
                    .is_some_and(|entry| same_admission(entry.call(), &call));
                say(told, if is_here { Verdict::Told } else { Verdict::Rejected });
            }
            After::Ended { record, freed, generation, told } => {
                self.free_ended(sharing, (&record, freed), generation);
                let is_known = matches!(
                    self.calls.place(record.call.account(), record.call.call_id()).find(),
                    Some(Entry::Ended(_))
                );
                self.remember(sharing, &record);
                let verdict = if is_known { Verdict::Told } else { Verdict::Rejected };
                say(told, verdict);
            }
        }
    }

    /// The hub has a call for which somebody waits.
    fn told(
        &self,
        sharing: &Sharing,
        heard: Heard,
        (call, durable): (&Call, bool),
        told: Sender<Verdict>,
    ) {
        let mut place = self.calls.place(call.account(), call.call_id());
        let Some(Entry::Live(live)) = place.find().filter(|entry| entry.call() == call) else {
            drop(place);
            say(told, Verdict::Rejected);
            return;
        };
        if durable && !heard.is_durable {
            drop(place);
            self.withdraw(sharing, call);
            say(told, Verdict::Unavailable);
            return;
        }
        let was_new = live.standing == Standing::Unflushed;
        live.standing = Standing::Owned;
        drop(place);
        if told.send(Verdict::Told).is_err() {
            // Nobody learns of it, so nobody will end it.
            if was_new {
                self.withdraw(sharing, call);
            }
            return;
        }
        let mut state = sharing.shard(heard.shard).state.lock();
        let counts = state.counts();
        counts.admitted += u64::from(was_new);
        counts.adopted += u64::from(!was_new);
    }

    fn free_ended(&self, sharing: &Sharing, (record, freed): (&Record, Freed), generation: u32) {
        let Some(account) = self.directory.account(record.call.account()) else {
            return;
        };
        let shard = sharing.shard(account.organization.shard);
        let is_same_holder = shard.fence.generation() == generation;
        if let Some((wallet, refund)) = freed.refund
            && is_same_holder
        {
            let admission = record.call.facts().admission;
            if shard.state.lock().take_anothers(admission) {
                wallet.funds.drop_refund(refund);
            } else {
                wallet.funds.free_refund(refund);
            }
        }
        if let Some(account) = freed.slot {
            leave_organization(&account);
            account.slots.leave_ended();
            let now_here = account.slots.now();
            let block = account.credit.max();
            let idle = now_here.lease.saturating_sub(now_here.used);
            let is_above_cap = now_here.lease > account.cap();
            if idle > 2 * block || is_above_cap {
                // Nobody waits for it: who does has it recalled, which is told at once. What the next
                // admits take stays.
                let keep = if is_above_cap { 0 } else { now_here.used + block };
                shard.change(|state, now| state.return_idle(&account, keep, now));
            }
        }
    }

    /// An ended call whose record the hub has: a repeated request is answered from here for a while.
    fn remember(&self, sharing: &Sharing, record: &triomphe::Arc<Record>) {
        let mut place = self.calls.place(record.call.account(), record.call.call_id());
        let hash = place.name().hash();
        let Some(Entry::Ended(_)) = place.find() else {
            return;
        };
        if sharing.remembers_more(REMEMBERED_MAX) {
            drop(place);
            self.wheel.add(record.forget_at, hash);
        } else {
            let flushed = place.flushed(record);
            drop(place);
            self.calls.forget(flushed);
        }
    }

    fn forget(&self, call: &Call) {
        let mut place = self.calls.place(call.account(), call.call_id());
        let is_ended = |entry: &&mut Entry| matches!(entry, Entry::Ended(_));
        if place.find().filter(is_ended).is_some_and(|entry| entry.call() == call) {
            place.remove();
        }
    }

    /// Another call of the name came first: this one never was.
    fn reject(&self, sharing: &Sharing, shard: u8, call: &Call) {
        let mut place = self.calls.place(call.account(), call.call_id());
        let Some(Entry::Live(live)) = place.find().filter(|entry| entry.call() == call) else {
            return;
        };
        let standing = live.standing;
        if standing.is_open() {
            drop(place);
            return self.refuse(sharing, shard, call, Verdict::Rejected);
        }
        if let Some(live) = place.take_live() {
            give_back(&live);
        }
        drop(place);
        if standing == Standing::Owned {
            sharing.shard(shard).state.lock().counts().left += 1;
        }
    }

    /// Another gateway has adopted the call, or it has ended: its hold was never this one's.
    fn not_adopted(&self, sharing: &Sharing, shard: u8, call: &Call) {
        let mut place = self.calls.place(call.account(), call.call_id());
        match place.find().filter(|entry| entry.call() == call) {
            Some(Entry::Live(_)) => {
                if let Some(live) = place.take_live() {
                    leave_slot(&live.account);
                }
            }
            Some(Entry::Ended(_)) => {
                drop(place);
                let admission = call.facts().admission;
                sharing.shard(shard).state.lock().anothers.push(admission);
            }
            None => {}
        }
    }

    /// Unit and hold of the call are this holder's now.
    fn adopted(&self, sharing: &Sharing, shard: u8, call: &Call, hold: Amount) {
        let Some(account) = self.directory.account(call.account()) else {
            return;
        };
        let mut place = self.calls.place(call.account(), call.call_id());
        if let Some(Entry::Live(live)) = place.find().filter(|entry| entry.call() == call) {
            live.standing = Standing::Owned;
        }
        account.slots.extend(1);
        let wallet = self.wallet_of(&account, call);
        let mut state = sharing.shard(shard).state.lock();
        state.stocks.entry(account.id).or_default().granted += 1;
        if let Some(wallet) = wallet {
            let till = state.tills.entry(wallet.owner).or_default();
            till.granted = till.granted.saturating_add(hold);
        }
    }

    fn return_money(&self, sharing: &Sharing, shard: u8, owner: AccountId) {
        let idle = self.directory.wallet(owner).funds.take_all();
        sharing.shard(shard).change(|state, now| {
            let till = state.tills.entry(owner).or_default();
            till.returned = till.returned.saturating_add(idle);
            state.report_money(owner, now);
            state.link.hurry(now);
        });
    }

    /// A call without a holder that nobody renewed in time. One that has ended here is told again: the hub
    /// has it from an older memory.
    fn end_due(&self, sharing: &Sharing, orphan: &Orphan) {
        let Some(account) = self.directory.account(orphan.call.account()) else {
            return;
        };
        let mut place = self.calls.place(account.id, orphan.call.call_id());
        if let Some(Entry::Ended(record)) = place.find()
            && same_admission(&record.call, &orphan.call)
        {
            return sharing.ended_again(account.organization.shard, record);
        }
        drop(place);
        let ended_us = clock::now_us();
        let ending = Ending::unsaid(account.lapse(), ended_us);
        drop(self.end_orphan(&account, orphan, ending));
    }
}

/// A gateway in the fast regime keeps some idle units, so that the next admit finds one.
pub(super) fn fetch_block(sharing: &Sharing, account: &Account) {
    let unflushed_max = account.credit.max();
    let here = account.slots.now();
    let idle = here.lease.saturating_sub(here.used);
    if idle < unflushed_max {
        let units = 2 * unflushed_max - idle;
        let want = hub::state::request::Want { counter: account.id, units, recalled: false };
        sharing.shard(account.organization.shard).change(|state, now| {
            state.link.want(want, now);
        });
    }
}

/// A call counts against its organization.
pub(super) fn enter_organization(account: &Account) {
    if !account.id.is_shadow() {
        account.organization.in_use.fetch_add(1, Ordering::AcqRel);
    }
}

/// Slot and hold of a call that is undone are free here.
fn give_back(live: &Live) {
    leave_slot(&live.account);
    give_hold_back(live);
}

pub(super) fn give_hold_back(live: &Live) {
    if let Some(wallet) = &live.wallet {
        wallet.funds.add(live.lease.hold);
    }
}

fn tell_all<T: Clone>(waiting: Vec<Sender<T>>, said: &T) {
    for told in waiting {
        say(told, said.clone());
    }
}

/// Whoever has gone needs no answer.
pub(super) fn say<T>(told: Sender<T>, said: T) {
    if told.send(said).is_err() {
        tracing::trace!("nobody waits any more");
    }
}
