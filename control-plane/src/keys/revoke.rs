//! `DELETE /v1/sub-accounts/{id}/api-keys/{key_id}`: the key opens nothing from now on.

use axum::extract::{Path, State};
use hub::directory::Change;
use serde_json::json;
use sqlx::{AssertSqlSafe, Row as _};

use super::{COLUMNS, Named, Shown};
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::webhooks::EventKind;

pub(crate) fn describe() -> Operation {
    Operation::new("Revoke an API key", "It opens nothing from now on, for good.")
        .body(schema::nothing(), json!({}))
        .answers_nothing("It is revoked.")
        .tagged()
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    Path(Named { key_id }): Path<Named>,
    request: Request,
) -> Result<Answer, Problem> {
    request.body()?.finish()?;
    request.query().finish()?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let row = sqlx::query(AssertSqlSafe(format!(
        "UPDATE keys SET revoked_us = $1 WHERE id = $2 AND account_id = $3 AND revoked_us IS NULL \
         RETURNING hash, {COLUMNS}"
    )))
    .bind(now_us)
    .bind(key_id.as_str())
    .bind(request.access.account()?.to_string())
    .fetch_optional(change.connection())
    .await?
    .ok_or_else(|| Problem::new(Kind::UnknownKey, "the account has no such API key"))?;
    let hash = super::of_hex(&row.try_get::<String, _>("hash")?)?;
    let organization = Some(request.access.organization()?);
    change.publish(Change::KeyGone { hash, organization });
    let shown = Shown::of_row(&row)?;
    // What is refused here is not committed.
    request.preconditions.check(&shown.tag()?)?;
    change
        .audit(
            Some(request.access.organization()?),
            "api_key.revoked",
            &key_id,
            Some(&shown),
            None::<&Shown>,
        )
        .await?;
    let (account, organization) = (request.access.account()?, request.access.organization()?);
    change.tell(EventKind::KeyRevoked, account, organization, &shown)?;
    change.commit(Answer::no_content()).await
}
