//! From the reports of gateways to the database: statistics of refused admits, each report once. What
//! makes it once is the reporter's last number, written in the transaction of what the report said: so
//! a report may be read again, and by several control planes. No money and no slot is in it.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use hub::clock::{SECOND_US, now_us};
use hub::report::{KeyUse, Report, minute_us};
use sqlx::{AnyConnection, Row as _};

use crate::App;
use crate::keys;
use crate::problem::Problem;
use crate::webhooks::event;

mod reached;
mod sums;

use sums::Sums;
pub(crate) use sums::{SLICE_COLUMNS, together};

/// How often reports are looked for; at once again while there are some.
const EVERY: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(50);
/// The pause after the database failed.
const FAILED_PAUSE: Duration = Duration::from_secs(2);
/// Readings of a stop: a gateway in the same process has left its last report before.
const LAST_READINGS_MAX: u32 = 100;
/// How often what has outlived its use is swept.
const SWEEP_EVERY_US: i64 = 600 * SECOND_US;
const DAY_US: i64 = 86_400 * SECOND_US;
/// How long a reporter's last number is kept: longer than any report waits.
const REPORTERS_US: i64 = 366 * DAY_US;
/// How long it is kept when calls were refused.
pub(crate) const REFUSED_CALLS_DAYS: i64 = 35;
/// For how many days usage knows of refused admits: the longest window, and some weeks.
const DENIALS_DAYS: i64 = 400;

/// Takes reports until `shutdown`, then what is left.
pub(crate) async fn run(app: &App, shutdown: impl Future) {
    let mut shutdown = pin!(shutdown);
    let mut swept_us = 0;
    loop {
        let pause = match take(app).await {
            Ok(0) => EVERY,
            Ok(_) => AGAIN,
            Err(problem) => {
                tracing::error!(
                    ?problem,
                    "statistics of refused calls cannot be written; they wait"
                );
                FAILED_PAUSE
            }
        };
        if now_us() - swept_us > SWEEP_EVERY_US {
            swept_us = now_us();
            if let Err(error) = sweep(app, swept_us).await {
                tracing::warn!(%error, "old statistics of refused calls could not be swept");
            }
        }
        tokio::select! {
            _ = &mut shutdown => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
    for _ in 0..LAST_READINGS_MAX {
        if !matches!(take(app).await, Ok(1..)) {
            return;
        }
    }
}

/// Writes the reports that wait, if any, and says how many they were.
pub(crate) async fn take(app: &App) -> Result<usize, Problem> {
    let waiting = app.hub.waiting_reports().await;
    if waiting.is_empty() {
        return Ok(0);
    }
    let mut reports = Vec::with_capacity(waiting.len());
    for waiting in &waiting {
        match waiting.read() {
            Ok(report) => reports.push(report),
            Err(error) => {
                tracing::error!(%error, "a gateway's report of statistics is passed over");
            }
        }
    }
    write(app, &reports).await?;
    for waiting in &waiting {
        app.hub.forget_report(waiting).await;
    }
    Ok(waiting.len())
}

/// Writes what is new in some reports.
async fn write(app: &App, reports: &[Report]) -> Result<(), Problem> {
    let mut writing = app.store.write().await?;
    let connection = writing.connection();
    let now_us = now_us();
    let (mut sums, mut unattributed, mut used) = (Sums::default(), 0_u64, Vec::<&KeyUse>::new());
    for report in reports {
        if is_new(connection, report, now_us).await? {
            sums.add(report);
            used.extend(&report.keys);
            unattributed = unattributed.saturating_add(report.unattributed);
        }
    }
    let owners = sums.owners(connection).await?;
    let events = reached::events(connection, &sums, &owners, now_us).await?;
    unattributed = unattributed.saturating_add(sums.write(connection, &owners).await?);
    event::store(connection, &events, now_us).await?;
    writing.commit().await?;
    for key in used {
        keys::note_use(&app.uses, key.hash, minute_us(key.minute));
    }
    if unattributed > 0 {
        metrics::counter!("ringfence_reported_denials_unattributed_total").increment(unattributed);
        tracing::warn!(
            denials = unattributed,
            "refused admits are in no account's usage: gateways had no room to keep them apart"
        );
    }
    Ok(())
}

/// Whether nobody has written this report yet; from now on it is written.
async fn is_new(
    connection: &mut AnyConnection,
    report: &Report,
    now_us: i64,
) -> Result<bool, Problem> {
    let id = format!("{:032x}", report.reporter.0);
    let sequence = i64::try_from(report.sequence).map_err(Problem::internal)?;
    let last = sqlx::query("SELECT sequence FROM reporters WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(last) = last
        && last.try_get::<i64, _>(0)? >= sequence
    {
        return Ok(false);
    }
    sqlx::query(
        "INSERT INTO reporters (id, sequence, reported_us) VALUES ($1, $2, $3) \
         ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence, reported_us = excluded.reported_us",
    )
    .bind(id)
    .bind(sequence)
    .bind(now_us)
    .execute(connection)
    .await?;
    Ok(true)
}

async fn sweep(app: &App, now_us: i64) -> Result<(), sqlx::Error> {
    let mut writing = app.store.write().await?;
    for (sql, age_us) in [
        ("DELETE FROM reporters WHERE reported_us < $1", REPORTERS_US),
        ("DELETE FROM refused_calls WHERE minute_us < $1", REFUSED_CALLS_DAYS * DAY_US),
        ("DELETE FROM denials WHERE minute_us < $1", DENIALS_DAYS * DAY_US),
    ] {
        sqlx::query(sql).bind(now_us - age_us).execute(writing.connection()).await?;
    }
    writing.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests;
