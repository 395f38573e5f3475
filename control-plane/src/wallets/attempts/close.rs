//! `POST …/wallet/recharge-attempts/{attempt_id}/decline` and `…/cancel`: an attempt that brings no money. Who
//! takes payments declines it, an administrator cancels what nobody answers. Nothing is asked for again
//! until the balance has been above the line, or somebody asks.

use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{Attempt, Shown, Status};
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::problem::{Kind, Problem};
use crate::request::Request;

#[derive(Deserialize)]
pub(crate) struct Named {
    attempt_id: String,
}

pub(crate) fn describe_decline() -> Operation {
    let reason = schema::name().required().about("why no money was taken");
    Operation::new(
        "Decline a recharge attempt",
        "No money was taken, and none will be. The wallet asks again when its balance has been above its line, or when somebody asks.",
    )
    .body(schema::asked([("reason", reason)]), json!({"reason": "card_expired"}))
    .answers(StatusCode::OK, "The attempt.", Shown::schema())
    .refuses([Kind::RechargeAttemptClosed])
}

pub(crate) fn describe_cancel() -> Operation {
    Operation::new(
        "Cancel a recharge attempt",
        "For one that nobody answers: look first whether money was taken for it. The wallet asks again when its balance has been above its line, or when somebody asks.",
    )
    .body(schema::asked([("reason", schema::name())]), json!({"reason": "Ticket 4711"}))
    .answers(StatusCode::OK, "The attempt.", Shown::schema())
    .refuses([Kind::RechargeAttemptClosed])
}

pub(crate) async fn decline(
    State(app): State<Shared>,
    Path(Named { attempt_id }): Path<Named>,
    request: Request,
) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let reason = fields.required("reason", values::name);
    fields.finish()?;
    close(&app, &request, &attempt_id, (Status::Declined, reason)).await
}

pub(crate) async fn cancel(
    State(app): State<Shared>,
    Path(Named { attempt_id }): Path<Named>,
    request: Request,
) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let reason = fields.optional("reason", values::name);
    fields.finish()?;
    close(&app, &request, &attempt_id, (Status::Canceled, reason)).await
}

async fn close(
    app: &Shared,
    request: &Request,
    attempt_id: &str,
    (status, reason): (Status, Option<String>),
) -> Result<Answer, Problem> {
    let mut change = match app.begin(request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let of = (request.access.account()?, attempt_id);
    let shown = Attempt::end(&mut change, of, (status, reason, None)).await?;
    change.commit(Answer::ok(&shown)?).await
}
