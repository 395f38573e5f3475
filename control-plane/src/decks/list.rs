//! `GET /v1/rate-decks` and `GET /v1/rate-decks/{deck_id}`.

use axum::extract::{Path, State};
use http::StatusCode;
use hub::id::AccountKind;

use super::{DECK_COLUMNS, Deck, Shown, organization};
use crate::Shared;
use crate::answer::Answer;
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::page::{self, Page};
use crate::precondition::Tag;
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::store::conditions::{Bound, Conditions};

pub(crate) fn describe() -> Operation {
    let organization =
        schema::account_id(AccountKind::Organization).about("which one, where the operator asks");
    Operation::new("List rate decks", "The organization's, oldest first.")
        .query([("organization_id", organization)])
        .query(schema::window())
        .answers(StatusCode::OK, "A page.", schema::page(Shown::schema()))
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut query = request.query();
    let named = query.optional("organization_id", values::account_id);
    let window = page::window(&mut query);
    query.finish()?;
    let mut connection = app.store.read().await?;
    let organization = organization(&mut connection, &request.access, named).await?;
    let mut conditions = Conditions::default();
    conditions.and("organization_id = ?", [Bound::Text(organization.id.to_string())]);
    conditions.and("id > ?", [Bound::Text(window.after_text().to_owned())]);
    conditions.and("deleted_us IS NULL", []);
    let tail = format!("ORDER BY id LIMIT {}", window.rows());
    let rows = conditions.rows(&mut connection, DECK_COLUMNS, &tail).await?;
    let decks = rows.iter().map(Deck::of_row).collect::<Result<Vec<_>, _>>()?;
    let page = Page::of(decks, &window, |deck| deck.id.to_string());
    Answer::ok(&page.map(|deck| Shown::of(&deck)))
}

pub(crate) fn describe_one() -> Operation {
    Operation::new("Read a rate deck", "Its versions and their rows are lists of their own.")
        .answers(StatusCode::OK, "As it is now.", Shown::schema())
        .refuses([Kind::UnknownRateDeck])
        .tagged()
}

pub(crate) async fn one(
    State(app): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Answer, Problem> {
    request.query().finish()?;
    let mut connection = app.store.read().await?;
    let shown = Shown::of(&Deck::load(&mut connection, &id, &request.access).await?);
    let tag = Tag::of(&shown)?;
    if request.preconditions.is_known(&tag) {
        return Answer::not_modified(&tag);
    }
    Answer::ok(&shown)?.tagged(&tag)
}
