//! `POST /v1/rate-decks`: a deck without versions yet.

use axum::extract::State;
use http::StatusCode;
use hub::deck::DeckId;
use hub::id::AccountKind;
use serde_json::json;
use sqlx::Row as _;

use super::{DECKS_MAX, Deck, Shown, organization};
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::id::new_ulid;
use crate::precondition::Tag;
use crate::problem::{Kind, Problem};
use crate::request::Request;

pub(crate) fn describe() -> Operation {
    let organization =
        schema::account_id(AccountKind::Organization).about("which one, where the operator asks");
    Operation::new(
        "Create a rate deck",
        format!("It has no rows yet: import a version into it, then name it in the `rate_deck` of accounts or the `default_rate_deck` of the organization. At most {DECKS_MAX} per organization."),
    )
    .body(
        schema::asked([("organization_id", organization), ("name", schema::name().required())]),
        json!({"name": "Retail, India"}),
    )
    .answers(StatusCode::CREATED, "The deck.", Shown::schema())
    .shows_tag()
    .makes("id", "/v1/rate-decks/{deck_id}")
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let named = fields.optional("organization_id", values::account_id);
    let name = fields.required("name", values::name);
    fields.finish()?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let organization = organization(change.connection(), &request.access, named).await?;
    let count = sqlx::query(
        "SELECT CAST(COUNT(*) AS BIGINT) FROM rate_decks WHERE organization_id = $1 AND deleted_us IS NULL",
    )
    .bind(organization.id.to_string())
    .fetch_one(change.connection())
    .await?;
    if count.try_get::<i64, _>(0)? >= DECKS_MAX {
        let detail = format!("the organization has {DECKS_MAX} rate decks, the most it may have");
        return Err(Problem::new(Kind::Forbidden, detail).with("limit", DECKS_MAX));
    }
    let deck = Deck {
        id: DeckId::new(new_ulid(now_us)),
        organization: organization.id,
        name: name.unwrap_or_default(),
        last_number: 0,
        version: now_us,
        created_us: now_us,
        updated_us: now_us,
    };
    sqlx::query(
        "INSERT INTO rate_decks (id, organization_id, name, last_number, version, created_us, updated_us) \
         VALUES ($1, $2, $3, 0, $4, $4, $4)",
    )
    .bind(deck.id.to_string())
    .bind(deck.organization.to_string())
    .bind(deck.name.as_str())
    .bind(now_us)
    .execute(change.connection())
    .await?;
    let (shown, id) = (Shown::of(&deck), deck.id.to_string());
    let owner = Some(deck.organization);
    change.audit(owner, "rate_deck.created", &id, None::<&Shown>, Some(&shown)).await?;
    change.commit(Answer::created(&shown)?.tagged(&Tag::of(&shown)?)?).await
}
