//! The engine: what the HTTP side asks, decided by the admission core and recorded through the hub.
//! Is told the time by whoever asks often; knows no sockets.

mod admit;
mod answer_call;
pub mod expire;
mod hold;
mod keyless;
mod look_up;
mod reconcile;
mod release;
mod renew;
mod shared;
mod slot;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use hub::call::Record;
use hub::call_table::CallName;
use hub::clock::{self, EpochSeconds};
use hub::denial::{BadField, Denial, Reason};
use hub::directory::Change;
use hub::embedded::{EmbeddedHub, Health, HubUnavailable};
use hub::id::AccountId;
use hub::key::{KeyHash, KeyScope};
use hub::report::Report;

pub use crate::accounts::Account;
use crate::admission::calls::{Calls, Entry, Live, Place, Standing};
use crate::admission::wheel::Wheel;
use crate::answer::{CallView, Grant, Token};
use crate::counts::{CallCounts, Durations, Refusals};
use crate::directory::{Directory, Effect, OpenKey};
use crate::node::Node;
use crate::refused::Cells;
use crate::sharing::Sharing;
use crate::token::Tokens;
use reconcile::Reconciles;
pub use shared::Exchanges;

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

/// The gateway without its sockets.
pub struct Engine {
    settings: Settings,
    hub: Hub,
    directory: Directory,
    calls: Arc<Calls>,
    wheel: Wheel,
    tokens: ArcSwap<Tokens>,
    reconciles: Reconciles,
    admissions: Admissions,
    draining: AtomicBool,
    /// Admits that were refused.
    pub refusals: Refusals,
    /// The same by account and minute, to be reported.
    pub refused: Cells,
}

/// Where slots and money come from, and where calls are recorded.
enum Hub {
    /// In this process: everything is this gateway's.
    Embedded { hub: Arc<EmbeddedHub>, node: Node },
    /// Elsewhere: this gateway is one of several.
    Shared(Sharing),
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
        let calls = Arc::new(Calls::new(hub.hasher().clone()));
        let node = Node::new(Arc::clone(hub), Arc::clone(&calls));
        let tokens = Tokens::proofs(hub.token_key(), hub.holder());
        let embedded = Hub::Embedded { hub: Arc::clone(hub), node };
        let engine = Arc::new(Self::with(settings, embedded, calls, tokens));
        let follower = Arc::downgrade(&engine);
        hub.follow(move |change| {
            if let Some(engine) = follower.upgrade() {
                engine.follow(change);
            }
        });
        engine
    }

    fn with(settings: Settings, hub: Hub, calls: Arc<Calls>, tokens: Tokens) -> Self {
        let now_us = clock::now_us();
        Self {
            directory: Directory::new(settings.regions.clone()),
            wheel: Wheel::new(clock::second_of(now_us)),
            calls,
            tokens: ArcSwap::from_pointee(tokens),
            reconciles: Reconciles::default(),
            // Microseconds: numbers of a later process are greater than those of an earlier one.
            admissions: Admissions(AtomicU64::new(now_us.unsigned_abs())),
            draining: AtomicBool::new(false),
            refusals: Refusals::default(),
            refused: Cells::default(),
            hub,
            settings,
        }
    }

    fn follow(&self, change: &Change) {
        let spent = |wallet: &hub::directory::WalletConfig| match &self.hub {
            Hub::Embedded { hub, .. } => hub.wallet_use(wallet.organization, wallet.owner).spent,
            // Its money is leased.
            Hub::Shared(_) => wallet.escrow,
        };
        match self.directory.follow(change, spent) {
            Effect::None => {}
            Effect::Limits(account) => match &self.hub {
                Hub::Embedded { node, .. } => {
                    node.recall(&account);
                    self.flush_quietly();
                }
                Hub::Shared(sharing) => shared::shrink_to_cap(sharing, &account),
            },
            Effect::Gone(account) => self.end_all(&account, hub::call::Cause::Deleted),
            Effect::TokenKey(key) => {
                if let Hub::Shared(_) = &self.hub {
                    self.tokens.store(Arc::new(Tokens::whole(&key.0)));
                }
            }
        }
    }

    /// Takes over the live calls that an embedded hub recovered. Call once, after the configuration
    /// was published and before the first question.
    pub fn adopt(&self) {
        let Hub::Embedded { hub, node } = &self.hub else {
            return;
        };
        let mut lost = 0_usize;
        hub.visit_live(|live| match self.directory.account(live.call.account()) {
            Some(account) => self.adopt_live(node, account, &live.call, live.lease),
            None => lost += 1,
        });
        if lost > 0 {
            tracing::warn!(calls = lost, "live calls of accounts that no longer exist are ignored");
        }
        self.directory.visit_accounts(|account| node.note_above_floor(account));
    }

    fn adopt_live(
        &self,
        node: &Node,
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
        self.directory.caps_of(call).iter().flatten().for_each(|cap| cap.adopt());
        node.adopted(account.organization.shard);
        let standing = Standing::Owned;
        let live = Live { call: call.clone(), account, wallet, lease, standing };
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
            None => self.remembered(account, name, now),
        }
    }

    /// What an embedded hub remembers of a call that has ended; a shared one is asked later.
    fn remembered(
        &self,
        account: &Account,
        name: CallName<'_>,
        now: EpochSeconds,
    ) -> Option<triomphe::Arc<Record>> {
        match &self.hub {
            Hub::Embedded { hub, .. } => hub.ended(account.organization.shard, name, now),
            Hub::Shared(_) => None,
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

    /// What a key opens, and until when. `None`: no such key.
    pub fn authenticate(&self, secret: &[u8]) -> Option<OpenKey> {
        self.opened_by(&KeyHash::of(secret))
    }

    /// The same, of a key that is known by its hash; it is marked as used.
    pub fn opened_by(&self, key: &KeyHash) -> Option<OpenKey> {
        self.directory.key(key)
    }

    /// The proof that this gateway granted it.
    pub fn token(&self, grant: &Grant) -> Token {
        self.tokens.load().issue(&grant.call, &grant.lease)
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

    /// An account that was deleted, for who may ask after its calls still: its organization and the operator.
    /// Its own keys open nothing.
    pub fn departed(&self, scope: KeyScope, named: Option<AccountId>) -> Option<Arc<Account>> {
        let departed = self.directory.departed(named?)?;
        let may = match scope {
            KeyScope::Operator => true,
            KeyScope::Organization(own) => departed.organization.id == own,
            KeyScope::Account(_) => false,
        };
        may.then_some(departed)
    }

    /// The end of an event-loop turn: writes everything recorded since the last flush to the journal
    /// of an embedded hub, by any thread, applies it to the hub and frees what it freed. No answer may
    /// leave before the flush that follows it. An error means that admits among it were not recorded.
    /// What a shared hub must have first is waited for before the answer is made.
    pub fn flush(&self) -> Result<(), HubUnavailable> {
        match &self.hub {
            Hub::Embedded { node, .. } => node.flush(),
            Hub::Shared(_) => Ok(()),
        }
    }

    /// Refuses new calls from now on; what is live is renewed and released as before.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// How many gateways admit a shard's calls.
    fn gateways(&self, shard: u8) -> NonZeroU32 {
        match &self.hub {
            Hub::Embedded { .. } => NonZeroU32::MIN,
            Hub::Shared(sharing) => sharing.gateways(shard),
        }
    }

    /// Whether new calls of a shard's organizations can be recorded now, else why not.
    fn admits(&self, shard: u8) -> Result<(), Reason> {
        if self.is_draining() {
            return Err(Reason::Draining);
        }
        let open = match &self.hub {
            Hub::Embedded { hub, .. } => hub.health() == Health::Open,
            Hub::Shared(sharing) => sharing.may_admit(shard) && !sharing.is_full(),
        };
        if open { Ok(()) } else { Err(Reason::HubUnavailable) }
    }

    /// Whether ends of calls can be kept.
    fn records(&self) -> Result<(), Reason> {
        match &self.hub {
            Hub::Embedded { hub, .. } if hub.health() == Health::Closed => {
                Err(Reason::HubUnavailable)
            }
            Hub::Embedded { .. } | Hub::Shared(_) => Ok(()),
        }
    }

    /// Leaves a report for the control planes; false: there is no room for it yet, or nobody knows.
    pub async fn report(&self, report: &Report) -> bool {
        match &self.hub {
            Hub::Embedded { hub, .. } => hub.report(report),
            Hub::Shared(sharing) => sharing.hub.report(report).await.unwrap_or_else(|error| {
                tracing::debug!(%error, "a report of statistics waits");
                false
            }),
        }
    }

    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Calls that began and ended here.
    pub fn calls(&self) -> CallCounts {
        match &self.hub {
            Hub::Embedded { node, .. } => node.calls(),
            Hub::Shared(sharing) => sharing.calls(),
        }
    }

    /// How long flushes to an embedded hub, or exchanges with a shared one, took.
    pub fn syncs(&self) -> &Durations {
        match &self.hub {
            Hub::Embedded { node, .. } => &node.syncs,
            Hub::Shared(sharing) => &sharing.exchanges,
        }
    }

    /// Whether new calls can be recorded.
    pub fn hub_is_up(&self) -> bool {
        match &self.hub {
            Hub::Embedded { hub, .. } => hub.health() == Health::Open,
            Hub::Shared(sharing) => sharing.hub.is_up(),
        }
    }

    /// Why no call at all is admitted now, if none is.
    pub fn obstacle(&self) -> Option<&'static str> {
        match &self.hub {
            Hub::Embedded { .. } if self.hub_is_up() => None,
            Hub::Embedded { .. } => Some("the hub cannot record calls (is the disk full?)"),
            Hub::Shared(sharing) if sharing.is_cut_off() => {
                Some("the hub has not answered for too long")
            }
            Hub::Shared(_) => None,
        }
    }

    /// The hub in this process, if that is where calls are recorded.
    pub fn embedded(&self) -> Option<&EmbeddedHub> {
        match &self.hub {
            Hub::Embedded { hub, .. } => Some(hub),
            Hub::Shared(_) => None,
        }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

#[cfg(test)]
mod tests;
