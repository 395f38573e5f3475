//! Control planes over a real Redis server, for tests of what they do there.

use std::sync::Arc;
use std::time::Duration;

use hub::directory::Change;
use hub::id::AccountId;
use hub::redis::connect::Options;
use hub::redis::hub::RedisHub;
use hub::shared::SharedHub as _;
use support::redis::Redis;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{Harness, settings};
use crate::ControlPlane;

/// How soon a test looks again.
pub(crate) const POLL: Duration = Duration::from_millis(10);
/// Looks until it gives up: 20 seconds.
const LOOKS: u32 = 2_000;

/// A control plane whose hub is shared, at work.
pub(crate) struct Sharing {
    pub(crate) harness: Arc<Harness>,
    /// A gateway's way to the hub.
    pub(crate) hub: Arc<RedisHub>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Sharing {
    /// The first start over a new database.
    pub(crate) async fn new(redis: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (plane, first) = open(redis, &directory).await;
        let first = first.expect("a first start");
        let harness = Harness {
            router: plane.router(),
            plane,
            operator: first.operator_key.expect("generated"),
            organization: first.organization_key.expect("generated"),
            organization_id: first.organization_id.to_string(),
            heard: Arc::default(),
            directory,
            kept: parking_lot::Mutex::default(),
        };
        Self::at_work(harness, redis)
    }

    fn at_work(harness: Harness, redis: &str) -> Self {
        let (stop, _) = watch::channel(false);
        let mut tasks = JoinSet::new();
        work(&harness.plane, &stop, &mut tasks);
        Self { harness: Arc::new(harness), hub: start_hub(redis), stop, tasks }
    }

    /// Another control plane at work on the same database and hub.
    pub(crate) async fn another(&mut self, redis: &str) -> ControlPlane {
        let (plane, first) = open(redis, &self.harness.directory).await;
        assert!(first.is_none());
        work(&plane, &self.stop, &mut self.tasks);
        plane
    }

    /// Ends all that is at work; what is served goes on.
    pub(crate) async fn rest(&mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no panic");
        }
    }

    pub(crate) fn organization(&self) -> AccountId {
        self.harness.organization_id.parse().expect("an id")
    }

    /// What a gateway reads of the organization's shard, once it can.
    pub(crate) async fn directory(&self) -> Vec<Change> {
        let published = self.hub.directory(self.organization().shard(), 0).await;
        published.map(|published| published.changes).unwrap_or_default()
    }

    /// Waits until a gateway reads something.
    pub(crate) async fn reads(&self, what: &str, is: impl Fn(&Change) -> bool) {
        eventually(what, async || self.directory().await.iter().any(&is)).await;
    }
}

async fn open(redis: &str, directory: &TempDir) -> (ControlPlane, Option<crate::FirstStart>) {
    ControlPlane::open(settings(directory), start_hub(redis)).await.expect("opens")
}

fn start_hub(redis: &str) -> Arc<RedisHub> {
    let setting = redis.parse().expect("a setting");
    Arc::new(RedisHub::start(setting, &Options::default()).expect("no certificates"))
}

fn work(plane: &ControlPlane, stop: &watch::Sender<bool>, tasks: &mut JoinSet<()>) {
    let told = |mut stopped: watch::Receiver<bool>| async move {
        stopped.wait_for(|stopped| *stopped).await.map(|_| ()).ok();
    };
    let (tending, posting) = (plane.clone(), plane.clone());
    let (first, second) = (told(stop.subscribe()), told(stop.subscribe()));
    tasks.spawn(async move { tending.tend_hub(first).await });
    tasks.spawn(async move { posting.post_records(second).await });
}

/// A server that keeps nothing.
pub(crate) fn server() -> Redis {
    Redis::start(&[])
}

/// Polls until `condition` holds; fails the test with `what` when it does not in time.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..LOOKS {
        if condition().await {
            return;
        }
        sleep(POLL).await;
    }
    unreachable!("{what}: not in time");
}
