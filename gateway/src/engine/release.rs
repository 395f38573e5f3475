//! Release and every other end of a call: charges once, gives slot and rest of the hold back.

use std::sync::Arc;

use hub::call::{Call, Cause, Outcome, Record};
use hub::call_table::same_admission;
use hub::clock::{self, second_of};
use hub::costs::{self, InvalidCost};
use hub::denial::{BadField, Denial, Reason};
use hub::money::Amount;
use hub::state::request::{Event, Granted, Lease};

use tokio::sync::oneshot::Receiver;

use super::hold::Short;
use super::{Engine, Hub};
use crate::accounts::{Account, Wallet};
use crate::admission::calls::{Entry, Live, Place};
use crate::admission::grant::{Ending, billable};
use crate::answer::CallView;
use crate::node::Freed;
use crate::request::Release;
use crate::sharing::Verdict;
use crate::token;

/// A live call that was just turned into its record.
pub(super) struct Ended {
    pub(super) record: triomphe::Arc<Record>,
    live: Box<Live>,
    /// What of the hold comes back.
    refund: Option<Amount>,
}

/// How far a release came here.
pub(super) enum Released {
    /// The receipt, which is the embedded hub's at the end of the turn.
    Now(triomphe::Arc<Record>),
    /// The receipt, for when a shared hub has it.
    Untold(triomphe::Arc<Record>, Receiver<Verdict>),
    /// The charge is beyond the hold, and the rest is not here.
    Short(Short),
    Pending,
    Elsewhere,
}

impl Engine {
    /// The receipt; the same when repeated.
    pub async fn release(
        &self,
        account: &Arc<Account>,
        call: &Release<'_>,
        now_us: i64,
    ) -> Result<CallView, Denial> {
        match (self.release_here(account, call, now_us, false)?, &self.hub) {
            (Released::Now(record), _) => Ok(CallView::Ended(record)),
            (_, Hub::Embedded { .. }) => Err(Reason::UnknownCall.into()),
            (released, Hub::Shared(sharing)) => {
                Box::pin(self.release_with_hub(sharing, account, call, released)).await
            }
        }
    }

    /// As much of a release as can be done at once. `raised`: no more money can be fetched.
    pub(super) fn release_here(
        &self,
        account: &Arc<Account>,
        call: &Release<'_>,
        now_us: i64,
        raised: bool,
    ) -> Result<Released, Denial> {
        self.records()?;
        let ending = Ending {
            cause: Cause::Release,
            ended_us: now_us,
            outcome: call.outcome,
            billable_s: call.billable_s,
            costs: call.costs,
        };
        let mut place = self.calls.place(account.id, call.call_id.as_bytes());
        if let Some(entry) = place.find()
            && let Entry::Live(live) = &*entry
        {
            self.check_release(call, &live.call)?;
            if live.standing.is_open() {
                return Ok(Released::Pending);
            }
            if !raised && let Some(short) = self.beyond_hold(live, ending) {
                return Ok(Released::Short(short));
            }
            let ended = end_entry(entry, ending);
            let ended = ended.ok_or(Reason::UnknownCall)?;
            return Ok(self.record_end(place, ended, true));
        }
        let Some(known) = self.ended(account, &mut place, second_of(now_us)) else {
            return Ok(Released::Elsewhere);
        };
        self.check_release(call, &known.call)?;
        match &self.hub {
            _ if !known.cause.may_be_corrected() => Ok(Released::Now(known)),
            Hub::Embedded { .. } => Ok(self.correct(account, place, &known, ending)),
            // Another gateway may have corrected it.
            Hub::Shared(_) => Ok(Released::Elsewhere),
        }
    }

    /// A token must be the call's, and costs that are charged must be amounts.
    pub(super) fn check_release(&self, release: &Release<'_>, call: &Call) -> Result<(), Denial> {
        self.check_token(release.token, call)?;
        let charged = charged_costs(call, release.costs);
        charged.map(drop).map_err(|problem| {
            let (field, problem) = ("costs".to_owned(), problem.to_string());
            Denial::InvalidRequest(vec![BadField { field, problem }])
        })
    }

    /// What a charge needs beyond the hold, where that may be fetched from a shared hub.
    fn beyond_hold(&self, live: &Live, ending: Ending<'_>) -> Option<Short> {
        let (Hub::Shared(_), Some(wallet)) = (&self.hub, &live.wallet) else {
            return None;
        };
        let wanted = price(&live.call, &live.lease, ending).saturating_sub(live.lease.hold);
        lacks(wallet, wanted)
    }

    /// As [`Engine::beyond_hold`], of a correction.
    pub(super) fn beyond_earlier(
        &self,
        account: &Account,
        earlier: &Record,
        ending: Ending<'_>,
    ) -> Option<Short> {
        let wallet = self.wallet_of(account, &earlier.call)?;
        let wanted = price(&earlier.call, &lease_of(earlier), ending);
        lacks(&wallet, wanted.saturating_sub(earlier.cost))
    }

    /// Ends a live call otherwise than by a release; false when it is not live any more.
    pub(super) fn end(&self, call: &Call, cause: Cause, ended_us: i64) -> bool {
        let ending = Ending::unsaid(cause, ended_us);
        let mut place = self.calls.place(call.account(), call.call_id());
        let entry = place.find().filter(|entry| same_admission(entry.call(), call));
        let ended = entry.and_then(|entry| end_entry(entry, ending));
        ended.map(|ended| drop(self.record_end(place, ended, false))).is_some()
    }

    /// Tells the hub of an end. Slot and refund are quarantined until it is flushed.
    fn record_end(&self, place: Place<'_>, ended: Ended, waits: bool) -> Released {
        let Ended { record, live, refund } = ended;
        let Live { account, wallet, .. } = *live;
        let shard = account.organization.shard;
        account.slots.quarantine();
        let flushed = place.flushed(&record);
        let caps = match &self.hub {
            Hub::Embedded { .. } => self.directory.caps_of(&record.call),
            Hub::Shared(_) => None,
        };
        caps.iter().flatten().for_each(|cap| cap.end());
        let freed = Freed { flushed, slot: Some(account), refund: wallet.zip(refund), caps };
        self.tell_end(shard, (place, record), freed, waits)
    }

    /// Tells the hub of a record that stands at its place. `waits`: somebody wants to know when it has it.
    pub(super) fn tell_end(
        &self,
        shard: u8,
        (place, record): (Place<'_>, triomphe::Arc<Record>),
        freed: Freed,
        waits: bool,
    ) -> Released {
        let released = match &self.hub {
            Hub::Embedded { node, .. } => {
                node.record(shard, Event::Ended(triomphe::Arc::clone(&record)), Some(freed));
                Released::Now(record)
            }
            Hub::Shared(sharing) => {
                let verdict = sharing.ended(shard, &record, freed, waits);
                Released::Untold(record, verdict)
            }
        };
        drop(place);
        released
    }

    /// The one release that may follow the end of a lease: what the stack says counts, the difference is
    /// posted.
    pub(super) fn correct(
        &self,
        account: &Account,
        mut place: Place<'_>,
        earlier: &Record,
        ending: Ending<'_>,
    ) -> Released {
        let (outcome, billable_s, cost) = priced(&earlier.call, &lease_of(earlier), ending);
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
            costs: ending.costs.map(Into::into),
            ..earlier.clone()
        });
        place.put(Entry::Ended(triomphe::Arc::clone(&record)));
        let freed = Freed {
            flushed: place.flushed(&record),
            slot: None,
            refund: wallet.zip(refund),
            caps: None,
        };
        self.tell_end(account.organization.shard, (place, record), freed, true)
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
pub(super) fn end_entry(entry: &mut Entry, ending: Ending<'_>) -> Option<Ended> {
    let Entry::Live(live) = &*entry else {
        return None;
    };
    let lease = live.lease;
    let (outcome, billable_s, cost) = priced(&live.call, &lease, ending);
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
        forget_at: lease.deadline.saturating_add(token::LIFE_S),
        costs: ending.costs.map(Into::into),
    });
    match std::mem::replace(entry, Entry::Ended(triomphe::Arc::clone(&record))) {
        Entry::Live(live) => Some(Ended { record, live, refund }),
        Entry::Ended(_) => None,
    }
}

/// The outcome, the seconds to charge, and the price: of these seconds and of the reported costs that are
/// charged.
fn priced(call: &Call, lease: &Lease, ending: Ending<'_>) -> (Outcome, u32, Amount) {
    let facts = call.facts();
    let (outcome, billable_s) = billable(facts.admitted_us, lease, ending);
    let cost = facts.pins.as_ref().map_or(Amount::ZERO, |pins| {
        let beside = charged_costs(call, ending.costs).unwrap_or_default();
        pins.rate.charge(billable_s).saturating_add(beside)
    });
    (outcome, billable_s, cost)
}

/// What is charged of a breakdown beside the call itself.
fn charged_costs(call: &Call, costs: Option<&str>) -> Result<Amount, InvalidCost> {
    let deck = call.facts().pins.as_ref().and_then(|pins| pins.deck);
    match (deck, costs) {
        (Some(deck), Some(costs)) => costs::charged(costs, deck.billed),
        _ => Ok(Amount::ZERO),
    }
}

pub(super) fn price(call: &Call, lease: &Lease, ending: Ending<'_>) -> Amount {
    priced(call, lease, ending).2
}

/// The lease of a call as its record tells it.
fn lease_of(record: &Record) -> Lease {
    Lease {
        deadline: record.forget_at.saturating_sub(token::LIFE_S),
        granted: Granted::new(record.granted_s, false),
        hold: Amount::ZERO,
        answered: record.answered,
        renewed_us: record.ended_us,
    }
}

/// What is missing here of `wanted`.
fn lacks(wallet: &Arc<Wallet>, wanted: Amount) -> Option<Short> {
    (wanted > wallet.funds.free().max(Amount::ZERO)).then(|| Short {
        wallet: Arc::clone(wallet),
        wanted,
        denial: Reason::HubUnavailable.into(),
    })
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
