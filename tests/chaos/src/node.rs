//! One process of the product: with relays of its own to the hub's servers, so that it alone can be cut
//! off, and started again where it was.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use support::redis::free_port;
use support::relay::Relay;
use support::{Client, Installation, Running, wait_until};

use crate::hub::Hub;

const READY_MAX: Duration = Duration::from_mins(2);
const PROBE_MAX: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Gateway,
    ControlPlane,
}

pub struct Node {
    pub name: String,
    pub address: SocketAddr,
    installation: Installation,
    running: Option<Running>,
    relays: Vec<Relay>,
}

impl Node {
    /// Not started yet. `settings` come after those of the hub.
    pub fn new(
        role: Role,
        name: String,
        binary: &str,
        hub: &Hub,
        settings: &[(&str, &str)],
    ) -> Self {
        let ports = hub.ports();
        let relays: Vec<Relay> = ports.iter().map(|port| Relay::start(*port)).collect();
        let by: Vec<u16> = relays.iter().map(Relay::port).collect();
        let digits = |(from, to): (&u16, &u16)| (from.to_string(), to.to_string());
        let names: Vec<_> = ports.iter().zip(&by).map(digits).collect();
        for relay in &relays {
            relay.rename(names.clone());
        }
        let (installation, listener) = match role {
            Role::Gateway => (Installation::gateway(binary, ""), "RINGFENCE_GATEWAY_LISTEN"),
            Role::ControlPlane => {
                (Installation::control_plane(binary, ""), "RINGFENCE_CONTROL_PLANE_LISTEN")
            }
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut installation = installation.set(listener, &address.to_string());
        for (name, value) in hub.settings(&by) {
            installation = installation.set(name, &value);
        }
        for (name, value) in settings {
            installation = installation.set(name, value);
        }
        Self { name, address, installation, running: None, relays }
    }

    pub fn start(&mut self) {
        self.running = Some(self.installation.start());
    }

    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("it was started")
    }

    /// kill -9
    pub fn kill(&mut self) {
        self.running.take().expect("it runs").kill();
    }

    /// SIGTERM, and the status 0 that follows.
    pub fn stop(&mut self) {
        self.running.take().expect("it runs").stop();
    }

    pub fn freeze(&self) {
        self.running().freeze();
    }

    pub fn go_on(&self) {
        self.running().go_on();
    }

    /// Nothing passes between it and the hub.
    pub fn cut_off(&self) {
        self.relays.iter().for_each(Relay::cut);
    }

    pub fn mend(&self) {
        self.relays.iter().for_each(Relay::mend);
    }

    /// What it said last, if it has ended though nobody ended it.
    pub fn died(&mut self) -> Option<String> {
        let running = self.running.as_mut()?;
        if !running.has_ended() {
            return None;
        }
        let said = running.stderr();
        Some(said[said.floor_char_boundary(said.len().saturating_sub(2_000))..].to_owned())
    }

    /// Waits until it says that it may be sent requests.
    pub fn wait_until_ready(&self) {
        let address = self.running().ops;
        wait_until(&format!("{} is ready", self.name), READY_MAX, || {
            let mut probe = Client::new(address, "").with_patience(PROBE_MAX);
            probe.request("GET", "/readyz", &[], b"").is_ok_and(|answer| answer.status == 200)
        });
    }
}
