//! Opens the parts of a process in the order in which they need each other: hub, engine, control
//! plane, then the calls of the process before.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use control_plane::{ControlPlane, FirstOrganization, FirstStart};
use gateway::engine::Engine;
use gateway::engine::expire::Expiry;
use gateway::http::{Server, Tls};
use hub::embedded::{EmbeddedHub, Options};
use tokio::sync::oneshot;

use super::Failure;
use crate::settings::{Secret, Settings};

/// Within the data directory.
const HUB_DIRECTORY: &str = "hub";
const DATABASE_FILE: &str = "ringfence.db";

/// What runs between start and stop.
pub struct Parts {
    pub hub: Arc<EmbeddedHub>,
    pub engine: Arc<Engine>,
    pub control_plane: ControlPlane,
    /// Ends calls whose lease has run out, until it is dropped.
    pub expiry: Expiry,
    pub server: Server,
    pub first_start: Option<FirstStart>,
}

/// Opens everything; nothing is open after an error.
pub async fn open(settings: &Settings, tls: Option<Tls>) -> Result<Parts, Failure> {
    let hub = open_hub(settings).await?;
    let engine = Engine::new(engine_settings(settings), &hub);
    let opened = ControlPlane::open(control_plane_settings(settings), Arc::clone(&hub)).await;
    let (control_plane, first_start) = opened.map_err(|error| error.to_string())?;
    warn_of_unbilled(&control_plane).await;
    let adopting = Arc::clone(&engine);
    blocking("adopt-calls", move || adopting.adopt()).await?;
    let expiry = Expiry::start(&engine).map_err(|error| format!("no thread: {error}"))?;
    let server = Server::start(Arc::clone(&engine), http_settings(settings, tls))
        .map_err(|error| format!("gateway_listen: {error}"))?;
    Ok(Parts { hub, engine, control_plane, expiry, server, first_start })
}

async fn open_hub(settings: &Settings) -> Result<Arc<EmbeddedHub>, Failure> {
    let options = Options {
        call_lease_s: settings.call_lease_s,
        tombstones_max: settings.tombstones_max,
        ..Options::new(settings.data_dir.join(HUB_DIRECTORY))
    };
    let opened = blocking("hub-open", move || EmbeddedHub::open(&options)).await?;
    opened.map(Arc::new).map_err(|error| error.to_string())
}

/// What takes long and blocks gets a thread of its own, so that signals are heard meanwhile.
async fn blocking<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let (done, result) = oneshot::channel();
    let run = move || {
        // Nobody waits any more when a signal has ended the start.
        let _abandoned = done.send(work());
    };
    let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map_err(|error| format!("no thread: {error}"))?;
    result.await.map_err(|_| format!("the thread {name} failed"))
}

fn engine_settings(settings: &Settings) -> gateway::engine::Settings {
    let serves_all = settings.regions.iter().all(|region| settings.serve_regions.contains(region));
    gateway::engine::Settings {
        call_lease_s: settings.call_lease_s,
        renew_every_s: settings.renew_every_s,
        grant_max_s: settings.grant_max_s,
        reconcile_gap_s: settings.reconcile_gap_s,
        regions: (!serves_all).then(|| settings.serve_regions.clone()),
    }
}

fn http_settings(settings: &Settings, tls: Option<Tls>) -> gateway::http::Settings {
    gateway::http::Settings {
        listen: settings.gateway_listen,
        tls,
        threads: settings.gateway_threads,
        connections_max: settings.connections_max,
        get_allowed: settings.get_allowed,
        lease_s: settings.lease_s_min..=settings.lease_s_max,
        ..gateway::http::Settings::default()
    }
}

fn control_plane_settings(settings: &Settings) -> control_plane::Settings {
    let reveal = |secret: &Option<Secret>| secret.as_ref().map(|key| key.reveal().to_owned());
    control_plane::Settings {
        regions: settings.regions.clone(),
        first_organization: FirstOrganization {
            concurrency_total: settings.concurrency_total,
            currency: settings.currency,
            default_rate: settings.default_rate,
            ..FirstOrganization::default()
        },
        operator_key: reveal(&settings.operator_key),
        organization_key: reveal(&settings.organization_key),
        posting_cpu_percent: Some(settings.posting_cpu_percent),
        call_lease_s: settings.call_lease_s,
        ..control_plane::Settings::new(database_url(&settings.data_dir))
    }
}

fn database_url(data_dir: &Path) -> String {
    format!("sqlite://{}", data_dir.join(DATABASE_FILE).display())
}

async fn warn_of_unbilled(control_plane: &ControlPlane) {
    match control_plane.unbilled_accounts().await {
        Ok((_, 0)) => {}
        Ok((accounts, count)) => {
            tracing::warn!(
                count,
                ?accounts,
                "accounts are not billed: neither they nor their organization have a rate"
            );
        }
        Err(error) => tracing::warn!(%error, "unbilled accounts could not be counted"),
    }
}
