//! What passes with time and nobody asks for: keys expire, uses are written down, what has outlived
//! its use is swept. Never does what a request could wait for.

use std::future::Future;
use std::mem;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hub::clock::{SECOND_US, boot_us, now_us};
use tokio::time::{MissedTickBehavior, interval};

use crate::App;
use crate::budget;
use crate::ledger::agreement;
use crate::problem::Problem;
use crate::retention::purge;

/// How often it is looked whether a key has expired.
const EVERY: Duration = Duration::from_secs(1);
/// Batches that are purged between two ticks, while there is more.
const PURGES_PER_TICK: usize = 4;

/// Something that is done now and then, first at once.
struct Every {
    seconds: i64,
    due_us: i64,
}

impl Every {
    const fn new(seconds: i64) -> Self {
        Self { seconds, due_us: 0 }
    }

    fn is_due(&mut self, now_us: i64) -> bool {
        let is_due = now_us >= self.due_us;
        if is_due {
            self.due_us = now_us + self.seconds * SECOND_US;
        }
        is_due
    }

    /// There is more to be done: it is due with the next tick.
    const fn again(&mut self, is_more: bool) {
        if is_more {
            self.due_us = 0;
        }
    }
}

/// Goes on until `shutdown`, then writes what was noted.
pub(crate) async fn run(app: &App, shutdown: impl Future) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut uses, mut measuring, mut sweeps) = (Every::new(5), Every::new(15), Every::new(600));
    let (mut purges, mut purge_round) = (Every::new(60), purge::Round::default());
    // Also for what another control plane has found spent, and died.
    let (mut budgets, mut month_us) = (Every::new(60), 0);
    let (mut comparisons, mut comparison) = (Every::new(600), agreement::Round::default());
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            _ = &mut shutdown => break,
            _ = tick.tick() => {}
        }
        retire_keys(app).await;
        let clock_us = boot_us();
        if uses.is_due(clock_us) {
            write_uses(app).await;
        }
        if measuring.is_due(clock_us) {
            measure(app).await;
        }
        let month_was = mem::replace(&mut month_us, budget::month_us(now_us()));
        let was_spent = app.budgets_pending.swap(false, Ordering::AcqRel);
        if budgets.is_due(clock_us) || was_spent || month_us != month_was {
            review_budgets(app).await;
        }
        let was_closed = app.erasures_pending.swap(false, Ordering::AcqRel);
        if purges.is_due(clock_us) || was_closed {
            purges.again(purge(app, &mut purge_round).await);
        }
        if comparisons.is_due(clock_us) {
            comparisons.again(compare(app, &mut comparison).await);
        }
        if sweeps.is_due(clock_us)
            && let Err(problem) = sweep(app).await
        {
            tracing::warn!(?problem, "what has outlived its use could not be swept");
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

async fn review_budgets(app: &App) {
    if let Err(problem) = budget::review(app).await {
        tracing::warn!(?problem, "gateways could not be told of budgets; trying again");
        app.budgets_pending.store(true, Ordering::Release);
    }
}

/// Compares some wallets of a round. False: it is through.
async fn compare(app: &App, round: &mut agreement::Round) -> bool {
    match round.some(app).await {
        Ok(through) => through.is_none(),
        Err(problem) => {
            tracing::warn!(?problem, "the hub could not be compared with the ledger");
            false
        }
    }
}

/// Purges a little. False: there is no more for now.
async fn purge(app: &App, round: &mut purge::Round) -> bool {
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
