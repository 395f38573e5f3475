//! Look-ups: one call, the live calls of an account, its concurrency.

use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hub::call::{Call, CallPlace};
use hub::clock::{self, SECOND_US, second_of};
use hub::denial::{Denial, Reason};
use hub::state::request::Lease;

use super::{Engine, Hub};
use crate::accounts::Account;
use crate::admission::calls::{Entry, Live, TABLES};
use crate::admission::grant::granted_until_us;
use crate::answer::{CallView, Concurrency, LiveCall, LivePage};
use crate::request::ListLive;

/// A live call in the order of admission.
pub(super) struct Placed(pub(super) CallPlace, pub(super) LiveCall);

impl Placed {
    pub(super) fn new(live: LiveCall) -> Self {
        Self(CallPlace::of(&live.call), live)
    }
}

impl PartialEq for Placed {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Placed {}

impl PartialOrd for Placed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Placed {
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
            return (!live.standing.is_open()).then(|| view(live));
        }
        self.ended(account, &mut place, now).map(CallView::Ended)
    }

    /// A page of the account's live calls, at whatever gateway.
    pub async fn list_live(
        &self,
        account: &Arc<Account>,
        page: &ListLive<'_>,
    ) -> Result<LivePage, Denial> {
        let mut calls = self.live_here(account, page).await;
        let mut next = None;
        if let Hub::Shared(sharing) = &self.hub {
            let others = self.live_elsewhere(sharing, account, page).await?;
            calls.retain(|call| others.known_until.is_none_or(|until| call.0 <= until));
            calls.extend(others.calls);
            calls.sort_unstable();
            next = others.known_until;
        }
        if calls.len() > page.limit {
            calls.truncate(page.limit);
            next = calls.last().map(|last| last.0);
        }
        Ok(LivePage { calls: calls.into_iter().map(|placed| placed.1).collect(), next })
    }

    /// The first of the page's calls that are here, and one more than it takes. Walks all tables, one
    /// lock at a time, and lets others run between them.
    async fn live_here(&self, account: &Arc<Account>, page: &ListLive<'_>) -> Vec<Placed> {
        let mut first: BinaryHeap<Placed> = BinaryHeap::with_capacity(page.limit + 2);
        if account.slots.now().used == 0 {
            return Vec::new();
        }
        for index in 0..TABLES {
            self.calls.visit_live(index, |live| {
                if Arc::ptr_eq(&live.account, account)
                    && !live.standing.is_open()
                    && page.after.is_none_or(|after| CallPlace::of(&live.call) > after)
                    && page.source.is_none_or(|source| live.call.texts().source == source)
                {
                    first.push(Placed::new(live_call(&live.call, &live.lease)));
                    if first.len() > page.limit + 1 {
                        first.pop();
                    }
                }
            });
            tokio::task::yield_now().await;
        }
        first.into_sorted_vec()
    }

    /// What the account's calls use of its limits, at all gateways.
    pub async fn concurrency(&self, account: &Arc<Account>) -> Result<Concurrency, Denial> {
        let terms = account.terms();
        let organization = account.organization.terms();
        let (in_use, organization_in_use) = match &self.hub {
            Hub::Embedded { .. } => {
                (account.slots.now().used, account.organization.in_use.load(Ordering::Acquire))
            }
            Hub::Shared(sharing) => self.in_use_everywhere(sharing, account).await?,
        };
        let spare = organization.total.saturating_sub(organization_in_use);
        let remaining = match terms.cap {
            Some(cap) => {
                cap.saturating_sub(in_use).min(spare.max(terms.floor.saturating_sub(in_use)))
            }
            None => spare,
        };
        Ok(Concurrency {
            account: account.id,
            limit: terms.cap,
            floor: terms.floor,
            in_use,
            remaining,
            organization_total: organization.total,
            organization_in_use,
        })
    }
}

pub(super) fn live_call(call: &Call, lease: &Lease) -> LiveCall {
    LiveCall {
        call: call.clone(),
        answered_us: lease.answered_us(),
        renewed_us: lease.renewed_us,
        granted_until_us: granted_until_us(lease),
        expires_at_us: i64::from(lease.deadline) * SECOND_US,
    }
}

pub(super) fn view(live: &Live) -> CallView {
    CallView::Live(live_call(&live.call, &live.lease))
}
