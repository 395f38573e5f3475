//! `DELETE …/invitations/{invitation_id}`: the link is good no more.

use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::json;

use super::{Invitation, Shown};
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::problem::{Kind, Problem};
use crate::request::Request;

#[derive(Deserialize)]
pub(crate) struct Named {
    invitation_id: String,
}

pub(crate) fn describe() -> Operation {
    Operation::new("Revoke an invitation", "Its token is good no more.")
        .body(schema::nothing(), json!({}))
        .answers_nothing("It is revoked.")
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    Path(Named { invitation_id }): Path<Named>,
    request: Request,
) -> Result<Answer, Problem> {
    request.body()?.finish()?;
    let (account, organization) = (request.access.account()?, request.access.organization()?);
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let row = sqlx::query(
        "DELETE FROM invitations WHERE id = $1 AND account_id = $2 \
         RETURNING id, account_id, email, role, created_us, expires_us",
    )
    .bind(invitation_id.as_str())
    .bind(account.to_string())
    .fetch_optional(change.connection())
    .await?
    .ok_or_else(|| Problem::new(Kind::UnknownInvitation, "there is no such open invitation"))?;
    let before = Invitation::of_row(&row)?.shown();
    change
        .audit(
            Some(organization),
            "invitation.revoked",
            &invitation_id,
            Some(&before),
            None::<&Shown>,
        )
        .await?;
    change.commit(Answer::no_content()).await
}
