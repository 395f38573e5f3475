//! Who waits for the hub, and what they are told. Whoever has gone finds nobody.

use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hub::clock::boot_us;
use hub::denial::{Reason, Scope};
use hub::id::AccountId;
use hub::state::exchange::{CallKey, Found};
use hub::state::request::Funded;
use tokio::sync::oneshot::{Receiver, Sender};
use tokio::time::timeout;

/// How long a request waits for the hub in all.
const PATIENCE_US: i64 = 250_000;
/// Between two questions about the same, at first; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(32);

/// What the hub said about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The hub has it, as this holder's.
    Told,
    /// Another call of the name came first, or another holder has it.
    Rejected,
    /// Slots are on their way back from other holders: ask again.
    Recall,
    Refused {
        scope: Scope,
        limit: u32,
    },
    /// A cap of the call has no room.
    Capped {
        position: u8,
        limit: u32,
    },
    /// The hub gave no answer that counts.
    Unavailable,
}

#[derive(Debug, Default)]
pub(crate) struct Waiting {
    decisions: HashMap<u64, Sender<Verdict>, RandomState>,
    fundings: HashMap<AccountId, Vec<Sender<Option<Funded>>>, RandomState>,
    finds: Vec<(CallKey, Sender<Option<Found>>)>,
    letters: HashMap<u64, Sender<Box<[u8]>>, RandomState>,
}

impl Waiting {
    /// Waits for the decision about an admission.
    pub(super) fn decision(&mut self, admission: u64, told: Sender<Verdict>) {
        self.decisions.insert(admission, told);
    }

    pub(crate) fn take_decision(&mut self, admission: u64) -> Option<Sender<Verdict>> {
        self.decisions.remove(&admission)
    }

    pub(crate) fn funding(&mut self, owner: AccountId, told: Sender<Option<Funded>>) {
        self.fundings.entry(owner).or_default().push(told);
    }

    pub(crate) fn take_fundings(&mut self, owner: AccountId) -> Vec<Sender<Option<Funded>>> {
        self.fundings.remove(&owner).unwrap_or_default()
    }

    pub(crate) fn find(&mut self, key: CallKey, told: Sender<Option<Found>>) {
        self.finds.push((key, told));
    }

    pub(crate) fn take_finds(&mut self, key: &CallKey) -> Vec<Sender<Option<Found>>> {
        let mine = self.finds.extract_if(.., |(wanted, _)| wanted == key);
        mine.map(|(_, told)| told).collect()
    }

    pub(crate) fn letter(&mut self, ticket: u64, told: Sender<Box<[u8]>>) {
        self.letters.retain(|_, told| !told.is_closed());
        self.letters.insert(ticket, told);
    }

    pub(crate) fn take_letter(&mut self, ticket: u64) -> Option<Sender<Box<[u8]>>> {
        self.letters.remove(&ticket)
    }
}

/// The time that one request has.
#[derive(Debug)]
pub(crate) struct Patience {
    until_us: i64,
    pause: Duration,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self::of_us(PATIENCE_US)
    }

    pub(crate) fn of_us(us: i64) -> Self {
        Self { until_us: boot_us() + us, pause: FIRST_PAUSE }
    }

    fn left(&self) -> Option<Duration> {
        let left_us = u64::try_from(self.until_us - boot_us()).ok().filter(|us| *us > 0)?;
        Some(Duration::from_micros(left_us))
    }

    /// What is said in time; what came in the last instant counts.
    pub(crate) async fn wait<T>(&self, mut told: Receiver<T>) -> Result<T, Reason> {
        let in_time = match self.left() {
            Some(left) => timeout(left, &mut told).await.ok().and_then(Result::ok),
            None => None,
        };
        let in_time = in_time.or_else(|| {
            told.close();
            told.try_recv().ok()
        });
        in_time.ok_or(Reason::HubUnavailable)
    }

    /// A pause before the same is asked again.
    pub(crate) async fn pause(&mut self) -> Result<(), Reason> {
        let left = self.left().ok_or(Reason::HubUnavailable)?;
        tokio::time::sleep(self.pause.min(left)).await;
        self.pause = (2 * self.pause).min(LONGEST_PAUSE);
        Ok(())
    }
}
