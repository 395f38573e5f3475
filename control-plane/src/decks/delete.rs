//! `DELETE /v1/rate-decks/{deck_id}`. Live calls keep the price that they were admitted with.

use axum::extract::{Path, State};
use hub::directory::Change as Published;
use serde_json::json;

use super::{Deck, Shown, followers, told};
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::precondition::Tag;
use crate::problem::{Kind, Problem};
use crate::request::Request;

pub(crate) fn describe() -> Operation {
    Operation::new(
        "Delete a rate deck",
        "Refused while an account or the organization is priced by it. Calls that were keep their prices.",
    )
    .body(schema::nothing(), json!({}))
    .answers_nothing("It is gone, with its versions.")
    .refuses([Kind::UnknownRateDeck, Kind::RateDeckInUse])
    .tagged()
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Answer, Problem> {
    request.body()?.finish()?;
    request.query().finish()?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let deck = Deck::load(change.connection(), &id, &request.access).await?;
    let was = Shown::of(&deck);
    request.preconditions.check(&Tag::of(&was)?)?;
    let followers = followers(change.connection(), &deck).await?;
    if followers > 0 {
        let detail = format!(
            "{followers} accounts, or the organization for accounts without a rate, are priced by it: give them another first"
        );
        return Err(Problem::new(Kind::RateDeckInUse, detail).with("accounts", followers));
    }
    for version in deck.versions(change.connection()).await? {
        if version.is_told {
            for gone in told::hush(change.connection(), &deck, &version).await? {
                change.publish(gone);
            }
        }
    }
    sqlx::query("UPDATE rate_decks SET deleted_us = $1 WHERE id = $2")
        .bind(now_us)
        .bind(id.as_str())
        .execute(change.connection())
        .await?;
    change.publish(Published::DeckGone { organization: deck.organization, id: deck.id });
    let owner = Some(deck.organization);
    change.audit(owner, "rate_deck.deleted", &id, Some(&was), None::<&Shown>).await?;
    change.commit(Answer::no_content()).await
}
