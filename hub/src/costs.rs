//! The breakdown of costs that a stack reports at a call's end: what the call cost its platform, in major
//! units of the wallet's currency. `costs` is a JSON object; these members count, and anything else in it
//! counts nothing:
//!
//! - `synthesizer`, `transcriber`, `llm`: an amount, or an object of amounts by provider or model;
//! - `platform`, `telephony` (or `network`, as others call it): an amount, or an object whose amounts
//!   are added up.
//!
//! An amount is a JSON number or a string of one, not below zero. A rate deck says which of these kinds
//! are charged; the others are only recorded.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::as_conversions)]

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::money::{Amount, Rate};

mod decimal;

/// The name of an amount that came without one.
pub const UNNAMED: &str = "unknown";

/// What a call costs its platform beside the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum CostKind {
    Synthesizer = 0,
    Transcriber = 1,
    Llm = 2,
    Platform = 3,
    Telephony = 4,
}

impl CostKind {
    pub const ALL: [Self; 5] =
        [Self::Synthesizer, Self::Transcriber, Self::Llm, Self::Platform, Self::Telephony];

    pub const fn label(self) -> &'static str {
        match self {
            Self::Synthesizer => "synthesizer",
            Self::Transcriber => "transcriber",
            Self::Llm => "llm",
            Self::Platform => "platform",
            Self::Telephony => "telephony",
        }
    }

    /// Of a member of the breakdown; `None`: it counts nothing.
    pub fn of_member(name: &str) -> Option<Self> {
        let name = if name == "network" { Self::Telephony.label() } else { name };
        Self::ALL.into_iter().find(|kind| kind.label() == name)
    }
}

/// Some of the kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CostKinds(u8);

impl CostKinds {
    pub const NONE: Self = Self(0);
    const ALL: u8 = (1 << CostKind::ALL.len()) - 1;

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn contains(self, kind: CostKind) -> bool {
        self.0 & bit(kind) != 0
    }

    pub fn iter(self) -> impl Iterator<Item = CostKind> {
        CostKind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }

    pub const fn to_byte(self) -> u8 {
        self.0
    }

    /// `None`: a bit is set that stands for no kind.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        if byte & !Self::ALL == 0 { Some(Self(byte)) } else { None }
    }
}

impl FromIterator<CostKind> for CostKinds {
    fn from_iter<I: IntoIterator<Item = CostKind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | bit(kind)))
    }
}

fn bit(kind: CostKind) -> u8 {
    let place = CostKind::ALL.into_iter().position(|other| other == kind);
    place.and_then(|place| u32::try_from(place).ok()).map_or(0, |place| 1_u8.wrapping_shl(place))
}

/// A part of a breakdown is to be charged and is no amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is charged, and is neither an amount nor an object of amounts")]
pub struct InvalidCost(pub &'static str);

/// What a breakdown comes to in the kinds that are charged, at most the highest price of a rate.
pub fn charged(costs: &str, billed: CostKinds) -> Result<Amount, InvalidCost> {
    let mut sum = Amount::ZERO;
    if billed.is_empty() {
        return Ok(sum);
    }
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(costs).unwrap_or_default();
    for (member, value) in members {
        let Some(kind) = CostKind::of_member(&member).filter(|kind| billed.contains(*kind)) else {
            continue;
        };
        if value.get() == "null" {
            continue;
        }
        for amount in every_amount(value).ok_or(InvalidCost(kind.label()))? {
            sum = sum.saturating_add(amount);
        }
    }
    if sum > Rate::AMOUNT_MAX { Err(InvalidCost("the sum")) } else { Ok(sum) }
}

/// The amounts of one member; `None`: something among them is none.
fn every_amount(value: &RawValue) -> Option<Vec<Amount>> {
    if let Some(amount) = amount(value) {
        return Some(vec![amount]);
    }
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(value.get()).ok()?;
    members.into_values().map(amount).collect()
}

/// The amounts of one member that can be read, by their names.
pub fn amounts(value: &RawValue) -> Vec<(String, Amount)> {
    if let Some(amount) = amount(value) {
        return vec![(UNNAMED.to_owned(), amount)];
    }
    let members: BTreeMap<String, &RawValue> =
        serde_json::from_str(value.get()).unwrap_or_default();
    members.into_iter().filter_map(|(name, value)| Some((name, amount(value)?))).collect()
}

fn amount(value: &RawValue) -> Option<Amount> {
    let text = value.get();
    if text.starts_with('"') {
        let text: String = serde_json::from_str(text).ok()?;
        return decimal::read(text.trim());
    }
    decimal::read(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_billed_is_charged() {
        let costs = r#"{"llm":{"a":0.5,"b":"0.25"},"telephony":0.1,"network":{"x":1},"platform":2,"note":7}"#;
        let of = |kinds: &[CostKind]| charged(costs, kinds.iter().copied().collect());
        assert_eq!(of(&[]).map(Amount::micros), Ok(0));
        assert_eq!(of(&[CostKind::Llm]).map(Amount::micros), Ok(750_000));
        assert_eq!(of(&[CostKind::Telephony]).map(Amount::micros), Ok(1_100_000));
        assert_eq!(of(&CostKind::ALL).map(Amount::micros), Ok(3_850_000));
    }

    #[test]
    fn what_cannot_be_charged_is_named() {
        let billed: CostKinds = [CostKind::Llm, CostKind::Platform].into_iter().collect();
        for (costs, expected) in [
            (r#"{"llm":"free"}"#, Err(InvalidCost("llm"))),
            (r#"{"platform":{"a":1,"b":-1}}"#, Err(InvalidCost("platform"))),
            (r#"{"llm":[1]}"#, Err(InvalidCost("llm"))),
            (r#"{"llm":900000,"platform":100001}"#, Err(InvalidCost("the sum"))),
            (r#"{"llm":null,"telephony":"free"}"#, Ok(Amount::ZERO)),
            ("[1]", Ok(Amount::ZERO)),
            ("", Ok(Amount::ZERO)),
        ] {
            assert_eq!(charged(costs, billed), expected, "{costs}");
        }
    }

    #[test]
    fn kinds_are_a_set_that_fits_a_byte() {
        let some: CostKinds = [CostKind::Telephony, CostKind::Synthesizer].into_iter().collect();
        assert_eq!(CostKinds::from_byte(some.to_byte()), Some(some));
        assert_eq!(some.iter().collect::<Vec<_>>(), [CostKind::Synthesizer, CostKind::Telephony]);
        assert_eq!(CostKinds::from_byte(0x20), None);
    }
}
