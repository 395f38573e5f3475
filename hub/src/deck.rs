//! Rate decks: what calls cost by direction and destination. A deck is a row of versions, each immutable
//! and in force from an instant on; a call is priced by the version in force at its admission and stays
//! with it. The number that is looked up is the other party's: `to` of an outbound call, `from` of an
//! inbound one; of all prefixes that it begins with the longest wins.

use std::fmt;
use std::str::FromStr;

use ulid::Ulid;

use crate::call::Direction;
use crate::costs::CostKinds;
use crate::money::Rate;

pub mod part;
mod prefix;
mod table;

pub use prefix::{Digits, InvalidPrefix, Prefix};
pub use table::{OutOfOrder, Table};

/// Names a rate deck. Written `deck_` and a lower-case ULID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeckId(Ulid);

impl DeckId {
    pub const LEN: usize = 16;
    pub const PREFIX: &'static str = "deck_";

    pub const fn new(ulid: Ulid) -> Self {
        Self(ulid)
    }

    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        self.0.to_bytes()
    }

    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(Ulid::from_bytes(bytes))
    }
}

impl fmt::Display for DeckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.0.to_string().to_ascii_lowercase())
    }
}

/// The text is not the id of a rate deck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected deck_ and a ULID")]
pub struct InvalidDeckId;

impl FromStr for DeckId {
    type Err = InvalidDeckId;

    fn from_str(text: &str) -> Result<Self, InvalidDeckId> {
        let ulid = text.strip_prefix(Self::PREFIX).ok_or(InvalidDeckId)?;
        let is_lower = !ulid.bytes().any(|byte| byte.is_ascii_uppercase());
        let ulid = Ulid::from_string(ulid).map_err(|_| InvalidDeckId)?;
        if is_lower { Ok(Self(ulid)) } else { Err(InvalidDeckId) }
    }
}

/// One version of a deck. Numbers count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeckVersion {
    pub deck: DeckId,
    pub number: u32,
}

/// What a deck says of one prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tariff {
    Rate(Rate),
    /// No call may go there.
    Blocked,
}

/// One line of a deck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub direction: Direction,
    pub prefix: Prefix,
    pub tariff: Tariff,
}

/// By what an account's calls are charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pricing {
    /// One rate for all.
    Flat(Rate),
    Deck(DeckId),
}

/// What a gateway is told of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionConfig {
    pub number: u32,
    /// From when on it is in force, in microseconds since 1970.
    pub effective_us: i64,
    /// In so many parts its rows are told.
    pub parts: u32,
    /// The costs reported at a call's end that are charged beside the call itself.
    pub billed: CostKinds,
}

/// The most rows of a version.
pub const ROWS_MAX: usize = 1_000_000;

#[cfg(test)]
mod tests;
