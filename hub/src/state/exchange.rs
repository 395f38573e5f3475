//! One call of a holder to a hub that it shares with others: it reports, asks, and is told what others
//! want of it (lease-protocol, rules 1 to 7). Membership, the hub's clock, learning and reaping.
//!
//! The hub reads no clock. Its own advances by what holders claim to have measured, never faster than
//! real time, and at most by [`CLAIM_MAX_MS`] at once: a deadline that is set with that much added is
//! never early.

pub(crate) mod reply;

use crate::clock::{EpochSeconds, SECOND_US, second_after, second_of};
use crate::id::{AccountId, HolderId};
use crate::money::Amount;
use crate::state::calls::Orphan;
use crate::state::events::cut;
use crate::state::holders::{Holder, HolderIndex, Letters};
use crate::state::request::{Answer, Sync};
use crate::state::{Grants, Report, Shard, wallets};
pub use reply::{Found, Funding, Mail, Message, Reply, Standing, Terms};

/// The longest time that one claim may cover.
pub const CLAIM_MAX_MS: u64 = 2_000;
/// What one holder asks of one shard at once. Repeated, late and lost ones change nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exchange {
    /// The incarnation that the holder knows; 0: none yet.
    pub incarnation: u64,
    /// Grows with each exchange of this holder with this shard; 1 joins.
    pub number: u64,
    pub claim: Option<Claim>,
    /// The number of the last letter received.
    pub mail_seen: u64,
    /// `sync` has everything that the holder has, in place of what the hub knows of it: what it holds
    /// now as granted, the live calls on that as admitted, and records that have not reached the
    /// ledger. Calls that it is about to adopt come as ever.
    pub complete: bool,
    /// The holder is going, and has told all: its calls are left to the hub.
    pub leaving: bool,
    pub sync: Sync,
    /// The number of the first record in `sync`: a holder numbers its records at a shard from 1, and
    /// leaves shadows' out.
    pub first_record: u64,
    /// Letters to other holders.
    pub mail: Vec<(HolderId, Mail)>,
    /// Holders whose beat stood still for long enough.
    pub reap: Vec<Standstill>,
    /// Calls to look up.
    pub find: Vec<CallKey>,
}

/// The hub's clock stood at `saw_ms` when a reply came, and `elapsed_ms` have passed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub saw_ms: u64,
    pub elapsed_ms: u64,
}

/// A holder whose beat has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standstill {
    pub holder: HolderId,
    pub beat: u64,
}

/// The name of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallKey {
    pub account: AccountId,
    pub call_id: Box<[u8]>,
}

/// A new incarnation of the shard's memory: it may have lost what happened last, or everything.
#[derive(Clone, Debug, PartialEq)]
pub struct Begin {
    /// Greater than any before.
    pub incarnation: u64,
    /// Holders that stand in the database: what they have is learned before anything is granted.
    pub holders: Vec<HolderId>,
    /// How long to learn at least: holders that were struck out lately may have left calls that this
    /// memory does not know.
    pub learn_min_ms: u64,
    /// How long to wait for those that do not report.
    pub learn_max_ms: u64,
    pub call_lease_s: u32,
    /// Where the hub's clock begins if it has not begun yet, in milliseconds since 1970.
    pub clock_ms: u64,
    /// The latest that anybody saw of the hub's clock; 0: nobody did. Older memory is set to it, so that
    /// calls are over that were long ago.
    pub clock_seen_ms: u64,
}

/// Who takes part, and since when.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Membership {
    pub(super) incarnation: u64,
    /// The hub's clock.
    pub(super) clock_ms: u64,
    pub(super) call_lease_s: u32,
    pub(super) learning: Option<Learning>,
}

/// By the hub's clock, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Learning {
    pub(super) at_least_until_ms: u64,
    /// Who has not reported by then has nothing any more.
    pub(super) at_most_until_ms: u64,
}

impl Membership {
    fn now(&self) -> EpochSeconds {
        second_of(us(self.clock_ms))
    }

    fn claim(&mut self, claim: Claim) {
        if claim.saw_ms == self.clock_ms {
            self.clock_ms += claim.elapsed_ms.min(CLAIM_MAX_MS);
        }
    }

    fn grants(&self, holder: &Holder) -> Grants {
        let open = self.learning.is_none() && holder.confirmed;
        if open { Grants::Open } else { Grants::Closed }
    }
}

fn us(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(SECOND_US / 1_000)
}

impl Shard {
    /// Begins a new incarnation on whatever memory there is; an older one is ignored. Whether it began.
    pub fn begin(&mut self, begin: &Begin) -> bool {
        if begin.incarnation <= self.membership.incarnation {
            return false;
        }
        self.membership.incarnation = begin.incarnation;
        self.membership.call_lease_s = begin.call_lease_s;
        if self.membership.clock_ms == 0 {
            self.membership.clock_ms = begin.clock_ms;
        }
        self.membership.clock_ms = self.membership.clock_ms.max(begin.clock_seen_ms);
        let clock_ms = self.membership.clock_ms;
        self.membership.learning = Some(Learning {
            at_least_until_ms: clock_ms + begin.learn_min_ms,
            at_most_until_ms: clock_ms + begin.learn_max_ms.max(begin.learn_min_ms),
        });
        for index in self.holders_that(|holder| !begin.holders.contains(&holder.id)) {
            self.reap(index);
        }
        for id in &begin.holders {
            let index = self.holders.index(*id);
            if let Some(holder) = self.holders.at_mut(index) {
                (holder.confirmed, holder.reported, holder.dying) = (true, false, false);
                holder.mail_seen = 0;
                holder.mail.clear();
            }
        }
        self.end_learning();
        true
    }

    /// The hub's clock.
    pub fn clock_ms(&self) -> u64 {
        self.membership.clock_ms
    }

    /// The holder stands in the database now: it may be granted something.
    pub fn confirm(&mut self, id: HolderId) {
        if let Some(index) = self.holders.find(id)
            && let Some(holder) = self.holders.at_mut(index)
        {
            holder.confirmed = true;
        }
    }

    /// Holders that were given up and still stand in the database.
    pub fn dying(&self) -> Vec<HolderId> {
        self.holders.iter().filter(|holder| holder.dying).map(|holder| holder.id).collect()
    }

    /// The holder was struck out of the database: what it had and did not use is free. Not before, so
    /// that a hub which loses its memory never takes it for one that still has something.
    pub fn bury(&mut self, id: HolderId) {
        if let Some(index) = self.holders.find(id)
            && self.holders.at(index).is_some_and(|holder| holder.dying)
        {
            self.reap(index);
        }
    }

    /// Holders that do not stand in the database yet.
    pub fn unconfirmed(&self) -> Vec<HolderId> {
        self.holders.iter().filter(|holder| !holder.confirmed).map(|holder| holder.id).collect()
    }

    /// Whether the holder takes part and was not given up.
    pub fn has_holder(&self, id: HolderId) -> bool {
        self.living(id).is_some()
    }

    fn living(&self, id: HolderId) -> Option<HolderIndex> {
        let lives = |index: &HolderIndex| self.holders.at(*index).is_some_and(|it| !it.dying);
        self.holders.find(id).filter(lives)
    }

    pub fn is_learning(&self) -> bool {
        self.membership.learning.is_some()
    }

    pub fn incarnation(&self) -> u64 {
        self.membership.incarnation
    }

    /// Units of a counter that a holder has.
    pub fn held(&self, id: HolderId, counter: AccountId) -> u64 {
        self.holders.find(id).map_or(0, |index| self.counters.held(counter, index))
    }

    /// Takes one exchange and answers it.
    pub fn exchange(&mut self, exchange: &mut Exchange) -> Reply {
        let id = exchange.sync.holder;
        if exchange.incarnation != self.membership.incarnation || exchange.incarnation == 0 {
            if exchange.number == 1 && self.membership.incarnation > 0 {
                self.join(id);
            }
            return self.refused(Standing::OtherIncarnation);
        }
        let Some(index) = self.living(id) else {
            return self.refused(Standing::Gone);
        };
        if let Some(standing) = self.beat(index, exchange) {
            return self.refused(standing);
        }
        let mut recalls = Vec::new();
        let mut reply = self.refused(Standing::Member);
        self.expire_anonymous();
        let asked = self.asked(&exchange.sync);
        reply.answer = self.report_and_want(index, exchange, &mut recalls);
        self.deliver_all(exchange, recalls);
        exchange.reap.drain(..).for_each(|standstill| self.reap_if_still(standstill, index));
        self.end_learning();
        reply.found = exchange.find.drain(..).map(|key| self.find(&key)).collect();
        self.fill(&mut reply, index, &asked);
        if exchange.leaving {
            // Who goes ends no calls of others.
            reply.due.clear();
            self.leave(index);
        }
        reply
    }

    fn join(&mut self, id: HolderId) {
        let clock_ms = self.membership.clock_ms;
        if self.holders.find(id).is_none() {
            let index = self.holders.index(id);
            if let Some(holder) = self.holders.at_mut(index) {
                // Who joins has nothing to report; who had something stands in the database.
                (holder.reported, holder.beat_ms) = (true, clock_ms);
            }
        }
    }

    /// Notes that the holder lives; why its exchange does not count, if it does not.
    fn beat(&mut self, index: HolderIndex, exchange: &Exchange) -> Option<Standing> {
        let learning = self.membership.learning.is_some();
        if let Some(claim) = exchange.claim {
            self.membership.claim(claim);
        }
        let holder = self.holders.at_mut(index)?;
        if exchange.number <= holder.exchange {
            return Some(Standing::Outdated);
        }
        holder.exchange = exchange.number;
        holder.beat += 1;
        holder.beat_ms = self.membership.clock_ms;
        holder.has_seen(exchange.mail_seen);
        if learning && !holder.reported && !exchange.complete {
            return Some(Standing::Unreported);
        }
        holder.reported = true;
        None
    }

    fn expire_anonymous(&mut self) {
        let now = self.membership.now();
        self.counters.expire_anonymous(now);
        self.wallets.expire_anonymous(now);
    }

    fn report_and_want(
        &mut self,
        index: HolderIndex,
        exchange: &mut Exchange,
        recalls: &mut Letters,
    ) -> Answer {
        let holder = self.holders.at(index);
        let grants = holder.map_or(Grants::Closed, |holder| self.membership.grants(holder));
        let disowned = if exchange.complete { self.disown(index) } else { Vec::new() };
        let report = Report {
            holder: index,
            now: self.membership.now(),
            complete: exchange.complete,
            record: exchange.first_record,
            exchange: cut(exchange.number),
        };
        let answer = self.take_sync(&mut exchange.sync, report, grants, recalls);
        for orphan in &disowned {
            self.abandon(orphan);
        }
        answer
    }

    /// What the hub knows of a holder gives way to what it reports: its calls are nobody's until it
    /// names them.
    fn disown(&mut self, index: HolderIndex) -> Vec<Orphan> {
        let last = self.last_deadline(index);
        self.counters.nothing_unflushed(index);
        self.wallets.nothing_unflushed(index);
        let orphans = self.leave_calls(index, last);
        self.counters.reap(index, last);
        self.wallets.reap(index, last);
        orphans
    }

    /// A holder that told all did not name this call: it has none such, and its unit may be another
    /// call's by now. An older memory knows calls that have ended since.
    fn abandon(&mut self, orphan: &Orphan) {
        if let Some((call, lease)) = self.calls.abandon(orphan) {
            let owner = wallets::owner_of(&call, &self.counters);
            self.counters.ends(call.account(), HolderIndex::NONE);
            self.caps.ends(call.caps());
            self.wallets.rehold(owner, HolderIndex::NONE, lease.hold, Amount::ZERO);
        }
    }

    /// Asks every holder for the money of a wallet that it has idle.
    pub fn recall_money(&mut self, owner: AccountId) {
        let letters = self.wallets.recall(owner);
        self.deliver(letters);
    }

    fn deliver_all(&mut self, exchange: &mut Exchange, recalls: Letters) {
        let named = exchange.mail.drain(..);
        let letters = named.filter_map(|(to, mail)| Some((self.holders.find(to)?, mail)));
        let letters = recalls.into_iter().chain(letters).collect();
        self.deliver(letters);
    }

    fn deliver(&mut self, letters: Letters) {
        for (to, mail) in letters {
            if let Some(holder) = self.holders.at_mut(to) {
                holder.post(mail);
            }
        }
    }

    /// A compare-and-set on the beat: whoever lives has moved it.
    fn reap_if_still(&mut self, standstill: Standstill, by: HolderIndex) {
        let Some(index) = self.holders.find(standstill.holder).filter(|index| *index != by) else {
            return;
        };
        let still = self.holders.at(index).is_some_and(|holder| holder.beat == standstill.beat);
        if still && self.membership.learning.is_none() {
            self.give_up(index);
        }
    }

    /// A holder counts no longer: its calls are nobody's at once, the rest when it is buried.
    fn give_up(&mut self, index: HolderIndex) {
        let last = self.last_deadline(index);
        self.leave_calls(index, last);
        if let Some(holder) = self.holders.at_mut(index) {
            holder.dying = true;
        }
    }

    fn reap(&mut self, index: HolderIndex) {
        let last = self.last_deadline(index);
        self.leave_calls(index, last);
        self.remove(index, last);
    }

    /// What it may use without having recorded it is kept until `last`.
    fn remove(&mut self, index: HolderIndex, last: EpochSeconds) {
        self.counters.reap(index, last);
        self.wallets.reap(index, last);
        self.holders.remove(index);
    }

    /// What a holder answered, it answered with deadlines of at most one call lease after its last
    /// exchange: nobody can have a call of it later than that.
    fn last_deadline(&self, index: HolderIndex) -> EpochSeconds {
        let beat_ms = self.holders.at(index).map_or(0, |holder| holder.beat_ms);
        let lease_ms = u64::from(self.membership.call_lease_s) * 1_000;
        second_after(us(beat_ms + lease_ms + CLAIM_MAX_MS))
    }

    /// The holder's calls are nobody's now, with their units and holds.
    fn leave_calls(&mut self, index: HolderIndex, last: EpochSeconds) -> Vec<Orphan> {
        let slack = second_after(us(CLAIM_MAX_MS));
        let orphans = self.calls.orphan(index, |deadline| last.max(deadline.saturating_add(slack)));
        self.counters.orphan(index);
        self.wallets.orphan(index);
        orphans
    }

    fn holders_that(&self, are_so: impl Fn(&Holder) -> bool) -> Vec<HolderIndex> {
        let ids = self.holders.iter().filter(|holder| are_so(holder)).map(|holder| holder.id);
        ids.filter_map(|id| self.holders.find(id)).collect()
    }

    /// A graceful end: everything is recorded, so nothing is kept without a name, and calls are over when
    /// they would have been.
    fn leave(&mut self, index: HolderIndex) {
        self.counters.nothing_unflushed(index);
        self.wallets.nothing_unflushed(index);
        self.leave_calls(index, 0);
        self.remove(index, 0);
    }

    /// Learning ends when all who stand in the database have reported, or can have no live calls any more.
    /// What the others had is free when they are struck out: until then each may come back with it in
    /// another incarnation.
    fn end_learning(&mut self) {
        let Some(learning) = self.membership.learning else {
            return;
        };
        let clock_ms = self.membership.clock_ms;
        let all = self.holders.iter().all(|holder| holder.reported);
        let over = clock_ms >= learning.at_most_until_ms;
        if over || (all && clock_ms >= learning.at_least_until_ms) {
            self.membership.learning = None;
            for index in self.holders_that(|holder| !holder.reported) {
                self.give_up(index);
            }
        }
    }
}
