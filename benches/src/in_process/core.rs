//! The admission core alone: slots, money, the call table and the timer wheel, driven in the order in
//! which the engine drives them. No parse, key, token, governor, answer, journal or clock. Whoever
//! changes the order of the engine's steps changes it here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gateway::accounts::{Account, Organization, OrganizationTerms, Terms, Wallet};
use gateway::admission::calls::{Calls, Entry, Live};
use gateway::admission::grant::{Bounds, Ending, billable};
use gateway::admission::wheel::Wheel;
use gateway::engine::TOKEN_LIFE_S;
use hub::call::{Call, Cause, Direction, Facts, Outcome, Pins, Record, Texts};
use hub::clock::{SECOND_US, second_after, second_of};
use hub::directory::{Billing, Status};
use hub::money::{Amount, Currency};
use hub::state::request::Granted;
use hub::state::request::Lease;

use super::{Sequence, names};
use crate::request::{CALL_ID_LEN, CallIds};

/// The core's clock starts here.
const START_US: i64 = 1_700_000_000 * SECOND_US;
const LEASE_S: u32 = 90;
const GRANT_S: u32 = 300;
/// Slots of each account: never in the way.
const SLOTS: u32 = 100_000_000;
/// Pairs between two looks at the wheel.
const EXPIRE_EVERY: u64 = 1 << 12;

/// How large a core is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub accounts: usize,
    /// Calls that stay live.
    pub live: u64,
    pub tombstones_max: usize,
    /// What one pair moves the core's clock on: how many ended calls the wheel still holds.
    pub pair_us: i64,
}

pub struct Core {
    accounts: Vec<Arc<Account>>,
    calls: Calls,
    wheel: Wheel,
    admissions: AtomicU64,
    pair_us: i64,
}

/// One thread that admits and releases.
pub struct Driver<'a> {
    core: &'a Core,
    ids: CallIds,
    id: Vec<u8>,
    sequence: Sequence,
    pairs: u64,
    /// One of all turns the wheel.
    expires: bool,
}

impl Core {
    pub fn new(size: Size) -> Self {
        let organizations: Vec<_> = (0..size.accounts as u64)
            .step_by(1_000)
            .map(|account| Arc::new(Organization::new(names::organization(account), bought())))
            .collect();
        let account = |index: usize| account(index as u64, &organizations[index / 1_000]);
        let core = Self {
            accounts: (0..size.accounts).map(account).collect(),
            calls: Calls::new(size.tombstones_max),
            wheel: Wheel::new(second_of(START_US)),
            admissions: AtomicU64::new(0),
            pair_us: size.pair_us,
        };
        let mut live = core.driver(u128::MAX, false);
        (0..size.live).for_each(|_| live.admit_only());
        core
    }

    /// A thread's own call ids start with `seed`; one driver of all must be the one that `expires`.
    pub fn driver(&self, seed: u128, expires: bool) -> Driver<'_> {
        #[expect(clippy::cast_possible_truncation, reason = "any part of the seed will do")]
        let sequence = Sequence::new(seed as u64 ^ 0x5dee_ce66);
        let ids = CallIds::new(seed.rotate_left(64));
        Driver { core: self, ids, id: Vec::with_capacity(CALL_ID_LEN), sequence, pairs: 0, expires }
    }

    fn admit(&self, account: &Arc<Account>, call_id: &str, now_us: i64) -> bool {
        let now = second_of(now_us);
        if self.calls.place(account.id, call_id.as_bytes()).find(now).is_some() {
            return false;
        }
        let terms = account.terms.load();
        let organization = &account.organization;
        let active = organization.terms.load().status == Status::Active;
        if !(active && terms.served && terms.status == Status::Active) {
            return false;
        }
        if account.slots.take().is_err() {
            return false;
        }
        organization.in_use.fetch_add(1, Ordering::AcqRel);
        let (Some(pins), Some(wallet)) = (&terms.pins, &terms.wallet) else {
            return false;
        };
        let bounds = Bounds { requested_s: None, usual_s: GRANT_S, duration_max_s: None };
        let wanted_s = bounds.first_grant_s();
        let Some(funded) = wallet.funds.hold(&pins.rate, Amount::ZERO, wanted_s) else {
            return false;
        };
        let lease = Lease {
            deadline: second_after(now_us).saturating_add(LEASE_S),
            granted: Granted::new(funded.seconds, funded.seconds < wanted_s),
            hold: funded.hold,
            answered: None,
            renewed_us: now_us,
        };
        let facts = Facts {
            admitted_us: now_us,
            admission: self.admissions.fetch_add(1, Ordering::Relaxed),
            pins: Some(pins.clone()),
            account: account.id,
            direction: Direction::Outbound,
            lease_s: 0,
        };
        let Some(call) = Call::new(facts, Texts { call_id, ..Texts::default() }) else {
            return false;
        };
        let wallet = Some(Arc::clone(wallet));
        let live = Live { call: call.clone(), account: Arc::clone(account), wallet, lease };
        let mut place = self.calls.place(account.id, call_id.as_bytes());
        if place.find(now).is_some() {
            return false;
        }
        place.put(Entry::Live(Box::new(live)));
        drop(place);
        self.wheel.add(lease.deadline, call);
        true
    }

    fn release(&self, account: &Arc<Account>, call_id: &str, now_us: i64) -> bool {
        let now = second_of(now_us);
        let mut place = self.calls.place(account.id, call_id.as_bytes());
        let Some(entry) = place.find(now) else {
            return false;
        };
        let Entry::Live(live) = &*entry else {
            return false;
        };
        let ending = Ending {
            cause: Cause::Release,
            ended_us: now_us,
            outcome: Some(Outcome::Completed),
            billable_s: Some(30),
        };
        let facts = live.call.facts();
        let (outcome, billable_s) = billable(facts.admitted_us, &live.lease, ending);
        let cost = facts.pins.as_ref().map_or(Amount::ZERO, |pins| pins.rate.charge(billable_s));
        let refund = live.lease.hold.saturating_sub(cost);
        let wallet = live.wallet.clone();
        if let Some(wallet) = &wallet {
            wallet.funds.quarantine(refund);
        }
        account.quarantined.fetch_add(1, Ordering::AcqRel);
        let record = triomphe::Arc::new(Record {
            call: live.call.clone(),
            answered_us: None,
            ended_us: now_us,
            outcome,
            cause: Cause::Release,
            billable_s,
            cost,
            debt: Amount::ZERO,
            revision: 0,
            granted_s: Some(live.lease.granted_s()),
            forget_at: live.lease.deadline.saturating_add(TOKEN_LIFE_S),
            costs: None,
        });
        *entry = Entry::Ended(triomphe::Arc::clone(&record));
        place.bury(&record, now);
        drop(place);
        // What the flush does, without the hub.
        if let Some(wallet) = wallet {
            wallet.funds.free_refund(refund);
        }
        account.organization.in_use.fetch_sub(1, Ordering::AcqRel);
        account.slots.give_back(account.terms.load().cap());
        account.organization.freed.fetch_add(1, Ordering::AcqRel);
        account.quarantined.fetch_sub(1, Ordering::AcqRel);
        true
    }

    /// Lets the calls come up whose second has passed; nearly all have ended.
    fn expire(&self, now_us: i64) {
        let now = second_of(now_us);
        while let Some(due) = self.wheel.due(now) {
            for call in due {
                let mut place = self.calls.place(call.account(), call.call_id());
                if let Some(Entry::Live(live)) = place.find(now) {
                    live.lease.deadline = live.lease.deadline.saturating_add(LEASE_S);
                }
            }
        }
    }
}

impl Driver<'_> {
    /// Admits and releases one call of a random account.
    ///
    /// # Panics
    /// When either is refused: there would be nothing to measure.
    pub fn pair(&mut self) {
        let core = self.core;
        let account = &core.accounts[self.sequence.below(core.accounts.len())];
        let now_us = self.next();
        let call_id = std::str::from_utf8(&self.id).unwrap_or_default();
        let admitted = core.admit(account, call_id, now_us);
        let released = core.release(account, call_id, now_us);
        assert!(admitted && released, "the core refused a call");
        if self.expires && self.pairs.is_multiple_of(EXPIRE_EVERY) {
            core.expire(now_us);
        }
    }

    fn admit_only(&mut self) {
        let core = self.core;
        let account = &core.accounts[self.sequence.below(core.accounts.len())];
        self.next();
        let call_id = std::str::from_utf8(&self.id).unwrap_or_default();
        assert!(core.admit(account, call_id, START_US), "the core refused a call");
    }

    #[expect(clippy::cast_possible_wrap, reason = "a run of 2^63 pairs does not end")]
    fn next(&mut self) -> i64 {
        self.pairs += 1;
        self.id.clear();
        self.ids.append(self.pairs, &mut self.id);
        START_US + self.pairs as i64 * self.core.pair_us
    }
}

fn bought() -> OrganizationTerms {
    OrganizationTerms {
        version: 1,
        status: Status::Active,
        total: u32::MAX,
        currency: Currency::INR,
        default_rate: None,
    }
}

fn account(number: u64, organization: &Arc<Organization>) -> Arc<Account> {
    let id = names::sub_account(number);
    let wallet = Wallet::new(id);
    wallet.funds.add(Amount::MAX);
    let pins = Pins {
        billing: Billing::Isolated,
        currency: Currency::INR,
        rate: triomphe::Arc::new(names::rate()),
    };
    let terms = Terms {
        version: 1,
        status: Status::Active,
        served: true,
        floor: SLOTS,
        cap: Some(SLOTS),
        limiter: None,
        pins: Some(pins),
        billing: Billing::Isolated,
        own_rate: true,
        wallet: Some(Arc::new(wallet)),
        lease_s: None,
        duration_max_s: None,
    };
    let account = Account::new(id, Arc::clone(organization), terms);
    account.slots.extend(SLOTS);
    Arc::new(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_leave_everything_as_it_was() {
        let core = Core::new(Size { accounts: 3, live: 10, tombstones_max: 1_000, pair_us: 50 });
        let mut driver = core.driver(7, true);
        (0..3 * EXPIRE_EVERY).for_each(|_| driver.pair());
        let used: u32 = core.accounts.iter().map(|account| account.slots.now().used).sum();
        assert_eq!(used, 10);
    }
}
