//! `ringfence serve`: gateway, control plane and an embedded hub in one process. Starts the parts in
//! order, watches over them, stops them in order. Decides nothing about calls.

mod announcement;
mod files;
mod signals;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hub::embedded::{EmbeddedHub, Options};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{oneshot, watch};

use crate::listener;
use crate::operations::metrics::Metrics;
use crate::operations::readiness::{Phase, Readiness};
use crate::operations::{self, Operations};
use crate::settings::Settings;
use crate::task::Tasks;
use announcement::Addresses;
use signals::Signals;

/// Threads of everything that is not an admission; those run on threads of the gateway.
const THREADS: usize = 2;
/// Time for what blocks (a query, a file) after everything was stopped.
const BLOCKING_MAX: Duration = Duration::from_secs(2);
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Why the process ends with a failure.
type Failure = String;

/// Runs until it is told to stop.
pub fn run(settings: &Settings) -> ExitCode {
    crate::log::start(settings.log_format, settings.log_level);
    files::raise_limit(settings.connections_max);
    let outcome = runtime().and_then(|runtime| {
        let outcome = runtime.block_on(serve(settings));
        runtime.shutdown_timeout(BLOCKING_MAX);
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!(failure, "ringfence ends");
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
    let mut tasks = Tasks::default();
    let operations = Operations {
        readiness: Arc::new(Readiness::starting()),
        metrics: Arc::new(Metrics::install().map_err(|error| error.to_string())?),
    };
    // Probes see a process that starts, and one that drains.
    let (stop_operations, operations_stopped) = watch::channel(false);
    let ops = listener::bind("ops_listen", settings.ops_listen)?;
    let ops_address = ops.local_addr().map_err(|error| error.to_string())?;
    let drain = Duration::from_secs(settings.drain_s.into());
    serve_operations(&mut tasks, &operations, ops, operations_stopped, drain);

    let opened = tokio::select! {
        opened = open_hub(settings) => opened,
        signal = signals.next() => return Err(format!("{signal} before the start was complete")),
        failure = tasks.first_end() => Err(failure),
    };
    let _hub = opened?;
    let addresses =
        Addresses { gateway: ops_address, control_plane: ops_address, ops: ops_address };
    print(&announcement::listeners(addresses));
    operations.readiness.enter(Phase::Serving);
    tracing::info!("serving");

    let outcome = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "stopping");
            Ok(())
        }
        failure = tasks.first_end() => Err(failure),
    };
    operations.readiness.enter(Phase::Draining);
    let stopped = async {
        // Nobody listens when the operations listener has failed.
        let _nobody = stop_operations.send(true);
        tasks.all_ended().await
    };
    tokio::select! {
        failures = stopped => outcome.and_then(|()| match failures.first() {
            None => Ok(()),
            Some(failure) => Err(failure.clone()),
        }),
        signal = signals.next() => Err(format!("{signal} while draining")),
    }
}

fn serve_operations(
    tasks: &mut Tasks,
    operations: &Operations,
    listener: std::net::TcpListener,
    stop: watch::Receiver<bool>,
    drain: Duration,
) {
    let router = operations::router(operations.clone());
    let mut upkeep_stop = stop.clone();
    tasks.spawn("operations listener", async move {
        listener::serve(listener, router, stop, drain).await.map_err(|error| error.to_string())
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

/// Recovery reads the whole journal: on a thread of its own, so that a signal is heard meanwhile.
async fn open_hub(settings: &Settings) -> Result<Arc<EmbeddedHub>, Failure> {
    let options = Options { directory: settings.data_dir.clone() };
    let (done, opened) = oneshot::channel();
    thread::Builder::new()
        .name("hub-open".to_owned())
        .spawn(move || {
            // Nobody waits any more when a signal has ended the start.
            let _abandoned = done.send(EmbeddedHub::open(&options));
        })
        .map_err(|error| format!("no thread: {error}"))?;
    let opened = opened.await.map_err(|_| "opening the hub failed".to_owned())?;
    opened.map(Arc::new).map_err(|error| error.to_string())
}

/// To standard output, at once: it may be a pipe that a script reads.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    // A closed standard output is no reason not to serve.
    let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
