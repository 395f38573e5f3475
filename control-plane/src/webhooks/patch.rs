//! `PATCH /v1/user-webhooks/{webhook_id}`. Switching it on again forgets why it was off; what waits is
//! sent then.

use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::json;

use super::{Shown, Webhook, event, values as read};
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::Operation;
use crate::fields::values;
use crate::problem::Problem;
use crate::request::Request;

pub(crate) fn describe() -> Operation {
    Operation::new(
        "Change a webhook",
        "Merges what is given. What waits is sent when it is switched on again.",
    )
    .body(read::asked(false), json!({"is_active": false}))
    .answers(StatusCode::OK, "The webhook as it is now.", Shown::schema())
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let url = fields.optional("url", read::url(app.private_networks));
    let events = fields.optional("events", read::events);
    let is_active = fields.optional("is_active", values::flag);
    let secret = fields.optional_secret("secret", read::secret);
    fields.finish()?;
    let (account, organization) = (request.access.account()?, request.access.organization()?);
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let before = Webhook::load(change.connection(), account, &id).await?;
    let is_revived = is_active == Some(true) && !before.is_active;
    let after = Webhook {
        url: url.unwrap_or_else(|| before.url.clone()),
        events: events.unwrap_or_else(|| before.events.clone()),
        secret: secret.unwrap_or_else(|| before.secret.clone()),
        is_active: is_active.unwrap_or(before.is_active),
        disabled_reason: before.disabled_reason.clone().filter(|_| is_active.is_none()),
        failing_since_us: before.failing_since_us.filter(|_| !is_revived),
        updated_us: now_us,
        ..before.clone()
    };
    sqlx::query(
        "UPDATE webhooks SET url = $1, events = $2, secret = $3, is_active = $4, disabled_reason = $5, \
         failing_since_us = $6, updated_us = $7 WHERE id = $8",
    )
    .bind(after.url.as_str())
    .bind(event::text(&after.events))
    .bind(after.secret.as_str())
    .bind(i64::from(after.is_active))
    .bind(after.disabled_reason.as_deref())
    .bind(after.failing_since_us)
    .bind(now_us)
    .bind(id.as_str())
    .execute(change.connection())
    .await?;
    let (shown, was) = (after.shown(), before.shown());
    change.audit(Some(organization), "webhook.updated", &id, Some(&was), Some(&shown)).await?;
    change.commit(Answer::ok(&shown)?).await
}
