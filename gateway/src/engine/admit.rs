//! Admit: the decision order of the design, section 3. Each step is undone exactly if a later one
//! refuses; only the calls-per-second token stays spent.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hub::call::{Call, Facts, Texts};
use hub::clock::{self, second_after, second_of};
use hub::denial::{Denial, Reason, Scope};
use hub::directory::Status;
use hub::money::Amount;
use hub::state::request::{Event, Granted, Lease};

use super::{Engine, Refusal};
use crate::accounts::{Account, Terms};
use crate::admission::calls::{Entry, Live, Place};
use crate::admission::grant::Bounds;
use crate::answer::Grant;
use crate::node::refusal;
use crate::request::Admit;

/// Rounds in which others may take the slot that was fetched for this call.
const ROUNDS_MAX: u32 = 32;

/// Why a decision is not final yet.
enum Stop {
    Refused(Refusal),
    /// No free slot here, but perhaps at the hub or in quarantine.
    Slot,
    /// Not enough money, but refunds are in quarantine.
    Money(Denial),
}

impl<T: Into<Refusal>> From<T> for Stop {
    fn from(refusal: T) -> Self {
        Self::Refused(refusal.into())
    }
}

impl Engine {
    /// Ready at once unless a slot has to be fetched or the call must be durable first.
    pub async fn admit(
        &self,
        account: &Arc<Account>,
        call: &Admit<'_>,
        now_us: i64,
    ) -> Result<Grant, Refusal> {
        let result = match self.decide(account, call, now_us, true) {
            Ok(grant) => Ok(grant),
            Err(Stop::Refused(refusal)) => Err(refusal),
            // Boxed, here and below: what is seldom needed makes no room for itself in every request.
            Err(stop) => Box::pin(self.decide_after_flush(account, call, stop)).await,
        };
        match &result {
            Ok(grant) if must_be_durable(&grant.call) && !grant.duplicate => {
                self.flush().map_err(|_| Refusal::from(Reason::HubUnavailable))?;
                let durable = Box::pin(self.hub.durable());
                durable.await.map_err(|_| Refusal::from(Reason::HubUnavailable))?;
            }
            Ok(_) => {}
            Err(refusal) => self.count_refusal(account, refusal),
        }
        result
    }

    fn count_refusal(&self, account: &Account, refusal: &Refusal) {
        let reason = match refusal {
            Refusal::Denied(denial) => denial.reason(),
            Refusal::Ended(_) => Reason::CallEnded,
        };
        self.refusals.add(reason);
        account.count_denial(reason);
    }

    /// The rest of a decision that found no slot or money free here: what is in quarantine becomes
    /// free with the flush, and the hub may have more.
    async fn decide_after_flush(
        &self,
        account: &Arc<Account>,
        call: &Admit<'_>,
        mut stop: Stop,
    ) -> Result<Grant, Refusal> {
        for _ in 0..ROUNDS_MAX {
            // Others of this turn share the flush.
            tokio::task::yield_now().await;
            let refused = match &stop {
                Stop::Refused(_) => break,
                Stop::Slot => self.node.fetch_slots(account).err(),
                Stop::Money(_) => self.flush().err().map(|_| Reason::HubUnavailable.into()),
            };
            stop = match (self.decide(account, call, clock::now_us(), false), refused) {
                (Ok(grant), _) => return Ok(grant),
                (Err(Stop::Slot | Stop::Money(_)), Some(denial)) => return Err(denial.into()),
                (Err(stop), _) => stop,
            };
        }
        Err(match stop {
            Stop::Refused(refusal) => refusal,
            Stop::Money(denial) => denial.into(),
            Stop::Slot => Reason::HubUnavailable.into(),
        })
    }

    /// One pass through the decision; `first` spends the calls-per-second token. The call's place is
    /// held from the look for it to its entry: of two equal admits the second finds the first.
    fn decide(
        &self,
        account: &Arc<Account>,
        call: &Admit<'_>,
        now_us: i64,
        first: bool,
    ) -> Result<Grant, Stop> {
        let mut place = self.calls.place(account.id, call.call_id.as_bytes());
        if let Some(known) = self.known(account, &mut place, now_us) {
            return known.map_err(Stop::Refused);
        }
        let terms = account.terms();
        self.may_start(account, &terms)?;
        if first && let Some(limiter) = &terms.limiter {
            limiter.spend()?;
        }
        let in_use = take_slot(account, &terms)?;
        let lease = self.hold(&terms, call, now_us).inspect_err(|_| self.undo_slot(account))?;
        // The fence, on a fresh reading: nothing is recorded that the hub cannot take.
        if let Err(reason) = self.admits() {
            self.undo(account, &terms, &lease);
            return Err(reason.into());
        }
        self.enter(account, &terms, (call, place), lease, in_use)
    }

    /// A `call_id` that is live is answered the same again; one that has ended says so.
    fn known(
        &self,
        account: &Account,
        place: &mut Place<'_>,
        now_us: i64,
    ) -> Option<Result<Grant, Refusal>> {
        let name = place.name();
        let ended = match place.find() {
            Some(Entry::Live(live)) => {
                return Some(Ok(self.grant(account, live.call.clone(), live.lease, true, now_us)));
            }
            Some(Entry::Ended(record)) => triomphe::Arc::clone(record),
            None => self.hub.ended(account.organization.shard, name, second_of(now_us))?,
        };
        Some(Err(Refusal::ended(ended)))
    }

    fn may_start(&self, account: &Account, terms: &Terms) -> Result<(), Reason> {
        self.admits()?;
        if terms.status != Status::Active || !account.organization.is_active() {
            return Err(Reason::Suspended);
        }
        if !terms.served {
            return Err(Reason::WrongRegion);
        }
        Ok(())
    }

    fn undo_slot(&self, account: &Account) {
        self.node.give_back(account);
    }

    fn undo(&self, account: &Account, terms: &Terms, lease: &Lease) {
        if let Some(wallet) = &terms.wallet {
            wallet.funds.add(lease.hold);
        }
        self.undo_slot(account);
    }

    /// The lease of a new call, its money held.
    fn hold(&self, terms: &Terms, call: &Admit<'_>, now_us: i64) -> Result<Lease, Stop> {
        let lease_s = call.lease_s.or(terms.lease_s);
        let lives_s = lease_s.unwrap_or(self.settings.call_lease_s);
        let bounds = Bounds {
            requested_s: call.requested_s,
            usual_s: lease_s.unwrap_or(self.settings.grant_max_s),
            duration_max_s: terms.duration_max_s,
        };
        let mut lease = Lease {
            deadline: second_after(now_us).saturating_add(lives_s),
            granted: Granted::new(terms.duration_max_s.unwrap_or(0), false),
            hold: Amount::ZERO,
            answered: None,
            renewed_us: now_us,
        };
        if let (Some(pins), Some(wallet)) = (&terms.pins, &terms.wallet) {
            let wanted_s = bounds.first_grant_s();
            let Some(funded) = wallet.funds.hold(&pins.rate, Amount::ZERO, wanted_s) else {
                let denial = Denial::InsufficientBalance {
                    available: wallet.funds.free().max(Amount::ZERO),
                    required: pins.rate.charge(1),
                    currency: pins.currency,
                };
                let waits = wallet.funds.quarantined() > Amount::ZERO;
                return Err(if waits { Stop::Money(denial) } else { denial.into() });
            };
            lease.granted = Granted::new(funded.seconds, funded.seconds < wanted_s);
            lease.hold = funded.hold;
        }
        Ok(lease)
    }

    /// Enters the call at its place and tells the hub.
    fn enter(
        &self,
        account: &Arc<Account>,
        terms: &Terms,
        (call, mut place): (&Admit<'_>, Place<'_>),
        lease: Lease,
        in_use: u32,
    ) -> Result<Grant, Stop> {
        let now_us = lease.renewed_us;
        let facts = Facts {
            admitted_us: now_us,
            admission: self.admissions.0.fetch_add(1, Ordering::Relaxed),
            pins: terms.pins.clone(),
            account: account.id,
            direction: call.direction,
            lease_s: call.lease_s.or(terms.lease_s).unwrap_or(0),
        };
        let texts = Texts {
            call_id: call.call_id,
            from: call.from,
            to: call.to,
            agent_id: call.agent_id,
            source: call.source,
        };
        let Some(entered) = Call::new(facts, texts) else {
            self.undo(account, terms, &lease);
            return Err(Reason::InvalidRequest.into());
        };
        let wallet = terms.pins.as_ref().and(terms.wallet.clone());
        let live = Live { call: entered.clone(), account: Arc::clone(account), wallet, lease };
        place.put_new(Entry::Live(Box::new(live)));
        self.node.record(
            account.organization.shard,
            Event::Admitted { call: entered.clone(), lease },
            None,
        );
        self.wheel.add(lease.deadline, place.name().hash());
        drop(place);
        let grant = self.grant(account, entered, lease, false, now_us);
        Ok(Grant { in_use, limit: terms.cap, ..grant })
    }

    /// What a stack is told of a live call.
    pub(super) fn grant(
        &self,
        account: &Account,
        call: Call,
        lease: Lease,
        duplicate: bool,
        now_us: i64,
    ) -> Grant {
        Grant {
            call,
            lease,
            duplicate,
            renew_every_s: self.settings.renew_every_s,
            expires_in_s: lease.deadline.saturating_sub(second_after(now_us)),
            in_use: account.slots.now().used,
            limit: Some(account.cap()).filter(|cap| *cap < u32::MAX),
        }
    }
}

/// Whether the call outlives what a crash of the machine may take.
fn must_be_durable(call: &Call) -> bool {
    call.facts().lease_s > 0
}

/// One compare-and-swap; the number of slots in use with this one.
fn take_slot(account: &Account, terms: &Terms) -> Result<u32, Stop> {
    match account.slots.take() {
        Ok(in_use) => {
            if !account.id.is_shadow() {
                account.organization.in_use.fetch_add(1, Ordering::AcqRel);
            }
            Ok(in_use)
        }
        Err(now) => {
            // Every unit is here and in use, or nothing was freed since all were: no need to ask.
            let quarantined = account.quarantined.load(Ordering::Acquire) > 0
                // Freed between the two readings.
                || account.slots.now() != now;
            if now.lease >= terms.cap() && !quarantined {
                return Err(refusal(account, Scope::Account, terms.cap()).into());
            }
            let organization = &account.organization;
            let beyond = now.lease >= terms.floor && !account.id.is_shadow();
            if beyond && !quarantined && organization.is_exhausted() {
                let total = organization.terms().total;
                return Err(refusal(account, Scope::Organization, total).into());
            }
            Err(Stop::Slot)
        }
    }
}
