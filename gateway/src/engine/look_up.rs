//! Look-ups: one call, the live calls of an account, its concurrency.

use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hub::clock::{self, SECOND_US, second_of};
use hub::denial::{Denial, Reason};

use super::{Engine, Hub};
use crate::accounts::Account;
use crate::admission::calls::{Entry, Live, Standing, TABLES};
use crate::admission::grant::granted_until_us;
use crate::answer::{CallView, Concurrency, LiveCall, LivePage};
use crate::request::ListLive;

/// A live call in the order of admission.
struct Numbered(u64, LiveCall);

impl PartialEq for Numbered {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Numbered {}

impl PartialOrd for Numbered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Numbered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl Engine {
    pub async fn look_up(&self, account: &Arc<Account>, call_id: &str) -> Result<CallView, Denial> {
        match (self.look_up_here(account, call_id), &self.hub) {
            (Some(view), _) => Ok(view),
            (None, Hub::Embedded { .. }) => Err(Reason::UnknownCall.into()),
            (None, Hub::Shared(sharing)) => {
                Box::pin(self.look_up_with_hub(sharing, account, call_id)).await
            }
        }
    }

    fn look_up_here(&self, account: &Arc<Account>, call_id: &str) -> Option<CallView> {
        let now = second_of(clock::now_us());
        let mut place = self.calls.place(account.id, call_id.as_bytes());
        if let Some(Entry::Live(live)) = place.find() {
            return (live.standing != Standing::Undecided).then(|| view(live));
        }
        self.ended(account, &mut place, now).map(CallView::Ended)
    }

    /// A page of the account's live calls. Walks all tables, one lock at a time, and lets others run
    /// between them.
    pub async fn list_live(
        &self,
        account: &Arc<Account>,
        page: &ListLive<'_>,
    ) -> Result<LivePage, Denial> {
        let mut first: BinaryHeap<Numbered> = BinaryHeap::with_capacity(page.limit + 2);
        if account.slots.now().used == 0 {
            return Ok(LivePage { calls: Vec::new(), next: None });
        }
        for index in 0..TABLES {
            self.calls.visit_live(index, |live| {
                let admission = live.call.facts().admission;
                if Arc::ptr_eq(&live.account, account)
                    && live.standing != Standing::Undecided
                    && admission > page.after
                    && page.source.is_none_or(|source| live.call.texts().source == source)
                {
                    first.push(Numbered(admission, live_call(live)));
                    if first.len() > page.limit + 1 {
                        first.pop();
                    }
                }
            });
            tokio::task::yield_now().await;
        }
        let mut calls = first.into_sorted_vec();
        let more = calls.len() > page.limit;
        calls.truncate(page.limit);
        let next = calls.last().filter(|_| more).map(|last| last.0);
        Ok(LivePage { calls: calls.into_iter().map(|numbered| numbered.1).collect(), next })
    }

    pub fn concurrency(&self, account: &Arc<Account>) -> Concurrency {
        let terms = account.terms();
        let organization = account.organization.terms();
        let in_use = account.slots.now().used;
        let organization_in_use = account.organization.in_use.load(Ordering::Acquire);
        let spare = organization.total.saturating_sub(organization_in_use);
        let remaining = match terms.cap {
            Some(cap) => {
                cap.saturating_sub(in_use).min(spare.max(terms.floor.saturating_sub(in_use)))
            }
            None => spare,
        };
        Concurrency {
            account: account.id,
            limit: terms.cap,
            floor: terms.floor,
            in_use,
            remaining,
            organization_total: organization.total,
            organization_in_use,
        }
    }
}

fn live_call(live: &Live) -> LiveCall {
    LiveCall {
        call: live.call.clone(),
        answered_us: live.lease.answered_us(),
        renewed_us: live.lease.renewed_us,
        granted_until_us: granted_until_us(&live.lease),
        expires_at_us: i64::from(live.lease.deadline) * SECOND_US,
    }
}

pub(super) fn view(live: &Live) -> CallView {
    CallView::Live(live_call(live))
}
