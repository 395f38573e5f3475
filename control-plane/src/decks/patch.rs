//! `PATCH /v1/rate-decks/{deck_id}`: its name. What calls cost is changed by a new version.

use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::json;

use super::{Deck, Shown};
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::precondition::Tag;
use crate::problem::{Kind, Problem};
use crate::request::Request;

pub(crate) fn describe() -> Operation {
    Operation::new("Change a rate deck", "What calls cost is changed by importing a new version.")
        .body(schema::asked([("name", schema::name())]), json!({"name": "Retail, India, 2027"}))
        .answers(StatusCode::OK, "As it is now.", Shown::schema())
        .refuses([Kind::UnknownRateDeck])
        .tagged()
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let name = fields.optional("name", values::name);
    fields.finish()?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let mut deck = Deck::load(change.connection(), &id, &request.access).await?;
    let before = Shown::of(&deck);
    request.preconditions.check(&Tag::of(&before)?)?;
    deck.name = name.unwrap_or(deck.name);
    deck.update(change.connection(), now_us).await?;
    let shown = Shown::of(&deck);
    let owner = Some(deck.organization);
    change.audit(owner, "rate_deck.updated", &id, Some(&before), Some(&shown)).await?;
    change.commit(Answer::ok(&shown)?.tagged(&Tag::of(&shown)?)?).await
}
