//! `ringfence serve`: gateway, control plane and an embedded hub in one process. Starts the parts in
//! order, watches over them, stops them in order. Decides nothing about calls.

mod announcement;
mod files;
mod parts;
mod signals;

use std::io::Write;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use control_plane::ControlPlane;
use gateway::http::{Server, Tls};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::listener;
use crate::operations::metrics::{Accounts, Metrics};
use crate::operations::readiness::{Phase, Readiness};
use crate::operations::{self, Operations, series};
use crate::settings::Settings;
use crate::task::Tasks;
use crate::tls::{self, Identities, Identity};
use announcement::{Addresses, FirstStart, Listener};
use parts::Parts;
use signals::Signals;

/// Threads of everything that is not an admission; those run on threads of the gateway.
const THREADS: usize = 2;
/// Time for what blocks (a query, a file) after everything was stopped.
const BLOCKING_MAX: Duration = Duration::from_secs(2);
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// How long a stop goes on posting call records; what is left is posted after the next start.
const POSTING_MAX: Duration = Duration::from_secs(10);

/// Why the process ends with a failure.
type Failure = String;

/// The gateway's HTTP side, until it is drained.
type SharedServer = Arc<Mutex<Option<Server>>>;

/// Runs until it is told to stop.
pub fn run(settings: &Settings) -> ExitCode {
    crate::log::start(settings.log_format, settings.log_level);
    files::raise_limit(settings.connections_max);
    let outcome = runtime().and_then(|runtime| {
        let outcome = runtime.block_on(serve(settings));
        match outcome {
            Ok(()) => runtime.shutdown_timeout(BLOCKING_MAX),
            Err(_) => runtime.shutdown_background(),
        }
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("ringfence ends: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("control-plane")
        .enable_all()
        .build()
        .map_err(|error| format!("no threads: {error}"))
}

async fn serve(settings: &Settings) -> Result<(), Failure> {
    let mut signals = Signals::catch().map_err(|error| format!("no signals: {error}"))?;
    let operations = Operations {
        readiness: Arc::new(Readiness::starting()),
        metrics: Arc::new(Metrics::install().map_err(|error| error.to_string())?),
    };
    let identities = Identities::open(settings).map_err(|unusable| unusable.to_string())?;
    let drain = Duration::from_secs(settings.drain_s.into());
    // Probes see a process that starts, and one that drains: this part is first and last.
    let listener = listener::bind("ops_listen", settings.ops_listen)?;
    let ops = address(&listener)?;
    let hang_up = Signals::hang_up().map_err(|error| format!("no signals: {error}"))?;
    let mut watching = Part::new(|tasks, stop| {
        watch_certificates(tasks, identities.clone(), hang_up, stop.clone());
        serve_operations(
            tasks,
            &operations,
            (listener, tls(identities.ops.as_deref())),
            stop,
            drain,
        );
    });
    let listener = listener::bind("control_plane_listen", settings.control_plane_listen)?;
    let control_plane = address(&listener)?;

    let parts = tokio::select! {
        opened = parts::open(settings, tls(identities.gateway.as_deref())) => opened?,
        signal = signals.next() => return Err(format!("{signal} before the start was complete")),
        failure = watching.tasks.first_end() => return Err(failure),
    };
    let Parts { hub, engine, control_plane: plane, expiry, server, first_start } = parts;
    let addresses = Addresses {
        gateway: reached(server.address(), identities.gateway.as_deref()),
        control_plane: reached(control_plane, identities.control_plane.as_deref()),
        ops: reached(ops, identities.ops.as_deref()),
    };
    let server: SharedServer = Arc::new(Mutex::new(Some(server)));
    let mut serving = Part::new(|tasks, stop| {
        let tls = tls(identities.control_plane.as_deref());
        let serve = listener::serve(listener, tls, plane.router(), stop, drain);
        tasks.spawn("control plane", async { serve.await.map_err(|error| error.to_string()) });
    });
    let mut posting = Part::new(|tasks, stop| post_records(tasks, plane.clone(), stop));
    observe(&operations, &engine, &server);
    operations.readiness.enter(Phase::Serving);
    announce(settings, &addresses, first_start);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "serving");

    let outcome = watch_over(&mut signals, [&mut watching, &mut serving, &mut posting]).await;
    operations.readiness.enter(Phase::Draining);
    let stopped = async {
        tokio::join!(drain_gateway(&server, drain), serving.stop());
        if timeout(POSTING_MAX, posting.stop()).await.is_err() {
            tracing::warn!(records = hub.backlog(), "call records are left for the next start");
        }
        drop(expiry);
        let flushed = engine.flush().and(hub.durable().await);
        plane.close().await;
        watching.stop().await;
        flushed.map_err(|error| error.to_string())
    };
    tokio::select! {
        flushed = stopped => outcome.and(flushed),
        signal = signals.next() => Err(format!("{signal} while stopping")),
    }
}

/// Runs until a signal asks for the end, or a part fails that should have gone on.
async fn watch_over(signals: &mut Signals, parts: [&mut Part; 3]) -> Result<(), Failure> {
    let [watching, serving, posting] = parts;
    tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "stopping");
            Ok(())
        }
        failure = watching.tasks.first_end() => Err(failure),
        failure = serving.tasks.first_end() => Err(failure),
        failure = posting.tasks.first_end() => Err(failure),
    }
}

/// Tasks that are stopped together.
struct Part {
    tasks: Tasks,
    stop: watch::Sender<bool>,
}

impl Part {
    fn new(start: impl FnOnce(&mut Tasks, watch::Receiver<bool>)) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Tasks::default();
        start(&mut tasks, stopped);
        Self { tasks, stop }
    }

    async fn stop(&mut self) {
        self.stop.send_replace(true);
        for failure in self.tasks.all_ended().await {
            tracing::error!("{failure}");
        }
    }
}

fn address(listener: &TcpListener) -> Result<std::net::SocketAddr, Failure> {
    listener.local_addr().map_err(|error| error.to_string())
}

fn tls(identity: Option<&Identity>) -> Option<Tls> {
    identity.map(Identity::tls)
}

fn reached(address: std::net::SocketAddr, identity: Option<&Identity>) -> Listener {
    Listener { address, trust: identity.map(|identity| identity.trust.clone()) }
}

fn watch_certificates(
    tasks: &mut Tasks,
    identities: Identities,
    hang_up: Signal,
    stop: watch::Receiver<bool>,
) {
    tasks.spawn("watch over certificates", async {
        tls::watch(identities, hang_up, stop).await;
        Ok(())
    });
}

fn serve_operations(
    tasks: &mut Tasks,
    operations: &Operations,
    (listener, tls): (TcpListener, Option<Tls>),
    stop: watch::Receiver<bool>,
    drain: Duration,
) {
    let router = operations::router(operations.clone());
    let mut upkeep_stop = stop.clone();
    tasks.spawn("operations listener", async move {
        listener::serve(listener, tls, router, stop, drain).await.map_err(|error| error.to_string())
    });
    let metrics = Arc::clone(&operations.metrics);
    tasks.spawn("upkeep of metrics", async move {
        let mut tick = tokio::time::interval(UPKEEP_EVERY);
        loop {
            tokio::select! {
                _ = tick.tick() => metrics.upkeep(),
                () = listener::told(&mut upkeep_stop) => return Ok(()),
            }
        }
    });
}

fn post_records(tasks: &mut Tasks, plane: ControlPlane, mut stop: watch::Receiver<bool>) {
    tasks.spawn("posting of call records", async move {
        plane.post_records(async { listener::told(&mut stop).await }).await;
        Ok(())
    });
}

/// Lets probes and scrapes see the engine and the HTTP side.
fn observe(operations: &Operations, engine: &Arc<gateway::engine::Engine>, server: &SharedServer) {
    let watched = Arc::clone(engine);
    operations.readiness.watch_hub(move || !watched.hub_is_up());
    let (engine, server) = (Arc::clone(engine), Arc::clone(server));
    operations.metrics.add_at_scrape(move |accounts, text| {
        series::write_engine(&engine, text);
        if let Some(server) = &*server.lock().expect("no holder of it panics") {
            series::write_http(&server.tally(), server.connections(), text);
        }
        engine.write_account_series(accounts == Accounts::All, text);
    });
}

/// Requests in flight get their answers; live calls are not waited for.
async fn drain_gateway(server: &SharedServer, grace: Duration) {
    let server = server.lock().expect("no holder of it panics").take();
    if let Some(server) = server {
        server.drain(grace).await;
    }
}

fn announce(
    settings: &Settings,
    addresses: &Addresses,
    first_start: Option<control_plane::FirstStart>,
) {
    let mut text = announcement::listeners(addresses);
    if let Some(first) = first_start {
        let billed = settings.default_rate.is_some();
        let first = FirstStart {
            operator_key: first.operator_key,
            organization_key: first.organization_key,
            organization: first.organization_id.to_string(),
            billed_in: billed.then(|| settings.currency.to_string()),
        };
        text.push_str(&announcement::first_start(addresses, &first));
    }
    // At once: it may be a pipe that a script reads. A closed one is no reason not to serve.
    let mut out = std::io::stdout().lock();
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
