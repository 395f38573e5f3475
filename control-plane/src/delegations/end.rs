//! `DELETE /v1/sub-accounts/{id}/delegations/{delegation_id}`: the delegation ends before its time.

use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::json;
use sqlx::AssertSqlSafe;

use super::{SELECT, Shown};
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::problem::Problem;
use crate::request::Request;

#[derive(Deserialize)]
pub(crate) struct Named {
    delegation_id: String,
}

pub(crate) fn describe() -> Operation {
    Operation::new("End a delegation", "Before its time is over.")
        .body(schema::nothing(), json!({}))
        .answers_nothing("It has ended.")
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    Path(Named { delegation_id }): Path<Named>,
    request: Request,
) -> Result<Answer, Problem> {
    request.body()?.finish()?;
    let (account, organization) = (request.access.account()?, request.access.organization()?);
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let row = sqlx::query(AssertSqlSafe(format!(
        "{SELECT} WHERE d.id = $1 AND d.account_id = $2 AND d.ended_us IS NULL AND d.expires_us > $3"
    )))
    .bind(delegation_id.as_str())
    .bind(account.to_string())
    .bind(now_us)
    .fetch_optional(change.connection())
    .await?
    .ok_or_else(super::unknown)?;
    let before = Shown::of_row(&row)?;
    sqlx::query("UPDATE delegations SET ended_us = $1 WHERE id = $2")
        .bind(now_us)
        .bind(delegation_id.as_str())
        .execute(change.connection())
        .await?;
    change
        .audit(
            Some(organization),
            "delegation.ended",
            &delegation_id,
            Some(&before),
            None::<&Shown>,
        )
        .await?;
    change.commit(Answer::no_content()).await
}
