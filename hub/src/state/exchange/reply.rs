//! What a holder is told: how it stands, what it got, and letters from others.

use std::collections::BTreeSet;

use triomphe::Arc;

use super::{CallKey, Shard};
use crate::call::{Call, Record};
use crate::id::{AccountId, HolderId};
use crate::money::Amount;
use crate::state::calls::{Entry, Live};
use crate::state::holders::HolderIndex;
use crate::state::request::{Answer, Event, Sync};
use crate::state::wallets;

/// Orphans that one reply names, at most.
pub(crate) const DUE_MAX: usize = 64;

/// The hub's answer to an exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub standing: Standing,
    pub incarnation: u64,
    /// The hub's clock, in milliseconds.
    pub clock_ms: u64,
    /// Nothing is granted while the hub learns what holders have.
    pub learning: bool,
    pub answer: Answer,
    /// Of every counter that the exchange names.
    pub terms: Vec<Terms>,
    /// Of every wallet that the exchange names.
    pub funding: Vec<Funding>,
    /// One for each call looked up, in order.
    pub found: Vec<Found>,
    /// Letters after the one numbered [`super::Exchange::mail_seen`].
    pub mail: Vec<Mail>,
    /// Calls without a holder that nobody renewed in time: who is told ends them.
    pub due: Vec<Live>,
    /// How the beats of all holders stand.
    pub beats: Vec<(HolderId, u64)>,
    /// Records of this holder that have reached the ledger, in total.
    pub records_acknowledged: u64,
}

/// How a holder stands with the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The exchange counted. A holder that does not stand in the database yet is granted nothing.
    Member,
    /// The hub lost its memory, or the holder is new: nothing counted; report everything.
    OtherIncarnation,
    /// As before, in the incarnation that the holder knows: nothing but its beat counted.
    Unreported,
    /// A later exchange came before: nothing counted.
    Outdated,
    /// The holder was reaped: it needs a new id, and adopts its calls.
    Gone,
}

/// What a holder has of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    pub counter: AccountId,
    /// Units granted in total.
    pub granted: u64,
    /// Admits that may be answered before the hub has them; 0: each is decided by the hub.
    pub unflushed_max: u32,
}

/// What a holder has of a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Funding {
    pub owner: AccountId,
    /// In total.
    pub granted: Amount,
}

/// What is known of a call that was looked up.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Nothing,
    /// Live at this holder; `None`: at none, so that who asks may adopt or end it. A place in the
    /// hub's table means nothing outside.
    Live(Option<HolderId>, Live),
    Ended(Arc<Record>),
}

/// A letter to a holder. It comes again until it is acknowledged.
#[derive(Clone, Debug, PartialEq)]
pub enum Mail {
    /// Others want units of this counter: give back what is idle.
    Recall(AccountId),
    /// Others want money of this wallet: give back what is idle.
    RecallMoney(AccountId),
    /// A question or answer of another gateway.
    Message(Message),
}

/// What one gateway tells another; the hub does not look into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub from: HolderId,
    /// Chosen by who asked; the answer has the same.
    pub ticket: u64,
    pub body: Box<[u8]>,
}

/// The counters and wallets of which the reply says what is granted in total.
#[derive(Debug, Default)]
pub(super) struct Asked {
    counters: BTreeSet<AccountId>,
    wallets: BTreeSet<AccountId>,
}

impl Asked {
    fn add(&mut self, call: &Call, owner: Option<AccountId>) {
        self.counters.insert(call.account());
        self.wallets.extend(owner);
    }
}

impl Shard {
    pub(super) fn asked(&self, sync: &Sync) -> Asked {
        let mut asked = Asked {
            counters: sync.wants.iter().map(|want| want.counter).collect(),
            wallets: sync.funds.iter().map(|fund| fund.owner).collect(),
        };
        asked.counters.extend(sync.holdings.iter().map(|holding| holding.counter));
        asked.wallets.extend(sync.purses.iter().map(|purse| purse.owner));
        for event in &sync.events {
            match event {
                Event::Wanted { call, .. } => asked.add(call, None),
                Event::Adopted { call, .. } => {
                    asked.add(call, wallets::owner_of(call, &self.counters));
                }
                _ => {}
            }
        }
        asked
    }

    /// A reply that says how the holder stands and nothing else.
    pub(super) fn refused(&self, standing: Standing) -> Reply {
        Reply {
            standing,
            incarnation: self.membership.incarnation,
            clock_ms: self.membership.clock_ms,
            learning: self.membership.learning.is_some(),
            answer: Answer::default(),
            terms: Vec::new(),
            funding: Vec::new(),
            found: Vec::new(),
            mail: Vec::new(),
            due: Vec::new(),
            beats: Vec::new(),
            records_acknowledged: 0,
        }
    }

    pub(super) fn fill(&mut self, reply: &mut Reply, index: HolderIndex, asked: &Asked) {
        if let Some(holder) = self.holders.at(index) {
            reply.mail.extend(holder.mail.iter().cloned());
            reply.records_acknowledged = holder.records_acknowledged;
        }
        reply.learning = self.membership.learning.is_some();
        if !reply.learning {
            // Before, somebody may yet report that the call is its own.
            reply.due = self.calls.due(self.membership.now(), DUE_MAX);
        }
        let holders = self.holders.confirmed();
        for counter in &asked.counters {
            let unflushed_max = self.counters.unflushed_max(*counter, index, holders);
            let granted = self.counters.granted(*counter, index);
            reply.terms.push(Terms { counter: *counter, granted, unflushed_max });
        }
        for owner in &asked.wallets {
            let granted = self.wallets.granted(*owner, index);
            reply.funding.push(Funding { owner: *owner, granted });
        }
        reply.beats = self.holders.iter().map(|holder| (holder.id, holder.beat)).collect();
        reply.beats.sort_unstable();
    }

    pub(super) fn find(&self, key: &CallKey) -> Found {
        match self.calls.find_named(key.account, &key.call_id) {
            Some(Entry::Live(live)) => {
                let holder = self.holder_of(live);
                Found::Live(holder, live.told())
            }
            Some(Entry::Ended(record)) => Found::Ended(Arc::clone(record)),
            None => Found::Nothing,
        }
    }
}
