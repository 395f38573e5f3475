//! Admit: the decision order of the design, section 3. Each step is undone exactly if a later one
//! refuses; only the calls-per-second token stays spent.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hub::call::{Call, Facts, Pins, Texts};
use hub::clock::{self, second_after, second_of};
use hub::denial::{Denial, Reason};
use hub::directory::Status;
use hub::state::request::{Event, Lease};

use tokio::sync::oneshot::Receiver;

use super::hold::Short;
use super::slot::{Right, Slot};
use super::{Engine, Hub, Refusal};
use crate::accounts::{Account, Terms};
use crate::admission::calls::{Entry, Live, Place, Standing};
use crate::answer::Grant;
use crate::node::Node;
use crate::request::Admit;
use crate::resources::{self, Capped};
use crate::sharing::Verdict;

/// Rounds in which others may take the slot that was fetched for this call.
const ROUNDS_MAX: u32 = 32;

/// Why a decision is not final yet.
pub(super) enum Stop {
    Refused(Refusal),
    /// No free slot here, but perhaps at the embedded hub or in quarantine.
    Slot,
    /// No room under a cap before the embedded hub has recorded what has ended.
    Capped(Capped),
    /// Not enough money here.
    Money(Box<Short>),
    /// Decided, but nobody is told before a shared hub has it; or the hub decides.
    Untold(Box<(Grant, Receiver<Verdict>)>),
    /// Another request about this call waits for the hub.
    Pending,
    /// The call is not known here, but perhaps to a shared hub.
    Elsewhere,
}

impl<T: Into<Refusal>> From<T> for Stop {
    fn from(refusal: T) -> Self {
        Self::Refused(refusal.into())
    }
}

/// What is known from earlier attempts at a decision.
#[derive(Clone, Copy, Default)]
pub(super) struct Attempt {
    /// The calls-per-second token is spent.
    pub(super) again: bool,
    /// All money that a shared hub has for the call is here.
    pub(super) raised: bool,
}

impl Engine {
    /// Ready at once unless a slot or money has to be fetched, or the hub must have the call first.
    pub async fn admit(
        &self,
        account: &Arc<Account>,
        call: &Admit<'_>,
        now_us: i64,
    ) -> Result<Grant, Refusal> {
        let result = match self.decide(account, call, now_us, Attempt::default()) {
            Ok(grant) => Ok(grant),
            Err(Stop::Refused(refusal)) => self.refused_or_open(account, call, now_us, refusal),
            // Boxed, here and below: what is seldom needed makes no room for itself in every request.
            Err(stop) => match &self.hub {
                Hub::Embedded { node, .. } => {
                    Box::pin(self.decide_after_flush(node, account, call, stop)).await
                }
                Hub::Shared(sharing) => {
                    Box::pin(self.decide_with_hub(sharing, account, call, stop)).await
                }
            },
        };
        match (&result, &self.hub) {
            (Ok(grant), Hub::Embedded { hub, .. })
                if must_be_durable(&grant.call) && !grant.duplicate =>
            {
                self.flush().map_err(|_| Refusal::from(Reason::HubUnavailable))?;
                let durable = Box::pin(hub.durable());
                durable.await.map_err(|_| Refusal::from(Reason::HubUnavailable))?;
            }
            (Ok(_), _) => {}
            (Err(refusal), _) => self.count_refusal(account, call, refusal, now_us),
        }
        result
    }

    /// A refusal for want of a hub is none for an account that stays open without it.
    fn refused_or_open(
        &self,
        account: &Arc<Account>,
        call: &Admit<'_>,
        now_us: i64,
        refusal: Refusal,
    ) -> Result<Grant, Refusal> {
        match (&self.hub, &refusal) {
            (Hub::Shared(sharing), Refusal::Denied(denial))
                if denial.reason() == Reason::HubUnavailable =>
            {
                self.admit_without_hub(sharing, account, call, now_us)
            }
            _ => Err(refusal),
        }
    }

    fn count_refusal(
        &self,
        account: &Arc<Account>,
        call: &Admit<'_>,
        refusal: &Refusal,
        now_us: i64,
    ) {
        let ended = Reason::CallEnded.into();
        let denial = match refusal {
            Refusal::Denied(denial) => denial,
            Refusal::Ended(_) => &ended,
        };
        self.refusals.add(denial.reason());
        account.count_denial(denial.reason());
        self.refused.note(account, call.call_id, denial, now_us);
    }

    /// The rest of a decision that found no slot or money free here: what is in quarantine becomes
    /// free with the flush, and the hub may have more.
    async fn decide_after_flush(
        &self,
        node: &Node,
        account: &Arc<Account>,
        call: &Admit<'_>,
        mut stop: Stop,
    ) -> Result<Grant, Refusal> {
        for _ in 0..ROUNDS_MAX {
            // Others of this turn share the flush.
            tokio::task::yield_now().await;
            let refused = match &stop {
                Stop::Slot => node.fetch_slots(account).err(),
                Stop::Money(_) | Stop::Capped(_) => {
                    self.flush().err().map(|_| Reason::HubUnavailable.into())
                }
                _ => break,
            };
            let again = Attempt { again: true, raised: false };
            stop = match (self.decide(account, call, clock::now_us(), again), refused) {
                (Ok(grant), _) => return Ok(grant),
                (Err(Stop::Slot | Stop::Capped(_) | Stop::Money(_)), Some(denial)) => {
                    return Err(denial.into());
                }
                (Err(stop), _) => stop,
            };
        }
        Err(match stop {
            Stop::Refused(refusal) => refusal,
            Stop::Money(short) => short.denial.into(),
            Stop::Capped(capped) => Denial::from(capped).into(),
            _ => Reason::HubUnavailable.into(),
        })
    }

    /// One pass through the decision. The call's place is held from the look for it to its entry: of
    /// two equal admits the second finds the first.
    pub(super) fn decide(
        &self,
        account: &Arc<Account>,
        call: &Admit<'_>,
        now_us: i64,
        attempt: Attempt,
    ) -> Result<Grant, Stop> {
        let mut place = self.calls.place(account.id, call.call_id.as_bytes());
        if let Some(known) = self.known(account, &mut place, now_us) {
            return known;
        }
        // Before the terms: who finds the fence open sees at least the configuration that it rests on.
        self.admits(account.organization.shard)?;
        let terms = account.terms();
        may_start(account, &terms)?;
        let pins = terms.pins(call, now_us)?;
        let caps = resources::named(account, terms.outbound.as_ref(), call)?;
        if !attempt.again
            && let Some(limiter) = &terms.limiter
        {
            limiter.spend(self.gateways(account.organization.shard))?;
        }
        let durable = call.lease_s.or(terms.lease_s).is_some();
        let slot = self.take_slot(account, &terms, durable)?;
        let slot = self.take_caps(account, slot, caps)?;
        let lease = self
            .hold(account, &terms, (call, pins.as_deref()), now_us, attempt.raised)
            .inspect_err(|_| self.undo_slot(account, &slot))?;
        // The fence, on a fresh reading: nothing is recorded that the hub cannot take.
        if let Hub::Shared(_) = &self.hub
            && let Err(reason) = self.admits(account.organization.shard)
        {
            self.undo(account, &terms, &lease, &slot);
            return Err(reason.into());
        }
        self.enter(account, &terms, (call, pins, place), lease, &slot)
    }

    /// A `call_id` that is live is answered the same again; one that has ended says so.
    fn known(
        &self,
        account: &Account,
        place: &mut Place<'_>,
        now_us: i64,
    ) -> Option<Result<Grant, Stop>> {
        let name = place.name();
        let ended = match place.find() {
            Some(Entry::Live(live)) if live.standing == Standing::Owned => {
                return Some(Ok(self.grant(account, live.call.clone(), live.lease, true, now_us)));
            }
            Some(Entry::Live(live))
                if live.standing == Standing::Adopting
                    && self.is_open_without_hub(account, &account.terms()) =>
            {
                return Some(Ok(self.grant(account, live.call.clone(), live.lease, true, now_us)));
            }
            Some(Entry::Live(_)) => return Some(Err(Stop::Pending)),
            Some(Entry::Ended(record)) => triomphe::Arc::clone(record),
            None => self.remembered(account, name, second_of(now_us))?,
        };
        Some(Err(Refusal::ended(ended).into()))
    }

    /// Enters the call at its place and tells the hub.
    pub(super) fn enter(
        &self,
        account: &Arc<Account>,
        terms: &Terms,
        (call, pins, mut place): (&Admit<'_>, Option<triomphe::Arc<Pins>>, Place<'_>),
        lease: Lease,
        slot: &Slot,
    ) -> Result<Grant, Stop> {
        let now_us = lease.renewed_us;
        let wallet = pins.as_ref().and(terms.wallet.clone());
        let facts = Facts {
            admitted_us: now_us,
            admission: self.admissions.0.fetch_add(1, Ordering::Relaxed),
            pins,
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
        let entered = if slot.caps.is_empty() {
            Call::new(facts, texts)
        } else {
            Call::with_caps(facts, texts, slot.caps.ids())
        };
        let Some(entered) = entered else {
            self.undo(account, terms, &lease, slot);
            return Err(Reason::InvalidRequest.into());
        };
        let standing = match slot.right {
            Right::Now | Right::Credit => Standing::Owned,
            Right::Flushed => Standing::Unflushed,
            Right::Wanted => Standing::Undecided,
            Right::Capped => Standing::Capped,
            Right::Overdraft => Standing::Adopting,
        };
        let (account_of, call_of) = (Arc::clone(account), entered.clone());
        let live = Live { call: call_of, account: account_of, wallet, lease, standing };
        place.put_new(Entry::Live(Box::new(live)));
        let untold = self.tell(account, &entered, lease, slot.right);
        if !standing.is_open() {
            self.wheel.add(lease.deadline, place.name().hash());
        }
        drop(place);
        let counts = (slot.in_use, terms.cap);
        let grant = self.grant_with(counts, entered, lease, false, now_us);
        match untold {
            None => Ok(grant),
            Some(verdict) => Err(Stop::Untold(Box::new((grant, verdict)))),
        }
    }

    /// Tells the hub of a new call. `Some`: a stack is to be told after that.
    fn tell(
        &self,
        account: &Arc<Account>,
        call: &Call,
        lease: Lease,
        right: Right,
    ) -> Option<Receiver<Verdict>> {
        let shard = account.organization.shard;
        match &self.hub {
            Hub::Embedded { node, .. } => {
                node.record(shard, Event::Admitted { call: call.clone(), lease }, None);
                None
            }
            Hub::Shared(sharing) if matches!(right, Right::Wanted | Right::Capped) => {
                let unit_of = (right == Right::Capped).then_some(account);
                Some(sharing.wanted(shard, (call, lease), unit_of))
            }
            Hub::Shared(sharing) if right == Right::Overdraft => {
                sharing.admitted_without_hub(shard, call, lease);
                None
            }
            Hub::Shared(sharing) => {
                sharing.admitted(account, (call, lease), right == Right::Credit)
            }
        }
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
        let limit = Some(account.cap()).filter(|cap| *cap < u32::MAX);
        self.grant_with((account.slots.now().used, limit), call, lease, duplicate, now_us)
    }

    fn grant_with(
        &self,
        (in_use, limit): (u32, Option<u32>),
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
            in_use,
            limit,
        }
    }
}

fn may_start(account: &Account, terms: &Terms) -> Result<(), Reason> {
    if terms.status != Status::Active || !account.organization.is_active() {
        return Err(Reason::Suspended);
    }
    if !terms.served {
        return Err(Reason::WrongRegion);
    }
    Ok(())
}

/// Whether the call outlives what a crash of the machine may take.
fn must_be_durable(call: &Call) -> bool {
    call.facts().lease_s > 0
}
