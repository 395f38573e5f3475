//! `GET /v1/price` and `GET /v1/sub-accounts/{id}/price`: what a call of the account would cost.

use axum::extract::State;
use http::StatusCode;
use hub::call::Direction;
use hub::deck::{DeckId, Digits, Prefix, Pricing, Row, Tariff};
use hub::money::{Currency, Rate};
use serde::Serialize;
use sqlx::{AnyConnection, Row as _};

use super::import::place;
use super::versions::add_rows;
use super::{in_force, versions_of};
use crate::Shared;
use crate::account::{Account, Organization, rate};
use crate::answer::Answer;
use crate::description::{Operation, schema};
use crate::fields::{Raw, values};
use crate::problem::Problem;
use crate::request::Request;
use crate::timestamp;

const DIRECTIONS: &[(&str, Direction)] =
    &[("outbound", Direction::Outbound), ("inbound", Direction::Inbound)];
/// Of a call whose length nobody names.
const SECONDS_DEFAULT: u32 = 60;

/// What a call would cost.
#[derive(Serialize)]
struct Shown {
    account: String,
    direction: &'static str,
    number: String,
    at: String,
    seconds: u32,
    /// False: calls of the account are not billed.
    billed: bool,
    /// No call may go there: no prefix of the rate deck fits, or one that is blocked.
    blocked: bool,
    rate_deck: Option<String>,
    rate_deck_version: Option<i64>,
    prefix: Option<String>,
    rate: Option<rate::Shown>,
    billed_seconds: Option<u32>,
    price: Option<String>,
    currency: String,
}

pub(crate) fn describe() -> Operation {
    let number = || schema::characters(0..=255).example("+919812345678");
    let query = [
        (
            "number",
            number()
                .required()
                .about("the other party's: `to` of an outbound call, `from` of an inbound one"),
        ),
        ("direction", schema::word(DIRECTIONS).by_default(DIRECTIONS[0].0)),
        (
            "seconds",
            schema::whole(0..=Rate::SECONDS_MAX)
                .by_default(SECONDS_DEFAULT)
                .about("answered seconds"),
        ),
        ("at", schema::moment().about("the instant of its admission; without it, now")),
    ];
    let answer = schema::answered([
        ("account", schema::any_account_id()),
        ("direction", schema::word(DIRECTIONS)),
        ("number", number()),
        ("at", schema::time()),
        ("seconds", schema::count().example(60)),
        ("billed", schema::flag().about("false: calls of the account are not billed")),
        (
            "blocked",
            schema::flag().about(
                "no call may go there: no prefix of the rate deck fits, or one that is blocked",
            ),
        ),
        ("rate_deck", schema::id("deck").or_null()),
        ("rate_deck_version", schema::count().or_null()),
        ("prefix", schema::text().or_null().example("91")),
        ("rate", rate::Shown::schema().or_null()),
        (
            "billed_seconds",
            schema::count().or_null().about("after rounding up to whole increments"),
        ),
        ("price", schema::money().or_null()),
        ("currency", schema::currency()),
    ]);
    Operation::new(
        "Ask what a call of a sub-account would cost",
        "By the rate or the rate deck that the account has now, without costs that are reported at a call's end.",
    )
    .query(query)
    .answers(StatusCode::OK, "The price.", answer.named("Price"))
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let now_us = hub::clock::now_us();
    let mut query = request.query();
    let number = query.required("number", short_text);
    let direction = query.optional("direction", values::word(DIRECTIONS)).unwrap_or_default();
    let seconds = query.optional("seconds", values::whole(0..=Rate::SECONDS_MAX));
    let at_us = query.optional("at", moment).unwrap_or(now_us);
    query.finish()?;
    let (number, seconds) = (number.unwrap_or_default(), seconds.unwrap_or(SECONDS_DEFAULT));
    let mut connection = app.store.read().await?;
    let account = Account::load(&mut connection, request.access.account()?).await?;
    let organization = Organization::load(&mut connection, account.organization).await?;
    let currency = organization.currency;
    let mut shown = Shown {
        account: account.id.to_string(),
        direction: direction.label(),
        number: number.clone(),
        at: timestamp::text(at_us),
        seconds,
        billed: false,
        blocked: false,
        rate_deck: None,
        rate_deck_version: None,
        prefix: None,
        rate: None,
        billed_seconds: None,
        price: None,
        currency: currency.to_string(),
    };
    match account.pricing.or(organization.default_pricing) {
        None => {}
        Some(Pricing::Flat(rate)) => shown.set(rate, currency),
        Some(Pricing::Deck(deck)) => {
            shown.rate_deck = Some(deck.to_string());
            shown.billed = true;
            shown.blocked = true;
            let versions = versions_of(&mut connection, deck).await?;
            if let Some(version) = in_force(&versions, at_us).and_then(|place| versions.get(place))
            {
                shown.rate_deck_version = Some(version.number);
                let of = (deck, version.number);
                let row = find(&mut connection, of, direction, Digits::of_number(&number)).await?;
                shown.prefix = row.map(|row| row.prefix.to_string());
                if let Some(Row { tariff: Tariff::Rate(rate), .. }) = row {
                    shown.set(rate, currency);
                }
            }
        }
    }
    Answer::ok(&shown)
}

impl Shown {
    fn set(&mut self, rate: Rate, currency: Currency) {
        (self.billed, self.blocked) = (true, false);
        self.rate = Some(rate::Shown::of(&rate, currency));
        self.billed_seconds = Some(rate.billed_seconds(self.seconds));
        self.price = Some(rate.charge(self.seconds).in_currency(currency).to_string());
    }
}

fn short_text(raw: &Raw) -> Result<String, String> {
    let text = values::text(raw)?;
    let is_short = text.len() <= hub::call::TEXT_MAX && !text.chars().any(char::is_control);
    if is_short { Ok(text) } else { Err("expected at most 255 bytes".to_owned()) }
}

fn moment(raw: &Raw) -> Result<i64, String> {
    let moment = values::text(raw).ok().and_then(|text| timestamp::read(&text));
    moment.ok_or_else(|| "expected a date or a time, such as 2030-01-31T12:00:00Z".to_owned())
}

/// The row of the longest prefix: in the part in which it would stand, for each from the longest on.
async fn find(
    connection: &mut AnyConnection,
    (deck, version): (DeckId, i64),
    direction: Direction,
    number: Digits,
) -> Result<Option<Row>, Problem> {
    let mut known: Option<(i64, Vec<Row>)> = None;
    for length in (0..=number.len()).rev() {
        let prefix = Prefix::of(number.first(length));
        let sought = place(direction, &prefix.digits().to_string());
        let found = sqlx::query(
            "SELECT part, first, body FROM rate_deck_parts \
             WHERE deck_id = $1 AND number = $2 AND first <= $3 ORDER BY first DESC LIMIT 1",
        )
        .bind(deck.to_string())
        .bind(version)
        .bind(sought)
        .fetch_optional(&mut *connection)
        .await?;
        let Some(found) = found else { continue };
        let part: i64 = found.try_get("part")?;
        if known.as_ref().is_none_or(|(of, _)| *of != part) {
            let mut rows = Vec::new();
            add_rows(&found, &mut rows)?;
            known = Some((part, rows));
        }
        let rows = known.iter().flat_map(|(_, rows)| rows);
        let mut of_direction = rows.filter(|row| row.direction == direction);
        if let Some(row) = of_direction.find(|row| row.prefix == prefix) {
            return Ok(Some(*row));
        }
    }
    Ok(None)
}
