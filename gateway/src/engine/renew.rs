//! Renew: a live call's lease and grant go on, or the stack learns that it must end.

use std::sync::Arc;

use hub::clock::{second_after, second_of};
use hub::denial::Reason;
use hub::money::Amount;
use hub::state::request::{Event, Granted, Lease};

use super::look_up::view;
use super::{Engine, Refusal};
use crate::accounts::{Account, Wallet};
use crate::admission::calls::{Entry, Live};
use crate::admission::grant::{Bounds, elapsed_s};
use crate::answer::Grant;
use crate::request::Renew;

impl Engine {
    pub fn renew(
        &self,
        account: &Arc<Account>,
        call: &Renew<'_>,
        now_us: i64,
    ) -> Result<Grant, Refusal> {
        self.records()?;
        let mut place = self.calls.place(account.id, call.call_id.as_bytes());
        let Some(Entry::Live(live)) = place.find() else {
            let ended = self.ended(account, &mut place, second_of(now_us));
            return Err(ended.map_or(Reason::UnknownCall.into(), Refusal::ended));
        };
        self.check_token(call.token, &live.call)?;
        let lease = self.extended(live, call.requested_s, now_us);
        let elapsed = elapsed_s(live.call.facts().admitted_us, &lease, now_us);
        if lease.is_final() && lease.granted_s() > 0 && elapsed > lease.granted_s() {
            return Err(Refusal::Ended(view(live)));
        }
        live.lease = lease;
        let (renewed, event) = (live.call.clone(), live.call.clone());
        self.node.record(account.organization.shard, Event::Renewed { call: event, lease }, None);
        drop(place);
        Ok(self.grant(account, renewed, lease, false, now_us))
    }

    /// A token, where one is given, must be the call's.
    pub(super) fn check_token(
        &self,
        token: Option<&str>,
        call: &hub::call::Call,
    ) -> Result<(), Reason> {
        match token {
            Some(token) if !self.tokens.proves(token, call) => Err(Reason::Forbidden),
            _ => Ok(()),
        }
    }

    /// The lease from `now_us` on, its money held as far as it goes. A hold once given is never
    /// lowered by a renew.
    fn extended(&self, live: &Live, requested_s: Option<u32>, now_us: i64) -> Lease {
        let terms = live.account.terms();
        let facts = live.call.facts();
        let asked_s = (facts.lease_s > 0).then_some(facts.lease_s);
        let lives_s = self.settings.call_lease_s;
        let mut lease = Lease {
            deadline: live.lease.deadline.max(second_after(now_us).saturating_add(lives_s)),
            renewed_us: now_us,
            ..live.lease
        };
        let bounds = Bounds {
            requested_s,
            usual_s: asked_s.unwrap_or(self.settings.grant_max_s),
            duration_max_s: terms.duration_max_s,
        };
        if let (Some(pins), Some(wallet)) = (&facts.pins, &live.wallet) {
            let wallet: &Wallet = wallet;
            let wanted_s = bounds.extended_s(elapsed_s(facts.admitted_us, &live.lease, now_us));
            if wanted_s > lease.granted_s() {
                let funded = wallet.funds.hold(&pins.rate, live.lease.hold, wanted_s);
                if let Some(funded) = funded.filter(|funded| funded.seconds > lease.granted_s()) {
                    lease.granted = Granted::new(funded.seconds, false);
                    lease.hold = funded.hold.max(live.lease.hold);
                }
            }
            debug_assert!(lease.hold >= Amount::ZERO);
            lease.granted = Granted::new(lease.granted_s(), lease.granted_s() < wanted_s);
        }
        lease
    }
}
