//! The gateway's half of a process: an engine over either form of hub, and the HTTP side in front of
//! it. Opens and drains; decides nothing about calls.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::engine::Engine;
use gateway::engine::expire::Expiry;
use gateway::http::{Server, Tls};
use gateway::reports::Reporter;
use tokio::time::timeout;

use super::part::Part;
use super::{Failure, shared_hub};
use crate::listener;
use crate::operations::metrics::Accounts;
use crate::operations::{Operations, series};
use crate::settings::Settings;

/// How long a stop goes on telling a shared hub what is left. What it does not hear by then, it
/// frees by itself.
const LEAVE_MAX: Duration = Duration::from_secs(10);

/// The HTTP side, until it is drained.
type SharedServer = Arc<Mutex<Option<Server>>>;

pub struct DataPlane {
    engine: Arc<Engine>,
    server: SharedServer,
    pub address: std::net::SocketAddr,
    /// Ends calls whose lease has run out, until it is dropped.
    expiry: Option<Expiry>,
    /// Keeps up with a shared hub; without tasks for an embedded one.
    pub link: Part,
    /// Reports what was refused to the control planes.
    pub reporting: Part,
}

impl DataPlane {
    /// One of several gateways, once it has the configuration of the hub they share.
    pub async fn join(settings: &Settings, tls: Option<Tls>) -> Result<Self, Failure> {
        let shared_hub::Joined { engine, link } = shared_hub::join(settings).await?;
        Self::open(engine, link, settings, tls)
    }

    /// In front of an engine that has its configuration and the calls of the process before.
    pub fn open(
        engine: Arc<Engine>,
        link: Part,
        settings: &Settings,
        tls: Option<Tls>,
    ) -> Result<Self, Failure> {
        let expiry = Expiry::start(&engine).map_err(|error| format!("no thread: {error}"))?;
        let server = Server::start(Arc::clone(&engine), http_settings(settings, tls))
            .map_err(|error| format!("gateway_listen: {error}"))?;
        let address = server.address();
        let reporter = Reporter::new(Arc::clone(&engine));
        let reporting = Part::new(|tasks, mut stop| {
            tasks.spawn("reporting of statistics", async move {
                reporter.run(async { listener::told(&mut stop).await }).await;
                Ok(())
            });
        });
        let server = Arc::new(Mutex::new(Some(server)));
        Ok(Self { engine, server, address, expiry: Some(expiry), link, reporting })
    }

    /// Lets probes and scrapes see the engine and the HTTP side.
    pub fn observe(&self, operations: &Operations) {
        let watched = Arc::clone(&self.engine);
        operations.readiness.watch_hub(move || watched.obstacle());
        let (engine, server) = (Arc::clone(&self.engine), Arc::clone(&self.server));
        operations.metrics.add_at_scrape(move |accounts, text| {
            series::write_engine(&engine, text);
            if let Some(server) = &*server.lock().expect("no holder of it panics") {
                series::write_http(&server.tally(), server.connections(), text);
            }
            engine.write_account_series(accounts == Accounts::All, text);
        });
    }

    /// Requests in flight get their answers; live calls are not waited for.
    pub async fn drain(&self, grace: Duration) {
        let server = self.server.lock().expect("no holder of it panics").take();
        if let Some(server) = server {
            server.drain(grace).await;
        }
    }

    /// After the drain: the hub gets what it does not have yet.
    pub async fn leave(&mut self) -> Result<(), Failure> {
        self.expiry.take();
        if timeout(LEAVE_MAX, self.link.stop()).await.is_err() {
            tracing::warn!("the hub did not hear everything; it frees what is left by itself");
        }
        self.engine.flush().map_err(|error| error.to_string())
    }
}

pub fn engine_settings(settings: &Settings) -> gateway::engine::Settings {
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
