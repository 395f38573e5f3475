//! `DELETE /v1/user-webhooks/{webhook_id}`: with everything that waits there, and its log.

use axum::extract::{Path, State};
use serde_json::json;

use super::{Shown, Webhook, remove_one};
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::problem::Problem;
use crate::request::Request;

pub(crate) fn describe() -> Operation {
    Operation::new("Remove a webhook", "With everything that waits there, and its log.")
        .body(schema::nothing(), json!({}))
        .answers_nothing("It is removed.")
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Answer, Problem> {
    request.body()?.finish()?;
    request.query().finish()?;
    let (account, organization) = (request.access.account()?, request.access.organization()?);
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let webhook = Webhook::load(change.connection(), account, &id).await?;
    remove_one(change.connection(), &id).await?;
    change
        .audit(Some(organization), "webhook.removed", &id, Some(&webhook.shown()), None::<&Shown>)
        .await?;
    change.commit(Answer::no_content()).await
}
