//! `GET /v1/sub-accounts/{id}` and `…/workspaces/{id}`: one account with its use and its wallet.

use axum::extract::State;
use http::StatusCode;

use super::{Settings, Shown};
use crate::Shared;
use crate::account::{Account, Organization};
use crate::answer::Answer;
use crate::description::Operation;
use crate::ledger::Wallet;
use crate::precondition::Tag;
use crate::problem::Problem;
use crate::request::Request;

pub(crate) fn describe() -> Operation {
    Operation::new(
        "Read a sub-account",
        "With its live calls and its wallet. A test key sees the calls of the account's shadow, and no money.",
    )
    .answers(StatusCode::OK, "The sub-account.", Shown::schema())
        .tagged()
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    request.query().finish()?;
    let (id, organization) = (request.access.account()?, request.access.organization()?);
    app.caught_up(organization).await;
    let mut connection = app.store.read().await?;
    let organization = Organization::load(&mut connection, organization).await?;
    let account = Account::load(&mut connection, id).await?;
    let tag = Tag::of(&Settings::of(&account, organization.currency))?;
    if request.preconditions.is_known(&tag) {
        return Answer::not_modified(&tag);
    }
    let wallet = Wallet::find(&mut connection, id).await?;
    drop(connection);
    let mut shown = Shown::now(&app, &account, organization.currency, wallet.as_ref()).await;
    if request.access.is_test() {
        // A test key sees the shadow: its calls, and no money.
        let shadow = app.hub.account_use(organization.id, id.shadow()).await;
        shown.in_use = shadow.map(|shadow| shadow.live);
        shown.wallet = None;
    }
    Answer::ok(&shown)?.tagged(&tag)
}
