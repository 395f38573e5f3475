//! `POST /v1/user-webhooks/{webhook_id}/test`: sends an event `webhook.test` there.

use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::json;

use super::deliveries::Delivery;
use super::{Event, EventKind, Webhook, event};
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::problem::{Kind, Problem};
use crate::request::Request;

pub(crate) fn describe() -> Operation {
    Operation::new("Test a webhook", "Sends an event `webhook.test` there.")
        .body(schema::nothing(), json!({}))
        .answers(StatusCode::CREATED, "The delivery, which is on its way.", Delivery::schema())
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Answer, Problem> {
    request.body()?.finish()?;
    let (account, organization) = (request.access.account()?, request.access.organization()?);
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let webhook = Webhook::load(change.connection(), account, &id).await?;
    webhook.refuse_inactive()?;
    let test = Event::new(
        EventKind::Test,
        account,
        organization,
        &json!({"message": "This is a test. If its signature is right, the webhook works."}),
    )?;
    let stored = event::deliver(change.connection(), &id, &test, now_us).await?;
    let Some(delivery) = stored else {
        return Err(Problem::new(Kind::Busy, "too many deliveries of this webhook wait"));
    };
    let delivery = Delivery::load(change.connection(), &id, &delivery).await?;
    let answer = Answer::created(&delivery)?;
    let committed = change.commit(answer).await;
    app.deliveries.notify_one();
    committed
}
