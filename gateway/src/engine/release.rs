//! Release and every other end of a call: charges once, gives slot and rest of the hold back.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hub::call::{Cause, Record};
use hub::call_table::same_admission;
use hub::clock::{self, second_of};
use hub::denial::{Denial, Reason};
use hub::money::Amount;
use hub::state::request::{Event, Granted, Lease};

use super::{Engine, TOKEN_LIFE_S};
use crate::accounts::{Account, Wallet};
use crate::admission::calls::{Entry, Live, Place};
use crate::admission::grant::{Ending, billable};
use crate::answer::CallView;
use crate::node::Freed;
use crate::request::Release;

/// A live call that was just turned into its record.
struct Ended {
    record: triomphe::Arc<Record>,
    live: Live,
    /// What of the hold comes back.
    refund: Option<Amount>,
}

impl Engine {
    /// The receipt; the same when repeated.
    pub fn release(
        &self,
        account: &Arc<Account>,
        call: &Release<'_>,
        now_us: i64,
    ) -> Result<CallView, Denial> {
        self.records()?;
        let ending = Ending {
            cause: Cause::Release,
            ended_us: now_us,
            outcome: call.outcome,
            billable_s: call.billable_s,
        };
        let mut place = self.calls.place(account.id, call.call_id.as_bytes());
        if let Some(entry) = place.find()
            && let Entry::Live(live) = &*entry
        {
            self.check_token(call.token, &live.call)?;
            let ended = end_entry(entry, ending, call.costs);
            return ended
                .map(|ended| CallView::Ended(self.record_end(place, ended)))
                .ok_or_else(|| Reason::UnknownCall.into());
        }
        let known = self.ended(account, &mut place, second_of(now_us));
        let known = known.ok_or(Reason::UnknownCall)?;
        self.check_token(call.token, &known.call)?;
        Ok(CallView::Ended(match known.cause {
            Cause::Expiry => self.correct(account, place, &known, (ending, call.costs)),
            _ => known,
        }))
    }

    /// Ends a live call otherwise than by a release; false when it is not live any more.
    pub(super) fn end(&self, call: &hub::call::Call, cause: Cause, ended_us: i64) -> bool {
        let ending = Ending { cause, ended_us, outcome: None, billable_s: None };
        let mut place = self.calls.place(call.account(), call.call_id());
        let entry = place.find().filter(|entry| same_admission(entry.call(), call));
        let ended = entry.and_then(|entry| end_entry(entry, ending, None));
        ended.map(|ended| self.record_end(place, ended)).is_some()
    }

    /// Tells the hub of an end. Slot and refund are quarantined until it is flushed.
    fn record_end(&self, place: Place<'_>, ended: Ended) -> triomphe::Arc<Record> {
        let Ended { record, live: Live { account, wallet, .. }, refund } = ended;
        let shard = account.organization.shard;
        account.quarantined.fetch_add(1, Ordering::AcqRel);
        let flushed = place.flushed(&record);
        let freed = Freed { flushed, slot: Some(account), refund: wallet.zip(refund) };
        self.node.record(shard, Event::Ended(triomphe::Arc::clone(&record)), Some(freed));
        drop(place);
        record
    }

    /// The one release that may follow an expiry: what the stack says counts, the difference is
    /// posted.
    fn correct(
        &self,
        account: &Account,
        mut place: Place<'_>,
        earlier: &Record,
        (ending, costs): (Ending, Option<&str>),
    ) -> triomphe::Arc<Record> {
        let lease = Lease {
            deadline: earlier.forget_at.saturating_sub(TOKEN_LIFE_S),
            granted: Granted::new(earlier.granted_s, false),
            hold: Amount::ZERO,
            answered: earlier.answered,
            renewed_us: earlier.ended_us,
        };
        let facts = earlier.call.facts();
        let (outcome, billable_s) = billable(facts.admitted_us, &lease, ending);
        let cost = facts.pins.as_ref().map_or(Amount::ZERO, |pins| pins.rate.charge(billable_s));
        let wallet = self.wallet_of(account, &earlier.call);
        let (debt, refund) = settle_difference(wallet.as_deref(), earlier, cost);
        let record = triomphe::Arc::new(Record {
            ended_us: ending.ended_us,
            outcome,
            cause: Cause::Release,
            billable_s,
            cost,
            debt,
            revision: earlier.revision.saturating_add(1),
            costs: costs.map(Into::into),
            ..earlier.clone()
        });
        place.put(Entry::Ended(triomphe::Arc::clone(&record)));
        let freed =
            Freed { flushed: place.flushed(&record), slot: None, refund: wallet.zip(refund) };
        let event = Event::Ended(triomphe::Arc::clone(&record));
        self.node.record(account.organization.shard, event, Some(freed));
        record
    }

    /// Ends every live call of an account.
    pub(super) fn end_all(&self, account: &Account, cause: Cause) {
        let now_us = clock::now_us();
        for index in 0..crate::admission::calls::TABLES {
            let mut calls = Vec::new();
            self.calls.visit_live(index, |live| {
                if live.account.id.real() == account.id.real() {
                    calls.push(live.call.clone());
                }
            });
            for call in calls {
                self.end(&call, cause, now_us);
            }
            self.flush_quietly();
        }
    }
}

/// Turns a live call into its record: first the hold pays, then the wallet down to zero, the rest is
/// debt. `None` when it is not live.
fn end_entry(entry: &mut Entry, ending: Ending, costs: Option<&str>) -> Option<Ended> {
    let Entry::Live(live) = &*entry else {
        return None;
    };
    let lease = live.lease;
    let facts = live.call.facts();
    let (outcome, billable_s) = billable(facts.admitted_us, &lease, ending);
    let cost = facts.pins.as_ref().map_or(Amount::ZERO, |pins| pins.rate.charge(billable_s));
    let (debt, refund) = match &live.wallet {
        Some(wallet) => settle(wallet, lease.hold, cost),
        None => (Amount::ZERO, None),
    };
    let record = triomphe::Arc::new(Record {
        call: live.call.clone(),
        answered: lease.answered,
        ended_us: ending.ended_us,
        outcome,
        cause: ending.cause,
        billable_s,
        cost,
        debt,
        revision: 0,
        granted_s: lease.granted_s(),
        forget_at: lease.deadline.saturating_add(TOKEN_LIFE_S),
        costs: costs.map(Into::into),
    });
    match std::mem::replace(entry, Entry::Ended(triomphe::Arc::clone(&record))) {
        Entry::Live(live) => Some(Ended { record, live: *live, refund }),
        Entry::Ended(_) => None,
    }
}

/// Debt, and what of the hold comes back.
fn settle(wallet: &Wallet, hold: Amount, cost: Amount) -> (Amount, Option<Amount>) {
    if cost > hold {
        return (wallet.funds.charge(cost.saturating_sub(hold)), None);
    }
    let refund = hold.saturating_sub(cost);
    if refund == Amount::ZERO {
        return (Amount::ZERO, None);
    }
    wallet.funds.quarantine(refund);
    (Amount::ZERO, Some(refund))
}

/// Debt after a correction to `cost`, and what comes back of what was charged too much: that pays the
/// debt first.
fn settle_difference(
    wallet: Option<&Wallet>,
    earlier: &Record,
    cost: Amount,
) -> (Amount, Option<Amount>) {
    let more = cost.saturating_sub(earlier.cost);
    let Some(wallet) = wallet else {
        return (earlier.debt, None);
    };
    if more > Amount::ZERO {
        return (earlier.debt.saturating_add(wallet.funds.charge(more)), None);
    }
    let less = more.negated();
    let debt = earlier.debt.saturating_sub(less).max(Amount::ZERO);
    let refund = less.saturating_sub(earlier.debt.saturating_sub(debt));
    if refund == Amount::ZERO {
        return (debt, None);
    }
    wallet.funds.quarantine(refund);
    (debt, Some(refund))
}
