//! `GET /v1/me/tokens`: the tokens of the user who has signed in, without their secrets.

use axum::extract::State;
use http::StatusCode;
use hub::clock::now_us;
use sqlx::AssertSqlSafe;

use super::{COLUMNS, Shown};
use crate::Shared;
use crate::answer::Answer;
use crate::description::{Operation, schema};
use crate::page::{self, Page};
use crate::problem::Problem;
use crate::request::Request;

pub(crate) fn describe() -> Operation {
    Operation::new("List one's API tokens", "Those that have not expired.")
        .query(schema::window())
        .answers(StatusCode::OK, "A page.", schema::page(Shown::members().named("Token")))
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut query = request.query();
    let window = page::window(&mut query);
    query.finish()?;
    let mut connection = app.store.read().await?;
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM user_tokens \
         WHERE user_id = $1 AND expires_us > $2 AND id > $3 ORDER BY id LIMIT $4"
    )))
    .bind(request.access.user()?.id.as_str())
    .bind(now_us())
    .bind(window.after_text())
    .bind(window.rows())
    .fetch_all(&mut *connection)
    .await?;
    let tokens = rows.iter().map(Shown::of_row).collect::<Result<Vec<_>, _>>()?;
    Answer::ok(&Page::of(tokens, &window, |token| token.token_id.clone()))
}
