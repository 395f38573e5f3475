//! Reconcile: a stack lists the calls it still has. Those are renewed; calls of the same source that
//! two complete lists in a row, told to the same gateway, do not name are freed, whichever gateway has
//! them. An empty list frees nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hub::call::{Call, CallPlace, Cause};
use hub::clock::{self, SECOND_US};
use hub::denial::{Denial, Reason};
use hub::id::AccountId;
use parking_lot::Mutex;

use super::{Engine, Hub, Refusal};
use crate::accounts::Account;
use crate::admission::calls::{Standing, TABLES};
use crate::answer::{Grant, Reconciled};
use crate::request::{Reconcile, Renew};

/// Sources whose last list is remembered, at most; the oldest is forgotten first.
const SOURCES_MAX: usize = 10_000;
/// Calls renewed or ended before others run, and at the same time at other gateways.
const CHUNK: usize = 256;

/// A complete list as it is held against live calls.
pub(super) struct Listed<'a> {
    source: &'a str,
    begun_us: i64,
    call_ids: HashSet<&'a [u8], RandomState>,
}

impl<'a> Listed<'a> {
    fn of(list: &'a Reconcile<'_>, begun_us: i64) -> Self {
        let call_ids = list.live.iter().map(|call_id| call_id.as_bytes()).collect();
        Self { source: list.source, begun_us, call_ids }
    }

    /// Whether a call of the source, admitted before the list began, is not named.
    pub(super) fn lacks(&self, call: &Call) -> bool {
        call.facts().admitted_us < self.begun_us
            && call.texts().source == self.source
            && !self.call_ids.contains(call.call_id())
    }
}

/// What the last complete list of a source did not name.
struct Missing {
    begun_us: i64,
    calls: HashSet<CallPlace, RandomState>,
}

/// The last complete list of each source of each account.
#[derive(Default)]
pub(super) struct Reconciles(Mutex<HashMap<(AccountId, Box<str>), Missing, RandomState>>);

impl Reconciles {
    /// Remembers this list's missing calls; which of them the one before, at least `gap_us` earlier,
    /// did not name either.
    fn missing_twice(
        &self,
        account: AccountId,
        source: &str,
        begun_us: i64,
        gap_us: i64,
        missing: &[CallPlace],
    ) -> HashSet<CallPlace, RandomState> {
        let mut lists = self.0.lock();
        let key = (account, source.into());
        let mut twice = HashSet::default();
        if let Some(before) = lists.get(&key) {
            if begun_us - before.begun_us < gap_us {
                // Too soon: the earlier list stays the one to compare with.
                return twice;
            }
            twice = missing.iter().copied().filter(|call| before.calls.contains(call)).collect();
        }
        if lists.len() >= SOURCES_MAX && !lists.contains_key(&key) {
            let oldest =
                lists.iter().min_by_key(|(_, list)| list.begun_us).map(|(key, _)| key.clone());
            oldest.map(|oldest| lists.remove(&oldest));
        }
        let calls = missing.iter().copied().filter(|call| !twice.contains(call)).collect();
        lists.insert(key, Missing { begun_us, calls });
        twice
    }
}

impl Engine {
    pub async fn reconcile(
        &self,
        account: &Arc<Account>,
        list: &Reconcile<'_>,
    ) -> Result<Reconciled, Denial> {
        self.records()?;
        let begun_us = clock::now_us();
        let mut done = Reconciled::default();
        for chunk in list.live.chunks(CHUNK) {
            let mut renewed = FuturesUnordered::new();
            for call_id in chunk {
                renewed.push(self.renew_listed(account, call_id));
            }
            while let Some(renewed) = renewed.next().await {
                match renewed {
                    Ok(_) => done.renewed += 1,
                    // Nothing is known of it: its stack is not to end it for that.
                    Err(Refusal::Denied(denial)) if denial.reason() == Reason::HubUnavailable => {
                        return Err(denial);
                    }
                    Err(_) => done.unknown += 1,
                }
            }
            self.flush_quietly();
            tokio::task::yield_now().await;
        }
        if list.complete && !list.live.is_empty() {
            self.end_missing(account, list, begun_us, &mut done).await?;
        }
        Ok(done)
    }

    async fn renew_listed(&self, account: &Arc<Account>, call_id: &str) -> Result<Grant, Refusal> {
        let renew = Renew { call_id, token: None, requested_s: None };
        self.renew(account, &renew, clock::now_us()).await
    }

    async fn end_missing(
        &self,
        account: &Arc<Account>,
        list: &Reconcile<'_>,
        begun_us: i64,
        done: &mut Reconciled,
    ) -> Result<(), Denial> {
        let listed = Listed::of(list, begun_us);
        let here = self.unlisted(account, &listed).await;
        let elsewhere = match &self.hub {
            Hub::Embedded { .. } => Vec::new(),
            Hub::Shared(sharing) => self.unlisted_elsewhere(sharing, account, &listed).await?,
        };
        let all = here.iter().chain(elsewhere.iter().map(|(_, call)| call));
        let missing: Vec<CallPlace> = all.map(CallPlace::of).collect();
        let gap_us = i64::from(self.settings.reconcile_gap_s) * SECOND_US;
        let twice =
            self.reconciles.missing_twice(account.id, list.source, begun_us, gap_us, &missing);
        let is_lost = |call: &Call| twice.contains(&CallPlace::of(call));
        for call in here.iter().filter(|call| is_lost(call)) {
            done.freed += u32::from(self.end(call, Cause::Reconcile, clock::now_us()));
        }
        if let Hub::Shared(sharing) = &self.hub {
            for chunk in elsewhere.chunks(CHUNK) {
                let mut ended = FuturesUnordered::new();
                for held in chunk {
                    if is_lost(&held.1) {
                        ended.push(self.end_lost_elsewhere(sharing, account, held));
                    }
                }
                while let Some(is_ended) = ended.next().await {
                    done.freed += u32::from(is_ended);
                }
            }
        }
        done.missing = u32::try_from(missing.len()).unwrap_or(u32::MAX) - done.freed;
        Ok(())
    }

    /// Live calls here that the list lacks.
    async fn unlisted(&self, account: &Arc<Account>, listed: &Listed<'_>) -> Vec<Call> {
        let mut missing = Vec::new();
        for index in 0..TABLES {
            self.calls.visit_live(index, |live| {
                if Arc::ptr_eq(&live.account, account)
                    && live.standing == Standing::Owned
                    && listed.lacks(&live.call)
                {
                    missing.push(live.call.clone());
                }
            });
            tokio::task::yield_now().await;
        }
        missing
    }
}
