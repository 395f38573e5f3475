//! Reports to the control planes what was refused and which keys were used: collects it every few
//! seconds, keeps it while nobody takes it, bounded, and tells it again until somebody has. Nothing of
//! it is part of the lease protocol, and no request waits for it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hub::clock::{SECOND_US, boot_us, now_us};
use hub::id::{AccountId, HolderId};
use hub::key::KeyHash;
use hub::report::{EpochMinutes, KEYS_MAX, KeyUse, MINUTES_MAX, Report, minute_of};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::engine::{Account, Engine};
use crate::refused::Tally;

/// How often refusals are collected and reported.
const EVERY: Duration = Duration::from_secs(5);
/// Every how many reports keys are looked at.
const REPORTS_PER_LOOK_AT_KEYS: u64 = 6;
/// Accounts times minutes that wait to be reported; refusals of more are told without their accounts.
const WAITING_MAX: usize = 50_000;
/// Keys whose use waits to be reported; others are asked again later.
const KEYS_WAITING_MAX: usize = 50_000;
/// How long a stop goes on telling what is left, and how often it tries.
const LAST_US: i64 = 3 * SECOND_US;
const LAST_EVERY: Duration = Duration::from_millis(50);

/// The reporter of one gateway process.
pub struct Reporter {
    engine: Arc<Engine>,
    id: HolderId,
    sequence: u64,
    /// Accounts that have a cell.
    accounts: Vec<Arc<Account>>,
    waiting: BTreeMap<(EpochMinutes, AccountId), Tally>,
    keys: BTreeMap<KeyHash, EpochMinutes>,
    /// How much of what cannot be attributed is told, or in the report below.
    unattributed: u64,
    /// The report that is not known to be left for the control planes.
    told: Option<Report>,
}

impl Reporter {
    pub fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            id: HolderId(rand::random()),
            sequence: 0,
            accounts: Vec::new(),
            waiting: BTreeMap::new(),
            keys: BTreeMap::new(),
            unattributed: 0,
            told: None,
        }
    }

    /// Reports until `stop`, then what is left, within a limit.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = pin!(stop);
        let mut rounds = 0_u64;
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = every.tick() => {}
            }
            let now_us = now_us();
            self.collect(now_us);
            if rounds.is_multiple_of(REPORTS_PER_LOOK_AT_KEYS) {
                self.look_at_keys(now_us);
            }
            rounds += 1;
            self.tell().await;
        }
        let end_us = boot_us() + LAST_US;
        let now_us = now_us();
        self.collect(now_us);
        self.look_at_keys(now_us);
        while !self.tell().await {
            if boot_us() >= end_us {
                tracing::warn!(
                    "statistics of the last seconds are lost: no control plane took them"
                );
                return;
            }
            sleep(LAST_EVERY).await;
        }
    }

    /// Takes what the cells have.
    pub(crate) fn collect(&mut self, now_us: i64) {
        let Self { engine, accounts, waiting, .. } = self;
        let cells = &engine.refused;
        accounts.append(&mut cells.take_fresh());
        accounts.retain(|account| {
            cells.collect(account, minute_of(now_us), |tally| {
                let place = (tally.minute, account.id);
                let is_room = waiting.len() < WAITING_MAX;
                match waiting.get_mut(&place) {
                    Some(known) => known.add(&tally),
                    None if is_room => drop(waiting.insert(place, tally)),
                    None => cells.lose(tally.denials()),
                }
            })
        });
    }

    /// Takes the marks of keys that were used since they were looked at last.
    pub(crate) fn look_at_keys(&mut self, now_us: i64) {
        let room = KEYS_WAITING_MAX.saturating_sub(self.keys.len());
        for hash in self.engine.directory().take_used_keys(room) {
            self.keys.insert(hash, minute_of(now_us));
        }
    }

    /// Leaves the next report where there is room for one. True: nothing is left.
    pub(crate) async fn tell(&mut self) -> bool {
        if self.told.is_none() {
            self.told = self.next();
        }
        let Some(report) = &self.told else { return true };
        if self.engine.report(report).await {
            self.told = None;
        }
        self.told.is_none() && self.waiting.is_empty() && self.keys.is_empty()
    }

    /// The oldest of what waits.
    fn next(&mut self) -> Option<Report> {
        let unattributed = self.engine.refused.unattributed();
        let lost = unattributed.saturating_sub(self.unattributed);
        if self.waiting.is_empty() && self.keys.is_empty() && lost == 0 {
            return None;
        }
        let mut refused = Vec::with_capacity(self.waiting.len().min(MINUTES_MAX));
        while refused.len() < MINUTES_MAX
            && let Some(((_, account), tally)) = self.waiting.pop_first()
        {
            refused.push(tally.reported(account));
        }
        let mut keys = Vec::with_capacity(self.keys.len().min(KEYS_MAX));
        while keys.len() < KEYS_MAX
            && let Some((hash, minute)) = self.keys.pop_first()
        {
            keys.push(KeyUse { hash, minute });
        }
        self.unattributed = unattributed;
        self.sequence += 1;
        let (reporter, sequence) = (self.id, self.sequence);
        Some(Report { reporter, sequence, refused, keys, unattributed: lost })
    }
}
