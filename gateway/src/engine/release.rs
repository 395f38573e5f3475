//! Release and every other end of a call: charges once, gives slot and rest of the hold back.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hub::call::{Cause, Record};
use hub::clock::{self, Moment, second_of};
use hub::denial::{Denial, Reason};
use hub::money::Amount;
use hub::state::request::{Event, Granted, Lease};

use super::{Engine, TOKEN_LIFE_S};
use crate::accounts::{Account, Wallet};
use crate::admission::calls::{Entry, Live};
use crate::admission::grant::{Ending, billable};
use crate::answer::CallView;
use crate::node::Freed;
use crate::request::Release;

impl Engine {
    /// The receipt; the same when repeated.
    pub fn release(&self, account: &Arc<Account>, call: &Release<'_>) -> Result<CallView, Denial> {
        self.records()?;
        let now_us = clock::now_us();
        let ending = Ending {
            cause: Cause::Release,
            ended_us: now_us,
            outcome: call.outcome,
            billable_s: call.billable_s,
        };
        let now = second_of(now_us);
        let mut place = self.calls.place(account.id, call.call_id.as_bytes());
        let entry = place.find(now).ok_or(Reason::UnknownCall)?;
        self.check_token(call.token, entry.call())?;
        let record = match entry {
            Entry::Live(live) => {
                let (record, freed) = end_live(live, ending, call.costs);
                *entry = Entry::Ended(triomphe::Arc::clone(&record));
                place.bury(&record, now);
                self.node.record(account, ended(&record), Some(freed));
                self.counts.released(Cause::Release);
                record
            }
            Entry::Ended(earlier) if earlier.cause == Cause::Expiry => {
                let (record, freed) = self.correct(account, earlier, ending, call.costs);
                *entry = Entry::Ended(triomphe::Arc::clone(&record));
                self.node.record(account, ended(&record), freed);
                record
            }
            Entry::Ended(record) => triomphe::Arc::clone(record),
        };
        Ok(CallView::Ended(record))
    }

    /// Ends a live call otherwise than by a release; false when it is not live any more.
    pub(super) fn end(&self, call: &hub::call::Call, cause: Cause, ended_us: i64) -> bool {
        let ending = Ending { cause, ended_us, outcome: None, billable_s: None };
        let now = second_of(ended_us);
        let mut place = self.calls.place(call.account(), call.call_id());
        let Some(entry) = place.find(now) else {
            return false;
        };
        let Entry::Live(live) = entry else {
            return false;
        };
        if live.call.facts().admission != call.facts().admission {
            return false;
        }
        let account = Arc::clone(&live.account);
        let (record, freed) = end_live(live, ending, None);
        *entry = Entry::Ended(triomphe::Arc::clone(&record));
        place.bury(&record, now);
        self.node.record(&account, ended(&record), Some(freed));
        self.counts.released(cause);
        true
    }

    /// The one release that may follow an expiry: what the stack says counts, the difference is
    /// posted.
    fn correct(
        &self,
        account: &Arc<Account>,
        earlier: &Record,
        ending: Ending,
        costs: Option<&str>,
    ) -> (triomphe::Arc<Record>, Option<Freed>) {
        let lease = Lease {
            deadline: earlier.forget_at.saturating_sub(TOKEN_LIFE_S),
            granted: Granted::new(earlier.granted_s.unwrap_or(0), false),
            hold: Amount::ZERO,
            answered: earlier.answered_us.map(Moment::at),
            renewed_us: earlier.ended_us,
        };
        let call = &earlier.call;
        let (outcome, billable_s) = billable(call.facts().admitted_us, &lease, ending);
        let cost =
            call.facts().pins.as_ref().map_or(Amount::ZERO, |pins| pins.rate.charge(billable_s));
        let wallet = self.wallet_of(account, call);
        let more = cost.saturating_sub(earlier.cost);
        let (debt, refund) = match &wallet {
            Some(wallet) if more > Amount::ZERO => {
                (earlier.debt.saturating_add(wallet.funds.charge(more)), Amount::ZERO)
            }
            // What was charged too much pays the debt first.
            _ => {
                let less = more.negated().max(Amount::ZERO);
                let debt = earlier.debt.saturating_sub(less).max(Amount::ZERO);
                (debt, less.saturating_sub(earlier.debt.saturating_sub(debt)))
            }
        };
        let record = Record {
            call: call.clone(),
            answered_us: earlier.answered_us,
            ended_us: ending.ended_us,
            outcome,
            cause: Cause::Release,
            billable_s,
            cost,
            debt,
            revision: earlier.revision.saturating_add(1),
            granted_s: earlier.granted_s,
            forget_at: earlier.forget_at,
            costs: costs.map(Into::into),
        };
        let freed = wallet.filter(|_| refund > Amount::ZERO).map(|wallet| {
            wallet.funds.quarantine(refund);
            Freed { account: Arc::clone(account), refund: Some((wallet, refund)), slot: false }
        });
        (triomphe::Arc::new(record), freed)
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

fn ended(record: &triomphe::Arc<Record>) -> Event {
    Event::Ended(triomphe::Arc::clone(record))
}

/// Settles a live call: first the hold pays, then the wallet down to zero, the rest is debt. Slot and
/// refund are quarantined until the record is flushed.
fn end_live(live: &Live, ending: Ending, costs: Option<&str>) -> (triomphe::Arc<Record>, Freed) {
    let facts = live.call.facts();
    let (outcome, billable_s) = billable(facts.admitted_us, &live.lease, ending);
    let cost = facts.pins.as_ref().map_or(Amount::ZERO, |pins| pins.rate.charge(billable_s));
    let (debt, refund) = match &live.wallet {
        Some(wallet) => settle(wallet, live.lease.hold, cost),
        None => (Amount::ZERO, None),
    };
    live.account.quarantined.fetch_add(1, Ordering::AcqRel);
    let record = Record {
        call: live.call.clone(),
        answered_us: live.lease.answered_us(),
        ended_us: ending.ended_us,
        outcome,
        cause: ending.cause,
        billable_s,
        cost,
        debt,
        revision: 0,
        granted_s: (live.lease.granted_s() > 0).then_some(live.lease.granted_s()),
        forget_at: live.lease.deadline.saturating_add(TOKEN_LIFE_S),
        costs: costs.map(Into::into),
    };
    let refund = refund.and_then(|refund| Some((live.wallet.clone()?, refund)));
    let freed = Freed { account: Arc::clone(&live.account), refund, slot: true };
    (triomphe::Arc::new(record), freed)
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
