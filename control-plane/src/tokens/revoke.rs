//! `DELETE /v1/me/tokens/{token_id}`: the token opens nothing from now on.

use axum::extract::{Path, State};
use serde_json::json;
use sqlx::AssertSqlSafe;

use super::{COLUMNS, Shown};
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::problem::{Kind, Problem};
use crate::request::Request;

pub(crate) fn describe() -> Operation {
    Operation::new("Revoke an API token", "It opens nothing from now on.")
        .body(schema::nothing(), json!({}))
        .answers_nothing("It is revoked.")
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    Path(token_id): Path<String>,
    request: Request,
) -> Result<Answer, Problem> {
    request.body()?.finish()?;
    let user = request.access.user()?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let row = sqlx::query(AssertSqlSafe(format!(
        "DELETE FROM user_tokens WHERE id = $1 AND user_id = $2 RETURNING {COLUMNS}"
    )))
    .bind(token_id)
    .bind(user.id.as_str())
    .fetch_optional(change.connection())
    .await?
    .ok_or_else(|| Problem::new(Kind::UnknownToken, "the user has no such API token"))?;
    let before = Shown::of_row(&row)?;
    change.audit(None, "token.revoked", &user.id, Some(&before), None::<&Shown>).await?;
    change.commit(Answer::no_content()).await
}
