//! The control plane's half of a process: opened over either form of hub, served, and kept at its
//! tasks: posting call records, sealing audit and ledger, sending webhooks and mail, issuing invoices, upkeep,
//! taking reports, looking after a shared hub.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use control_plane::{ControlPlane, FirstOrganization, FirstStart, Hub};
use gateway::http::Tls;
use hub::redis::hub::RedisHub;
use tokio::sync::watch;
use tokio::time::timeout;

use super::part::Part;
use super::{Failure, shared_hub};
use crate::database::Sole;
use crate::listener;
use crate::settings::{Secret, Settings};
use crate::task::Tasks;

/// How long a stop goes on posting call records; what is left is posted after the next start.
const POSTING_MAX: Duration = Duration::from_secs(10);

pub struct Administration {
    plane: ControlPlane,
    pub first_start: Option<FirstStart>,
    _sole: Option<Sole>,
    /// The listener's tasks, once it is served.
    pub serving: Part,
    /// Posting of call records, sealing of audit and ledger, upkeep, mail and care of a shared hub.
    pub tasks: Part,
}

impl Administration {
    /// Before the hub that gateways share.
    pub async fn join(settings: &Settings) -> Result<Self, Failure> {
        let hub: Arc<RedisHub> = shared_hub::connect(settings)?;
        shared_hub::inspect(&hub).await;
        Self::open(settings, hub).await
    }

    pub async fn open(settings: &Settings, hub: impl Into<Hub>) -> Result<Self, Failure> {
        let url = settings.database_url();
        let sole = Sole::take(&url)?;
        let opened = ControlPlane::open(control_plane_settings(settings, url), hub).await;
        let (plane, first_start) = opened.map_err(|error| error.to_string())?;
        warn_of_unbilled(&plane).await;
        let (serving, tasks) = (Part::none(), Part::none());
        Ok(Self { plane, first_start, _sole: sole, serving, tasks })
    }

    /// Serves the API and starts the tasks.
    pub fn serve(&mut self, (listener, tls): (TcpListener, Option<Tls>), drain: Duration) {
        self.serving = Part::new(|tasks, stop| {
            let serve = listener::serve(listener, tls, self.plane.router(), stop, drain);
            tasks.spawn("control plane", async { serve.await.map_err(|error| error.to_string()) });
        });
        self.tasks = Part::new(|tasks, stop| {
            post_records(tasks, self.plane.clone(), stop.clone());
            seal_audit(tasks, self.plane.clone(), stop.clone());
            seal_ledger(tasks, self.plane.clone(), stop.clone());
            send_webhooks(tasks, self.plane.clone(), stop.clone());
            keep_up(tasks, self.plane.clone(), stop.clone());
            send_mail(tasks, self.plane.clone(), stop.clone());
            issue_invoices(tasks, self.plane.clone(), stop.clone());
            take_reports(tasks, self.plane.clone(), stop.clone());
            tend_hub(tasks, self.plane.clone(), stop);
        });
    }

    /// After the listener is closed: what waits is posted.
    pub async fn stop_tasks(&mut self) {
        if timeout(POSTING_MAX, self.tasks.stop()).await.is_err() {
            let records = self.plane.posting_backlog();
            tracing::warn!(records, "call records are left for the next start");
        }
    }

    /// After everything that may still ask or tell it.
    pub async fn close(self) {
        drop((self.serving, self.tasks));
        self.plane.close().await;
    }
}

fn post_records(tasks: &mut Tasks, plane: ControlPlane, mut stop: watch::Receiver<bool>) {
    tasks.spawn("posting of call records", async move {
        plane.post_records(listener::told(&mut stop)).await;
        Ok(())
    });
}

fn seal_audit(tasks: &mut Tasks, plane: ControlPlane, mut stop: watch::Receiver<bool>) {
    tasks.spawn("sealing of the audit", async move {
        plane.seal_audit(listener::told(&mut stop)).await;
        Ok(())
    });
}

fn seal_ledger(tasks: &mut Tasks, plane: ControlPlane, mut stop: watch::Receiver<bool>) {
    tasks.spawn("sealing of the ledger", async move {
        plane.seal_ledger(listener::told(&mut stop)).await;
        Ok(())
    });
}

fn send_webhooks(tasks: &mut Tasks, plane: ControlPlane, mut stop: watch::Receiver<bool>) {
    tasks.spawn("sending of webhooks", async move {
        plane.send_webhooks(listener::told(&mut stop)).await;
        Ok(())
    });
}

fn keep_up(tasks: &mut Tasks, plane: ControlPlane, mut stop: watch::Receiver<bool>) {
    tasks.spawn("upkeep", async move {
        plane.keep_up(listener::told(&mut stop)).await;
        Ok(())
    });
}

fn send_mail(tasks: &mut Tasks, plane: ControlPlane, mut stop: watch::Receiver<bool>) {
    tasks.spawn("sending of mail", async move {
        plane.send_mail(listener::told(&mut stop)).await;
        Ok(())
    });
}

fn issue_invoices(tasks: &mut Tasks, plane: ControlPlane, mut stop: watch::Receiver<bool>) {
    tasks.spawn("issuing of invoices", async move {
        plane.issue_invoices(listener::told(&mut stop)).await;
        Ok(())
    });
}

fn take_reports(tasks: &mut Tasks, plane: ControlPlane, mut stop: watch::Receiver<bool>) {
    tasks.spawn("taking of gateways' reports", async move {
        plane.take_reports(listener::told(&mut stop)).await;
        Ok(())
    });
}

fn tend_hub(tasks: &mut Tasks, plane: ControlPlane, mut stop: watch::Receiver<bool>) {
    tasks.spawn("care of the hub", async move {
        plane.tend_hub(listener::told(&mut stop)).await;
        Ok(())
    });
}

fn control_plane_settings(settings: &Settings, database_url: String) -> control_plane::Settings {
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
        requests_per_s: above_zero(settings.requests_per_s),
        open_requests_per_s: above_zero(settings.open_requests_per_s),
        serves_tls: settings.control_plane_tls.is_some(),
        webhook_private_networks: settings.webhook_private_networks,
        mailer: settings.mail.mailer(),
        public_url: settings.public_url(),
        ..control_plane::Settings::new(database_url)
    }
}

/// The table of settings has no zero here.
fn above_zero(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

/// Where the listener is, before it is served.
pub fn bind(settings: &Settings) -> Result<(TcpListener, SocketAddr), Failure> {
    let listener = listener::bind("control_plane_listen", settings.control_plane_listen)?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    Ok((listener, address))
}

async fn warn_of_unbilled(plane: &ControlPlane) {
    match plane.unbilled_accounts().await {
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
