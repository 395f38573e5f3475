//! Answer: starts the money clock of a call. Idempotent: the first report counts.

use std::sync::Arc;

use hub::clock::{Moment, second_after};
use hub::denial::Reason;

use super::admit::Stop;
use super::look_up::view;
use super::{Engine, Hub, Refusal};
use crate::accounts::Account;
use crate::admission::calls::{Entry, Standing};
use crate::answer::CallView;

impl Engine {
    /// The call as it is then.
    pub async fn answer(
        &self,
        account: &Arc<Account>,
        call_id: &str,
        now_us: i64,
    ) -> Result<CallView, Refusal> {
        match (self.answer_here(account, call_id, now_us), &self.hub) {
            (Ok(view), _) => Ok(view),
            (Err(Stop::Refused(refusal)), _) => Err(refusal),
            (Err(_), Hub::Embedded { .. }) => Err(Reason::UnknownCall.into()),
            (Err(stop), Hub::Shared(sharing)) => {
                Box::pin(self.answer_with_hub(sharing, account, call_id, now_us, stop)).await
            }
        }
    }

    pub(super) fn answer_here(
        &self,
        account: &Arc<Account>,
        call_id: &str,
        now_us: i64,
    ) -> Result<CallView, Stop> {
        self.records()?;
        let mut place = self.calls.place(account.id, call_id.as_bytes());
        let Some(Entry::Live(live)) = place.find() else {
            return Err(self.not_live(account, &mut place, now_us));
        };
        if live.standing != Standing::Owned {
            return Err(Stop::Pending);
        }
        if live.lease.answered.is_none() {
            let latest = second_after(now_us).saturating_add(self.settings.call_lease_s);
            let latest = self.deadline(account, latest, false);
            live.lease.answered = Some(Moment::at(now_us));
            live.lease.renewed_us = now_us;
            live.lease.deadline = live.lease.deadline.max(latest);
            self.tell_renew(account, live);
        }
        Ok(view(live))
    }
}
