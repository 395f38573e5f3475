//! Rate decks as the gateway prices calls by them: each version is built once, from the parts that the
//! control plane told, and found by the instant of an admission without a lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use hub::call::{Direction, PinnedDeck, Pins};
use hub::codec::Malformed;
use hub::deck::{DeckId, DeckVersion, Digits, Row, Table, Tariff, VersionConfig, part};
use hub::denial::Reason;
use hub::directory::{Billing, DeckConfig, DeckPart};
use hub::id::AccountId;
use hub::money::Currency;
use parking_lot::Mutex;

/// A rate deck: its versions in the order in which they come into force.
#[derive(Debug)]
pub struct Deck {
    pub id: DeckId,
    versions: ArcSwap<Vec<Known>>,
    told: Mutex<Told>,
}

#[derive(Clone, Debug)]
struct Known {
    config: VersionConfig,
    /// `None`: some of its parts were not told yet.
    built: Option<Arc<Version>>,
}

/// What was told, as far as it is still needed.
#[derive(Debug, Default)]
struct Told {
    config: Option<DeckConfig>,
    /// Of versions that are not built yet.
    parts: HashMap<u32, BTreeMap<u32, Arc<[u8]>>>,
}

impl Deck {
    pub fn new(id: DeckId) -> Self {
        Self { id, versions: ArcSwap::default(), told: Mutex::default() }
    }

    /// Whose it is; `None`: nothing was told of it itself yet.
    pub fn organization(&self) -> Option<AccountId> {
        self.told.lock().config.as_ref().map(|config| config.organization)
    }

    pub fn set_part(&self, part: &DeckPart) {
        let mut told = self.told.lock();
        let number = part.version.number;
        if let Some(rows) = &part.rows {
            let is_built = self
                .versions
                .load()
                .iter()
                .any(|known| known.config.number == number && known.built.is_some());
            if is_built {
                return;
            }
            told.parts.entry(number).or_default().insert(part.part, Arc::clone(rows));
            self.build(&mut told);
        } else if let Some(parts) = told.parts.get_mut(&number) {
            parts.remove(&part.part);
        }
    }

    pub fn configure(&self, config: &DeckConfig) {
        let mut told = self.told.lock();
        if told.config.as_ref().is_some_and(|known| known.version > config.version) {
            return;
        }
        // Parts of a version come before the deck that names it: only now it is clear which never will.
        told.parts.retain(|number, _| config.versions.iter().any(|it| it.number == *number));
        told.config = Some(config.clone());
        self.build(&mut told);
    }

    /// Nothing is priced by it any more.
    pub fn forget(&self) {
        *self.told.lock() = Told::default();
        self.versions.store(Arc::default());
    }

    /// Builds what is whole.
    fn build(&self, told: &mut Told) {
        let Some(config) = &told.config else { return };
        let before = self.versions.load_full();
        let mut versions = Vec::with_capacity(config.versions.len());
        for version in &config.versions {
            let known = before.iter().find(|known| known.config.number == version.number);
            let built = known.and_then(|known| known.built.clone());
            let built = built.or_else(|| self.built(config.currency, *version, &mut told.parts));
            versions.push(Known { config: *version, built });
        }
        self.versions.store(Arc::new(versions));
    }

    fn built(
        &self,
        currency: Currency,
        config: VersionConfig,
        parts: &mut HashMap<u32, BTreeMap<u32, Arc<[u8]>>>,
    ) -> Option<Arc<Version>> {
        let told = parts.get(&config.number).map_or(0, BTreeMap::len);
        if u32::try_from(told) != Ok(config.parts) {
            return None;
        }
        let parts = parts.remove(&config.number).unwrap_or_default();
        let version = DeckVersion { deck: self.id, number: config.number };
        let pinned = PinnedDeck { version, billed: config.billed };
        let built = Version::build(currency, pinned, parts.values());
        built.map(Arc::new).map_err(|problem| {
            tracing::error!(deck = %self.id, version = config.number, %problem, "a rate deck cannot be read");
        }).ok()
    }

    /// What a call that is admitted now is priced by. No price, no call.
    pub fn price(
        &self,
        now_us: i64,
        billing: Billing,
        direction: Direction,
        number: &str,
    ) -> Result<triomphe::Arc<Pins>, Reason> {
        let versions = self.versions.load();
        if versions.is_empty() && self.organization().is_none() {
            return Err(Reason::HubUnavailable);
        }
        let in_force = versions.iter().rfind(|known| known.config.effective_us <= now_us);
        let Known { built, .. } = in_force.ok_or(Reason::DestinationBlocked)?;
        let version = built.as_ref().ok_or(Reason::HubUnavailable)?;
        version.price(billing, direction, number).ok_or(Reason::DestinationBlocked)
    }
}

/// One version: of each direction its prefixes, with the places of their tariffs.
#[derive(Debug)]
pub struct Version {
    sides: [Table; Direction::ALL.len()],
    /// Each distinct tariff, as calls are pinned to it; `None`: blocked.
    tariffs: Box<[Option<Priced>]>,
}

#[derive(Debug)]
struct Priced {
    isolated: triomphe::Arc<Pins>,
    consolidated: triomphe::Arc<Pins>,
}

impl Version {
    /// Of all its parts, in order.
    pub fn build<'a>(
        currency: Currency,
        deck: PinnedDeck,
        parts: impl Iterator<Item = &'a Arc<[u8]>>,
    ) -> Result<Self, Malformed> {
        let mut rows = Vec::new();
        for bytes in parts {
            part::read(bytes, &mut rows)?;
        }
        let (mut places, mut tariffs) = (HashMap::new(), Vec::new());
        let mut side = |direction| {
            let rows = rows.iter().filter(|row| row.direction == direction);
            let rows = rows.map(|Row { prefix, tariff, .. }| {
                let place = *places.entry(*tariff).or_insert_with(|| {
                    tariffs.push(priced(currency, deck, *tariff));
                    u32::try_from(tariffs.len() - 1).unwrap_or(u32::MAX)
                });
                (*prefix, place)
            });
            Table::new(rows).map_err(|_| Malformed("prefixes out of order"))
        };
        let sides = [side(Direction::Outbound)?, side(Direction::Inbound)?];
        Ok(Self { sides, tariffs: tariffs.into() })
    }

    /// What a call to or from this number is pinned to; `None`: it may not be.
    pub fn price(
        &self,
        billing: Billing,
        direction: Direction,
        number: &str,
    ) -> Option<triomphe::Arc<Pins>> {
        let place = self.sides[direction as usize].longest(Digits::of_number(number))?;
        let priced = self.tariffs.get(usize::try_from(place).ok()?)?.as_ref()?;
        Some(triomphe::Arc::clone(match billing {
            Billing::Isolated => &priced.isolated,
            Billing::Consolidated => &priced.consolidated,
        }))
    }
}

fn priced(currency: Currency, deck: PinnedDeck, tariff: Tariff) -> Option<Priced> {
    let Tariff::Rate(rate) = tariff else { return None };
    let pins = |billing| triomphe::Arc::new(Pins { billing, currency, rate, deck: Some(deck) });
    Some(Priced { isolated: pins(Billing::Isolated), consolidated: pins(Billing::Consolidated) })
}
