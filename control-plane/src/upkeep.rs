//! What passes with time and nobody asks for: keys expire, uses are written down, what has outlived
//! its use is swept. Never does what a request could wait for.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hub::clock::{SECOND_US, boot_us, now_us};
use tokio::time::{MissedTickBehavior, interval};

use crate::App;
use crate::problem::Problem;
use crate::retention::purge::Round;

/// How often it is looked whether a key has expired.
const EVERY: Duration = Duration::from_secs(1);
/// Pause between two writings of when keys and sessions were used last.
const USES_EVERY_US: i64 = 5 * SECOND_US;
/// How often what has outlived its use is swept.
const SWEEP_EVERY_US: i64 = 600 * SECOND_US;

/// How often it is looked whether anything is to be purged.
const PURGE_EVERY_US: i64 = 60 * SECOND_US;
/// Batches that are purged between two ticks, while there is more.
const PURGES_PER_TICK: usize = 4;

/// How often it is looked how long recharges have been waited for.
const MEASURE_EVERY_US: i64 = 15 * SECOND_US;

/// Goes on until `shutdown`, then writes what was noted.
pub(crate) async fn run(app: &App, shutdown: impl Future) {
    let (mut round, mut purge_us) = (Round::default(), boot_us());
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut uses_us, mut swept_us, mut measured_us) = (boot_us(), None, None);
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            _ = &mut shutdown => break,
            _ = tick.tick() => {}
        }
        retire_keys(app).await;
        let now_us = boot_us();
        if now_us - uses_us >= USES_EVERY_US {
            uses_us = now_us;
            write_uses(app).await;
        }
        if measured_us.is_none_or(|measured_us| now_us - measured_us >= MEASURE_EVERY_US) {
            measured_us = Some(now_us);
            measure(app).await;
        }
        let closed = app.erasures_pending.swap(false, Ordering::AcqRel);
        if closed || now_us >= purge_us {
            let is_over = !purge(app, &mut round).await;
            purge_us = if is_over { now_us + PURGE_EVERY_US } else { now_us };
        }
        if swept_us.is_none_or(|swept_us| now_us - swept_us >= SWEEP_EVERY_US) {
            swept_us = Some(now_us);
            if let Err(problem) = sweep(app).await {
                tracing::warn!(?problem, "what has outlived its use could not be swept");
            }
        }
    }
    write_uses(app).await;
}

async fn retire_keys(app: &App) {
    loop {
        match crate::keys::retire::some(app).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(problem) => {
                tracing::warn!(?problem, "expired keys could not be retired; trying again");
                return;
            }
        }
    }
}

async fn measure(app: &App) {
    if let Err(problem) = crate::wallets::attempts::measure(app, now_us()).await {
        tracing::warn!(?problem, "it could not be read how old recharge attempts are");
    }
}

/// Writes when keys and sessions were used last, a few seconds after they were.
pub(crate) async fn write_uses(app: &App) {
    if app.uses.is_empty() {
        return;
    }
    let written = async {
        let mut writing = app.store.write().await?;
        app.uses.write(writing.connection()).await?;
        writing.commit().await
    };
    if let Err(error) = written.await {
        tracing::warn!(%error, "it could not be written when keys and sessions were used last");
    }
}

/// Purges a little. False: there is no more for now.
async fn purge(app: &App, round: &mut Round) -> bool {
    for _ in 0..PURGES_PER_TICK {
        match round.some(app, now_us()).await {
            Ok(true) => {}
            Ok(false) => return false,
            Err(problem) => {
                tracing::warn!(?problem, "call records could not be purged; trying again");
                return false;
            }
        }
    }
    true
}

async fn sweep(app: &App) -> Result<(), Problem> {
    let now_us = now_us();
    let mut writing = app.store.write().await?;
    crate::idempotency::sweep(writing.connection(), now_us).await?;
    crate::sessions::sweep(writing.connection(), now_us).await?;
    crate::tokens::sweep(writing.connection(), now_us).await?;
    crate::delegations::sweep(writing.connection(), now_us).await?;
    crate::decks::sweep(writing.connection(), now_us).await?;
    crate::resources::sweep(writing.connection(), now_us).await?;
    writing.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::permission::Role;
    use crate::testing::Harness;

    #[tokio::test]
    async fn a_key_shows_when_it_was_used_last_and_is_written_once_a_minute() {
        let harness = Harness::new().await;
        let (id, key) = harness.isolated(1).await;
        let keys = format!("/v1/sub-accounts/{id}/api-keys");
        let shown = async || {
            let listed = harness.get(&harness.organization, &keys).await;
            listed.body["data"][0]["last_used_at"].clone()
        };
        assert_eq!(shown().await, Value::Null);
        harness.get(&key, &format!("/v1/sub-accounts/{id}")).await;
        write_uses(&harness.plane.app).await;
        let first = shown().await;
        assert!(first.is_string(), "{first}");
        write_uses(&harness.plane.app).await;
        harness.get(&key, &format!("/v1/sub-accounts/{id}")).await;
        let hash = hub::key::KeyHash::of(key.as_bytes());
        assert!(harness.plane.app.uses.is_empty(), "within the minute nothing is noted");
        let used_us = now_us() + 90 * SECOND_US;
        crate::keys::note_use(&harness.plane.app.uses, hash, used_us);
        crate::keys::note_use(&harness.plane.app.uses, hash, used_us - 80 * SECOND_US);
        write_uses(&harness.plane.app).await;
        assert_eq!(shown().await, json!(crate::timestamp::text(used_us)), "the latest counts");
    }

    #[tokio::test]
    async fn the_upkeep_sweeps_and_writes_what_is_left_when_it_ends() {
        let harness = Harness::new().await;
        harness.user("ana@example.com", &harness.organization_id, Role::Admin).await;
        harness.sign_in("ana@example.com").await;
        harness.execute("UPDATE sessions SET created_us = 1").await;
        harness.get(&harness.organization, "/v1/organization").await;
        assert!(!harness.plane.app.uses.is_empty());
        sweep(&harness.plane.app).await.expect("swept");
        run(&harness.plane.app, std::future::ready(())).await;
        assert!(harness.plane.app.uses.is_empty());
        let mut connection = harness.plane.app.store.read().await.expect("a connection");
        let left = sqlx::query("SELECT 1 FROM sessions").fetch_all(&mut *connection).await;
        assert!(left.expect("readable").is_empty());
    }
}
