//! Renew: a live call's lease and grant go on, or the stack learns that it must end.

use std::sync::Arc;

use hub::clock::{second_after, second_of};
use hub::denial::Reason;
use hub::directory::{AtZero, Status};
use hub::money::Amount;
use hub::state::request::{Event, Granted, Lease};

use super::admit::Stop;
use super::hold::Short;
use super::look_up::view;
use super::{Engine, Hub, Refusal};
use crate::accounts::Account;
use crate::admission::calls::{Entry, Live, Place, Standing};
use crate::admission::grant::{Bounds, elapsed_s};
use crate::answer::Grant;
use crate::request::Renew;

impl Engine {
    pub async fn renew(
        &self,
        account: &Arc<Account>,
        call: &Renew<'_>,
        now_us: i64,
    ) -> Result<Grant, Refusal> {
        match (self.renew_here(account, call, now_us, false), &self.hub) {
            (Ok(grant), _) => Ok(grant),
            (Err(Stop::Refused(refusal)), _) => Err(refusal),
            (Err(_), Hub::Embedded { .. }) => Err(Reason::UnknownCall.into()),
            (Err(stop), Hub::Shared(sharing)) => {
                Box::pin(self.renew_with_hub(sharing, account, call, stop)).await
            }
        }
    }

    /// A renew of a call that is live here. `raised`: no more money can be fetched.
    pub(super) fn renew_here(
        &self,
        account: &Arc<Account>,
        call: &Renew<'_>,
        now_us: i64,
        raised: bool,
    ) -> Result<Grant, Stop> {
        self.records()?;
        let mut place = self.calls.place(account.id, call.call_id.as_bytes());
        let Some(Entry::Live(live)) = place.find() else {
            return Err(self.not_live(account, &mut place, now_us));
        };
        self.check_token(call.token, &live.call)?;
        self.may_renew(account, live)?;
        if account.terms().status == Status::Ending {
            return Err(Refusal::Ended(view(live)).into());
        }
        let lease = self.extended(live, call.requested_s, now_us, raised)?;
        let elapsed = elapsed_s(live.call.facts().admitted_us, &lease, now_us);
        if lease.is_final() && lease.granted_s() > 0 && elapsed > lease.granted_s() {
            return Err(Refusal::Ended(view(live)).into());
        }
        live.lease = lease;
        let renewed = live.call.clone();
        // What is to be adopted is told as it stands then.
        if live.standing != Standing::Adopting {
            self.tell_renew(account, live);
        }
        drop(place);
        Ok(self.grant(account, renewed, lease, false, now_us))
    }

    /// Why a call that is not live here cannot go on here.
    pub(super) fn not_live(&self, account: &Account, place: &mut Place<'_>, now_us: i64) -> Stop {
        match (self.ended(account, place, second_of(now_us)), &self.hub) {
            (Some(ended), _) => Refusal::ended(ended).into(),
            (None, Hub::Embedded { .. }) => Reason::UnknownCall.into(),
            (None, Hub::Shared(_)) => Stop::Elsewhere,
        }
    }

    /// Whether the hub counts on the call as this gateway's, and on this gateway.
    fn may_renew(&self, account: &Account, live: &Live) -> Result<(), Stop> {
        match &self.hub {
            Hub::Shared(_)
                if !live.standing.is_open()
                    && self.is_open_without_hub(account, &account.terms()) =>
            {
                Ok(())
            }
            Hub::Shared(_) if live.standing != Standing::Owned => Err(Stop::Pending),
            Hub::Shared(sharing) if !sharing.may_admit(account.organization.shard) => {
                Err(Reason::HubUnavailable.into())
            }
            Hub::Embedded { .. } | Hub::Shared(_) => Ok(()),
        }
    }

    /// Tells the hub how a live call stands.
    fn tell_renew(&self, account: &Account, live: &Live) {
        let shard = account.organization.shard;
        let (call, lease) = (live.call.clone(), live.lease);
        match &self.hub {
            Hub::Embedded { node, .. } => node.record(shard, Event::Renewed { call, lease }, None),
            Hub::Shared(sharing) => sharing.renewed(shard, call, lease),
        }
    }

    /// A token, where one is given, must be the call's.
    pub(super) fn check_token(
        &self,
        token: Option<&str>,
        call: &hub::call::Call,
    ) -> Result<(), Reason> {
        match token {
            Some(token) if !self.tokens.load().proves(token, call) => Err(Reason::Forbidden),
            _ => Ok(()),
        }
    }

    /// The lease from `now_us` on, its money held as far as it goes. A hold once given is never
    /// lowered by a renew.
    fn extended(
        &self,
        live: &Live,
        requested_s: Option<u32>,
        now_us: i64,
        raised: bool,
    ) -> Result<Lease, Stop> {
        let terms = live.account.terms();
        let facts = live.call.facts();
        let asked_s = (facts.lease_s > 0).then_some(facts.lease_s);
        let lives_s = self.settings.call_lease_s;
        let deadline = second_after(now_us).saturating_add(lives_s);
        let deadline = self.deadline(&live.account, deadline, false);
        let mut lease =
            Lease { deadline: live.lease.deadline.max(deadline), renewed_us: now_us, ..live.lease };
        let bounds = Bounds {
            requested_s,
            usual_s: asked_s.unwrap_or(self.settings.grant_max_s),
            duration_max_s: terms.duration_max_s,
        };
        if let (Some(pins), Some(wallet)) = (&facts.pins, &live.wallet) {
            let elapsed_s = elapsed_s(facts.admitted_us, &live.lease, now_us);
            let wanted_s = bounds.extended_s(elapsed_s);
            let mut is_final = false;
            if wanted_s > lease.granted_s() {
                let share = asked_s.is_none().then(|| self.share(&live.account, pins, elapsed_s));
                let is_over = terms.is_spent_for(pins) && terms.at_zero == AtZero::End;
                let held = (!is_over)
                    .then(|| wallet.funds.hold(&pins.rate, live.lease.hold, wanted_s, share))
                    .flatten();
                let most_s = held.map_or(0, |held| held.most_s);
                let may_be_more = !raised && !is_over && matches!(self.hub, Hub::Shared(_));
                if most_s < wanted_s && may_be_more {
                    let now = held.map_or(live.lease.hold, |held| held.funded.hold);
                    wallet.funds.add(now.saturating_sub(live.lease.hold).max(Amount::ZERO));
                    return Err(Stop::Money(Box::new(Short {
                        wallet: Arc::clone(wallet),
                        wanted: pins.rate.charge(wanted_s).saturating_sub(live.lease.hold),
                        denial: Reason::HubUnavailable.into(),
                    })));
                }
                let funded = held.map(|held| held.funded);
                if let Some(funded) = funded.filter(|funded| funded.seconds > lease.granted_s()) {
                    lease.granted = Granted::new(funded.seconds, false);
                    lease.hold = funded.hold.max(live.lease.hold);
                }
                is_final = lease.granted_s() < wanted_s && lease.granted_s() >= most_s;
                if is_final && terms.at_zero == AtZero::Finish {
                    // What it holds stays what it is: the rest becomes debt.
                    lease.granted = Granted::new(wanted_s, false);
                    is_final = false;
                }
            }
            debug_assert!(lease.hold >= Amount::ZERO);
            lease.granted = Granted::new(lease.granted_s(), is_final);
        }
        Ok(lease)
    }
}
