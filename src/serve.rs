//! `ringfence serve`, `gateway` and `control-plane`: starts the parts of a role in order, watches over
//! them, stops them in order. Decides nothing about calls.

mod administration;
mod announcement;
mod data_plane;
mod embedded;
mod files;
mod part;
mod shared_hub;
mod signals;

use std::io::Write;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use gateway::http::Tls;
use hub::embedded::EmbeddedHub;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::Signal;
use tokio::sync::watch;

use crate::listener;
use crate::operations::metrics::Metrics;
use crate::operations::readiness::{Phase, Readiness};
use crate::operations::{self, Operations};
use crate::role::Role;
use crate::settings::Settings;
use crate::task::Tasks;
use crate::tls::{self, Identities, Identity};
use administration::Administration;
use announcement::{Addresses, FirstStart, Listener};
use data_plane::DataPlane;
use part::Part;
use signals::Signals;

/// Threads of everything that is not an admission; those run on threads of the gateway.
const THREADS: usize = 2;
/// Time for what blocks (a query, a file) after everything was stopped.
const BLOCKING_MAX: Duration = Duration::from_secs(2);
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Why the process ends with a failure.
type Failure = String;

/// What a process of some role has open.
struct Halves {
    embedded: Option<Arc<EmbeddedHub>>,
    data_plane: Option<DataPlane>,
    administration: Option<Administration>,
}

/// Runs until it is told to stop.
pub fn run(role: Role, settings: &Settings) -> ExitCode {
    crate::log::start(settings.log_format, settings.log_level);
    files::raise_limit(settings.connections_max);
    let outcome = runtime().and_then(|runtime| {
        let outcome = runtime.block_on(serve(role, settings));
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

async fn serve(role: Role, settings: &Settings) -> Result<(), Failure> {
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
        let listener = (listener, tls(identities.ops.as_deref()));
        serve_operations(tasks, &operations, listener, stop, drain);
    });
    let control_plane = role.has_control_plane().then(|| administration::bind(settings));
    let control_plane = control_plane.transpose()?;

    let halves = tokio::select! {
        opened = open(role, settings, tls(identities.gateway.as_deref())) => opened?,
        signal = signals.next() => return Err(format!("{signal} before the start was complete")),
        failure = watching.first_end() => return Err(failure),
    };
    let Halves { embedded, mut data_plane, mut administration } = halves;
    let addresses = Addresses {
        gateway: data_plane
            .as_ref()
            .map(|half| reached(half.address, identities.gateway.as_deref())),
        control_plane: control_plane
            .as_ref()
            .map(|(_, address)| reached(*address, identities.control_plane.as_deref())),
        ops: reached(ops, identities.ops.as_deref()),
    };
    if let (Some(half), Some((listener, _))) = (&mut administration, control_plane) {
        half.serve((listener, tls(identities.control_plane.as_deref())), drain);
    }
    if let Some(half) = &data_plane {
        half.observe(&operations);
    }
    operations.readiness.enter(Phase::Serving);
    let first_start = administration.as_mut().and_then(|half| half.first_start.take());
    announce(settings, &addresses, first_start);
    tracing::info!(role = role.name(), version = env!("CARGO_PKG_VERSION"), "serving");

    let outcome =
        watch_over(&mut signals, &mut watching, &mut data_plane, &mut administration).await;
    operations.readiness.enter(Phase::Draining);
    let stopped = async {
        let halves = Halves { embedded, data_plane, administration };
        let flushed = halves.stop(drain).await;
        watching.stop().await;
        flushed
    };
    tokio::select! {
        flushed = stopped => outcome.and(flushed),
        signal = signals.next() => Err(format!("{signal} while stopping")),
    }
}

/// Opens what the role has.
async fn open(role: Role, settings: &Settings, tls: Option<Tls>) -> Result<Halves, Failure> {
    let none = Halves { embedded: None, data_plane: None, administration: None };
    Ok(match role {
        Role::Serve => {
            let embedded::Halves { hub, data_plane, administration } =
                embedded::open(settings, tls).await?;
            Halves {
                embedded: Some(hub),
                data_plane: Some(data_plane),
                administration: Some(administration),
            }
        }
        Role::Gateway => Halves { data_plane: Some(DataPlane::join(settings, tls).await?), ..none },
        Role::ControlPlane => {
            Halves { administration: Some(Administration::join(settings).await?), ..none }
        }
    })
}

impl Halves {
    /// Requests in flight first, then what they left to be recorded and posted.
    async fn stop(self, drain: Duration) -> Result<(), Failure> {
        let Self { embedded, mut data_plane, mut administration } = self;
        let drained = async {
            if let Some(half) = &data_plane {
                half.drain(drain).await;
            }
        };
        let closed = async {
            if let Some(half) = &mut administration {
                half.serving.stop().await;
            }
        };
        tokio::join!(drained, closed);
        if let Some(half) = &mut data_plane {
            half.reporting.stop().await;
        }
        if let Some(half) = &mut administration {
            half.stop_tasks().await;
        }
        let mut outcome = Ok(());
        if let Some(half) = &mut data_plane {
            outcome = half.leave().await;
        }
        if let Some(hub) = embedded {
            outcome = outcome.and(hub.durable().await.map_err(|error| error.to_string()));
        }
        if let Some(half) = administration {
            half.close().await;
        }
        outcome
    }
}

/// Runs until a signal asks for the end, or a part fails that should have gone on.
async fn watch_over(
    signals: &mut Signals,
    watching: &mut Part,
    data_plane: &mut Option<DataPlane>,
    administration: &mut Option<Administration>,
) -> Result<(), Failure> {
    let [mut no_link, mut no_reporting, mut no_serving, mut no_tasks] =
        std::array::from_fn(|_| Part::none());
    let (link, reporting) = match data_plane {
        Some(half) => (&mut half.link, &mut half.reporting),
        None => (&mut no_link, &mut no_reporting),
    };
    let (serving, tasks) = match administration {
        Some(half) => (&mut half.serving, &mut half.tasks),
        None => (&mut no_serving, &mut no_tasks),
    };
    tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "stopping");
            Ok(())
        }
        failure = watching.first_end() => Err(failure),
        failure = link.first_end() => Err(failure),
        failure = reporting.first_end() => Err(failure),
        failure = serving.first_end() => Err(failure),
        failure = tasks.first_end() => Err(failure),
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

fn announce(
    settings: &Settings,
    addresses: &Addresses,
    first_start: Option<control_plane::FirstStart>,
) {
    let mut text = announcement::listeners(addresses);
    if let (Some(first), Some(control_plane)) = (first_start, &addresses.control_plane) {
        let billed = settings.default_rate.is_some();
        let expected = || Listener { address: settings.gateway_listen, trust: None };
        let first = FirstStart {
            operator_key: first.operator_key,
            organization_key: first.organization_key,
            organization: first.organization_id.to_string(),
            gateway: addresses.gateway.clone().unwrap_or_else(expected),
            control_plane: control_plane.clone(),
            billed_in: billed.then(|| settings.currency.to_string()),
        };
        text.push_str(&announcement::first_start(&first));
    }
    // At once: it may be a pipe that a script reads. A closed one is no reason not to serve.
    let mut out = std::io::stdout().lock();
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
