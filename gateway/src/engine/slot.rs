//! The slot of a new call, and what it counts against beside its account: taken together, undone together.

use std::sync::atomic::Ordering;

use hub::denial::{Denial, Scope};
use hub::state::request::Lease;

use super::admit::Stop;
use super::{Engine, Hub, shared};
use crate::accounts::{Account, Terms};
use crate::admission::slots::SlotsNow;
use crate::node::refusal;
use crate::resources::Named;

/// A slot for a new call.
pub(super) struct Slot {
    pub(super) in_use: u32,
    pub(super) right: Right,
    /// What the call counts against beside its account.
    pub(super) caps: Named,
}

impl Slot {
    fn of(in_use: u32, right: Right) -> Self {
        Self { in_use, right, caps: Named::default() }
    }
}

/// When a stack may be told of an admission.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    /// As soon as the turn is flushed.
    Now,
    /// At once, though a shared hub does not know it yet.
    Credit,
    /// When a shared hub has it.
    Flushed,
    /// When a shared hub has given it a slot: there is none here.
    Wanted,
    /// When a shared hub says that its caps allow it: the slot is here.
    Capped,
    /// At once, without a unit: the hub is lost, and the account open all the same.
    Overdraft,
}

impl Engine {
    /// One compare-and-swap; with a hub that others share, another for the right to say so.
    pub(super) fn take_slot(
        &self,
        account: &Account,
        terms: &Terms,
        durable: bool,
    ) -> Result<Slot, Stop> {
        let taken = account.slots.take(terms.cap());
        if taken.is_ok() && !account.id.is_shadow() {
            account.organization.in_use.fetch_add(1, Ordering::AcqRel);
        }
        match (&self.hub, taken) {
            (Hub::Embedded { .. }, Ok(in_use)) => Ok(Slot::of(in_use, Right::Now)),
            (Hub::Embedded { .. }, Err(now)) => Err(without_slot(account, terms, now)),
            (Hub::Shared(_), Ok(in_use)) if !durable && account.credit.take() => {
                Ok(Slot::of(in_use, Right::Credit))
            }
            (Hub::Shared(_), Ok(in_use)) => Ok(Slot::of(in_use, Right::Flushed)),
            // Only the hub refuses (rule 9).
            (Hub::Shared(_), Err(now)) => Ok(Slot::of(now.used.saturating_add(1), Right::Wanted)),
        }
    }

    /// Counts the call against its caps here, or leaves that to a shared hub: then nobody is told of it
    /// before the hub has it, however much credit there is.
    pub(super) fn take_caps(
        &self,
        account: &Account,
        mut slot: Slot,
        caps: Named,
    ) -> Result<Slot, Stop> {
        if caps.is_empty() {
            return Ok(slot);
        }
        match &self.hub {
            Hub::Embedded { .. } => {
                if let Err(capped) = caps.take() {
                    self.undo_slot(account, &slot);
                    return Err(if capped.soon {
                        Stop::Capped(capped)
                    } else {
                        Denial::from(capped).into()
                    });
                }
            }
            Hub::Shared(_) => {
                if slot.right == Right::Credit {
                    account.credit.give_back();
                }
                if slot.right != Right::Wanted {
                    slot.right = Right::Capped;
                }
            }
        }
        Ok(Slot { caps, ..slot })
    }

    pub(super) fn undo_slot(&self, account: &Account, slot: &Slot) {
        let right = slot.right;
        if right == Right::Credit {
            account.credit.give_back();
        }
        match &self.hub {
            Hub::Embedded { node, .. } => {
                slot.caps.give_back();
                node.give_back(account);
            }
            Hub::Shared(_) if right != Right::Wanted => shared::leave_slot(account),
            Hub::Shared(_) => {}
        }
    }

    pub(super) fn undo(&self, account: &Account, terms: &Terms, lease: &Lease, slot: &Slot) {
        if let Some(wallet) = &terms.wallet {
            wallet.funds.add(lease.hold);
        }
        self.undo_slot(account, slot);
    }
}

/// Whether it is known here that there is no slot, or the embedded hub must be asked.
fn without_slot(account: &Account, terms: &Terms, now: SlotsNow) -> Stop {
    // Every unit is here and in use, or nothing was freed since all were: no need to ask.
    let taken = account.slots.are_taken(now);
    if now.lease >= terms.cap() && taken {
        return refusal(account, Scope::Account, terms.cap()).into();
    }
    let organization = &account.organization;
    let beyond = now.lease >= terms.floor && !account.id.is_shadow();
    if beyond && taken && organization.is_exhausted() {
        let total = organization.terms().total;
        return refusal(account, Scope::Organization, total).into();
    }
    Stop::Slot
}
