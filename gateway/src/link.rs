//! One shard of a hub that others share, as this holder keeps up with it: what happened waits here
//! until the hub has it, what the hub told is taken apart here, and the fence, the hub's clock and the
//! beats of other holders are watched (lease-protocol, rules 1 to 7). Pure: time is an argument; never
//! does I/O, and decides nothing about calls.

mod outgoing;
mod taken;

use std::collections::{BTreeMap, VecDeque};

use hub::call::{Call, Record};
use hub::clock::SECOND_US;
use hub::id::{AccountId, HolderId};
use hub::state::exchange::{CallKey, Claim, Message, Standstill};
use hub::state::request::{Event, Fund, Holding, Purse, Want};
use triomphe::Arc;

pub use outgoing::Inventory;
pub use taken::Effect;

/// Times by which a holder keeps up, in microseconds where no unit says otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// Between the first thing to tell and the exchange that tells it.
    pub gather_us: i64,
    /// Between exchanges when there is nothing to tell.
    pub idle_us: i64,
    /// No admissions so long after the sending of the last exchange that was acknowledged.
    pub fence_us: i64,
    /// A holder whose beat stood still for so long is reaped.
    pub reclaim_us: i64,
    /// How long a call lives without being renewed, in seconds.
    pub call_lease_s: u32,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self {
            gather_us: 20_000,
            idle_us: SECOND_US,
            fence_us: 15 * SECOND_US,
            reclaim_us: 5 * SECOND_US,
            call_lease_s: 90,
        }
    }
}

/// One reading of both clocks, in microseconds: since boot, suspended time included, and since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub boot_us: i64,
    pub wall_us: i64,
}

/// Events that one exchange takes, at most.
pub const EVENTS_MAX: usize = 512;
/// Shorter times are not claimed: each claim loses a round trip, so the hub's clock would lag.
const CLAIM_MIN_US: i64 = 250_000;
/// Who has not been acknowledged for so many beats says nothing of the beats of others.
const BEATS_MISSED_MAX: i64 = 3;

/// What this holder is to the shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bond {
    /// Joining: it has nothing yet.
    New,
    /// The hub began a new incarnation: everything must be reported.
    Unreported,
    Member,
    /// Reaped: only a new holder may go on.
    Gone,
}

/// Something that happened, and what becomes free when the hub has it.
#[derive(Debug)]
struct Queued<F> {
    event: Event,
    freed: Option<F>,
}

/// What is to be told, in order.
#[derive(Debug)]
struct Outgoing<F> {
    events: VecDeque<Queued<F>>,
    holdings: BTreeMap<AccountId, Holding>,
    purses: BTreeMap<AccountId, Purse>,
    wants: Vec<Want>,
    funds: Vec<Fund>,
    find: Vec<CallKey>,
    messages: Vec<(HolderId, Message)>,
}

impl<F> Default for Outgoing<F> {
    fn default() -> Self {
        Self {
            events: VecDeque::new(),
            holdings: BTreeMap::new(),
            purses: BTreeMap::new(),
            wants: Vec::new(),
            funds: Vec::new(),
            find: Vec::new(),
            messages: Vec::new(),
        }
    }
}

impl<F> Outgoing<F> {
    fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.holdings.is_empty()
            && self.purses.is_empty()
            && self.wants.is_empty()
            && self.funds.is_empty()
            && self.find.is_empty()
            && self.messages.is_empty()
    }
}

/// The one exchange that is under way.
#[derive(Debug)]
struct Sent<F> {
    at: Now,
    /// The calls of a complete report.
    inventory: Option<Vec<Call>>,
    /// What waited. A complete report says most of it in its own way: see [`Queued::is_told`].
    told: Outgoing<F>,
    /// The number of the last record before those of `told`.
    records_before: u64,
}

/// The hub's clock as a reply told it, and when that came.
#[derive(Clone, Copy, Debug)]
struct HubClock {
    ms: u64,
    seen: Now,
}

#[derive(Clone, Copy, Debug)]
struct Beat {
    holder: HolderId,
    count: u64,
    since_us: i64,
}

#[derive(Debug)]
pub struct Link<F> {
    rhythm: Rhythm,
    holder: HolderId,
    bond: Bond,
    incarnation: u64,
    learning: bool,
    /// Of the last exchange.
    number: u64,
    clock: Option<HubClock>,
    mail_seen: u64,
    unsent: Outgoing<F>,
    /// When the first of `unsent` came.
    waiting_since_us: Option<i64>,
    /// Somebody waits for a decision: no gathering.
    urgent: bool,
    /// Somebody waits to hear that the hub has it.
    awaited: bool,
    sent: Option<Sent<F>>,
    /// When the last exchange was sent that the hub has acknowledged.
    acknowledged: Option<Now>,
    /// When the last exchange was sent at all.
    tried_us: Option<i64>,
    beats: Vec<Beat>,
    /// Records that the hub has and the ledger may not have, with their numbers.
    unposted: VecDeque<(u64, Arc<Record>)>,
    /// The number of the last record that the hub has.
    records: u64,
}

impl<F> Link<F> {
    pub fn new(holder: HolderId, rhythm: Rhythm) -> Self {
        Self {
            rhythm,
            holder,
            bond: Bond::New,
            incarnation: 0,
            learning: false,
            number: 0,
            clock: None,
            mail_seen: 0,
            unsent: Outgoing::default(),
            waiting_since_us: None,
            urgent: false,
            awaited: false,
            sent: None,
            acknowledged: None,
            tried_us: None,
            beats: Vec::new(),
            unposted: VecDeque::new(),
            records: 0,
        }
    }

    pub fn holder(&self) -> HolderId {
        self.holder
    }

    /// Something happened to a call; `freed` comes back as [`Effect::Freed`] when the hub has it.
    pub fn record(&mut self, event: Event, freed: Option<F>, now: Now) {
        self.unsent.events.push_back(Queued { event, freed });
        self.has_to_tell(now);
    }

    /// The call is undone, of which nobody was told: before anything else, for the hub waits with others of
    /// the name until the next exchange.
    pub fn withdraw(&mut self, call: Call, freed: Option<F>, now: Now) {
        self.unsent.events.push_front(Queued { event: Event::Withdrawn(call), freed });
        self.has_to_tell(now);
    }

    /// The incarnation that this holder knows; 0: none yet.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Whether the hub counts on what this holder told it.
    pub fn is_member(&self) -> bool {
        self.bond == Bond::Member
    }

    /// Records that the ledger may not have yet.
    pub fn unposted(&self) -> usize {
        self.unposted.len()
    }

    /// What this holder has of a counter now.
    pub fn report(&mut self, holding: Holding, now: Now) {
        self.unsent.holdings.insert(holding.counter, holding);
        self.has_to_tell(now);
    }

    /// As [`Link::report`], of a wallet.
    pub fn report_money(&mut self, purse: Purse, now: Now) {
        self.unsent.purses.insert(purse.owner, purse);
        self.has_to_tell(now);
    }

    /// Asks for units; one request per counter is enough.
    pub fn want(&mut self, want: Want, now: Now) {
        match self.unsent.wants.iter_mut().find(|known| known.counter == want.counter) {
            Some(known) => known.units = known.units.max(want.units),
            None => self.unsent.wants.push(want),
        }
        self.hurry(now);
    }

    /// As [`Link::want`], of money.
    pub fn fund(&mut self, fund: Fund, now: Now) {
        match self.unsent.funds.iter_mut().find(|known| known.owner == fund.owner) {
            Some(known) => {
                known.least = known.least.max(fund.least);
                known.most = known.most.max(fund.most);
            }
            None => self.unsent.funds.push(fund),
        }
        self.hurry(now);
    }

    /// Looks a call up at the hub.
    pub fn find(&mut self, key: CallKey, now: Now) {
        if !self.unsent.find.contains(&key) {
            self.unsent.find.push(key);
        }
        self.hurry(now);
    }

    /// A letter to another holder.
    pub fn write_to(&mut self, holder: HolderId, message: Message, now: Now) {
        self.unsent.messages.push((holder, message));
        self.hurry(now);
    }

    fn has_to_tell(&mut self, now: Now) {
        self.waiting_since_us.get_or_insert(now.boot_us);
    }

    /// Somebody waits for what was queued last.
    pub fn hurry(&mut self, now: Now) {
        self.has_to_tell(now);
        self.urgent = true;
    }

    /// Somebody waits until the hub has what was queued last, and nothing depends on how soon: told at
    /// once after a pause, and gathered from exchange to exchange where much happens.
    pub fn is_awaited(&mut self, now: Now) {
        self.has_to_tell(now);
        self.awaited = true;
    }

    /// When the next exchange is due, by the clock since boot; `None` while one is under way.
    pub fn due_us(&self) -> Option<i64> {
        if self.sent.is_some() || self.bond == Bond::Gone {
            return None;
        }
        let Some(tried_us) = self.tried_us else {
            return Some(i64::MIN);
        };
        let idle_us = tried_us.saturating_add(self.rhythm.idle_us);
        Some(match self.waiting_since_us {
            Some(since_us) if self.urgent => since_us.min(idle_us),
            Some(since_us) if self.awaited => {
                since_us.max(tried_us.saturating_add(self.rhythm.gather_us)).min(idle_us)
            }
            Some(since_us) => since_us.saturating_add(self.rhythm.gather_us).min(idle_us),
            None => idle_us,
        })
    }

    /// Whether the exchange under way has an event of this kind.
    pub fn has_sent(&self, is: impl Fn(&Event, Option<&F>) -> bool) -> bool {
        let mut told = self.sent.iter().flat_map(|sent| &sent.told.events);
        told.any(|queued| is(&queued.event, queued.freed.as_ref()))
    }

    /// Whether one exchange tells all that waits.
    pub fn fits_one_exchange(&self) -> bool {
        self.bond == Bond::Member && self.unsent.events.len() <= EVENTS_MAX
    }

    /// Whether a call may be admitted now: the hub cannot have given this holder up, and cannot have
    /// told it of a newer configuration too long ago. On a clock read after everything was taken.
    pub fn may_admit(&self, now: Now) -> bool {
        now.boot_us <= self.fence_until_us()
    }

    /// By the clock since boot: until when [`Link::may_admit`] says yes unless something happens; 0: it
    /// says no.
    pub fn fence_until_us(&self) -> i64 {
        let fence_us = |at: Now| at.boot_us.saturating_add(self.rhythm.fence_us);
        let acknowledged = self.acknowledged.filter(|_| self.bond == Bond::Member);
        acknowledged.map_or(0, fence_us)
    }

    /// The latest deadline that may be told to a stack, by its wall clock in microseconds, unless the
    /// hub has recorded a later one: if this holder is gone, nobody keeps its calls longer.
    pub fn deadline_max_us(&self) -> i64 {
        let lease_us = i64::from(self.rhythm.call_lease_s) * SECOND_US;
        self.acknowledged.map_or(0, |at| at.wall_us.saturating_add(lease_us))
    }

    pub fn is_learning(&self) -> bool {
        self.learning
    }

    /// Seconds by which the hub's clock is ahead of the wall clock here.
    fn ahead_s(&self) -> i64 {
        self.clock.map_or(0, |clock| {
            let hub_s = i64::try_from(clock.ms / 1_000).unwrap_or(0);
            hub_s - clock.seen.wall_us.div_euclid(SECOND_US)
        })
    }

    /// Holders of the shard, this one among them; 0 while the hub does not say.
    pub fn gateways(&self) -> u32 {
        u32::try_from(self.beats.len()).unwrap_or(u32::MAX)
    }

    /// What may be claimed of the hub's clock.
    fn claim(&self, now: Now) -> Option<Claim> {
        let clock = self.clock?;
        let since_us = now.boot_us.saturating_sub(clock.seen.boot_us);
        let elapsed_ms = u64::try_from(since_us / 1_000).ok()?;
        (since_us >= CLAIM_MIN_US).then_some(Claim { saw_ms: clock.ms, elapsed_ms })
    }

    /// Whether the hub has acknowledged an exchange that was sent shortly before `now`.
    fn keeps_up(&self, now: Now) -> bool {
        let within_us = BEATS_MISSED_MAX * self.rhythm.idle_us;
        self.acknowledged.is_some_and(|last| now.boot_us - last.boot_us <= within_us)
    }

    /// Holders whose beat stood still for long enough, while this one kept up itself.
    fn standing_still(&self, now: Now) -> Vec<Standstill> {
        if !self.keeps_up(now) {
            return Vec::new();
        }
        let still = |beat: &&Beat| now.boot_us - beat.since_us >= self.rhythm.reclaim_us;
        let others = self.beats.iter().filter(|beat| beat.holder != self.holder);
        others
            .filter(still)
            .map(|beat| Standstill { holder: beat.holder, beat: beat.count })
            .collect()
    }
}

#[cfg(test)]
mod tests;
