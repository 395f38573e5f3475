//! Accounts that stay open while the hub is lost beyond the fence (lease-protocol, rule 14): their
//! calls are admitted and renewed without a unit, up to the account's limit at this gateway, and told
//! to the hub as calls to be adopted as soon as it is back. Never for billed calls: money is closed.

use std::sync::Arc;

use hub::clock::second_after;
use hub::denial::{Denial, Reason, Scope};
use hub::directory::{OnHubLoss, Status};
use hub::state::request::{Granted, Lease};

use super::hears::enter_organization;
use crate::accounts::{Account, Terms};
use crate::answer::Grant;
use crate::engine::admit::Stop;
use crate::engine::slot::{Right, Slot};
use crate::engine::{Engine, Hub, Refusal};
use crate::request::Admit;
use crate::resources::{self, Named};
use crate::sharing::Sharing;

impl Engine {
    /// Whether an account's calls go on without the hub now.
    pub(in crate::engine) fn is_open_without_hub(&self, account: &Account, terms: &Terms) -> bool {
        let is_lost = match &self.hub {
            Hub::Embedded { .. } => false,
            Hub::Shared(sharing) => !sharing.may_admit(account.organization.shard),
        };
        is_lost && terms.on_hub_loss == OnHubLoss::Open && !terms.is_billed()
    }

    /// An admit that was refused because the hub is lost.
    pub(in crate::engine) fn admit_without_hub(
        &self,
        sharing: &Sharing,
        account: &Arc<Account>,
        call: &Admit<'_>,
        now_us: i64,
    ) -> Result<Grant, Refusal> {
        let terms = account.terms();
        if !self.is_open_without_hub(account, &terms) || self.is_draining() || sharing.is_full() {
            return Err(Reason::HubUnavailable.into());
        }
        if terms.status != Status::Active || !account.organization.is_active() {
            return Err(Reason::Suspended.into());
        }
        // Only the hub knows how many calls count against a cap.
        if !resources::named(account, terms.outbound.as_ref(), call)?.is_empty() {
            return Err(Reason::HubUnavailable.into());
        }
        let mut place = self.calls.place(account.id, call.call_id.as_bytes());
        // Somebody else's admit of the same name came between the two looks.
        if place.find().is_some() {
            return Err(Reason::HubUnavailable.into());
        }
        if let Some(limiter) = &terms.limiter {
            limiter.spend(sharing.gateways(account.organization.shard))?;
        }
        has_room(account, &terms)?;
        account.slots.enter();
        enter_organization(account);
        let lives_s = call.lease_s.or(terms.lease_s).unwrap_or(self.settings.call_lease_s);
        let lease = Lease {
            deadline: second_after(now_us).saturating_add(lives_s),
            granted: Granted::new(terms.duration_max_s.unwrap_or(0), false),
            hold: hub::money::Amount::ZERO,
            answered: None,
            renewed_us: now_us,
        };
        let slot = Slot {
            in_use: account.slots.now().used,
            right: Right::Overdraft,
            caps: Named::default(),
        };
        match self.enter(account, &terms, (call, None, place), lease, &slot) {
            Ok(grant) => Ok(grant),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(_) => Err(Reason::HubUnavailable.into()),
        }
    }
}

/// As this gateway alone can know it: others may be open as well.
fn has_room(account: &Account, terms: &Terms) -> Result<(), Denial> {
    let (in_use, cap) = (account.slots.now().used, terms.cap());
    if in_use >= cap {
        return Err(Denial::NoSlot { scope: Scope::Account, limit: cap, in_use });
    }
    let organization = &account.organization;
    let in_use = organization.in_use.load(std::sync::atomic::Ordering::Acquire);
    let total = organization.terms().total;
    if in_use >= total {
        return Err(Denial::NoSlot { scope: Scope::Organization, limit: total, in_use });
    }
    Ok(())
}
