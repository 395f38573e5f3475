//! What a call was charged by, as its record keeps it: `[micros per minute, initial, increment, micros of
//! the connect fee, of the minimum]`, and of a rate deck `decimals, rounding, deck, version` behind it. A
//! price can be computed from it again, whatever became of the account's rate or deck.

use hub::call::Pins;
use hub::money::{Amount, Currency, Rate};
use serde::{Deserialize, Serialize};

use crate::account::rate;
use crate::description::schema::{self, Schema};
use crate::problem::Problem;

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Flat(i64, u32, u32, i64, i64),
    Deck(i64, u32, u32, i64, i64, u8, String, String, u32),
}

/// The same as call histories show it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Shown {
    rate: Option<rate::Shown>,
    rate_deck: Option<String>,
    rate_deck_version: Option<u32>,
}

pub(super) fn text(pins: &Pins) -> String {
    let rate = &pins.rate;
    let (minute, fee, minimum) =
        (rate.per_minute().micros(), rate.connect_fee().micros(), rate.minimum().micros());
    let (initial_s, increment_s) = (rate.initial_s(), rate.increment_s());
    let stored = match pins.deck {
        None => Stored::Flat(minute, initial_s, increment_s, fee, minimum),
        Some(deck) => Stored::Deck(
            minute,
            initial_s,
            increment_s,
            fee,
            minimum,
            rate.rounding().decimals(),
            rate.rounding().mode().label().to_owned(),
            deck.version.deck.to_string(),
            deck.version.number,
        ),
    };
    serde_json::json!(stored).to_string()
}

impl Shown {
    /// `None`: the call was not billed, or ended before this was kept.
    pub(crate) fn of(text: Option<String>, currency: Currency) -> Result<Self, Problem> {
        let Some(text) = text else { return Ok(Self::default()) };
        let stored = serde_json::from_str(&text).map_err(Problem::internal)?;
        let (minute, initial_s, increment_s, fee, minimum, deck) = match stored {
            Stored::Flat(minute, initial_s, increment_s, fee, minimum) => {
                (minute, initial_s, increment_s, fee, minimum, None)
            }
            Stored::Deck(minute, initial_s, increment_s, fee, minimum, _, _, deck, version) => {
                (minute, initial_s, increment_s, fee, minimum, Some((deck, version)))
            }
        };
        let [minute, fee, minimum] = [minute, fee, minimum].map(Amount::from_micros);
        let rate = Rate::new(minute, initial_s, increment_s, fee, minimum);
        let rate = rate.map_err(Problem::internal)?;
        let (rate_deck, rate_deck_version) = deck.unzip();
        Ok(Self { rate: Some(rate::Shown::of(&rate, currency)), rate_deck, rate_deck_version })
    }

    /// As columns of a table: `rate_per_minute`, `rate_initial_s`, `rate_increment_s`, `rate_connect_fee`,
    /// `rate_minimum`, `rate_deck`, `rate_deck_version`; empty where there is none.
    pub(crate) fn cells(&self) -> [String; 7] {
        let [minute, initial_s, increment_s, fee, minimum] =
            self.rate.as_ref().map_or_else(Default::default, rate::Shown::cells);
        let deck = self.rate_deck.clone().unwrap_or_default();
        let version = self.rate_deck_version.map_or_else(String::new, |number| number.to_string());
        [minute, initial_s, increment_s, fee, minimum, deck, version]
    }

    pub(crate) fn members() -> [(&'static str, Schema); 3] {
        [
            (
                "rate",
                rate::Shown::schema()
                    .or_null()
                    .about("by which it was charged; null: it was not, or this was not kept yet"),
            ),
            ("rate_deck", schema::id("deck").or_null().about("where the rate comes from")),
            ("rate_deck_version", schema::count().or_null()),
        ]
    }
}
