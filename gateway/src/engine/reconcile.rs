//! Reconcile: a stack lists the calls it still has. Those are renewed; calls of the same source that
//! two complete lists in a row do not name are freed. An empty list frees nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hub::call::{Call, Cause};
use hub::clock::{self, SECOND_US};
use hub::denial::Denial;
use hub::id::AccountId;
use parking_lot::Mutex;

use super::Engine;
use crate::accounts::Account;
use crate::admission::calls::{Standing, TABLES};
use crate::answer::Reconciled;
use crate::request::{Reconcile, Renew};

/// Sources whose last list is remembered, at most; the oldest is forgotten first.
const SOURCES_MAX: usize = 10_000;
/// Calls renewed or ended before others run.
const CHUNK: usize = 256;

/// What the last complete list of a source did not name.
struct Missing {
    begun_us: i64,
    admissions: HashSet<u64, RandomState>,
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
        missing: &[Call],
    ) -> HashSet<u64, RandomState> {
        let admissions = missing.iter().map(|call| call.facts().admission);
        let mut lists = self.0.lock();
        let key = (account, source.into());
        let mut twice = HashSet::default();
        if let Some(before) = lists.get(&key) {
            if begun_us - before.begun_us < gap_us {
                // Too soon: the earlier list stays the one to compare with.
                return twice;
            }
            twice =
                admissions.clone().filter(|number| before.admissions.contains(number)).collect();
        }
        if lists.len() >= SOURCES_MAX && !lists.contains_key(&key) {
            let oldest =
                lists.iter().min_by_key(|(_, list)| list.begun_us).map(|(key, _)| key.clone());
            oldest.map(|oldest| lists.remove(&oldest));
        }
        let admissions = admissions.filter(|number| !twice.contains(number)).collect();
        lists.insert(key, Missing { begun_us, admissions });
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
            for call_id in chunk {
                let renew = Renew { call_id, token: None, requested_s: None };
                match self.renew(account, &renew, clock::now_us()).await {
                    Ok(_) => done.renewed += 1,
                    Err(_) => done.unknown += 1,
                }
            }
            self.flush_quietly();
            tokio::task::yield_now().await;
        }
        if list.complete && !list.live.is_empty() {
            let missing = self.unlisted(account, list, begun_us).await;
            let gap_us = i64::from(self.settings.reconcile_gap_s) * SECOND_US;
            let twice =
                self.reconciles.missing_twice(account.id, list.source, begun_us, gap_us, &missing);
            for call in &missing {
                if twice.contains(&call.facts().admission)
                    && self.end(call, Cause::Reconcile, clock::now_us())
                {
                    done.freed += 1;
                }
            }
            done.missing = u32::try_from(missing.len()).unwrap_or(u32::MAX) - done.freed;
        }
        Ok(done)
    }

    /// Live calls of the source, admitted before the list began, that it does not name.
    async fn unlisted(
        &self,
        account: &Arc<Account>,
        list: &Reconcile<'_>,
        begun_us: i64,
    ) -> Vec<Call> {
        let listed: HashSet<&[u8], RandomState> =
            list.live.iter().map(|call_id| call_id.as_bytes()).collect();
        let mut missing = Vec::new();
        for index in 0..TABLES {
            self.calls.visit_live(index, |live| {
                if Arc::ptr_eq(&live.account, account)
                    && live.standing == Standing::Owned
                    && live.call.facts().admitted_us < begun_us
                    && live.call.texts().source == list.source
                    && !listed.contains(live.call.call_id())
                {
                    missing.push(live.call.clone());
                }
            });
            tokio::task::yield_now().await;
        }
        missing
    }
}
