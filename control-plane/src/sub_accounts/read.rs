//! `GET /v1/sub-accounts/{id}` and `…/workspaces/{id}`: one account with its use and its wallet.

use axum::extract::State;

use super::Shown;
use crate::Shared;
use crate::account::{Account, Organization};
use crate::answer::Answer;
use crate::ledger::Wallet;
use crate::problem::Problem;
use crate::request::Request;

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    request.query().finish()?;
    let (id, organization) = (request.access.account()?, request.access.organization()?);
    app.caught_up(organization).await;
    let mut connection = app.store.read().await?;
    let organization = Organization::load(&mut connection, organization).await?;
    let account = Account::load(&mut connection, id).await?;
    let wallet = Wallet::find(&mut connection, id).await?;
    drop(connection);
    let mut shown = Shown::now(&app, &account, organization.currency, wallet.as_ref()).await;
    if request.access.is_test() {
        // A test key sees the shadow: its calls, and no money.
        let shadow = app.hub.account_use(organization.id, id.shadow()).await;
        shown.in_use = shadow.map(|shadow| shadow.live);
        shown.wallet = None;
    }
    Answer::ok(&shown)
}
