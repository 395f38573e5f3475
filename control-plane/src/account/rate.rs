//! A rate as it is stored (micro-units) and as it is shown (major units).

use hub::money::{Amount, Currency, Rate};
use serde::{Deserialize, Serialize};

use crate::description::schema::{self, Schema};
use crate::fields::values::INCREMENT_DEFAULT_S;
use crate::problem::Problem;

#[derive(Serialize, Deserialize)]
struct Stored {
    per_minute_micros: i64,
    initial_s: u32,
    increment_s: u32,
    connect_fee_micros: i64,
    minimum_micros: i64,
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

pub(crate) fn write(rate: &Rate) -> String {
    let stored = Stored {
        per_minute_micros: rate.per_minute().micros(),
        initial_s: rate.initial_s(),
        increment_s: rate.increment_s(),
        connect_fee_micros: rate.connect_fee().micros(),
        minimum_micros: rate.minimum().micros(),
    };
    serde_json::json!(stored).to_string()
}

pub(crate) fn read(text: Option<String>) -> Result<Option<Rate>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let stored: Stored = serde_json::from_str(&text).map_err(Problem::internal)?;
    let rate = Rate::new(
        Amount::from_micros(stored.per_minute_micros),
        stored.initial_s,
        stored.increment_s,
        Amount::from_micros(stored.connect_fee_micros),
        Amount::from_micros(stored.minimum_micros),
    );
    rate.map(Some).map_err(Problem::internal)
}
