//! Accounts, organizations and wallets as the gateway holds them: counters in atomics, configuration
//! in one pointer that a change replaces.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, Guard};
use hub::call::{Cause, Direction, Pins};
use hub::deck::Pricing;
use hub::denial::Reason;
use hub::directory::{AtZero, Billing, OnHubLoss, Status, WalletConfig};
use hub::id::AccountId;
use hub::money::{Amount, Currency};
use parking_lot::Mutex;

use crate::admission::credit::Credit;
use crate::admission::funds::Funds;
use crate::admission::slots::Slots;
use crate::decks::Deck;
use crate::limiter::Limiter;
use crate::refused::Cell;
use crate::request::Admit;
use crate::resources::{Cap, Resources};

/// An organization: what binds its accounts together.
#[derive(Debug)]
pub struct Organization {
    pub id: AccountId,
    /// Where the hub keeps it.
    pub shard: u8,
    terms: ArcSwap<OrganizationTerms>,
    /// As in the terms; read by every admit.
    active: AtomicBool,
    /// Live calls of all its accounts.
    pub in_use: AtomicU32,
    /// Grows whenever a slot becomes free or a limit changes: a refusal remembered from the same
    /// value is still true.
    pub freed: AtomicU64,
    /// The value of `freed` at which all slots above floors were in use.
    pub exhausted: AtomicU64,
    /// Accounts that lease more than their floor: who may have idle units to recall.
    pub above_floor: Mutex<Vec<Arc<Account>>>,
    /// What calls name besides their account; most organizations have none.
    resources: OnceLock<Box<Resources>>,
}

/// The configuration of an organization.
#[derive(Debug)]
pub struct OrganizationTerms {
    pub version: u64,
    pub status: Status,
    pub total: u32,
    pub currency: Currency,
    pub default_pricing: Option<Pricing>,
}

impl Organization {
    /// Before anything was freed or refused; never a value of `freed`.
    const NEVER: u64 = u64::MAX;

    pub fn new(id: AccountId, terms: OrganizationTerms) -> Self {
        Self {
            id,
            shard: id.shard(),
            active: AtomicBool::new(terms.status == Status::Active),
            terms: ArcSwap::from_pointee(terms),
            in_use: AtomicU32::new(0),
            freed: AtomicU64::new(0),
            exhausted: AtomicU64::new(Self::NEVER),
            above_floor: Mutex::default(),
            resources: OnceLock::new(),
        }
    }

    /// `None`: it never had any.
    pub fn resources(&self) -> Option<&Resources> {
        self.resources.get().map(|resources| &**resources)
    }

    /// Room for the first.
    pub fn resources_to_be(&self) -> &Resources {
        self.resources.get_or_init(Box::default)
    }

    pub fn terms(&self) -> Guard<Arc<OrganizationTerms>> {
        self.terms.load()
    }

    pub fn terms_full(&self) -> Arc<OrganizationTerms> {
        self.terms.load_full()
    }

    pub fn set_terms(&self, terms: OrganizationTerms) {
        self.active.store(terms.status == Status::Active, Ordering::Release);
        self.terms.store(Arc::new(terms));
    }

    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// Whether nothing was freed since all slots above floors were found in use.
    pub fn is_exhausted(&self) -> bool {
        self.exhausted.load(Ordering::Acquire) == self.freed.load(Ordering::Acquire)
    }
}

/// One account, or the shadow of one on which its test keys act.
#[derive(Debug)]
pub struct Account {
    pub id: AccountId,
    pub organization: Arc<Organization>,
    pub slots: Slots,
    pub credit: Credit,
    /// Whether it stands in [`Organization::above_floor`].
    pub listed: AtomicBool,
    terms: ArcSwap<Terms>,
    /// As in the terms; read whenever a slot is given back.
    cap: AtomicU32,
    /// Counted refusals by reason; only where there was one.
    denials: OnceLock<Box<[AtomicU64; Reason::ALL.len()]>>,
    /// What is kept of refusals until it is reported.
    pub refused: Cell,
}

/// The configuration of an account, resolved against its organization's.
#[derive(Debug)]
pub struct Terms {
    pub version: u64,
    pub status: Status,
    /// Whether this gateway serves the account's region.
    pub served: bool,
    pub floor: u32,
    /// `None`: elastic.
    pub cap: Option<u32>,
    /// What outbound calls count against; `None`: the account's slots alone.
    pub outbound: Option<Arc<Cap>>,
    pub limiter: Option<Arc<Limiter>>,
    pub charging: Charging,
    pub billing: Billing,
    /// Whether what calls are charged by is the account's own, not the organization's default.
    pub own_pricing: bool,
    /// Whose money pays; only where calls are charged.
    pub wallet: Option<Arc<Wallet>>,
    pub lease_s: Option<u32>,
    pub duration_max_s: Option<u32>,
    pub on_hub_loss: OnHubLoss,
    pub at_zero: AtZero,
    /// What its calls may cost in this month is spent.
    pub is_over_budget: bool,
}

/// What an account's calls are charged by.
#[derive(Clone, Debug)]
pub enum Charging {
    /// They are not billed.
    Nothing,
    /// One rate for all of them.
    Flat(triomphe::Arc<Pins>),
    /// By destination.
    Deck(Arc<Deck>),
}

impl Charging {
    /// As it is configured.
    pub fn pricing(&self) -> Option<Pricing> {
        match self {
            Self::Nothing => None,
            Self::Flat(pins) => Some(Pricing::Flat(pins.rate)),
            Self::Deck(deck) => Some(Pricing::Deck(deck.id)),
        }
    }
}

impl Terms {
    pub const fn is_billed(&self) -> bool {
        !matches!(self.charging, Charging::Nothing)
    }

    /// Whether the month's budget has nothing left for calls of this price; what costs nothing needs none.
    pub fn is_spent_for(&self, pins: &Pins) -> bool {
        self.is_over_budget && pins.rate.charge(1) > Amount::ZERO
    }

    /// What a new call is charged by as long as it lives; `None`: it is not billed.
    pub fn pins(
        &self,
        call: &Admit<'_>,
        now_us: i64,
    ) -> Result<Option<triomphe::Arc<Pins>>, Reason> {
        match &self.charging {
            Charging::Nothing => Ok(None),
            Charging::Flat(pins) => Ok(Some(triomphe::Arc::clone(pins))),
            Charging::Deck(deck) => {
                let number = match call.direction {
                    Direction::Outbound => call.to,
                    Direction::Inbound => call.from,
                };
                deck.price(now_us, self.billing, call.direction, number).map(Some)
            }
        }
    }

    /// The most slots; `u32::MAX` when elastic.
    pub fn cap(&self) -> u32 {
        self.cap.unwrap_or(u32::MAX)
    }
}

impl Account {
    pub fn new(id: AccountId, organization: Arc<Organization>, terms: Terms) -> Self {
        Self {
            id,
            organization,
            slots: Slots::default(),
            credit: Credit::default(),
            listed: AtomicBool::new(false),
            cap: AtomicU32::new(terms.cap()),
            terms: ArcSwap::from_pointee(terms),
            denials: OnceLock::new(),
            refused: Cell::default(),
        }
    }

    pub fn terms(&self) -> Guard<Arc<Terms>> {
        self.terms.load()
    }

    pub fn terms_full(&self) -> Arc<Terms> {
        self.terms.load_full()
    }

    pub fn set_terms(&self, terms: Terms) {
        self.cap.store(terms.cap(), Ordering::Release);
        self.terms.store(Arc::new(terms));
    }

    /// What ends a call whose lease has run out.
    pub fn lapse(&self) -> Cause {
        if self.terms().status == Status::Ending { Cause::Suspended } else { Cause::Expiry }
    }

    /// [`Terms::cap`] of the present terms.
    pub fn cap(&self) -> u32 {
        self.cap.load(Ordering::Acquire)
    }

    pub fn count_denial(&self, reason: Reason) {
        let counts = self.denials.get_or_init(Box::default);
        counts[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Refusals so far, by reason; reasons that never occurred are left out.
    pub fn denials(&self) -> Vec<(Reason, u64)> {
        let Some(counts) = self.denials.get() else {
            return Vec::new();
        };
        let all = Reason::ALL.into_iter().zip(counts.iter());
        all.map(|(reason, count)| (reason, count.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

/// A wallet: free money, and how much the ledger has put there in total.
#[derive(Debug)]
pub struct Wallet {
    pub owner: AccountId,
    pub funds: Funds,
    /// The configuration already counted into the funds.
    pub counted: Mutex<Option<WalletConfig>>,
}

impl Wallet {
    pub fn new(owner: AccountId) -> Self {
        Self { owner, funds: Funds::default(), counted: Mutex::default() }
    }
}
