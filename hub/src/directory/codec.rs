//! The binary form of a change, as a shared hub keeps it in its directory. The first byte says which form
//! it is; what does not fit is an error. Never shows a token key.

use crate::cap::CapId;
use crate::codec::{Malformed, Reader, Writer};
use crate::costs::CostKinds;
use crate::deck::{DeckId, DeckVersion, Pricing, VersionConfig};
use crate::directory::{
    AccountConfig, AtZero, Billing, Change, DeckConfig, DeckPart, OnHubLoss, OrganizationConfig,
    ResourceConfig, ResourceKind, Status, TokenKey,
};
use crate::key::{KeyHash, KeyScope};
use crate::money::{Amount, Currency, Rate};
use crate::state::request_codec::{read_account, read_wallet, write_account, write_wallet};

/// First byte of a change's binary form.
const VERSION: u8 = 1;

/// Second byte. Values are part of the format; never reuse one.
mod tag {
    pub(super) const ORGANIZATION: u8 = 1;
    pub(super) const ACCOUNT: u8 = 2;
    pub(super) const ACCOUNT_GONE: u8 = 3;
    pub(super) const WALLET: u8 = 4;
    pub(super) const KEY: u8 = 5;
    pub(super) const KEY_GONE: u8 = 6;
    pub(super) const TOKEN_KEY: u8 = 7;
    /// A key with an expiry; one without has the form of before, which every gateway reads.
    pub(super) const EXPIRING_KEY: u8 = 8;
    /// As [`EXPIRING_KEY`]: an account whose outbound calls have a cap.
    pub(super) const ACCOUNT_WITH_OUTBOUND_CAP: u8 = 9;
    pub(super) const RESOURCE: u8 = 10;
    pub(super) const RESOURCE_GONE: u8 = 11;
    /// An account with a rate deck, or whose calls go on without money: its cap of outbound calls, its deck
    /// and what becomes of its calls follow.
    pub(super) const ACCOUNT_WITH_MORE: u8 = 12;
    pub(super) const ORGANIZATION_WITH_DECK: u8 = 13;
    pub(super) const DECK: u8 = 14;
    pub(super) const DECK_PART: u8 = 15;
    pub(super) const DECK_GONE: u8 = 16;
}

pub fn write_change(writer: &mut Writer<'_>, change: &Change) {
    writer.byte(VERSION);
    match change {
        Change::Organization(config) => {
            let deck = deck_of(config.default_pricing);
            writer.byte(deck.map_or(tag::ORGANIZATION, |_| tag::ORGANIZATION_WITH_DECK));
            write_organization(writer, config);
            if let Some(deck) = deck {
                writer.fixed(deck.to_bytes());
            }
        }
        Change::Account(config) => write_account_change(writer, config),
        Change::AccountGone { id, organization } => {
            writer.byte(tag::ACCOUNT_GONE);
            write_account(writer, *id);
            write_account(writer, *organization);
        }
        Change::Resource(config) => {
            writer.byte(tag::RESOURCE);
            write_resource(writer, config);
        }
        Change::ResourceGone { organization, kind, name, id } => {
            writer.byte(tag::RESOURCE_GONE);
            write_account(writer, *organization);
            writer.byte(*kind as u8);
            writer.bytes(name.as_bytes());
            writer.fixed(id.to_bytes());
        }
        Change::Wallet(config) => {
            writer.byte(tag::WALLET);
            write_wallet(writer, config);
        }
        Change::Deck(config) => {
            writer.byte(tag::DECK);
            write_deck(writer, config);
        }
        Change::DeckPart(part) => {
            writer.byte(tag::DECK_PART);
            write_account(writer, part.organization);
            writer.fixed(part.version.deck.to_bytes());
            writer.unsigned(part.version.number.into());
            writer.unsigned(part.part.into());
            writer.optional(part.rows.as_deref(), Writer::bytes);
        }
        Change::DeckGone { organization, id } => {
            writer.byte(tag::DECK_GONE);
            write_account(writer, *organization);
            writer.fixed(id.to_bytes());
        }
        Change::Key { hash, scope, organization, expires_us } => {
            writer.byte(if expires_us.is_some() { tag::EXPIRING_KEY } else { tag::KEY });
            writer.fixed(*hash.as_bytes());
            write_scope(writer, *scope);
            writer.optional(*organization, write_account);
            if let Some(expires_us) = expires_us {
                writer.signed(*expires_us);
            }
        }
        Change::KeyGone { hash, organization } => {
            writer.byte(tag::KEY_GONE);
            writer.fixed(*hash.as_bytes());
            writer.optional(*organization, write_account);
        }
        Change::TokenKey(TokenKey(key)) => {
            writer.byte(tag::TOKEN_KEY);
            writer.fixed(*key);
        }
    }
}

/// All of the bytes are one change.
pub fn read_change(bytes: &[u8]) -> Result<Change, Malformed> {
    let mut reader = Reader(bytes);
    if reader.byte()? != VERSION {
        return Err(Malformed("a change of another version"));
    }
    let change = read_body(&mut reader)?;
    if reader.is_empty() { Ok(change) } else { Err(Malformed("more than a change")) }
}

fn read_body(reader: &mut Reader<'_>) -> Result<Change, Malformed> {
    Ok(match reader.byte()? {
        tag::ORGANIZATION => Change::Organization(read_organization(reader)?),
        tag::ORGANIZATION_WITH_DECK => {
            let config = read_organization(reader)?;
            let default_pricing = Some(read_deck_id(reader).map(Pricing::Deck)?);
            Change::Organization(OrganizationConfig { default_pricing, ..config })
        }
        tag::ACCOUNT => Change::Account(read_account_config(reader)?),
        tag::ACCOUNT_WITH_OUTBOUND_CAP => {
            let config = read_account_config(reader)?;
            Change::Account(AccountConfig { outbound_cap: Some(reader.small()?), ..config })
        }
        tag::ACCOUNT_WITH_MORE => {
            let config = read_account_config(reader)?;
            let outbound_cap = reader.optional(Reader::small)?;
            let deck = reader.optional(read_deck_id)?;
            let pricing = deck.map(Pricing::Deck).or(config.pricing);
            let (at_zero, is_over_budget) = match reader.byte()? {
                0 => (AtZero::End, false),
                1 => (AtZero::Finish, false),
                2 => (AtZero::End, true),
                3 => (AtZero::Finish, true),
                _ => return Err(Malformed("what becomes of calls without money")),
            };
            let config = AccountConfig { outbound_cap, pricing, at_zero, ..config };
            Change::Account(AccountConfig { is_over_budget, ..config })
        }
        tag::DECK => Change::Deck(read_deck(reader)?),
        tag::DECK_PART => Change::DeckPart(DeckPart {
            organization: read_account(reader)?,
            version: DeckVersion { deck: read_deck_id(reader)?, number: reader.small()? },
            part: reader.small()?,
            rows: reader.optional(|reader| reader.bytes().map(Into::into))?,
        }),
        tag::DECK_GONE => {
            Change::DeckGone { organization: read_account(reader)?, id: read_deck_id(reader)? }
        }
        tag::RESOURCE => Change::Resource(read_resource(reader)?),
        tag::RESOURCE_GONE => Change::ResourceGone {
            organization: read_account(reader)?,
            kind: read_kind(reader)?,
            name: reader.text()?.into(),
            id: read_cap_id(reader)?,
        },
        tag::ACCOUNT_GONE => {
            Change::AccountGone { id: read_account(reader)?, organization: read_account(reader)? }
        }
        tag::WALLET => Change::Wallet(read_wallet(reader)?),
        tag @ (tag::KEY | tag::EXPIRING_KEY) => Change::Key {
            hash: KeyHash::from_bytes(reader.fixed()?),
            scope: read_scope(reader)?,
            organization: reader.optional(read_account)?,
            expires_us: (tag == tag::EXPIRING_KEY).then(|| reader.signed()).transpose()?,
        },
        tag::KEY_GONE => Change::KeyGone {
            hash: KeyHash::from_bytes(reader.fixed()?),
            organization: reader.optional(read_account)?,
        },
        tag::TOKEN_KEY => Change::TokenKey(TokenKey(reader.fixed()?)),
        _ => return Err(Malformed("an unknown change")),
    })
}

/// With a deck in a form of its own: one without has the form of before, which every gateway reads.
fn write_account_change(writer: &mut Writer<'_>, config: &AccountConfig) {
    let small = |writer: &mut Writer<'_>, value: u32| writer.unsigned(value.into());
    let without_money = (config.at_zero, config.is_over_budget);
    match (deck_of(config.pricing), without_money, config.outbound_cap) {
        (None, (AtZero::End, false), None) => {
            writer.byte(tag::ACCOUNT);
            write_account_config(writer, config);
        }
        (None, (AtZero::End, false), Some(most)) => {
            writer.byte(tag::ACCOUNT_WITH_OUTBOUND_CAP);
            write_account_config(writer, config);
            small(writer, most);
        }
        (deck, without_money, most) => {
            writer.byte(tag::ACCOUNT_WITH_MORE);
            write_account_config(writer, config);
            writer.optional(most, small);
            writer.optional(deck, |writer, deck| writer.fixed(deck.to_bytes()));
            writer.byte(match without_money {
                (AtZero::End, false) => 0,
                (AtZero::Finish, false) => 1,
                (AtZero::End, true) => 2,
                (AtZero::Finish, true) => 3,
            });
        }
    }
}

const fn deck_of(pricing: Option<Pricing>) -> Option<DeckId> {
    match pricing {
        Some(Pricing::Deck(deck)) => Some(deck),
        Some(Pricing::Flat(_)) | None => None,
    }
}

const fn rate_of(pricing: Option<Pricing>) -> Option<Rate> {
    match pricing {
        Some(Pricing::Flat(rate)) => Some(rate),
        Some(Pricing::Deck(_)) | None => None,
    }
}

fn write_deck(writer: &mut Writer<'_>, config: &DeckConfig) {
    write_account(writer, config.organization);
    writer.fixed(config.id.to_bytes());
    writer.unsigned(config.version);
    writer.fixed(config.currency.to_bytes());
    writer.unsigned(config.versions.len() as u64);
    for version in &config.versions {
        writer.unsigned(version.number.into());
        writer.signed(version.effective_us);
        writer.unsigned(version.parts.into());
        writer.byte(version.billed.to_byte());
    }
}

fn read_deck(reader: &mut Reader<'_>) -> Result<DeckConfig, Malformed> {
    let (organization, id) = (read_account(reader)?, read_deck_id(reader)?);
    let version = reader.unsigned()?;
    let currency = Currency::from_bytes(reader.fixed()?).ok_or(Malformed("a currency"))?;
    let versions = (0..reader.unsigned()?).map(|_| {
        let (number, effective_us) = (reader.small()?, reader.signed()?);
        let parts = reader.small()?;
        let billed = CostKinds::from_byte(reader.byte()?).ok_or(Malformed("kinds of costs"))?;
        Ok(VersionConfig { number, effective_us, parts, billed })
    });
    let versions = versions.collect::<Result<_, _>>()?;
    Ok(DeckConfig { id, organization, version, currency, versions })
}

fn read_deck_id(reader: &mut Reader<'_>) -> Result<DeckId, Malformed> {
    reader.fixed().map(DeckId::from_bytes)
}

fn write_organization(writer: &mut Writer<'_>, config: &OrganizationConfig) {
    write_account(writer, config.id);
    writer.unsigned(config.version);
    write_status(writer, config.status);
    writer.unsigned(config.total.into());
    writer.fixed(config.currency.to_bytes());
    writer.optional(rate_of(config.default_pricing), write_rate);
}

fn read_organization(reader: &mut Reader<'_>) -> Result<OrganizationConfig, Malformed> {
    Ok(OrganizationConfig {
        id: read_account(reader)?,
        version: reader.unsigned()?,
        status: read_status(reader)?,
        total: reader.small()?,
        currency: Currency::from_bytes(reader.fixed()?).ok_or(Malformed("a currency"))?,
        default_pricing: reader.optional(read_rate)?.map(Pricing::Flat),
    })
}

fn write_account_config(writer: &mut Writer<'_>, config: &AccountConfig) {
    let small = |writer: &mut Writer<'_>, value: u32| writer.unsigned(value.into());
    write_account(writer, config.id);
    write_account(writer, config.organization);
    writer.unsigned(config.version);
    write_status(writer, config.status);
    writer.unsigned(config.floor.into());
    writer.optional(config.cap, small);
    writer.optional(config.cps_limit, small);
    writer.optional(config.region.as_deref(), |writer, region| writer.bytes(region.as_bytes()));
    writer.byte(match config.billing {
        Billing::Isolated => 0,
        Billing::Consolidated => 1,
    });
    writer.optional(rate_of(config.pricing), write_rate);
    writer.optional(config.lease_s, small);
    writer.optional(config.duration_max_s, small);
    writer.byte(match config.on_hub_loss {
        OnHubLoss::Closed => 0,
        OnHubLoss::Open => 1,
    });
}

fn read_account_config(reader: &mut Reader<'_>) -> Result<AccountConfig, Malformed> {
    Ok(AccountConfig {
        id: read_account(reader)?,
        organization: read_account(reader)?,
        version: reader.unsigned()?,
        status: read_status(reader)?,
        floor: reader.small()?,
        cap: reader.optional(Reader::small)?,
        outbound_cap: None,
        cps_limit: reader.optional(Reader::small)?,
        region: reader.optional(|reader| Ok(reader.text()?.into()))?,
        billing: match reader.byte()? {
            0 => Billing::Isolated,
            1 => Billing::Consolidated,
            _ => return Err(Malformed("a billing mode")),
        },
        pricing: reader.optional(read_rate)?.map(Pricing::Flat),
        lease_s: reader.optional(Reader::small)?,
        duration_max_s: reader.optional(Reader::small)?,
        on_hub_loss: match reader.byte()? {
            0 => OnHubLoss::Closed,
            1 => OnHubLoss::Open,
            _ => return Err(Malformed("what to do without a hub")),
        },
        at_zero: AtZero::End,
        is_over_budget: false,
    })
}

fn write_resource(writer: &mut Writer<'_>, config: &ResourceConfig) {
    write_account(writer, config.organization);
    writer.byte(config.kind as u8);
    writer.bytes(config.name.as_bytes());
    writer.unsigned(config.version);
    writer.optional(config.account, write_account);
    writer.fixed(config.id.to_bytes());
    writer.optional(config.cap, |writer, most| writer.unsigned(most.into()));
}

fn read_resource(reader: &mut Reader<'_>) -> Result<ResourceConfig, Malformed> {
    Ok(ResourceConfig {
        organization: read_account(reader)?,
        kind: read_kind(reader)?,
        name: reader.text()?.into(),
        version: reader.unsigned()?,
        account: reader.optional(read_account)?,
        id: read_cap_id(reader)?,
        cap: reader.optional(Reader::small)?,
    })
}

fn read_kind(reader: &mut Reader<'_>) -> Result<ResourceKind, Malformed> {
    let kind = ResourceKind::ALL.get(usize::from(reader.byte()?));
    kind.copied().ok_or(Malformed("a kind of resource"))
}

fn read_cap_id(reader: &mut Reader<'_>) -> Result<CapId, Malformed> {
    reader.fixed().map(CapId::from_bytes)
}

fn write_status(writer: &mut Writer<'_>, status: Status) {
    writer.byte(match status {
        Status::Active => 0,
        Status::Suspended => 1,
        Status::Deleting => 2,
        Status::Ending => 3,
    });
}

fn read_status(reader: &mut Reader<'_>) -> Result<Status, Malformed> {
    Ok(match reader.byte()? {
        0 => Status::Active,
        1 => Status::Suspended,
        2 => Status::Deleting,
        3 => Status::Ending,
        _ => return Err(Malformed("a status")),
    })
}

/// Without its rounding.
pub(crate) fn write_rate(writer: &mut Writer<'_>, rate: Rate) {
    writer.signed(rate.per_minute().micros());
    writer.unsigned(rate.initial_s().into());
    writer.unsigned(rate.increment_s().into());
    writer.signed(rate.connect_fee().micros());
    writer.signed(rate.minimum().micros());
}

pub(crate) fn read_rate(reader: &mut Reader<'_>) -> Result<Rate, Malformed> {
    let amount = |reader: &mut Reader<'_>| reader.signed().map(Amount::from_micros);
    let per_minute = amount(reader)?;
    let (initial_s, increment_s) = (reader.small()?, reader.small()?);
    let (connect_fee, minimum) = (amount(reader)?, amount(reader)?);
    Rate::new(per_minute, initial_s, increment_s, connect_fee, minimum)
        .map_err(|_| Malformed("a rate"))
}

fn write_scope(writer: &mut Writer<'_>, scope: KeyScope) {
    let (tag, id) = match scope {
        KeyScope::Operator => (0, None),
        KeyScope::Organization(id) => (1, Some(id)),
        KeyScope::Account(id) => (2, Some(id)),
    };
    writer.byte(tag);
    if let Some(id) = id {
        write_account(writer, id);
    }
}

fn read_scope(reader: &mut Reader<'_>) -> Result<KeyScope, Malformed> {
    Ok(match reader.byte()? {
        0 => KeyScope::Operator,
        1 => KeyScope::Organization(read_account(reader)?),
        2 => KeyScope::Account(read_account(reader)?),
        _ => return Err(Malformed("a scope")),
    })
}

#[cfg(test)]
mod tests;
