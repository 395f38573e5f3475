//! Answer: starts the money clock of a call. Idempotent: the first report counts.

use std::sync::Arc;

use hub::clock::{Moment, second_after};
use hub::denial::Reason;
use hub::state::request::Event;
use tokio::sync::oneshot::Receiver;

use super::admit::Stop;
use super::look_up::view;
use super::{Engine, Hub, Refusal};
use crate::accounts::Account;
use crate::admission::calls::{Entry, Live, Standing};
use crate::answer::CallView;
use crate::sharing::Verdict;

/// A call that was reported answered.
pub(super) struct Answered {
    pub(super) view: CallView,
    /// For when a shared hub has it.
    pub(super) told: Option<Receiver<Verdict>>,
}

impl Engine {
    /// The call as it is then.
    pub async fn answer(
        &self,
        account: &Arc<Account>,
        call_id: &str,
        now_us: i64,
    ) -> Result<CallView, Refusal> {
        match (self.answer_here(account, call_id, now_us), &self.hub) {
            (Ok(Answered { view, told: None }), _) => Ok(view),
            (Err(Stop::Refused(refusal)), _) => Err(refusal),
            (_, Hub::Embedded { .. }) => Err(Reason::UnknownCall.into()),
            (answered, Hub::Shared(sharing)) => {
                Box::pin(self.answer_with_hub(sharing, account, call_id, now_us, answered)).await
            }
        }
    }

    pub(super) fn answer_here(
        &self,
        account: &Arc<Account>,
        call_id: &str,
        now_us: i64,
    ) -> Result<Answered, Stop> {
        self.records()?;
        let mut place = self.calls.place(account.id, call_id.as_bytes());
        let Some(Entry::Live(live)) = place.find() else {
            return Err(self.not_live(account, &mut place, now_us));
        };
        if live.standing != Standing::Owned {
            return Err(Stop::Pending);
        }
        let mut told = None;
        if live.lease.answered.is_none() {
            let latest = second_after(now_us).saturating_add(self.settings.call_lease_s);
            let latest = self.deadline(account, latest, false);
            live.lease.answered = Some(Moment::at(now_us));
            live.lease.renewed_us = now_us;
            live.lease.deadline = live.lease.deadline.max(latest);
            told = self.tell_answer(account, live);
        }
        Ok(Answered { view: view(live), told })
    }

    /// Tells the hub of it. It is to be paid for: a stack learns that it is known when a shared hub has it,
    /// which may have had another call of the name before this one.
    fn tell_answer(&self, account: &Account, live: &Live) -> Option<Receiver<Verdict>> {
        let shard = account.organization.shard;
        let (call, lease) = (live.call.clone(), live.lease);
        match &self.hub {
            Hub::Embedded { node, .. } => {
                node.record(shard, Event::Renewed { call, lease }, None);
                None
            }
            Hub::Shared(sharing) => Some(sharing.answered(shard, call, lease)),
        }
    }
}
