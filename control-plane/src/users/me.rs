//! `GET /v1/me`: the user who has signed in, with the accounts that it is a member of.

use axum::extract::State;
use http::StatusCode;

use super::Shown;
use crate::Shared;
use crate::answer::Answer;
use crate::description::Operation;
use crate::members;
use crate::problem::Problem;
use crate::request::Request;

pub(crate) fn describe() -> Operation {
    Operation::new("Read the user who asks", "With the accounts that it is a member of.").answers(
        StatusCode::OK,
        "The user.",
        Shown::members().named("User"),
    )
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    request.query().finish()?;
    let user = request.access.user()?;
    let mut connection = app.store.read().await?;
    let memberships = members::of_user(&mut connection, &user.id).await?;
    Answer::ok(&Shown::of(user, &memberships))
}
