//! `POST /v1/user-webhooks`: a webhook of the account or organization that asks.

use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use sqlx::Row as _;

use super::{PER_ACCOUNT_MAX, Shown, Webhook, event, new_secret, values as read};
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::{Operation, schema};
use crate::fields::values;
use crate::id::new_id;
use crate::problem::{Kind, Problem};
use crate::request::Request;

#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    webhook: Shown,
    secret: String,
}

pub(crate) fn describe() -> Operation {
    let created =
        Shown::members().with([("secret", schema::text().about("in this answer only, and whole"))]);
    Operation::new(
        "Create a webhook",
        "Events of the account that asks are sent to it; an organization's are told of its accounts too. At most 20 per account.",
    )
    .body(
        read::asked(true),
        json!({"url": "https://example.com/ringfence", "events": ["call.completed"], "is_active": true}),
    )
    .answers(StatusCode::CREATED, "The webhook with its secret.", created.named("NewWebhook"))
    .makes("id", "/v1/user-webhooks/{webhook_id}")
}

pub(crate) async fn handle(State(app): State<Shared>, request: Request) -> Result<Answer, Problem> {
    let mut fields = request.body()?;
    let url = fields.required("url", read::url(app.private_networks));
    let events = fields.required("events", read::events);
    let is_active = fields.optional("is_active", values::flag).unwrap_or(true);
    let secret = fields.optional_secret("secret", read::secret);
    fields.finish()?;
    let (account, organization) = (request.access.account()?, request.access.organization()?);
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let count = sqlx::query("SELECT CAST(COUNT(*) AS BIGINT) FROM webhooks WHERE account_id = $1")
        .bind(account.to_string())
        .fetch_one(change.connection())
        .await?;
    if count.try_get::<i64, _>(0)? >= PER_ACCOUNT_MAX {
        let detail = format!(
            "the account has {PER_ACCOUNT_MAX} webhooks, the most it may have; remove one first"
        );
        return Err(Problem::new(Kind::Forbidden, detail).with("limit", PER_ACCOUNT_MAX));
    }
    let now_us = change.now_us;
    let webhook = Webhook {
        id: new_id("webhook", now_us),
        account,
        url: url.unwrap_or_default(),
        events: events.unwrap_or_default(),
        secret: secret.unwrap_or_else(new_secret),
        is_active,
        disabled_reason: None,
        failing_since_us: None,
        pending: 0,
        dropped: 0,
        created_us: now_us,
        updated_us: now_us,
    };
    sqlx::query(
        "INSERT INTO webhooks (id, organization_id, account_id, url, events, secret, is_active, pending, dropped, \
         created_us, updated_us) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, $8, $8)",
    )
    .bind(webhook.id.as_str())
    .bind(organization.to_string())
    .bind(account.to_string())
    .bind(webhook.url.as_str())
    .bind(event::text(&webhook.events))
    .bind(webhook.secret.as_str())
    .bind(i64::from(is_active))
    .bind(now_us)
    .execute(change.connection())
    .await?;
    let shown = webhook.shown();
    change
        .audit(Some(organization), "webhook.created", &webhook.id, None::<&Shown>, Some(&shown))
        .await?;
    change.commit(Answer::created(&Created { webhook: shown, secret: webhook.secret })?).await
}
