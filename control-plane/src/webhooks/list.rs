//! `GET /v1/user-webhooks` and `GET /v1/user-webhooks/{webhook_id}`.

use axum::extract::{Path, State};
use http::StatusCode;
use serde::Serialize;

use super::{COLUMNS, PER_ACCOUNT_MAX, Shown, Webhook};
use crate::Shared;
use crate::answer::Answer;
use crate::description::{Operation, schema};
use crate::problem::Problem;
use crate::request::Request;

#[derive(Serialize)]
struct List {
    data: Vec<Shown>,
    /// There are never more than fit on one page.
    next_cursor: Option<String>,
}

pub(crate) fn describe() -> Operation {
    Operation::new("List webhooks", "Those of the account that asks; they fit on one page.")
        .answers(StatusCode::OK, "All of them.", schema::page(Shown::schema()))
}

pub(crate) fn describe_one() -> Operation {
    Operation::new("Read a webhook", "With what waits to be delivered.").answers(
        StatusCode::OK,
        "The webhook.",
        Shown::schema(),
    )
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    request.query().finish()?;
    let account = request.access.account()?;
    let mut connection = app.store.read().await?;
    let sql = format!("{COLUMNS} WHERE account_id = $1 ORDER BY id LIMIT {PER_ACCOUNT_MAX}");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(account.to_string())
        .fetch_all(&mut *connection)
        .await?;
    let data = rows.iter().map(|row| Ok(Webhook::of_row(row)?.shown()));
    Answer::ok(&List { data: data.collect::<Result<_, Problem>>()?, next_cursor: None })
}

pub(crate) async fn one(
    State(app): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Answer, Problem> {
    request.query().finish()?;
    let account = request.access.account()?;
    let mut connection = app.store.read().await?;
    Answer::ok(&Webhook::load(&mut connection, account, &id).await?.shown())
}
