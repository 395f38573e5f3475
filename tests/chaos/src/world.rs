//! The installation under test: hub servers, a database, control planes, gateways, and the accounts that
//! stacks call for. Starts, waits and asks; breaks nothing.

use std::time::Duration;

use serde_json::{Value, json};
use support::postgres::Postgres;
use support::process::ORGANIZATION_KEY;
use support::{Account, Client, Nanos, Running, now, wait_until};

use crate::Settings;
use crate::hub::Hub;
use crate::node::{Node, Role};
use crate::tariff::TARIFF;
use crate::wire::{Said, ask};

/// Of an account whose every admit needs the hub's grant: under eight slots nothing is leased ahead.
const PROBES: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(1);
/// Longer than learning may take.
const GRANT_MAX: Duration = Duration::from_mins(4);
pub const MONEY: &str = "1000000.00";
/// They share the work.
pub const CONTROL_PLANES: usize = 2;

pub struct World {
    pub hub: Hub,
    pub database: Postgres,
    pub control_planes: Vec<Node>,
    pub gateways: Vec<Node>,
    /// The account of the stacks.
    pub account: Account,
    probe: Account,
    probes: u64,
    /// The hub's master as it was last seen.
    master: Option<u16>,
}

impl World {
    pub fn start(settings: &Settings) -> Self {
        let hub = Hub::start(settings.hub);
        let lease_s = settings.call_lease_s.to_string();
        let total = (settings.limit + PROBES).to_string();
        let lease = ("RINGFENCE_CALL_LEASE_S", lease_s.as_str());
        let database = Postgres::start();
        let url = database.database("ringfence");
        let bought =
            [lease, ("RINGFENCE_CONCURRENCY_TOTAL", &total), ("RINGFENCE_DATABASE_URL", &url)];
        let binary = settings.binary.as_str();
        let mut control_planes: Vec<Node> = (0..CONTROL_PLANES)
            .map(|number| {
                let name = format!("control plane {number}");
                Node::new(Role::ControlPlane, name, binary, &hub, &bought)
            })
            .collect();
        control_planes.iter_mut().for_each(Node::start);
        let mut gateways: Vec<Node> = (0..settings.gateways)
            .map(|number| {
                Node::new(Role::Gateway, format!("gateway {number}"), binary, &hub, &[lease])
            })
            .collect();
        gateways.iter_mut().for_each(Node::start);
        let plane = control_planes[0].running();
        let rate = (TARIFF.per_minute, TARIFF.initial_s, TARIFF.increment_s);
        let account = Account::billed(plane, "stacks", settings.limit, rate);
        account.recharge(plane, MONEY).success();
        let probe = Account::limited(plane, "probe", PROBES);
        let mut world = Self {
            hub,
            database,
            control_planes,
            gateways,
            account,
            probe,
            probes: 0,
            master: None,
        };
        world.wait_until_granting();
        world
    }

    /// One of them; all know the same.
    pub fn control_plane(&self) -> &Running {
        self.control_planes[0].running()
    }

    /// The client of a gateway, for the account of the stacks.
    pub fn client(&self, gateway: usize) -> Client {
        Client::new(self.gateways[gateway].address, &self.account.key).with_patience(PATIENCE)
    }

    pub fn administrator(&self) -> Client {
        Client::new(self.control_planes[0].address, ORGANIZATION_KEY)
    }

    /// Waits until every process is ready and the hub grants something to each gateway; when it did so
    /// first.
    pub fn wait_until_granting(&mut self) -> Nanos {
        self.control_planes.iter().for_each(Node::wait_until_ready);
        self.gateways.iter().for_each(Node::wait_until_ready);
        let mut first = Nanos::MAX;
        for gateway in 0..self.gateways.len() {
            first = first.min(self.wait_until_granting_to(gateway));
        }
        first
    }

    /// Waits for the hub's next grant to one gateway.
    pub fn wait_until_granting_to(&mut self, gateway: usize) -> Nanos {
        let address = self.gateways[gateway].address;
        let mut client = Client::new(address, &self.probe.key).with_patience(PATIENCE);
        let mut granted = 0;
        let mut probes = self.probes;
        wait_until("the hub grants something", GRANT_MAX, || {
            probes += 1;
            let call = json!({"call_id": format!("probe-{probes}")});
            let asked = ask(&mut client, "POST", "/v1/calls/admit", &call);
            // Also what may have been granted is given back.
            let released = ask(&mut client, "POST", "/v1/calls/release", &call);
            granted = asked.heard;
            matches!((asked.said, released.said), (Said::Done(_), Said::Done(_)))
        });
        self.probes = probes;
        granted
    }

    /// Whether the hub's master is another one than when this was asked last.
    pub fn has_other_master(&mut self) -> bool {
        let before = self.master;
        self.master = self.hub.master();
        before.is_some() && before != self.master
    }

    /// Processes that have ended though nobody ended them, with what they said last.
    pub fn died(&mut self) -> Vec<String> {
        let nodes = self.gateways.iter_mut().chain(&mut self.control_planes);
        nodes.filter_map(|node| node.died().map(|said| format!("{}: {said}", node.name))).collect()
    }

    /// Ends everything; each process must end well.
    pub fn stop(mut self) {
        self.gateways.iter_mut().for_each(Node::stop);
        self.control_planes.iter_mut().for_each(Node::stop);
    }

    /// All calls of the stacks that are live, by the product's own list; nothing when it cannot say.
    pub fn listed(&self) -> Option<Listed> {
        let mut client = self.client(0);
        let mut listed = Listed { sent: now(), calls: Vec::new() };
        let mut path = "/v1/calls?limit=1000".to_owned();
        loop {
            let Said::Done(page) = ask(&mut client, "GET", &path, &Value::Null).said else {
                return None;
            };
            listed.calls.extend(page["calls"].as_array()?.iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => path = format!("/v1/calls?limit=1000&cursor={next}"),
                None => return Some(listed),
            }
        }
    }

    /// Waits until nothing is held for calls any more.
    pub fn wait_until_nothing_is_held(&self, deadline: Duration) {
        let running = self.control_plane();
        wait_until("no money is held", deadline, || self.account.wallet(running).held == 0);
    }
}

/// What the product listed as live, asked for at an instant.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    pub sent: Nanos,
    pub calls: Vec<Value>,
}

/// So long from one instant to another.
pub fn between(from: Nanos, to: Nanos) -> Duration {
    Duration::from_nanos(to.saturating_sub(from))
}

/// How long it has been.
pub fn since(from: Nanos) -> Duration {
    between(from, now())
}
