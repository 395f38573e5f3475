//! `DELETE …/members/{user_id}`: the user is a member no more; what it did stays. The Owner cannot be
//! removed.

use axum::extract::{Path, State};
use serde_json::json;

use super::{Member, Named};
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::problem::{Kind, Problem};
use crate::request::Request;

pub(crate) fn describe() -> Operation {
    Operation::new("Remove a member", "Counts from its next request. The Owner cannot be removed.")
        .body(schema::nothing(), json!({}))
        .answers_nothing("It is a member no more.")
        .refuses([Kind::OwnerRequired])
        .tagged()
}

pub(crate) async fn handle(
    State(app): State<Shared>,
    Path(Named { user_id }): Path<Named>,
    request: Request,
) -> Result<Answer, Problem> {
    request.body()?.finish()?;
    let (account, organization) = (request.access.account()?, request.access.organization()?);
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let before = Member::load(change.connection(), account, &user_id).await?;
    request.preconditions.check(&before.tag()?)?;
    before.refuse_owner()?;
    sqlx::query("DELETE FROM memberships WHERE account_id = $1 AND user_id = $2")
        .bind(account.to_string())
        .bind(user_id.as_str())
        .execute(change.connection())
        .await?;
    change
        .audit(Some(organization), "member.removed", &user_id, Some(&before), None::<&Member>)
        .await?;
    change.commit(Answer::no_content()).await
}
