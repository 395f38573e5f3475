//! What listeners show to clients that come by TLS: one certificate for each, replaced while it is in
//! use. New connections get the new one; those that are open go on.

pub mod pair;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use gateway::http::Tls;
use hub::clock;
use metrics::gauge;

use crate::settings::{Settings, TlsFiles};
use pair::{Host, Pair, Unusable};
use watch::Stamp;
pub use watch::watch;

/// The certificate of one listener.
pub struct Identity {
    listener: &'static str,
    files: TlsFiles,
    /// As of the start.
    pub trust: Trust,
    current: Tls,
    /// The files as they were before they were read first.
    stamp: Stamp,
}

/// What a client needs to trust a listener.
#[derive(Clone, Debug)]
pub struct Trust {
    pub certificate: PathBuf,
    pub hosts: Vec<Host>,
}

/// Those of all listeners; `None` is plain text.
#[derive(Clone)]
pub struct Identities {
    pub gateway: Option<Arc<Identity>>,
    pub control_plane: Option<Arc<Identity>>,
    pub ops: Option<Arc<Identity>>,
}

impl Identities {
    /// Reads the files of every listener that has some.
    pub fn open(settings: &Settings) -> Result<Self, Unusable> {
        let open = |listener, files: &Option<TlsFiles>| {
            let opened = files.as_ref().map(|files| Identity::open(listener, files)).transpose();
            opened.map(|identity| identity.map(Arc::new))
        };
        Ok(Self {
            gateway: open("gateway", &settings.gateway_tls)?,
            control_plane: open("control_plane", &settings.control_plane_tls)?,
            ops: open("ops", &settings.ops_tls)?,
        })
    }
}

impl Identity {
    fn open(listener: &'static str, files: &TlsFiles) -> Result<Self, Unusable> {
        let stamp = Stamp::of(files);
        let Pair { config, expires_s, hosts } = pair::load(files, clock::now_us())?;
        let current = Arc::new(ArcSwap::from_pointee(config));
        tell_expiry(listener, expires_s);
        let trust = Trust { certificate: files.certificate.clone(), hosts };
        Ok(Self { listener, files: files.clone(), trust, current, stamp })
    }

    /// What connections begin with, now and after any replacement.
    pub fn tls(&self) -> Tls {
        Arc::clone(&self.current)
    }

    /// Reads the files again. After an error the pair before it stays in use.
    fn reload(&self) {
        let listener = self.listener;
        match pair::load(&self.files, clock::now_us()) {
            Ok(pair) => {
                // Sessions of the former one are not resumed: a new connection sees the new one.
                self.current.store(Arc::new(pair.config));
                tell_expiry(listener, pair.expires_s);
                tracing::info!(listener, expires_s = pair.expires_s, "a new certificate is in use");
            }
            Err(unusable) => tracing::warn!(
                listener,
                "a new certificate is refused, the former one stays in use: {unusable}"
            ),
        }
    }
}

fn tell_expiry(listener: &'static str, expires_s: u64) {
    // Exact until the year 287 million.
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit a float's 53 bits")]
    gauge!("ringfence_tls_certificate_expiry_seconds", "listener" => listener)
        .set(expires_s as f64);
}
