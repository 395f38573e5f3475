//! `POST /v1/sub-accounts/{id}/delegations`: an Owner or Admin of the organization goes into one of its
//! accounts, for a reason.

use axum::extract::State;
use http::StatusCode;
use serde_json::json;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::{LIFE_US, PER_USER_MAX, SELECT, Shown};
use crate::Shared;
use crate::access::Reach;
use crate::account::word;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::fields::{Raw, values};
use crate::id::new_id;
use crate::problem::{Kind, Problem};
use crate::request::Request;

/// The longest reason.
const REASON_CHARACTERS_MAX: usize = 500;

pub(crate) fn describe() -> Operation {
    let body = schema::asked([
        ("reason", schema::characters(1..=REASON_CHARACTERS_MAX).required()),
        (
            "access",
            schema::word(Reach::WORDS).by_default("read").about("read: nothing can be changed"),
        ),
    ]);
    Operation::new(
        "Go into an account",
        "For 30 minutes: requests with the header `Ringfence-Delegation`, which names the delegation, act there. Everything done is in the audits of both, with the delegation's id. No key is seen, nobody is let in, no delegation opened.",
    )
    .body(body, json!({"reason": "Ticket 4711: calls refused since Monday", "access": "read"}))
    .answers(StatusCode::CREATED, "The delegation.", Shown::schema())
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let reason = fields.required("reason", reason);
    let access = fields.optional("access", values::word(Reach::WORDS)).unwrap_or(Reach::Read);
    fields.finish()?;
    let user = request.access.user()?;
    let (account, organization) = (request.access.account()?, request.access.organization()?);
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    check_room(change.connection(), &user.id, now_us).await?;
    let id = new_id("delegation", now_us);
    sqlx::query(
        "INSERT INTO delegations (id, account_id, user_id, access, reason, created_us, expires_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(id.as_str())
    .bind(account.to_string())
    .bind(user.id.as_str())
    .bind(word(Reach::WORDS, &access))
    .bind(reason.unwrap_or_default())
    .bind(now_us)
    .bind(now_us.saturating_add(LIFE_US))
    .execute(change.connection())
    .await?;
    let row = sqlx::query(AssertSqlSafe(format!("{SELECT} WHERE d.id = $1")))
        .bind(id.as_str())
        .fetch_one(change.connection())
        .await?;
    let opened = Shown::of_row(&row)?;
    change
        .audit(Some(organization), "delegation.opened", &id, None::<&Shown>, Some(&opened))
        .await?;
    change.commit(Answer::created(&opened)?).await
}

fn reason(raw: &Raw) -> Result<String, String> {
    let reason = values::text(raw).unwrap_or_default().trim().to_owned();
    let characters = reason.chars().count();
    if (1..=REASON_CHARACTERS_MAX).contains(&characters) && !reason.chars().any(char::is_control) {
        return Ok(reason);
    }
    Err(format!(
        "expected 1 to {REASON_CHARACTERS_MAX} characters, none of them a control character"
    ))
}

async fn check_room(
    connection: &mut AnyConnection,
    user_id: &str,
    now_us: i64,
) -> Result<(), Problem> {
    let count = sqlx::query(
        "SELECT CAST(COUNT(*) AS BIGINT) FROM delegations \
         WHERE user_id = $1 AND ended_us IS NULL AND expires_us > $2",
    )
    .bind(user_id)
    .bind(now_us)
    .fetch_one(connection)
    .await?;
    if count.try_get::<i64, _>(0)? < PER_USER_MAX {
        return Ok(());
    }
    let detail = format!("the user has {PER_USER_MAX} open delegations; end one first");
    Err(Problem::new(Kind::Forbidden, detail).with("limit", PER_USER_MAX))
}

#[cfg(test)]
mod tests;
