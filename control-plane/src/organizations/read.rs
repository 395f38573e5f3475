//! `GET /v1/organization`, `GET /v1/organizations/{id}`: an organization with its numbers.

use axum::extract::State;
use http::StatusCode;

use super::{Settings, Shown};
use crate::Shared;
use crate::account::{Account, Organization};
use crate::answer::Answer;
use crate::description::Operation;
use crate::precondition::Tag;
use crate::problem::Problem;
use crate::request::Request;

pub(crate) fn describe() -> Operation {
    Operation::new(
        "Read an organization",
        "What it bought, what of it is promised, and its wallet.",
    )
    .answers(StatusCode::OK, "The organization.", Shown::schema())
    .tagged()
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    request.query().finish()?;
    let id = request.access.organization()?;
    app.caught_up(id).await;
    let mut connection = app.store.read().await?;
    let organization = Organization::load(&mut connection, id).await?;
    let account = Account::load(&mut connection, id).await?;
    let tag = Tag::of(&Settings::of(&app, &organization, &account))?;
    if request.preconditions.is_known(&tag) {
        return Answer::not_modified(&tag);
    }
    Answer::ok(&Shown::load(&app, &mut connection, &organization, &account).await?)?.tagged(&tag)
}
