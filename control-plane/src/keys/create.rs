//! `POST /v1/sub-accounts/{id}/api-keys`: a key of a sub-account; its secret is in this answer only.

use axum::extract::State;
use hub::key::KeyScope;
use serde::Serialize;
use sqlx::Row as _;

use super::{Issued, KEYS_PER_ACCOUNT_MAX, KeyType, NewKey, Origin, Shown};
use crate::Shared;
use crate::account::Account;
use crate::answer::Answer;
use crate::change::Begun;
use crate::fields::values;
use crate::problem::{Kind, Problem};
use crate::request::Request;

#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    key: Shown,
    secret: String,
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let name = fields.required("name", values::name);
    let key_type = fields
        .optional("type", values::word(KeyType::WORDS))
        .unwrap_or(KeyType::Live);
    fields.finish()?;
    let name = name.unwrap_or_default();

    let id = request.access.account()?;
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let account = Account::load(change.connection(), id).await?;
    let count = sqlx::query(
        "SELECT CAST(COUNT(*) AS BIGINT) FROM keys WHERE account_id = $1 AND revoked_us IS NULL",
    )
    .bind(id.to_string())
    .fetch_one(change.connection())
    .await?;
    if count.try_get::<i64, _>(0)? >= KEYS_PER_ACCOUNT_MAX {
        let detail = format!(
            "the account has {KEYS_PER_ACCOUNT_MAX} API keys, the most it may have; revoke one first"
        );
        return Err(Problem::new(Kind::Forbidden, detail).with("limit", KEYS_PER_ACCOUNT_MAX));
    }
    let new = NewKey {
        scope: KeyScope::Account(id),
        name: &name,
        key_type,
        origin: Origin::Issued,
    };
    let Issued {
        shown,
        secret,
        change: published,
    } = super::issue(change.connection(), &new, now_us).await?;
    change.publish(published);
    change
        .audit(
            Some(account.organization),
            "api_key.created",
            &shown.id,
            None::<&Shown>,
            Some(&shown),
        )
        .await?;
    change
        .commit(Answer::created(&Created { key: shown, secret })?)
        .await
}
