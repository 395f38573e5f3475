//! What the gateway knows of organizations, accounts, wallets and keys: it follows the hub's changes.
//! No guard of a map is held across a second access.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use foldhash::fast::RandomState;
use hub::call::{Call, Pins};
use hub::cap::CapId;
use hub::clock::{self, SECOND_US};
use hub::deck::{DeckId, Pricing};
use hub::directory::{
    AccountConfig, Billing, Change, OrganizationConfig, Status, TokenKey, WalletConfig,
};
use hub::id::AccountId;
use hub::key::{KeyHash, KeyScope};
use hub::money::{Amount, Currency};

use crate::accounts::{Account, Charging, Organization, OrganizationTerms, Terms, Wallet};
use crate::decks::Deck;
use crate::limiter::Limiter;
use crate::resources::Cap;

#[cfg(test)]
mod tests;
mod unnamed;

pub use unnamed::Named;

/// Counters of caps that may be kept though nobody needs them.
const CAPS_SPARE: usize = 1_024;

/// How long a deleted account is remembered: as long as the tokens of its calls, and then some.
const DEPARTED_US: i64 = 3_600 * SECOND_US;
/// How many are; of more at once nothing is remembered.
const DEPARTED_MAX: usize = 10_000;

type Map<K, V> = DashMap<K, V, RandomState>;

/// What a change asks of the engine, beyond the directory itself.
#[derive(Debug)]
pub enum Effect {
    None,
    /// Limits may have changed: idle units above them go back.
    Limits(Arc<Account>),
    /// The account is gone: its live calls end.
    Gone(Arc<Account>),
    /// Tokens are made with this key.
    TokenKey(TokenKey),
}

/// What a key opens, until it expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenKey {
    pub scope: KeyScope,
    /// In microseconds since 1970; the greatest number: never.
    pub expires_us: i64,
}

impl OpenKey {
    /// What it opens at `now_us`.
    pub const fn at(self, now_us: i64) -> Option<KeyScope> {
        if now_us < self.expires_us { Some(self.scope) } else { None }
    }
}

/// A key, and whether it was used since that was looked at last.
struct Key {
    opens: OpenKey,
    used: AtomicBool,
}

pub struct Directory {
    organizations: Map<AccountId, Arc<Organization>>,
    accounts: Map<AccountId, Arc<Account>>,
    /// Accounts that were deleted, and since when.
    departed: Map<AccountId, (Arc<Account>, i64)>,
    wallets: Map<AccountId, Arc<Wallet>>,
    keys: Map<KeyHash, Key>,
    decks: Map<DeckId, Arc<Deck>>,
    /// Counters of caps that are configured or counted against, and some that were.
    caps: Map<CapId, Arc<Cap>>,
    /// How many of them there may be before those that nobody needs are dropped.
    caps_max: AtomicUsize,
    /// Grows with every change of any key.
    key_generation: AtomicU64,
    /// Regions that this gateway serves; `None`: all.
    regions: Option<Vec<String>>,
}

impl Directory {
    pub fn new(regions: Option<Vec<String>>) -> Self {
        Self {
            organizations: Map::default(),
            accounts: Map::default(),
            departed: Map::default(),
            wallets: Map::default(),
            keys: Map::default(),
            decks: Map::default(),
            caps: Map::default(),
            caps_max: AtomicUsize::new(CAPS_SPARE),
            key_generation: AtomicU64::new(0),
            regions,
        }
    }

    /// What a key opens; it is marked as used.
    pub fn key(&self, hash: &KeyHash) -> Option<OpenKey> {
        let key = self.keys.get(hash)?;
        // Read first: a key that is used again and again stays in everybody's cache.
        if !key.used.load(Ordering::Relaxed) {
            key.used.store(true, Ordering::Relaxed);
        }
        Some(key.opens)
    }

    /// Keys that are marked as used, so many at most; they are not marked any more.
    pub fn take_used_keys(&self, most: usize) -> Vec<KeyHash> {
        let used = self.keys.iter().filter(|key| key.used.load(Ordering::Relaxed));
        let taken = used.take(most).map(|key| {
            key.used.store(false, Ordering::Relaxed);
            *key.key()
        });
        taken.collect()
    }

    pub fn key_generation(&self) -> u64 {
        self.key_generation.load(Ordering::Acquire)
    }

    /// The account; a shadow comes into being when its account is known.
    pub fn account(&self, id: AccountId) -> Option<Arc<Account>> {
        if let Some(account) = self.accounts.get(&id) {
            return Some(Arc::clone(&account));
        }
        if !id.is_shadow() {
            return None;
        }
        let account = self.account(id.real())?;
        let terms = shadow_terms(&account.terms(), None);
        let shadow = Account::new(id, Arc::clone(&account.organization), terms);
        Some(Arc::clone(&self.accounts.entry(id).or_insert_with(|| Arc::new(shadow))))
    }

    /// An account that was deleted a while ago: its calls have ended, their receipts can be had as long as
    /// those of other calls.
    pub fn departed(&self, id: AccountId) -> Option<Arc<Account>> {
        self.departed.get(&id).map(|departed| Arc::clone(&departed.0))
    }

    fn depart(&self, account: &Arc<Account>) {
        let now_us = clock::boot_us();
        self.departed.retain(|_, departed| now_us - departed.1 < DEPARTED_US);
        if self.departed.len() < DEPARTED_MAX {
            self.departed.insert(account.id, (Arc::clone(account), now_us));
        }
    }

    /// The wallet of an owner; empty until the ledger has put money there.
    pub fn wallet(&self, owner: AccountId) -> Arc<Wallet> {
        Arc::clone(&self.wallets.entry(owner).or_insert_with(|| Arc::new(Wallet::new(owner))))
    }

    /// Visits every account, shadows included.
    pub fn visit_accounts(&self, mut visit: impl FnMut(&Arc<Account>)) {
        self.accounts.iter().for_each(|account| visit(&account));
    }

    pub fn visit_organizations(&self, mut visit: impl FnMut(&Arc<Organization>)) {
        self.organizations.iter().for_each(|organization| visit(&organization));
    }

    pub fn visit_wallets(&self, mut visit: impl FnMut(&Arc<Wallet>)) {
        self.wallets.iter().for_each(|wallet| visit(&wallet));
    }

    /// Applies one change. `spent` tells what a wallet had spent before this process knew it.
    pub fn follow(&self, change: &Change, spent: impl Fn(&WalletConfig) -> Amount) -> Effect {
        match change {
            Change::Organization(config) => self.set_organization(config),
            Change::Account(config) => return Effect::Limits(self.set_account(config)),
            Change::AccountGone { id, .. } => {
                self.forget_cap(CapId::outbound(*id));
                self.accounts.remove(&id.shadow());
                self.wallets.remove(id);
                if let Some((_, account)) = self.accounts.remove(id) {
                    self.depart(&account);
                    return Effect::Gone(account);
                }
            }
            Change::Wallet(config) => self.set_wallet(config, spent),
            Change::Resource(config) => {
                let cap = self.limited(config.id, config.cap);
                self.organization(config.organization).resources_to_be().set(config, cap);
            }
            Change::ResourceGone { organization, kind, name, id } => {
                if let Some(resources) = self.organization(*organization).resources() {
                    resources.remove(*kind, name, *id);
                }
                self.forget_cap(*id);
            }
            Change::Deck(config) => self.deck(config.id).configure(config),
            Change::DeckPart(part) => self.deck(part.version.deck).set_part(part),
            Change::DeckGone { id, .. } => {
                if let Some((_, deck)) = self.decks.remove(id) {
                    deck.forget();
                }
            }
            Change::Key { hash, scope, expires_us, .. } => {
                let used = AtomicBool::new(
                    self.keys.get(hash).is_some_and(|key| key.used.load(Ordering::Relaxed)),
                );
                let expires_us = expires_us.unwrap_or(i64::MAX);
                let opens = OpenKey { scope: *scope, expires_us };
                self.keys.insert(*hash, Key { opens, used });
                self.key_generation.fetch_add(1, Ordering::AcqRel);
            }
            Change::KeyGone { hash, .. } => {
                self.keys.remove(hash);
                self.key_generation.fetch_add(1, Ordering::AcqRel);
            }
            Change::TokenKey(key) => return Effect::TokenKey(*key),
        }
        Effect::None
    }

    fn set_organization(&self, config: &OrganizationConfig) {
        let terms = OrganizationTerms {
            version: config.version,
            status: config.status,
            total: config.total,
            currency: config.currency,
            default_pricing: config.default_pricing,
        };
        let organization = self.organization(config.id);
        let before = organization.terms_full();
        if config.version < before.version {
            return;
        }
        organization.set_terms(terms);
        organization.freed.fetch_add(1, Ordering::AcqRel);
        // What is told all at once is in no order: accounts may have come before their organization.
        let is_currency_new = before.currency != config.currency;
        if is_currency_new || before.default_pricing != config.default_pricing {
            self.refresh_pricing(&organization, is_currency_new);
        }
    }

    /// Accounts that have no pricing of their own follow their organization's; in its currency all are priced.
    fn refresh_pricing(&self, organization: &Arc<Organization>, is_currency_new: bool) {
        let mut followers = Vec::new();
        self.visit_accounts(|account| {
            let follows = is_currency_new || !account.terms().own_pricing;
            if follows
                && !account.id.is_shadow()
                && Arc::ptr_eq(&account.organization, organization)
            {
                followers.push(Arc::clone(account));
            }
        });
        for account in followers {
            let terms = account.terms_full();
            let own = terms.charging.pricing().filter(|_| terms.own_pricing);
            let (charging, wallet) =
                self.charging(own, terms.billing, account.id, &account.organization);
            account.set_terms(Terms { charging, wallet, ..terms.copied() });
        }
    }

    /// What an account's calls are charged by, and whose money pays.
    fn charging(
        &self,
        own: Option<Pricing>,
        billing: Billing,
        account: AccountId,
        organization: &Organization,
    ) -> (Charging, Option<Arc<Wallet>>) {
        let terms = organization.terms();
        let charging = match own.or(terms.default_pricing) {
            None => return (Charging::Nothing, None),
            Some(Pricing::Flat(rate)) => Charging::Flat(triomphe::Arc::new(Pins {
                billing,
                currency: terms.currency,
                rate,
                deck: None,
            })),
            Some(Pricing::Deck(id)) => Charging::Deck(self.deck(id)),
        };
        (charging, Some(self.paying(billing, account, organization.id)))
    }

    /// A deck; without versions until it is told.
    fn deck(&self, id: DeckId) -> Arc<Deck> {
        Arc::clone(&self.decks.entry(id).or_insert_with(|| Arc::new(Deck::new(id))))
    }

    /// The wallet that pays for an account's calls.
    pub fn paying(
        &self,
        billing: Billing,
        account: AccountId,
        organization: AccountId,
    ) -> Arc<Wallet> {
        self.wallet(match billing {
            Billing::Isolated => account,
            Billing::Consolidated => organization,
        })
    }

    fn organization(&self, id: AccountId) -> Arc<Organization> {
        let unknown = || OrganizationTerms {
            version: 0,
            status: Status::Active,
            total: 0,
            currency: Currency::INR,
            default_pricing: None,
        };
        let fresh = || Arc::new(Organization::new(id, unknown()));
        Arc::clone(&self.organizations.entry(id).or_insert_with(fresh))
    }

    fn set_account(&self, config: &AccountConfig) -> Arc<Account> {
        let organization = self.organization(config.organization);
        let known = self.accounts.get(&config.id).map(|account| Arc::clone(&account));
        let before = known.as_ref().map(|account| account.terms_full());
        let terms = self.terms(config, &organization, before.as_deref());
        let shadow = self.accounts.get(&config.id.shadow()).map(|shadow| Arc::clone(&shadow));
        if let Some(shadow) = shadow {
            let limiter = shadow.terms().limiter.clone();
            shadow.set_terms(shadow_terms(&terms, limiter));
        }
        let account = if let Some(account) = known {
            if account.terms().version <= config.version {
                account.set_terms(terms);
            }
            account
        } else {
            let account = Arc::new(Account::new(config.id, Arc::clone(&organization), terms));
            self.accounts.insert(config.id, Arc::clone(&account));
            account
        };
        organization.freed.fetch_add(1, Ordering::AcqRel);
        account
    }

    fn terms(
        &self,
        config: &AccountConfig,
        organization: &Organization,
        before: Option<&Terms>,
    ) -> Terms {
        let (charging, wallet) =
            self.charging(config.pricing, config.billing, config.id, organization);
        Terms {
            version: config.version,
            status: config.status,
            served: self.serves(config.region.as_deref()),
            floor: config.floor,
            cap: config.cap,
            outbound: self.limited(CapId::outbound(config.id), config.outbound_cap),
            limiter: limiter(config.cps_limit, before.and_then(|before| before.limiter.clone())),
            charging,
            wallet,
            own_pricing: config.pricing.is_some(),
            billing: config.billing,
            lease_s: config.lease_s,
            duration_max_s: config.duration_max_s,
            on_hub_loss: config.on_hub_loss,
            at_zero: config.at_zero,
            is_over_budget: config.is_over_budget,
        }
    }

    /// The counter of a cap, limited to `most` from now on; `None` when that is unlimited.
    fn limited(&self, id: CapId, most: Option<u32>) -> Option<Arc<Cap>> {
        if most.is_none() {
            self.caps.get(&id)?.limit(None);
            return None;
        }
        let cap = self.cap(id);
        cap.limit(most);
        Some(cap)
    }

    /// What had the cap is gone. Calls that count against it may still be live: then it goes with a later
    /// one, so that there are never many that nobody needs.
    fn forget_cap(&self, id: CapId) {
        drop(self.limited(id, None));
        self.caps.remove_if(&id, |_, cap| Cap::is_unused(cap));
        if self.caps.len() > self.caps_max.load(Ordering::Relaxed) {
            self.caps.retain(|_, cap| !Cap::is_unused(cap));
            self.caps_max.store(2 * self.caps.len() + CAPS_SPARE, Ordering::Relaxed);
        }
    }

    /// The counter of a cap.
    pub fn cap(&self, id: CapId) -> Arc<Cap> {
        Arc::clone(&self.caps.entry(id).or_insert_with(|| Arc::new(Cap::new(id))))
    }

    /// Whether there is a counter of the cap.
    #[cfg(test)]
    pub fn has_cap(&self, id: CapId) -> bool {
        self.caps.contains_key(&id)
    }

    /// What a call counts against beside its account; `None`: nothing.
    pub fn caps_of(&self, call: &Call) -> Option<Box<[Arc<Cap>]>> {
        let caps = call.caps();
        (!caps.is_empty()).then(|| caps.as_slice().iter().map(|id| self.cap(*id)).collect())
    }

    fn serves(&self, region: Option<&str>) -> bool {
        match (&self.regions, region) {
            (Some(served), Some(region)) => served.iter().any(|served| served == region),
            _ => true,
        }
    }

    /// A recharge adds the difference to what was counted already; an old sequence adds nothing.
    fn set_wallet(&self, config: &WalletConfig, spent: impl Fn(&WalletConfig) -> Amount) {
        let wallet = self.wallet(config.owner);
        let mut counted = wallet.counted.lock();
        match *counted {
            Some(known) if known.sequence >= config.sequence => return,
            Some(known) => wallet.funds.add(config.escrow.saturating_sub(known.escrow)),
            None => wallet.funds.add(config.escrow.saturating_sub(spent(config))),
        }
        *counted = Some(*config);
    }
}

/// The limiter of before if its rate is the same: a change of a name must not refill it.
fn limiter(per_second: Option<u32>, before: Option<Arc<Limiter>>) -> Option<Arc<Limiter>> {
    let per_second = NonZeroU32::new(per_second?)?;
    match before {
        Some(before) if before.per_second == per_second => Some(before),
        _ => Some(Arc::new(Limiter::new(per_second))),
    }
}

/// What test keys act on: the same limits, no money.
fn shadow_terms(account: &Terms, before: Option<Arc<Limiter>>) -> Terms {
    let per_second = account.limiter.as_ref().map(|limiter| limiter.per_second.get());
    Terms {
        limiter: limiter(per_second, before),
        outbound: None,
        charging: Charging::Nothing,
        wallet: None,
        ..account.copied()
    }
}

impl Terms {
    fn copied(&self) -> Self {
        Self {
            limiter: self.limiter.clone(),
            outbound: self.outbound.clone(),
            charging: self.charging.clone(),
            wallet: self.wallet.clone(),
            ..*self
        }
    }
}
