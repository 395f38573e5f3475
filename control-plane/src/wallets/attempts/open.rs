//! `POST …/wallet/recharge-attempts`: asks for the money of `auto_recharge` now, whatever the balance is and
//! whatever became of the attempt before.

use axum::extract::State;
use http::StatusCode;
use serde_json::json;

use super::{Attempt, Shown, nobody_listens};
use crate::Shared;
use crate::account::Account;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::wallets::own;

pub(crate) fn describe() -> Operation {
    Operation::new(
        "Ask for a recharge now",
        "Opens a recharge attempt of the amount of `auto_recharge`, whatever the balance is, also after one that was declined. Webhooks are told by `recharge.wanted`.",
    )
    .body(schema::nothing(), json!({}))
    .answers(StatusCode::CREATED, "The attempt.", Shown::schema())
    .refuses([
        Kind::ConsolidatedBilling,
        Kind::AutoRechargeOff,
        Kind::RechargeAttemptOpen,
        Kind::NobodyListens,
    ])
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    request.body()?.finish()?;
    let (id, organization) = (request.access.account()?, request.access.organization()?);
    app.caught_up(organization).await;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let account = Account::load(change.connection(), id).await?;
    let wallet = own(change.connection(), &account).await?;
    let Some(recharge) = wallet.watch.recharge else {
        return Err(Problem::new(
            Kind::AutoRechargeOff,
            "the wallet does not say what to ask for: set auto_recharge by PATCH …/wallet first",
        ));
    };
    if let Some(open) = Attempt::open_of(change.connection(), id).await? {
        let detail = "the wallet has an attempt that is open: settle it by a recharge that names it, decline or cancel it first";
        return Err(Problem::new(Kind::RechargeAttemptOpen, detail).with("attempt_id", open.id));
    }
    let opened = Attempt::open(change.connection(), &wallet, recharge.amount, now_us).await?;
    let attempt = opened.ok_or_else(nobody_listens)?;
    let shown = attempt.shown(now_us);
    change
        .audit(Some(organization), attempt.action(), &attempt.id, None::<&Shown>, Some(&shown))
        .await?;
    change.commit(Answer::created(&shown)?).await
}
