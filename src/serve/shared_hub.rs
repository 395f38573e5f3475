//! The hub that this process shares with others: connects to it, says what is wrong with its servers,
//! and keeps a gateway up with it on a thread of its own.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gateway::engine::{Engine, Exchanges};
use gateway::link::Rhythm;
use hub::clock;
use hub::redis::connect::{Options, Severity};
use hub::redis::hub::RedisHub;
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::part::Part;
use super::{Failure, data_plane};
use crate::listener;
use crate::settings::Settings;

/// Time to look at one of the hub's servers.
const INSPECTION_MAX: Duration = Duration::from_secs(2);
/// How often a start that waits for the hub says so.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// A gateway's engine, and what keeps it up with the hub.
pub struct Joined {
    pub engine: Arc<Engine>,
    /// Its stop tells the hub what is left, gives back what is idle and leaves it the live calls.
    pub link: Part,
}

struct Started {
    engine: Arc<Engine>,
    ready: watch::Receiver<bool>,
}

/// Starts to connect, on the runtime that it is called on.
pub fn connect(settings: &Settings) -> Result<Arc<RedisHub>, Failure> {
    let servers = settings.hub.clone().ok_or("hub_url is unset")?;
    let options = Options {
        sentinel_login: settings.hub_sentinel_login.clone(),
        authorities: settings.hub_authorities.clone(),
        replicas: settings.hub_replicas,
        seed: u64::from(std::process::id()) ^ clock::now_us().unsigned_abs(),
        ..Options::default()
    };
    let hub = RedisHub::start(servers, &options);
    hub.map(Arc::new).map_err(|error| format!("hub_authorities: {error}"))
}

/// Says in the log what is wrong with the servers. They are used as they are.
pub async fn inspect(hub: &RedisHub) {
    for finding in hub.inspect(INSPECTION_MAX).await {
        match finding.severity {
            Severity::Error => tracing::error!("the hub's server {finding}"),
            Severity::Warning => tracing::warn!("the hub's server {finding}"),
            Severity::Note => tracing::info!("the hub's server {finding}"),
        }
    }
}

/// Starts a gateway's link and waits until the configuration of all shards is in force.
pub async fn join(settings: &Settings) -> Result<Joined, Failure> {
    let (started, starting) = oneshot::channel();
    let mut link = Part::new(|tasks, stop| {
        let settings = settings.clone();
        tasks.spawn("link to the hub", async move {
            let (ended, end) = oneshot::channel();
            let run = move || {
                // Nobody listens any more when the process ends for another reason.
                let _unheard = ended.send(keep_up(&settings, started, stop));
            };
            let thread = thread::Builder::new().name("gateway-hub".to_owned()).spawn(run);
            thread.map_err(|error| format!("no thread: {error}"))?;
            end.await.unwrap_or_else(|_| Err("its thread has died".to_owned()))
        });
    });
    let ready = async {
        let Ok(Started { engine, mut ready }) = starting.await else {
            return std::future::pending().await;
        };
        while timeout(SAY_EVERY, ready.wait_for(|ready| *ready)).await.is_err() {
            tracing::warn!(
                hub_up = engine.hub_is_up(),
                "waiting for the hub: it has no configuration yet; does a control plane run?"
            );
        }
        engine
    };
    tokio::select! {
        engine = ready => Ok(Joined { engine, link }),
        failure = link.first_end() => Err(failure),
    }
}

/// The thread of the link: the hub's connections and all exchanges are on it.
fn keep_up(
    settings: &Settings,
    started: oneshot::Sender<Started>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    runtime.block_on(async {
        let hub = connect(settings)?;
        let rhythm = Rhythm { call_lease_s: settings.call_lease_s, ..Rhythm::default() };
        let shared = Arc::clone(&hub);
        let engine = Engine::with_shared_hub(data_plane::engine_settings(settings), shared, rhythm);
        let exchanges = Exchanges::new(Arc::clone(&engine));
        let ready = exchanges.ready();
        // Nobody waits any more when a signal has ended the start.
        let _abandoned = started.send(Started { engine, ready });
        let exchanges = exchanges.run(async { listener::told(&mut stop).await });
        tokio::join!(exchanges, inspect(&hub));
        Ok(())
    })
}
