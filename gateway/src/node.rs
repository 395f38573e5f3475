//! This gateway as a holder at the hub: queues what happens to calls, by shard, and hands it over at
//! the end of each event-loop turn. A freed slot or refund is free again only after that (rule 8).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hub::clock;
use hub::denial::{Denial, Reason, Scope};
use hub::embedded::{EmbeddedHub, HubUnavailable};
use hub::id::SHARDS;
use hub::money::Amount;
use hub::state::request::{Answer, Event, Return, Sync, Want, Wanted};
use parking_lot::Mutex;

use crate::accounts::{Account, Wallet};
use crate::counts::Durations;

/// Units above a floor that are fetched at once, at most.
const BLOCK_MAX: u32 = 64;
/// Recalls before a refusal: one suffices unless others take what came back.
const RECALLS_MAX: u32 = 4;

/// A slot and a refund that are free again once the end of their call is recorded.
#[derive(Debug)]
pub struct Freed {
    pub account: Arc<Account>,
    pub refund: Option<(Arc<Wallet>, Amount)>,
    /// False for a correction of a call that had given its slot back already.
    pub slot: bool,
}

#[derive(Debug, Default)]
struct Queue {
    sync: Sync,
    freed: Vec<Freed>,
}

pub struct Node {
    hub: Arc<EmbeddedHub>,
    queues: Box<[Mutex<Queue>]>,
    /// Shards whose queue is not empty.
    dirty: Mutex<Vec<u8>>,
    /// One flush at a time; who waited for it finds its own events recorded.
    flushing: Mutex<()>,
    /// How long flushes took that had something to record.
    pub syncs: Durations,
}

impl Node {
    pub fn new(hub: Arc<EmbeddedHub>) -> Self {
        let queues = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self {
            hub,
            queues,
            dirty: Mutex::default(),
            flushing: Mutex::default(),
            syncs: Durations::default(),
        }
    }

    /// Queues what happened to a call. To be called under the lock of the call's table, so that the
    /// hub hears the events of one call in their order.
    pub fn record(&self, account: &Account, event: Event, freed: Option<Freed>) {
        self.enqueue(account, |queue| {
            queue.sync.events.push(event);
            queue.freed.extend(freed);
        });
    }

    fn enqueue(&self, account: &Account, add: impl FnOnce(&mut Queue)) {
        let shard = account.organization.id.shard();
        let mut queue = self.queues[usize::from(shard)].lock();
        let was_empty = queue.sync.is_empty();
        add(&mut queue);
        if was_empty {
            self.dirty.lock().push(shard);
        }
    }

    /// Records everything queued before the call, by any thread, and frees what may be free then.
    pub fn flush(&self) -> Result<(), HubUnavailable> {
        let _one = self.flushing.lock();
        self.flush_locked()
    }

    fn flush_locked(&self) -> Result<(), HubUnavailable> {
        let dirty = std::mem::take(&mut *self.dirty.lock());
        if dirty.is_empty() {
            return self.hub.retry();
        }
        let mut syncs = Vec::with_capacity(dirty.len());
        let mut freed = Vec::new();
        for shard in dirty {
            let queue = std::mem::take(&mut *self.queues[usize::from(shard)].lock());
            let holder = self.hub.holder();
            syncs.push((shard, Sync { holder, ..queue.sync }));
            freed.push(queue.freed);
        }
        let began_us = clock::boot_us();
        let recorded = self.hub.sync(syncs).map(|_answers| ());
        self.syncs.add(clock::boot_us() - began_us);
        freed.into_iter().flatten().for_each(|freed| self.free(freed));
        recorded
    }

    fn free(&self, freed: Freed) {
        if let Some((wallet, refund)) = freed.refund {
            wallet.funds.free_refund(refund);
        }
        if freed.slot {
            self.give_back(&freed.account);
            freed.account.quarantined.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// A slot that no call uses any more: idle here, or back to the hub when a limit was lowered.
    pub fn give_back(&self, account: &Account) {
        let organization = &account.organization;
        if !account.id.is_shadow() {
            organization.in_use.fetch_sub(1, Ordering::AcqRel);
        }
        if account.slots.give_back(account.terms.load().cap()) {
            self.returned(account, 1);
        }
        organization.freed.fetch_add(1, Ordering::AcqRel);
    }

    fn returned(&self, account: &Account, units: u32) {
        let returned = account.returned.fetch_add(u64::from(units), Ordering::AcqRel);
        let part = Return { counter: account.id, returned: returned + u64::from(units) };
        self.enqueue(account, |queue| queue.sync.returns.push(part));
    }

    /// Leases more units for an account that has no idle slot. `Ok` when there is a slot to be taken
    /// now, which another call may take first; the refusal was true while this ran.
    pub fn fetch_slots(&self, account: &Arc<Account>) -> Result<(), Denial> {
        let _one = self.flushing.lock();
        let unavailable = |_: HubUnavailable| Denial::from(Reason::HubUnavailable);
        let organization = &account.organization;
        let mut recalled = false;
        for _ in 0..RECALLS_MAX {
            self.flush_locked().map_err(unavailable)?;
            let now = account.slots.now();
            if now.used < now.lease {
                return Ok(());
            }
            let freed = organization.freed.load(Ordering::Acquire);
            let floor = account.terms.load().floor;
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
                    self.recall(account);
                    recalled = true;
                }
                Wanted::Refused { scope, limit } => {
                    if scope == Scope::Organization {
                        organization.exhausted.store(freed, Ordering::Release);
                    }
                    return Err(refusal(account, scope, limit));
                }
                Wanted::Unknown => return Err(Reason::UnknownAccount.into()),
            }
        }
        Err(Reason::HubUnavailable.into())
    }

    fn want(&self, account: &Account, want: Want) -> Result<Wanted, HubUnavailable> {
        let holder = self.hub.holder();
        let sync = Sync { holder, wants: vec![want], ..Sync::default() };
        let answers = self.hub.sync(vec![(account.organization.id.shard(), sync)])?;
        let first = answers.first().and_then(|answer: &Answer| answer.wanted.first());
        Ok(first.copied().unwrap_or(Wanted::Unknown))
    }

    fn granted(&self, account: &Arc<Account>, units: u32) {
        account.slots.extend(units);
        self.note_above_floor(account);
    }

    /// Remembers an account that may have idle units above its floor.
    pub fn note_above_floor(&self, account: &Arc<Account>) {
        let above = account.slots.now().lease > account.terms.load().floor;
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
            let terms = sibling.terms.load();
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
