//! `GET /v1/rate-decks/{deck_id}/versions`, one of them, its rows as a sheet, and the withdrawal of one
//! that is not in force yet.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use hub::deck::{DeckId, Row, part};
use serde_json::json;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::{Deck, ShownVersion, Version, bytes_of_row, sheet, told};
use crate::Shared;
use crate::account::Organization;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::page::{self, Page};
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::usage::csv;

pub(crate) fn describe_list() -> Operation {
    Operation::new("List the versions of a rate deck", "Those that come into force last are first.")
        .query(schema::window())
        .answers(StatusCode::OK, "A page.", schema::page(ShownVersion::schema()))
        .refuses([Kind::UnknownRateDeck])
}

pub(crate) async fn list(
    State(app): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Answer, Problem> {
    let mut query = request.query();
    let window = page::window(&mut query);
    query.finish()?;
    let mut connection = app.store.read().await?;
    let deck = Deck::load(&mut connection, &id, &request.access).await?;
    let versions = deck.versions(&mut connection).await?;
    let mut shown = ShownVersion::all(deck.id, &versions, hub::clock::now_us());
    if let Some(after) = window.after() {
        let place = shown.iter().position(|shown| shown.version.to_string() == after);
        shown.drain(..place.map_or(shown.len(), |place| place + 1));
    }
    shown.truncate(usize::try_from(window.rows()).unwrap_or(usize::MAX));
    Answer::ok(&Page::of(shown, &window, |shown| shown.version.to_string()))
}

pub(crate) fn describe_one() -> Operation {
    Operation::new("Read a version of a rate deck", "Its rows are at `…/rows`.")
        .answers(StatusCode::OK, "The version.", ShownVersion::schema())
        .refuses([Kind::UnknownRateDeck])
}

pub(crate) async fn one(
    State(app): State<Shared>,
    Path((id, number)): Path<(String, String)>,
    request: Request,
) -> Result<Answer, Problem> {
    request.query().finish()?;
    let mut connection = app.store.read().await?;
    let deck = Deck::load(&mut connection, &id, &request.access).await?;
    let versions = deck.versions(&mut connection).await?;
    Answer::ok(&shown(&deck, &versions, &number)?)
}

fn shown(deck: &Deck, versions: &[Version], number: &str) -> Result<ShownVersion, Problem> {
    let all = ShownVersion::all(deck.id, versions, hub::clock::now_us());
    all.into_iter().find(|shown| shown.version.to_string() == number).ok_or_else(unknown)
}

fn unknown() -> Problem {
    Problem::new(Kind::UnknownRateDeck, "the rate deck has no such version")
}

pub(crate) fn describe_rows() -> Operation {
    Operation::new(
        "Read the rows of a version of a rate deck",
        "All of them, as a sheet that can be imported again.",
    )
    .answers_as(StatusCode::OK, "The sheet.", [(csv::MEDIA_TYPE, schema::text())])
    .refuses([Kind::UnknownRateDeck])
}

pub(crate) async fn rows(
    State(app): State<Shared>,
    Path((id, number)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    request.query().finish()?;
    let mut connection = app.store.read().await?;
    let deck = Deck::load(&mut connection, &id, &request.access).await?;
    let versions = deck.versions(&mut connection).await?;
    let number = shown(&deck, &versions, &number)?.version;
    let currency = Organization::load(&mut connection, deck.organization).await?.currency;
    let mut text = sheet::head();
    for row in rows_of(&mut connection, deck.id, number).await? {
        text.push_str(&sheet::line(&row, currency));
    }
    let headers = [(header::CONTENT_TYPE, csv::CONTENT_TYPE), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, text).into_response())
}

/// All rows of a version, in their order.
pub(super) async fn rows_of(
    connection: &mut AnyConnection,
    deck: DeckId,
    number: i64,
) -> Result<Vec<Row>, Problem> {
    let parts = sqlx::query(
        "SELECT body FROM rate_deck_parts WHERE deck_id = $1 AND number = $2 ORDER BY part",
    )
    .bind(deck.to_string())
    .bind(number)
    .fetch_all(connection)
    .await?;
    let mut rows = Vec::new();
    parts.iter().try_for_each(|part| add_rows(part, &mut rows))?;
    Ok(rows)
}

/// The rows of one part.
pub(super) fn add_rows(row: &AnyRow, rows: &mut Vec<Row>) -> Result<(), Problem> {
    part::read(&bytes_of_row(row)?, rows).map_err(Problem::internal)
}

pub(crate) fn describe_withdraw() -> Operation {
    Operation::new(
        "Withdraw a version of a rate deck",
        "Only one that has not come into force: no call is priced by it yet.",
    )
    .body(schema::nothing(), json!({}))
    .answers_nothing("It is gone; its number is not used again.")
    .refuses([Kind::UnknownRateDeck, Kind::RateDeckInUse])
}

pub(crate) async fn withdraw(
    State(app): State<Shared>,
    Path((id, number)): Path<(String, String)>,
    request: Request,
) -> Result<Answer, Problem> {
    request.body()?.finish()?;
    request.query().finish()?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let mut deck = Deck::load(change.connection(), &id, &request.access).await?;
    let versions = deck.versions(change.connection()).await?;
    let was = shown(&deck, &versions, &number)?;
    let version = versions.iter().find(|version| version.number == was.version);
    let version = version.ok_or_else(unknown)?;
    if version.effective_us <= now_us {
        return Err(Problem::new(
            Kind::RateDeckInUse,
            "the version is or was in force, and calls are priced by it: import another",
        ));
    }
    for gone in told::hush(change.connection(), &deck, version).await? {
        change.publish(gone);
    }
    for table in ["rate_deck_parts", "rate_deck_versions"] {
        let sql = format!("DELETE FROM {table} WHERE deck_id = $1 AND number = $2");
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(deck.id.to_string())
            .bind(version.number)
            .execute(change.connection())
            .await?;
    }
    deck.update(change.connection(), now_us).await?;
    let currency = Organization::load(change.connection(), deck.organization).await?.currency;
    for told in told::retell(change.connection(), &deck, currency, now_us).await? {
        change.publish(told);
    }
    let owner = Some(deck.organization);
    change.audit(owner, "rate_deck.withdrawn", &id, Some(&was), None::<&ShownVersion>).await?;
    change.commit(Answer::no_content()).await
}
