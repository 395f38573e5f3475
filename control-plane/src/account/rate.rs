//! What an account's calls are charged by, as it is asked for, stored (micro-units) and shown (major
//! units): a rate, or a rate deck.

use hub::deck::{DeckId, Pricing};
use hub::money::{Amount, Currency, Rate};
use serde::{Deserialize, Serialize};

use crate::description::schema::{self, Schema};
use crate::fields::values::{self, INCREMENT_DEFAULT_S};
use crate::fields::{Fields, Given};
use crate::problem::Problem;

#[derive(Serialize, Deserialize)]
struct Stored {
    per_minute_micros: i64,
    initial_s: u32,
    increment_s: u32,
    connect_fee_micros: i64,
    minimum_micros: i64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Either {
    Deck { rate_deck: String },
    Rate(Stored),
}

/// A rate as answers show it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Shown {
    per_minute: String,
    initial_s: u32,
    increment_s: u32,
    connect_fee: String,
    minimum: String,
}

impl Shown {
    /// Price per minute, initial and further increment, connect fee, minimum.
    pub(crate) fn cells(&self) -> [String; 5] {
        let [initial_s, increment_s] = [self.initial_s, self.increment_s].map(|s| s.to_string());
        let [per_minute, connect_fee, minimum] =
            [&self.per_minute, &self.connect_fee, &self.minimum].map(Clone::clone);
        [per_minute, initial_s, increment_s, connect_fee, minimum]
    }

    pub(crate) fn schema() -> Schema {
        let seconds = || schema::whole(1..=Rate::INCREMENT_MAX_S).example(60);
        schema::answered([
            ("per_minute", schema::money().example("1.20")),
            ("initial_s", seconds().about("the least that is billed")),
            ("increment_s", seconds().about("what is billed beyond that, in whole ones")),
            ("connect_fee", schema::money().example("0.00")),
            ("minimum", schema::money().example("0.00")),
        ])
        .named("Rate")
    }

    pub(crate) fn of(rate: &Rate, currency: Currency) -> Self {
        Self {
            per_minute: rate.per_minute().in_currency(currency).to_string(),
            initial_s: rate.initial_s(),
            increment_s: rate.increment_s(),
            connect_fee: rate.connect_fee().in_currency(currency).to_string(),
            minimum: rate.minimum().in_currency(currency).to_string(),
        }
    }
}

/// A rate as requests give it.
pub(crate) fn asked() -> Schema {
    let seconds = || schema::whole(1..=Rate::INCREMENT_MAX_S).by_default(INCREMENT_DEFAULT_S);
    let amount = || schema::amount(Rate::AMOUNT_MAX);
    schema::asked([
        ("per_minute", amount().required().example("1.20")),
        ("initial_s", seconds().about("the least that is billed, in seconds")),
        ("increment_s", seconds().about("what is billed beyond that, in whole ones")),
        ("connect_fee", amount().by_default("0")),
        ("minimum", amount().by_default("0")),
    ])
    .named("NewRate")
}

/// The id of a rate deck as requests and answers have it.
pub(crate) fn deck() -> Schema {
    schema::id("deck").about("the rate deck by which calls are priced, in place of one rate")
}

/// What a request says of a rate and a rate deck, of which an account has one at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    rate: Given<Rate>,
    deck: Given<DeckId>,
}

impl Asked {
    /// Reads two fields; each unsets the other.
    pub(crate) fn read(fields: &mut Fields, rate_name: &str, deck_name: &str) -> Self {
        let rate = values::rate(fields, rate_name);
        let deck = fields.given(deck_name, values::deck_id);
        if matches!((&rate, &deck), (Given::Value(_), Given::Value(_))) {
            fields.refuse(deck_name, format!("expected either {rate_name} or {deck_name}"));
        }
        Self { rate, deck }
    }

    pub(crate) const fn is_absent(&self) -> bool {
        self.rate.is_absent() && self.deck.is_absent()
    }

    /// What a merge makes of `present`.
    pub(crate) fn merged(self, present: Option<Pricing>) -> Option<Pricing> {
        match (self.rate, self.deck, present) {
            (Given::Value(rate), _, _) => Some(Pricing::Flat(rate)),
            (_, Given::Value(deck), _) => Some(Pricing::Deck(deck)),
            (Given::Null, _, Some(Pricing::Flat(_))) | (_, Given::Null, Some(Pricing::Deck(_))) => {
                None
            }
            (_, _, present) => present,
        }
    }
}

/// The two as answers show them.
pub(crate) fn shown(
    pricing: Option<Pricing>,
    currency: Currency,
) -> (Option<Shown>, Option<String>) {
    match pricing {
        None => (None, None),
        Some(Pricing::Flat(rate)) => (Some(Shown::of(&rate, currency)), None),
        Some(Pricing::Deck(deck)) => (None, Some(deck.to_string())),
    }
}

/// As it is stored: equal ones are equal texts.
pub(crate) fn write(pricing: &Pricing) -> String {
    match pricing {
        Pricing::Flat(rate) => write_rate(rate),
        Pricing::Deck(deck) => serde_json::json!({"rate_deck": deck.to_string()}).to_string(),
    }
}

fn write_rate(rate: &Rate) -> String {
    let stored = Stored {
        per_minute_micros: rate.per_minute().micros(),
        initial_s: rate.initial_s(),
        increment_s: rate.increment_s(),
        connect_fee_micros: rate.connect_fee().micros(),
        minimum_micros: rate.minimum().micros(),
    };
    serde_json::json!(stored).to_string()
}

pub(crate) fn read(text: Option<String>) -> Result<Option<Pricing>, Problem> {
    let Some(text) = text else { return Ok(None) };
    match serde_json::from_str(&text).map_err(Problem::internal)? {
        Either::Deck { rate_deck } => {
            rate_deck.parse().map(|deck| Some(Pricing::Deck(deck))).map_err(Problem::internal)
        }
        Either::Rate(stored) => {
            let rate = Rate::new(
                Amount::from_micros(stored.per_minute_micros),
                stored.initial_s,
                stored.increment_s,
                Amount::from_micros(stored.connect_fee_micros),
                Amount::from_micros(stored.minimum_micros),
            );
            rate.map(|rate| Some(Pricing::Flat(rate))).map_err(Problem::internal)
        }
    }
}
