//! `GET …/wallet/recharge-attempts`: what a wallet asked for, latest first, and what became of it. Readable
//! also after the account has changed to consolidated billing.

use axum::extract::State;
use http::StatusCode;
use hub::clock::now_us;

use super::{Attempt, COLUMNS, ID_BYTES_MAX, Shown, Status};
use crate::Shared;
use crate::account::{Account, word};
use crate::answer::Answer;
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::page::{self, Page};
use crate::problem::Problem;
use crate::request::Request;
use crate::store::conditions::{Bound, Conditions};

pub(crate) fn describe() -> Operation {
    Operation::new(
        "List a wallet's recharge attempts",
        "What it asked for, latest first, and what became of it.",
    )
    .query([("status", schema::word(Status::WORDS).about("only these"))])
    .query(schema::window())
    .answers(StatusCode::OK, "A page.", schema::page(Shown::schema()))
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut query = request.query();
    let status = query.optional("status", values::word(Status::WORDS));
    let window = page::window(&mut query);
    let after = window.after().filter(|after| after.len() <= ID_BYTES_MAX).map(str::to_owned);
    query.finish()?;
    app.caught_up(request.access.organization()?).await;
    let mut connection = app.store.read().await?;
    let account = Account::load(&mut connection, request.access.account()?).await?;
    let mut conditions = Conditions::default();
    conditions.and("account_id = ?", [Bound::Text(account.id.to_string())]);
    let status = status.map(|status| [Bound::Text(word(Status::WORDS, &status).to_owned())]);
    conditions.and_given("status = ?", status);
    conditions.and_given("id < ?", after.map(|after| [Bound::Text(after)]));
    let tail = format!("ORDER BY id DESC LIMIT {}", window.rows());
    let rows = conditions.rows(&mut connection, COLUMNS, &tail).await?;
    let attempts = rows.iter().map(Attempt::of_row).collect::<Result<Vec<_>, _>>()?;
    let page = Page::of(attempts, &window, |attempt| attempt.id.clone());
    let now_us = now_us();
    Answer::ok(&page.map(|attempt| attempt.shown(now_us)))
}
