//! `GET …/wallet`: balance, holds and what is available. Contains the charge of every call whose
//! release was answered before the request.

use axum::extract::State;
use http::StatusCode;

use super::Shown;
use crate::Shared;
use crate::account::Account;
use crate::answer::Answer;
use crate::description::Operation;
use crate::problem::{Kind, Problem};
use crate::request::Request;

pub(crate) fn describe() -> Operation {
    Operation::new(
        "Read a wallet",
        "Contains the charge of every call whose release was answered before the request.",
    )
    .answers(StatusCode::OK, "The wallet.", Shown::schema())
    .refuses([Kind::ConsolidatedBilling])
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    request.query().finish()?;
    app.caught_up(request.access.organization()?).await;
    let mut connection = app.store.read().await?;
    let account = Account::load(&mut connection, request.access.account()?).await?;
    let wallet = super::own(&mut connection, &account).await?;
    drop(connection);
    Answer::ok(&Shown::now(&app, &wallet).await)
}
