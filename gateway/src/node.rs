//! This gateway as a holder at the hub: queues what happens to calls, by shard, and hands it over at
//! the end of each event-loop turn. A freed slot or refund is free again only after that (rule 8).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hub::clock;
use hub::denial::{Denial, Reason, Scope};
use hub::embedded::{EmbeddedHub, HubUnavailable};
use hub::id::{AccountId, SHARDS};
use hub::money::Amount;
use hub::state::request::{Answer, Event, Holding, Sync, Want, Wanted};
use parking_lot::Mutex;

use crate::accounts::{Account, Wallet};
use crate::admission::calls::{Calls, Flushed};
use crate::admission::slots::Slots;
use crate::counts::{CallCounts, Durations};
use crate::resources::Cap;

/// Units above a floor that are fetched at once, at most.
const BLOCK_MAX: u32 = 64;
/// Recalls before a refusal: one suffices unless others take what came back.
const RECALLS_MAX: u32 = 4;

/// What the end of a call gives back once it is recorded.
#[derive(Debug)]
pub struct Freed {
    /// The call, which is the hub's to remember then.
    pub flushed: Flushed,
    /// Whose slot; `None` for a correction of a call that had given its slot back already.
    pub slot: Option<Arc<Account>>,
    pub refund: Option<(Arc<Wallet>, Amount)>,
    /// What it counted against beside its account, with an embedded hub; most calls: nothing.
    pub caps: Option<Box<[Arc<Cap>]>>,
}

#[derive(Debug, Default)]
struct Queue {
    sync: Sync,
    freed: Vec<Freed>,
    /// Units given back to the hub in total, by account.
    returned: HashMap<AccountId, u64, FixedState>,
    counts: CallCounts,
}

/// The buffers of a flush, kept for the next.
#[derive(Debug, Default)]
struct Flush {
    dirty: Vec<u8>,
    syncs: Vec<(u8, Sync)>,
    freed: Vec<Freed>,
}

pub struct Node {
    hub: Arc<EmbeddedHub>,
    calls: Arc<Calls>,
    queues: Box<[Mutex<Queue>]>,
    /// Shards whose queue is not empty.
    dirty: Mutex<Vec<u8>>,
    /// One flush at a time; who waited for it finds its own events recorded.
    flushing: Mutex<Flush>,
    /// How long flushes took that had something to record.
    pub syncs: Durations,
}

impl Node {
    pub fn new(hub: Arc<EmbeddedHub>, calls: Arc<Calls>) -> Self {
        let queues = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self {
            hub,
            calls,
            queues,
            dirty: Mutex::default(),
            flushing: Mutex::default(),
            syncs: Durations::default(),
        }
    }

    /// Queues what happened to a call. To be called under the lock of the call's table, so that the
    /// hub hears the events of one call in their order.
    pub fn record(&self, shard: u8, event: Event, freed: Option<Freed>) {
        self.enqueue(shard, |queue| {
            match (&event, &freed) {
                (Event::Admitted { .. }, _) => queue.counts.admitted += 1,
                (Event::Ended(record), Some(Freed { slot: Some(_), .. })) => {
                    queue.counts.release(record.cause);
                }
                _ => {}
            }
            queue.sync.events.push(event);
            queue.freed.extend(freed);
        });
    }

    /// A call was taken over from the process before; the hub knows.
    pub fn adopted(&self, shard: u8) {
        self.queues[usize::from(shard)].lock().counts.adopted += 1;
    }

    /// Calls that began and ended at this gateway.
    pub fn calls(&self) -> CallCounts {
        let mut sum = CallCounts::default();
        self.queues.iter().for_each(|queue| sum.add(&queue.lock().counts));
        sum
    }

    fn enqueue(&self, shard: u8, add: impl FnOnce(&mut Queue)) {
        let mut queue = self.queues[usize::from(shard)].lock();
        let was_empty = queue.sync.is_empty();
        add(&mut queue);
        if was_empty {
            self.dirty.lock().push(shard);
        }
    }

    /// Records everything queued before the call, by any thread, and frees what may be free then.
    pub fn flush(&self) -> Result<(), HubUnavailable> {
        self.flush_locked(&mut self.flushing.lock())
    }

    fn flush_locked(&self, flush: &mut Flush) -> Result<(), HubUnavailable> {
        std::mem::swap(&mut flush.dirty, &mut *self.dirty.lock());
        if flush.dirty.is_empty() {
            return self.hub.retry();
        }
        // What is left in `syncs` was emptied by the hub: a queue goes on in the room of the one before.
        flush.syncs.resize_with(flush.dirty.len(), Default::default);
        for (shard, (place, sync)) in flush.dirty.drain(..).zip(&mut flush.syncs) {
            let mut queue = self.queues[usize::from(shard)].lock();
            *place = shard;
            sync.holder = self.hub.holder();
            std::mem::swap(&mut sync.events, &mut queue.sync.events);
            std::mem::swap(&mut sync.holdings, &mut queue.sync.holdings);
            flush.freed.append(&mut queue.freed);
        }
        let began_us = clock::boot_us();
        let recorded = self.hub.sync(&mut flush.syncs).map(|_answers| ());
        self.syncs.add(clock::boot_us() - began_us);
        flush.freed.drain(..).for_each(|freed| self.free(freed));
        recorded
    }

    fn free(&self, freed: Freed) {
        self.calls.forget(freed.flushed);
        if let Some((wallet, refund)) = freed.refund {
            wallet.funds.free_refund(refund);
        }
        freed.caps.iter().flatten().for_each(|cap| cap.free_ended());
        if let Some(account) = freed.slot {
            self.leave(&account, |slots| slots.free_ended(|| account.cap()));
        }
    }

    /// A slot that no call uses any more: idle here, or back to the hub when a limit was lowered.
    pub fn give_back(&self, account: &Account) {
        self.leave(account, |slots| slots.give_back(|| account.cap()));
    }

    fn leave(&self, account: &Account, give_back: impl FnOnce(&Slots) -> u32) {
        let organization = &account.organization;
        if !account.id.is_shadow() {
            organization.in_use.fetch_sub(1, Ordering::AcqRel);
        }
        let returned = give_back(&account.slots);
        if returned > 0 {
            self.returned(account, returned);
        }
        organization.freed.fetch_add(1, Ordering::AcqRel);
    }

    fn returned(&self, account: &Account, units: u32) {
        self.enqueue(account.organization.shard, |queue| {
            let returned = queue.returned.entry(account.id).or_default();
            *returned += u64::from(units);
            // What was granted and what may be unflushed is for a hub that others share.
            let holding =
                Holding { counter: account.id, granted: 0, returned: *returned, unflushed_max: 0 };
            queue.sync.holdings.push(holding);
        });
    }

    /// Leases more units for an account that has no idle slot. `Ok` when there is a slot to be taken
    /// now, which another call may take first; the refusal was true while this ran.
    pub fn fetch_slots(&self, account: &Arc<Account>) -> Result<(), Denial> {
        let mut flush = self.flushing.lock();
        let unavailable = |_: HubUnavailable| Denial::from(Reason::HubUnavailable);
        let organization = &account.organization;
        let mut freed_at_recall = None;
        for _ in 0..RECALLS_MAX {
            self.flush_locked(&mut flush).map_err(unavailable)?;
            let now = account.slots.now();
            if now.used < now.lease {
                return Ok(());
            }
            // After a recall as it was before: what was freed since may be idle at a sibling.
            let freed = || organization.freed.load(Ordering::Acquire);
            let freed = freed_at_recall.unwrap_or_else(freed);
            let recalled = freed_at_recall.is_some();
            let floor = account.terms().floor;
            let within = floor.saturating_sub(now.lease);
            let units = if within > 0 { within } else { (now.lease / 8).clamp(1, BLOCK_MAX) };
            match self
                .want(account, Want { counter: account.id, units, recalled })
                .map_err(unavailable)?
            {
                Wanted::Granted(units) => {
                    self.granted(account, units);
                    return Ok(());
                }
                Wanted::Recall => {
                    freed_at_recall = Some(organization.freed.load(Ordering::Acquire));
                    self.recall(account);
                }
                Wanted::Refused { scope, limit } => {
                    if scope == Scope::Organization {
                        organization.exhausted.store(freed, Ordering::Release);
                    }
                    return Err(refusal(account, scope, limit));
                }
                Wanted::Unknown => return Err(Reason::UnknownAccount.into()),
                Wanted::Learning | Wanted::Capped { .. } => {
                    return Err(Reason::HubUnavailable.into());
                }
            }
        }
        Err(Reason::HubUnavailable.into())
    }

    fn want(&self, account: &Account, want: Want) -> Result<Wanted, HubUnavailable> {
        let holder = self.hub.holder();
        let sync = Sync { holder, wants: vec![want], ..Sync::default() };
        let answers = self.hub.sync(&mut [(account.organization.shard, sync)])?;
        let first = answers.first().and_then(|answer: &Answer| answer.wanted.first());
        Ok(first.copied().unwrap_or(Wanted::Unknown))
    }

    fn granted(&self, account: &Arc<Account>, units: u32) {
        account.slots.extend(units);
        self.note_above_floor(account);
    }

    /// Remembers an account that may have idle units above its floor.
    pub fn note_above_floor(&self, account: &Arc<Account>) {
        let above = account.slots.now().lease > account.terms().floor;
        if above && !account.id.is_shadow() {
            let mut above_floor = account.organization.above_floor.lock();
            if !account.listed.swap(true, Ordering::Relaxed) {
                above_floor.push(Arc::clone(account));
            }
        }
    }

    /// Gives back what any account of the organization has idle above its floor.
    pub fn recall(&self, account: &Account) {
        account.organization.above_floor.lock().retain(|sibling| {
            let terms = sibling.terms();
            let units = sibling.slots.shrink(terms.floor.min(terms.cap()));
            if units > 0 {
                self.returned(sibling, units);
            }
            let stays = sibling.slots.now().lease > terms.floor;
            sibling.listed.store(stays, Ordering::Relaxed);
            stays
        });
    }
}

/// The refusal with the numbers that a client understands.
pub fn refusal(account: &Account, scope: Scope, limit: u32) -> Denial {
    let in_use = match scope {
        Scope::Account => account.slots.now().used,
        Scope::Organization => account.organization.in_use.load(Ordering::Acquire),
    };
    Denial::NoSlot { scope, limit, in_use }
}
