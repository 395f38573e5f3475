//! The engine: what the HTTP side asks, decided by the admission core and recorded through the hub.
//! Is told the time by whoever asks often; knows no sockets.

mod admit;
mod answer_call;
pub mod expire;
mod look_up;
mod reconcile;
mod release;
mod renew;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hub::call::Record;
use hub::clock::{self, EpochSeconds};
use hub::denial::{BadField, Denial, Reason};
use hub::directory::Change;
use hub::embedded::{EmbeddedHub, Health, HubUnavailable};
use hub::id::AccountId;
use hub::key::{KeyHash, KeyScope};

pub use crate::accounts::Account;
use crate::admission::calls::{Calls, Entry, Live, Place};
use crate::admission::wheel::Wheel;
use crate::answer::{CallView, Grant, Token};
use crate::counts::{CallCounts, Durations, Refusals};
use crate::directory::{Directory, Effect};
use crate::node::Node;
use crate::token::Tokens;
use reconcile::Reconciles;

/// Limits and times that the operator may set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The ordinary call lease, in seconds.
    pub call_lease_s: u32,
    /// How often a stack should renew, in seconds.
    pub renew_every_s: u32,
    /// The first grant when nothing else bounds it, in seconds.
    pub grant_max_s: u32,
    /// Between the two complete lists that free a call, in seconds.
    pub reconcile_gap_s: u32,
    /// Regions served; `None`: all.
    pub regions: Option<Vec<String>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            call_lease_s: 90,
            renew_every_s: 30,
            grant_max_s: 300,
            reconcile_gap_s: 10,
            regions: None,
        }
    }
}

/// A call's token ends so long after its deadline, and its tombstone with it.
pub const TOKEN_LIFE_S: u32 = 600;

/// The gateway without its sockets.
pub struct Engine {
    settings: Settings,
    hub: Arc<EmbeddedHub>,
    directory: Directory,
    calls: Arc<Calls>,
    wheel: Wheel,
    node: Node,
    tokens: Tokens,
    reconciles: Reconciles,
    admissions: Admissions,
    draining: AtomicBool,
    /// Admits that were refused.
    pub refusals: Refusals,
}

/// The number of the next admission. On cache lines of its own: every thread that admits writes it.
#[repr(align(128))]
struct Admissions(AtomicU64);

/// Why an admit, an answer or a renew is refused.
#[derive(Debug)]
pub enum Refusal {
    Denied(Denial),
    /// 410 with the receipt.
    Ended(CallView),
}

impl Refusal {
    fn ended(record: triomphe::Arc<Record>) -> Self {
        Self::Ended(CallView::Ended(record))
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::Denied(reason.into())
    }
}

impl Engine {
    /// Follows the hub's changes from now on. Configuration must be published before [`Engine::adopt`]
    /// takes over the calls of the process before.
    pub fn new(settings: Settings, hub: &Arc<EmbeddedHub>) -> Arc<Self> {
        let now_us = clock::now_us();
        let calls = Arc::new(Calls::new(hub.hasher().clone()));
        let engine = Arc::new(Self {
            directory: Directory::new(settings.regions.clone()),
            wheel: Wheel::new(clock::second_of(now_us)),
            node: Node::new(Arc::clone(hub), Arc::clone(&calls)),
            calls,
            tokens: Tokens::new(hub.token_key(), hub.holder()),
            reconciles: Reconciles::default(),
            // Microseconds: numbers of a later process are greater than those of an earlier one.
            admissions: Admissions(AtomicU64::new(now_us.unsigned_abs())),
            draining: AtomicBool::new(false),
            refusals: Refusals::default(),
            hub: Arc::clone(hub),
            settings,
        });
        let follower = Arc::downgrade(&engine);
        hub.follow(move |change| {
            if let Some(engine) = follower.upgrade() {
                engine.follow(change);
            }
        });
        engine
    }

    fn follow(&self, change: &Change) {
        let spent = |wallet: &hub::directory::WalletConfig| {
            self.hub.wallet_use(wallet.organization, wallet.owner).spent
        };
        match self.directory.follow(change, spent) {
            Effect::None => {}
            Effect::Limits(account) => {
                self.node.recall(&account);
                self.flush_quietly();
            }
            Effect::Gone(account) => self.end_all(&account, hub::call::Cause::Deleted),
        }
    }

    /// Takes over the live calls that the hub recovered. Call once, after the configuration was
    /// published and before the first question.
    pub fn adopt(&self) {
        let mut lost = 0_usize;
        self.hub.visit_live(|live| match self.directory.account(live.call.account()) {
            Some(account) => self.adopt_live(account, &live.call, live.lease),
            None => lost += 1,
        });
        if lost > 0 {
            tracing::warn!(calls = lost, "live calls of accounts that no longer exist are ignored");
        }
        self.directory.visit_accounts(|account| self.node.note_above_floor(account));
    }

    fn adopt_live(
        &self,
        account: Arc<Account>,
        call: &hub::call::Call,
        lease: hub::state::request::Lease,
    ) {
        let wallet = self.wallet_of(&account, call);
        if let Some(wallet) = &wallet {
            wallet.funds.add(lease.hold.negated());
        }
        account.slots.adopt();
        if !account.id.is_shadow() {
            account.organization.in_use.fetch_add(1, Ordering::AcqRel);
        }
        self.node.adopted(account.organization.shard);
        let live = Live { call: call.clone(), account, wallet, lease };
        let mut place = self.calls.place(call.account(), call.call_id());
        self.wheel.add(lease.deadline, place.name().hash());
        place.put_new(Entry::Live(Box::new(live)));
    }

    /// The receipt of a call that is not live: from its place until its record is flushed, then from
    /// the hub while it remembers the call.
    fn ended(
        &self,
        account: &Account,
        place: &mut Place<'_>,
        now: EpochSeconds,
    ) -> Option<triomphe::Arc<Record>> {
        let name = place.name();
        match place.find() {
            Some(Entry::Ended(record)) => Some(triomphe::Arc::clone(record)),
            Some(Entry::Live(_)) => None,
            None => self.hub.ended(account.organization.shard, name, now),
        }
    }

    /// The wallet on which a call is held and settled, by what it was admitted with.
    fn wallet_of(
        &self,
        account: &Account,
        call: &hub::call::Call,
    ) -> Option<Arc<crate::accounts::Wallet>> {
        let pins = call.facts().pins.as_ref()?;
        Some(self.directory.paying(pins.billing, account.id, account.organization.id))
    }

    /// What a key opens. `None`: no such key.
    pub fn authenticate(&self, secret: &[u8]) -> Option<KeyScope> {
        self.directory.key(&KeyHash::of(secret))
    }

    /// The proof that this gateway granted it.
    pub fn token(&self, grant: &Grant) -> Token {
        self.tokens.issue(&grant.call, &grant.lease)
    }

    /// Grows whenever any key changes: what was remembered of an older generation is void.
    pub fn key_generation(&self) -> u64 {
        self.directory.key_generation()
    }

    /// The account a request acts for: the named one if the key may, else the key's own. Anything
    /// else is answered as if the account did not exist.
    pub fn account(
        &self,
        scope: KeyScope,
        named: Option<AccountId>,
    ) -> Result<Arc<Account>, Denial> {
        let unknown = || Denial::from(Reason::UnknownAccount);
        let found = |id| self.directory.account(id).ok_or_else(unknown);
        match (scope, named) {
            (KeyScope::Account(own) | KeyScope::Organization(own), None) => found(own),
            (KeyScope::Account(own), Some(named)) if own.real() == named => found(own),
            (KeyScope::Account(_), Some(_)) => Err(unknown()),
            (KeyScope::Organization(own), Some(named)) => {
                let named = if own.is_shadow() { named.shadow() } else { named };
                let account = found(named)?;
                let below = account.organization.id == own.real();
                if below { Ok(account) } else { Err(unknown()) }
            }
            (KeyScope::Operator, Some(named)) => found(named),
            (KeyScope::Operator, None) => Err(Denial::InvalidRequest(vec![BadField {
                field: "account".into(),
                problem: "missing: an operator's key must name the account".into(),
            }])),
        }
    }

    /// The end of an event-loop turn: writes everything recorded since the last flush to the journal,
    /// by any thread, applies it to the hub and frees what it freed. No answer may leave before the
    /// flush that follows it. An error means that admits among it were not recorded.
    pub fn flush(&self) -> Result<(), HubUnavailable> {
        self.node.flush()
    }

    /// Refuses new calls from now on; what is live is renewed and released as before.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether new calls can be recorded now, else why not.
    fn admits(&self) -> Result<(), Reason> {
        if self.draining.load(Ordering::Acquire) {
            return Err(Reason::Draining);
        }
        match self.hub.health() {
            Health::Open => Ok(()),
            Health::Full | Health::Closed => Err(Reason::HubUnavailable),
        }
    }

    /// Whether ends of calls can be kept.
    fn records(&self) -> Result<(), Reason> {
        match self.hub.health() {
            Health::Open | Health::Full => Ok(()),
            Health::Closed => Err(Reason::HubUnavailable),
        }
    }

    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Calls that began and ended here.
    pub fn calls(&self) -> CallCounts {
        self.node.calls()
    }

    /// How long flushes to the hub took.
    pub fn syncs(&self) -> &Durations {
        &self.node.syncs
    }

    pub fn hub(&self) -> &EmbeddedHub {
        &self.hub
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

#[cfg(test)]
mod tests;
