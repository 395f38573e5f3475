//! `DELETE /v1/sub-accounts/{id}/api-keys/{key_id}`: the key opens nothing from now on.

use axum::extract::{Path, State};
use hub::directory::Change;
use sqlx::Row as _;

use super::Shown;
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::problem::{Kind, Problem};
use crate::request::Request;

pub(crate) async fn handle(
    State(app): State<Shared>,
    Path((_, key_id)): Path<(String, String)>,
    request: Request,
) -> Result<Answer, Problem> {
    request.body()?.finish()?;
    request.query().finish()?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let row = sqlx::query(
        "UPDATE keys SET revoked_us = $1 WHERE id = $2 AND account_id = $3 AND revoked_us IS NULL \
         RETURNING id, hash, name, type, last4, created_us",
    )
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
    change
        .audit(
            Some(request.access.organization()?),
            "api_key.revoked",
            &key_id,
            Some(&shown),
            None::<&Shown>,
        )
        .await?;
    change.commit(Answer::no_content()).await
}
