//! Answer: starts the money clock of a call. Idempotent: the first report counts.

use std::sync::Arc;

use hub::clock::{Moment, second_after, second_of};
use hub::denial::Reason;
use hub::state::request::Event;

use super::look_up::view;
use super::{Engine, Refusal};
use crate::accounts::Account;
use crate::admission::calls::Entry;
use crate::answer::CallView;

impl Engine {
    /// The call as it is then.
    pub fn answer(
        &self,
        account: &Arc<Account>,
        call_id: &str,
        now_us: i64,
    ) -> Result<CallView, Refusal> {
        self.records()?;
        let mut place = self.calls.place(account.id, call_id.as_bytes());
        let Some(Entry::Live(live)) = place.find() else {
            let ended = self.ended(account, &mut place, second_of(now_us));
            return Err(ended.map_or(Reason::UnknownCall.into(), Refusal::ended));
        };
        if live.lease.answered.is_none() {
            let latest = second_after(now_us).saturating_add(self.settings.call_lease_s);
            live.lease.answered = Some(Moment::at(now_us));
            live.lease.renewed_us = now_us;
            live.lease.deadline = live.lease.deadline.max(latest);
            let event = Event::Renewed { call: live.call.clone(), lease: live.lease };
            self.node.record(account.organization.shard, event, None);
        }
        Ok(view(live))
    }
}
