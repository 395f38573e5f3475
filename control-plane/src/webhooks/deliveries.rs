//! The log: `GET /v1/user-webhooks/{webhook_id}/deliveries`, latest first, and
//! `POST /v1/webhook-deliveries/{delivery_id}/redeliver`.

use axum::extract::{Path, State};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::{Webhook, schedule};
use crate::Shared;
use crate::answer::Answer;
use crate::change::Begun;
use crate::description::schema::Schema;
use crate::description::{Operation, schema};
use crate::page::{self, Page};
use crate::problem::{Kind, Problem};
use crate::request::Request;
use crate::timestamp;

const COLUMNS: &str =
    "SELECT id, event, body, status, due_us, created_us, ended_us FROM webhook_deliveries";
/// Follows the id of every delivery.
const AFTER_ALL: &str = "msg_z";

/// One event on its way to a webhook, with what came of it.
#[derive(Serialize)]
pub(crate) struct Delivery {
    id: String,
    event: String,
    /// `pending`, `delivered` or `failed`.
    status: String,
    created_at: String,
    /// When it is tried next; null once it has ended.
    next_attempt_at: Option<String>,
    ended_at: Option<String>,
    attempts: Vec<Attempt>,
    /// What is sent.
    body: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct Attempt {
    at: String,
    took_ms: i64,
    /// What was answered; null with `error`.
    http_status: Option<i64>,
    error: Option<String>,
}

impl Delivery {
    pub(super) fn schema() -> Schema {
        let attempt = schema::answered([
            ("at", schema::time()),
            ("took_ms", schema::count()),
            ("http_status", schema::count().or_null().about("null: nothing was answered")),
            ("error", schema::text().or_null().about("why nothing was")),
        ]);
        schema::answered([
            ("id", schema::id("msg")),
            ("event", schema::text().example("call.completed")),
            ("status", schema::labels([schedule::PENDING, schedule::DELIVERED, schedule::FAILED])),
            ("created_at", schema::time()),
            ("next_attempt_at", schema::time().or_null().about("null: it has ended")),
            ("ended_at", schema::time().or_null()),
            ("attempts", schema::list(attempt)),
            ("body", schema::anything().about("what is sent")),
        ])
        .named("WebhookDelivery")
    }

    pub(super) async fn load(
        connection: &mut AnyConnection,
        webhook: &str,
        id: &str,
    ) -> Result<Self, Problem> {
        let row =
            sqlx::query(AssertSqlSafe(format!("{COLUMNS} WHERE id = $1 AND webhook_id = $2")))
                .bind(id)
                .bind(webhook)
                .fetch_optional(&mut *connection)
                .await?;
        let mut delivery = Self::of_row(&row.ok_or_else(unknown)?)?;
        delivery.read_attempts(connection).await?;
        Ok(delivery)
    }

    fn of_row(row: &AnyRow) -> Result<Self, Problem> {
        let time = |column| -> Result<Option<String>, sqlx::Error> {
            Ok(row.try_get::<Option<i64>, _>(column)?.map(timestamp::text))
        };
        Ok(Self {
            id: row.try_get("id")?,
            event: row.try_get("event")?,
            status: row.try_get("status")?,
            created_at: timestamp::text(row.try_get("created_us")?),
            next_attempt_at: time("due_us")?,
            ended_at: time("ended_us")?,
            attempts: Vec::new(),
            body: RawValue::from_string(row.try_get("body")?).ok(),
        })
    }

    async fn read_attempts(&mut self, connection: &mut AnyConnection) -> Result<(), Problem> {
        let rows = sqlx::query(
            "SELECT at_us, took_us, http_status, error FROM webhook_attempts WHERE delivery_id = $1 ORDER BY number",
        )
        .bind(self.id.as_str())
        .fetch_all(connection)
        .await?;
        for row in rows {
            self.attempts.push(Attempt {
                at: timestamp::text(row.try_get("at_us")?),
                took_ms: row.try_get::<i64, _>("took_us")? / 1_000,
                http_status: row.try_get("http_status")?,
                error: row.try_get("error")?,
            });
        }
        Ok(())
    }
}

pub(crate) fn describe_list() -> Operation {
    Operation::new("Read the log of a webhook", "Latest first; kept for 30 days.")
        .query(schema::window())
        .answers(StatusCode::OK, "A page.", schema::page(Delivery::schema()))
}

pub(crate) fn describe_redeliver() -> Operation {
    Operation::new("Send a delivery again", "However it ended; under the same id.")
        .body(schema::nothing(), json!({}))
        .answers(StatusCode::OK, "The delivery, which is on its way.", Delivery::schema())
}

pub(crate) async fn list(
    State(app): State<Shared>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Answer, Problem> {
    let mut query = request.query();
    let window = page::window(&mut query);
    query.finish()?;
    let account = request.access.account()?;
    let mut connection = app.store.read().await?;
    Webhook::load(&mut connection, account, &id).await?;
    let sql = format!("{COLUMNS} WHERE webhook_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(id.as_str())
        .bind(window.after().unwrap_or(AFTER_ALL))
        .bind(window.rows())
        .fetch_all(&mut *connection)
        .await?;
    let found = rows.iter().map(Delivery::of_row).collect::<Result<Vec<_>, _>>()?;
    let mut page = Page::of(found, &window, |delivery| delivery.id.clone());
    for delivery in &mut page.data {
        delivery.read_attempts(&mut connection).await?;
    }
    Answer::ok(&page)
}

/// Sends it again, however it ended, with all its attempts anew. The id stays the same: who has it
/// already knows it.
pub(crate) async fn redeliver(
    State(app): State<Shared>,
    Path(delivery): Path<String>,
    request: Request,
) -> Result<Answer, Problem> {
    request.body()?.finish()?;
    let (account, organization) = (request.access.account()?, request.access.organization()?);
    let mut change = match app.begin(&request).await? {
        Begun::New(change) => change,
        Begun::Repeated(answer) => return Ok(answer),
    };
    let now_us = change.now_us;
    let id = webhook_of(change.connection(), &delivery).await?;
    let webhook = Webhook::load(change.connection(), account, &id).await.map_err(|_| unknown())?;
    let before = Delivery::load(change.connection(), &id, &delivery).await?;
    webhook.refuse_inactive()?;
    let waits = i64::from(before.status != schedule::PENDING);
    sqlx::query(
        "UPDATE webhook_deliveries SET status = $1, tries = 0, due_us = $2, ended_us = NULL WHERE id = $3",
    )
    .bind(schedule::PENDING)
    .bind(now_us)
    .bind(delivery.as_str())
    .execute(change.connection())
    .await?;
    sqlx::query("UPDATE webhooks SET pending = pending + $1, due_us = $2 WHERE id = $3")
        .bind(waits)
        .bind(now_us)
        .bind(id.as_str())
        .execute(change.connection())
        .await?;
    let after = Delivery::load(change.connection(), &id, &delivery).await?;
    change
        .audit(Some(organization), "webhook.redelivered", &delivery, None::<&()>, None::<&()>)
        .await?;
    let committed = change.commit(Answer::ok(&after)?).await;
    app.deliveries.notify_one();
    committed
}

fn unknown() -> Problem {
    Problem::new(Kind::UnknownDelivery, "the account has no such delivery")
}

async fn webhook_of(connection: &mut AnyConnection, delivery: &str) -> Result<String, Problem> {
    let row = sqlx::query("SELECT webhook_id FROM webhook_deliveries WHERE id = $1")
        .bind(delivery)
        .fetch_optional(connection)
        .await?;
    Ok(row.ok_or_else(unknown)?.try_get(0)?)
}
