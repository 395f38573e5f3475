//! Sends what is due, webhook by webhook. What is being sent is claimed for a while in the database,
//! so several control planes share the work, and what a crashed one claimed is sent by another: at
//! least once, in no promised order.

use std::collections::HashSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hub::clock::{SECOND_US, boot_us, now_us};
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};
use tokio::task::JoinSet;

use super::schedule::{self, DELIVERED, FAILED, GIVEN_UP_AFTER_US, KEPT_US};
use super::send::{ATTEMPT_MAX, Sender};
use super::signature;
use crate::App;
use crate::problem::Problem;

/// How often it is looked whether something is due; at once when this process stored it.
const EVERY: Duration = Duration::from_secs(1);
/// Webhooks that are sent to at the same time, and what is sent to each: a slow receiver holds up its
/// own deliveries only.
const WEBHOOKS_MAX: usize = 64;
const EACH_MAX: i64 = 8;
/// What is claimed is sent by another when this long has passed.
const CLAIM_US: i64 = 60 * SECOND_US;
const _: () = assert!(CLAIM_US.unsigned_abs() > 2 * ATTEMPT_MAX.as_secs() * 1_000_000);
const SWEEP_EVERY_US: i64 = 3_600 * SECOND_US;
/// Deliveries swept in one transaction.
const SWEPT_MAX: i64 = 500;
/// A receiver says by it that the webhook is not wanted any more.
const GONE: u16 = 410;

/// A delivery that is due.
struct Due {
    id: String,
    webhook: String,
    url: String,
    secret: String,
    body: String,
    tries: i64,
}

/// What came of an attempt.
struct Outcome {
    at_us: i64,
    took_us: i64,
    status: Option<u16>,
    error: Option<String>,
}

impl Outcome {
    fn is_success(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// Sends until `shutdown`; what is on its way then is finished.
pub(crate) async fn run(app: &Arc<App>, shutdown: impl Future) {
    let sender = Arc::new(Sender::new(app.private_networks));
    let mut shutdown = pin!(shutdown);
    let (mut busy, mut sending) = (HashSet::new(), JoinSet::new());
    let mut swept_us = 0;
    loop {
        match claim(app, &busy).await {
            Ok(claimed) => {
                for (webhook, due) in claimed {
                    busy.insert(webhook.clone());
                    let (app, sender) = (Arc::clone(app), Arc::clone(&sender));
                    sending.spawn(async move {
                        send_all(&app, &sender, due).await;
                        webhook
                    });
                }
            }
            Err(problem) => tracing::warn!(?problem, "deliveries cannot be read; trying again"),
        }
        if now_us() - swept_us > SWEEP_EVERY_US {
            match sweep(app).await {
                Ok(true) => {}
                Ok(false) => swept_us = now_us(),
                Err(problem) => tracing::warn!(?problem, "old deliveries could not be swept"),
            }
        }
        tokio::select! {
            _ = &mut shutdown => break,
            Some(ended) = sending.join_next() => match ended {
                Ok(webhook) => drop(busy.remove(&webhook)),
                Err(error) => {
                    tracing::error!(%error, "sending to a webhook failed");
                    busy.clear();
                }
            },
            () = app.deliveries.notified() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    while sending.join_next().await.is_some() {}
}

/// Claims what is due of webhooks that nobody sends to here.
async fn claim(app: &App, busy: &HashSet<String>) -> Result<Vec<(String, Vec<Due>)>, Problem> {
    let room = WEBHOOKS_MAX.saturating_sub(busy.len());
    let now_us = now_us();
    let mut connection = app.store.read().await?;
    // More than there is room for: those that are being sent to may be among them.
    let sql = format!(
        "SELECT id FROM webhooks WHERE due_us <= $1 AND is_active = 1 ORDER BY due_us LIMIT {}",
        2 * WEBHOOKS_MAX
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(now_us).fetch_all(&mut *connection).await?;
    drop(connection);
    let due: Vec<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let due: Vec<String> = due.into_iter().filter(|id| !busy.contains(id)).take(room).collect();
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let mut writing = app.store.write().await?;
    let mut claimed = Vec::new();
    for webhook in due {
        let deliveries = claim_of(writing.connection(), &webhook, now_us).await?;
        if !deliveries.is_empty() {
            claimed.push((webhook, deliveries));
        }
    }
    writing.commit().await?;
    Ok(claimed)
}

async fn claim_of(
    connection: &mut AnyConnection,
    webhook: &str,
    now_us: i64,
) -> Result<Vec<Due>, Problem> {
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT d.id, d.body, d.tries, w.url, w.secret FROM webhook_deliveries d \
         JOIN webhooks w ON w.id = d.webhook_id \
         WHERE d.webhook_id = $1 AND d.due_us <= $2 AND w.is_active = 1 ORDER BY d.due_us, d.id LIMIT {EACH_MAX}"
    )))
    .bind(webhook)
    .bind(now_us)
    .fetch_all(&mut *connection)
    .await?;
    let mut claimed = Vec::new();
    for row in &rows {
        let due = Due {
            id: row.try_get("id")?,
            webhook: webhook.to_owned(),
            url: row.try_get("url")?,
            secret: row.try_get("secret")?,
            body: row.try_get("body")?,
            tries: row.try_get("tries")?,
        };
        sqlx::query("UPDATE webhook_deliveries SET due_us = $1 WHERE id = $2")
            .bind(now_us + CLAIM_US)
            .bind(due.id.as_str())
            .execute(&mut *connection)
            .await?;
        claimed.push(due);
    }
    set_due(connection, webhook).await?;
    Ok(claimed)
}

/// Says on the webhook when its next delivery is due.
async fn set_due(connection: &mut AnyConnection, webhook: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE webhooks SET due_us = (SELECT MIN(d.due_us) FROM webhook_deliveries d \
         WHERE d.webhook_id = $1 AND d.due_us IS NOT NULL) WHERE id = $1",
    )
    .bind(webhook)
    .execute(connection)
    .await?;
    Ok(())
}

/// Sends the deliveries of one webhook, all at once, and writes what came of each.
async fn send_all(app: &App, sender: &Sender, due: Vec<Due>) {
    let attempts = due.iter().map(|delivery| attempt(sender, delivery));
    let outcomes = futures_util::future::join_all(attempts).await;
    if let Err(problem) = write(app, &due, &outcomes).await {
        // They are sent again when the claim ends.
        tracing::warn!(?problem, "what came of deliveries could not be written");
    }
}

async fn attempt(sender: &Sender, due: &Due) -> Outcome {
    let (at_us, began_us) = (now_us(), boot_us());
    let headers = signature::headers(&due.secret, &due.id, at_us / SECOND_US, &due.body);
    let answered = match headers {
        Some(headers) => sender.post(&due.url, headers, due.body.clone()).await,
        None => Err(super::send::SendError::Url),
    };
    let took_us = boot_us() - began_us;
    let outcome = match answered {
        Ok(status) => Outcome { at_us, took_us, status: Some(status), error: None },
        Err(error) => Outcome { at_us, took_us, status: None, error: Some(error.to_string()) },
    };
    let result = if outcome.is_success() { "ok" } else { "failed" };
    metrics::counter!("ringfence_webhook_attempts_total", "result" => result).increment(1);
    outcome
}

async fn write(app: &App, due: &[Due], outcomes: &[Outcome]) -> Result<(), Problem> {
    let Some(first) = due.first() else { return Ok(()) };
    let mut writing = app.store.write().await?;
    let connection = writing.connection();
    let mut ended = 0;
    for (due, outcome) in due.iter().zip(outcomes) {
        ended += write_one(connection, due, outcome).await?;
    }
    sqlx::query("UPDATE webhooks SET pending = pending - $1 WHERE id = $2")
        .bind(ended)
        .bind(first.webhook.as_str())
        .execute(&mut *connection)
        .await?;
    set_due(connection, &first.webhook).await?;
    judge(connection, &first.webhook, outcomes).await?;
    writing.commit().await?;
    Ok(())
}

/// 1 when the delivery has ended.
async fn write_one(
    connection: &mut AnyConnection,
    due: &Due,
    outcome: &Outcome,
) -> Result<i64, Problem> {
    let now_us = now_us();
    let tries = due.tries + 1;
    let again_us = schedule::next_us(tries, now_us).filter(|_| !outcome.is_success());
    let status = match (outcome.is_success(), again_us) {
        (true, _) => DELIVERED,
        (false, Some(_)) => schedule::PENDING,
        (false, None) => FAILED,
    };
    // Nothing, where the webhook was removed or the delivery asked for again meanwhile.
    let written = sqlx::query(
        "UPDATE webhook_deliveries SET status = $1, tries = $2, due_us = $3, ended_us = $4 \
         WHERE id = $5 AND status = 'pending' AND tries = $6",
    )
    .bind(status)
    .bind(tries)
    .bind(again_us)
    .bind(again_us.is_none().then_some(now_us))
    .bind(due.id.as_str())
    .bind(due.tries)
    .execute(&mut *connection)
    .await?;
    if written.rows_affected() == 0 {
        return Ok(0);
    }
    sqlx::query(
        "INSERT INTO webhook_attempts (delivery_id, number, at_us, took_us, http_status, error) \
         SELECT $1, CAST(COUNT(*) AS BIGINT) + 1, $2, $3, $4, $5 FROM webhook_attempts WHERE delivery_id = $1",
    )
    .bind(due.id.as_str())
    .bind(outcome.at_us)
    .bind(outcome.took_us)
    .bind(outcome.status.map(i64::from))
    .bind(outcome.error.as_deref())
    .execute(connection)
    .await?;
    Ok(i64::from(again_us.is_none()))
}

/// Notes since when a webhook fails, and switches it off when it is gone or has failed for too long.
async fn judge(
    connection: &mut AnyConnection,
    webhook: &str,
    outcomes: &[Outcome],
) -> Result<(), Problem> {
    if outcomes.iter().any(Outcome::is_success) {
        sqlx::query("UPDATE webhooks SET failing_since_us = NULL WHERE id = $1")
            .bind(webhook)
            .execute(connection)
            .await?;
        return Ok(());
    }
    let now_us = now_us();
    let row = sqlx::query(
        "UPDATE webhooks SET failing_since_us = COALESCE(failing_since_us, $1) WHERE id = $2 \
         RETURNING failing_since_us, organization_id, is_active",
    )
    .bind(now_us)
    .bind(webhook)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(()) };
    let reason = if outcomes.iter().any(|outcome| outcome.status == Some(GONE)) {
        "the receiver answered 410 Gone"
    } else if now_us - row.try_get::<i64, _>("failing_since_us")? > GIVEN_UP_AFTER_US {
        "every attempt of five days has failed"
    } else {
        return Ok(());
    };
    if row.try_get::<i64, _>("is_active")? == 0 {
        return Ok(());
    }
    let organization: String = row.try_get("organization_id")?;
    sqlx::query("UPDATE webhooks SET is_active = 0, disabled_reason = $1 WHERE id = $2")
        .bind(reason)
        .bind(webhook)
        .execute(&mut *connection)
        .await?;
    let entry = crate::audit::Row {
        organization: Some(organization.parse().map_err(Problem::internal)?),
        account: None,
        at_us: now_us,
        actor: "ringfence",
        action: "webhook.disabled",
        subject: webhook,
        before: None,
        after: Some(serde_json::json!({"disabled_reason": reason}).to_string()),
    };
    crate::audit::write(connection, &entry).await?;
    Ok(())
}

/// Removes old deliveries; whether there may be more.
async fn sweep(app: &App) -> Result<bool, Problem> {
    let mut writing = app.store.write().await?;
    let connection = writing.connection();
    let old = format!(
        "SELECT id FROM webhook_deliveries WHERE ended_us < $1 ORDER BY ended_us LIMIT {SWEPT_MAX}"
    );
    let before_us = now_us() - KEPT_US;
    let attempts = format!("DELETE FROM webhook_attempts WHERE delivery_id IN ({old})");
    sqlx::query(AssertSqlSafe(attempts)).bind(before_us).execute(&mut *connection).await?;
    let deliveries = format!("DELETE FROM webhook_deliveries WHERE id IN ({old})");
    let swept =
        sqlx::query(AssertSqlSafe(deliveries)).bind(before_us).execute(&mut *connection).await?;
    writing.commit().await?;
    Ok(i64::try_from(swept.rows_affected()).unwrap_or(0) >= SWEPT_MAX)
}
