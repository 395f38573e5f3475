//! `GET /v1/organization`, `GET /v1/organizations/{id}`: an organization with its numbers.

use axum::extract::State;

use super::Shown;
use crate::Shared;
use crate::account::{Account, Organization};
use crate::answer::Answer;
use crate::problem::Problem;
use crate::request::Request;

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    request.query().finish()?;
    let id = request.access.organization()?;
    app.caught_up(id).await;
    let mut connection = app.store.read().await?;
    let organization = Organization::load(&mut connection, id).await?;
    let account = Account::load(&mut connection, id).await?;
    Answer::ok(&Shown::load(&app, &mut connection, &organization, &account).await?)
}
