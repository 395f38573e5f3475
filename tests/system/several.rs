//! A hub, a control plane and two gateways as processes, for tests of what stacks and administrators see
//! of several gateways.

use std::time::Duration;

use serde_json::Value;
use support::account::{admit, release};
use support::redis::Redis;
use support::relay::Relay;
use support::{Account, Installation, Running, wait_until};

use crate::BINARY;

/// Longer than anything that is not waited for on purpose takes on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);
const LEASE_S: &str = "4";

/// A hub, its control plane and two gateways.
pub struct Several {
    pub redis: Redis,
    pub plane: Running,
    pub gateways: Vec<Running>,
}

impl Several {
    pub fn start() -> Self {
        let redis = Redis::start(&[]);
        let plane = control_plane(&redis).start();
        let gateways = (0..2).map(|_| gateway(&redis).start()).collect();
        Self { redis, plane, gateways }
    }

    /// An unbilled account that both gateways know.
    pub fn limited(&self, limit: u32) -> Account {
        let account = Account::limited(&self.plane, "shared", limit);
        self.know(&account);
        account
    }

    pub fn know(&self, account: &Account) {
        self.gateways.iter().for_each(|gateway| know(gateway, account));
    }

    pub fn stop(self) {
        for gateway in self.gateways {
            gateway.stop();
        }
        self.plane.stop();
    }
}

pub fn control_plane(redis: &Redis) -> Installation {
    Installation::control_plane(BINARY, &redis.url()).set("RINGFENCE_CALL_LEASE_S", LEASE_S)
}

pub fn gateway(redis: &Redis) -> Installation {
    gateway_at(redis.port())
}

/// A gateway that can be cut off.
pub fn gateway_behind(relay: &Relay) -> Installation {
    gateway_at(relay.port())
}

fn gateway_at(port: u16) -> Installation {
    let hub_url = format!("redis://127.0.0.1:{port}");
    Installation::gateway(BINARY, &hub_url).set("RINGFENCE_CALL_LEASE_S", LEASE_S)
}

/// Waits until a gateway knows an account.
pub fn know(gateway: &Running, account: &Account) {
    wait_until("a gateway knows the account", SOON, || {
        gateway.gateway(&account.key).get("/v1/concurrency").status == 200
    });
}

/// The answer to an admit, asked again while the hub does not answer.
pub fn ask(gateway: &Running, account: &Account, call_id: &str) -> (u16, Value) {
    let mut stack = gateway.gateway(&account.key);
    let mut answer = stack.post("/v1/calls/admit", &admit(call_id));
    wait_until("the hub answers", SOON, || {
        if answer.status == 503 {
            answer = stack.post("/v1/calls/admit", &admit(call_id));
        }
        answer.status != 503
    });
    (answer.status, answer.json())
}

pub fn end(gateway: &Running, account: &Account, call_id: &str) -> Value {
    gateway.gateway(&account.key).post("/v1/calls/release", &release(call_id)).expect(200)
}
