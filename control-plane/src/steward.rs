//! Looks after the shards of a hub that gateways share: whenever one has news, and each second. A
//! shard whose memory is lost is begun anew from the database and told its configuration; holders
//! that have joined are written to the database, then confirmed; those given up are struck out of it,
//! then buried; what could not be published is told again. A shard that cannot be reached delays no
//! other, and nobody who asks the API. Never grants anything, never posts a record.
//!
//! Several control planes may do all this at once:
//! - Incarnations come from one counter in the database, and a shard ignores one that is not newer.
//!   A beginning is asked for while the writer's turn is held in which its list of holders was read,
//!   so nobody is written to the database, and so nobody confirmed, between the two: who is missing
//!   from the list has never been granted anything.
//! - Confirming and burying are idempotent, and come after their commit. A holder that takes part and
//!   does not stand in the database (one control plane struck it out, another began the shard with
//!   it) is written there again at the next look; until then it counts as struck out lately, and a
//!   hub that loses its memory learns for as long as its calls can last.
//! - The database is read before the hub is asked: who stands there and is unknown to the hub has
//!   been forgotten by it, and has not just joined.
//! - Publications are ordered by their numbers, whoever tells them, and telling everything says as of
//!   which number.
//!
//! The clocks of control planes agree within a few seconds: how long ago a holder was struck out is
//! told from them.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hub::redis::connect::Shards;
use hub::shared::{NoAnswer, SharedHub as _};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::hub::Shared;
use crate::problem::Problem;
use crate::{App, publication};

mod beginning;
mod conditions;
mod configuration;
mod members;

use conditions::{Condition, Conditions};

/// How often every shard is looked at, news or none; and how often those that are not in force.
const EVERY: Duration = Duration::from_secs(1);
const EVERY_IN_TROUBLE: Duration = Duration::from_millis(250);

/// Why a shard could not be seen to.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Hub(#[from] NoAnswer),
    #[error("the database: {0:?}")]
    Database(Problem),
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Self::Database(problem)
    }
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Looks after the shards until `shutdown`.
pub(crate) async fn run(app: &Arc<App>, shutdown: impl Future) {
    let Some(hub) = app.hub.shared() else {
        shutdown.await;
        return;
    };
    let mut steward = Steward::new(app);
    let [mut all, mut troubled] = [EVERY, EVERY_IN_TROUBLE].map(interval);
    for tick in [&mut all, &mut troubled] {
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            _ = &mut shutdown => return,
            _ = all.tick() => steward.look_at_all().await,
            _ = troubled.tick() => steward.look_at_troubled(),
            shards = hub.redis().news() => steward.has_news(&shards),
            () = hub.wanted.notified() => steward.owes(&hub.take_due()),
            Some(ended) = steward.tending.join_next() => match ended {
                Ok((shard, condition)) => steward.ended(shard, condition),
                Err(error) => tracing::error!(%error, "looking after a shard failed"),
            },
        }
        steward.start();
    }
}

struct Steward {
    app: Arc<App>,
    /// Shards of which anything was ever published.
    used: Shards,
    due: Shards,
    busy: Shards,
    tending: JoinSet<(u8, Condition)>,
    conditions: Conditions,
}

impl Steward {
    fn new(app: &Arc<App>) -> Self {
        Self {
            app: Arc::clone(app),
            used: Shards::default(),
            due: Shards::default(),
            busy: Shards::default(),
            tending: JoinSet::new(),
            conditions: Conditions::default(),
        }
    }

    async fn look_at_all(&mut self) {
        let used = async {
            let mut connection = self.app.store.read().await?;
            publication::shards(&mut connection).await
        };
        match used.await {
            Ok(used) => self.used = used.into_iter().collect(),
            Err(error) => tracing::debug!(?error, "the shards in use could not be read"),
        }
        self.due = self.used;
    }

    fn look_at_troubled(&mut self) {
        self.conditions.shards().for_each(|shard| self.due.insert(shard));
    }

    /// Others have done something there; a lost connection may have hidden what.
    fn has_news(&mut self, shards: &Shards) {
        let used = shards.iter().filter(|shard| self.used.contains(*shard));
        used.for_each(|shard| self.due.insert(shard));
    }

    /// Something was published there that the hub has not heard of.
    fn owes(&mut self, shards: &Shards) {
        for shard in shards.iter() {
            self.used.insert(shard);
            self.due.insert(shard);
        }
    }

    /// Begins with every shard that is due, one task each: at most one at a time for a shard.
    fn start(&mut self) {
        let ready: Shards = self.due.iter().filter(|shard| !self.busy.contains(*shard)).collect();
        for shard in ready.iter() {
            self.busy.insert(shard);
            let app = Arc::clone(&self.app);
            self.tending.spawn(async move { (shard, tend(&app, shard).await) });
        }
        self.due = self.due.iter().filter(|shard| !ready.contains(*shard)).collect();
    }

    fn ended(&mut self, shard: u8, condition: Condition) {
        self.busy = self.busy.iter().filter(|other| *other != shard).collect();
        self.conditions.note(shard, condition);
    }
}

/// Sees to one shard, and says how it is.
async fn tend(app: &App, shard: u8) -> Condition {
    let Some(hub) = app.hub.shared() else { return Condition::InForce };
    match see_to(app, hub, shard).await {
        Ok(condition) => condition,
        Err(Trouble::Hub(NoAnswer::Unsealed)) => Condition::Unsealed,
        Err(trouble) => Condition::OutOfReach(trouble.to_string()),
    }
}

async fn see_to(app: &App, hub: &Shared, shard: u8) -> Result<Condition, Trouble> {
    let known = members::Known::read(app, shard).await?;
    let standing = match hub.look(shard).await {
        Err(NoAnswer::Unsealed) => {
            beginning::begin(app, hub, shard).await?;
            hub.look(shard).await?
        }
        standing => standing?,
    };
    members::reconcile(app, hub, shard, &known, &standing).await?;
    configuration::bring_up_to_date(app, hub, shard, known.publication, standing.directory).await?;
    let position = hub.position(shard).unwrap_or_default();
    let posted = app.progress.of(shard, &position);
    if posted > position.acknowledged {
        // What the consumer posted when the hub could not be told.
        app.hub.acknowledge(shard, position.incarnation, posted).await.ok();
    }
    if position.last_record > posted {
        app.progress.wanted();
    }
    Ok(if standing.is_learning { Condition::Learning } else { Condition::InForce })
}

#[cfg(test)]
mod tests;
