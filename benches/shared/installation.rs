//! What is measured: real processes over a Redis server, a control plane and gateways, on free ports of
//! the loopback with a directory of their own. Ended when dropped.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use benches::client::{Client, exchange};
use benches::program;
use benches::server::Server;
use benches::{processor, wait};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::arguments::Arguments;
use crate::redis::Redis;

/// Gateways of an installation.
pub const GATEWAYS: usize = 3;
/// Slots that the organization bought: never in the way.
pub const TOTAL: u32 = 10_000_000;
const SOON: Duration = Duration::from_mins(1);
/// All other regions are served by nobody.
pub const SERVED_REGION: &str = "india";
pub const OTHER_REGION: &str = "us";

// In this order: the server ends last.
pub struct Installation {
    pub gateways: Vec<Gateway>,
    pub plane: SocketAddr,
    pub plane_ops: SocketAddr,
    plane_server: Server,
    pub redis: Redis,
    program: PathBuf,
    pub load: PathBuf,
    organization_key: String,
    operator_key: String,
    directory: TempDir,
}

pub struct Gateway {
    pub server: Server,
    pub address: SocketAddr,
    pub ops: SocketAddr,
}

/// An account and the key that acts for it.
pub struct Account {
    pub id: String,
    pub key: String,
}

impl Installation {
    /// A control plane and three gateways.
    pub fn start(arguments: &Arguments) -> io::Result<Self> {
        let mut installation = Self::without_gateways(arguments)?;
        for _ in 0..GATEWAYS {
            installation.add_gateway(installation.redis.address())?;
        }
        Ok(installation)
    }

    pub fn without_gateways(arguments: &Arguments) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let redis = Redis::start(directory.path())?;
        let program = program::find(arguments.bin_dir.as_deref(), "ringfence")?;
        let secret = |of: &str| format!("bench-{of}-{:032x}", rand::random::<u128>());
        let (operator_key, organization_key) = (secret("operator"), secret("organization"));
        let mut command = command(&program, "control-plane", redis.address(), directory.path());
        // The command line can be read by every user of the machine, the environment cannot.
        command
            .args(["--control-plane-listen", "127.0.0.1:0"])
            .arg(format!("--concurrency-total={TOTAL}"))
            .env("RINGFENCE_OPERATOR_KEY", &operator_key)
            .env("RINGFENCE_ORGANIZATION_KEY", &organization_key);
        let plane_server = start(&mut command)?;
        Ok(Self {
            gateways: Vec::new(),
            plane: plane_server.listener("control-plane")?,
            plane_ops: plane_server.listener("ops")?,
            plane_server,
            redis,
            program,
            load: program::find(arguments.bin_dir.as_deref(), "load")?,
            organization_key,
            operator_key,
            directory,
        })
    }

    /// One more gateway, which reaches the hub at `hub`.
    pub fn add_gateway(&mut self, hub: SocketAddr) -> io::Result<()> {
        self.gateways.push(Gateway::start(&self.program, hub, self.directory.path())?);
        Ok(())
    }

    /// A connection of the organization's administrator.
    pub fn administrator(&self) -> io::Result<Client> {
        Client::open(self.plane, &self.organization_key)
    }

    /// An account that nothing is billed to, with `limit` slots, which all gateways know.
    pub fn unbilled(&self, limit: u32, region: &str) -> io::Result<Account> {
        let members = json!({
            "name": "Unbilled", "billing_mode": "isolated", "region": region,
            "concurrency_limit": limit,
        });
        let account = Account::create(&mut self.administrator()?, &members)?;
        self.known(&account)?;
        Ok(account)
    }

    /// Waits until all gateways know an account.
    pub fn known(&self, account: &Account) -> io::Result<()> {
        for gateway in &self.gateways {
            let mut client = Client::open(gateway.address, &account.key)?;
            wait::until("a gateway knows the account", SOON, || {
                Ok(client.send("GET", "/v1/metrics", None)?.status == 200)
            })?;
        }
        Ok(())
    }

    /// Puts money, in major units, into the organization's own wallet.
    pub fn recharge(&self, amount: &str) -> io::Result<()> {
        let organization = self.administrator()?.send("GET", "/v1/organization", None)?.json()?;
        let id = organization["organization_id"].as_str().unwrap_or_default();
        let path = format!("/v1/organizations/{id}/wallet/recharge");
        let body = json!({"amount": amount, "currency": "INR"});
        exchange(self.plane, "POST", &path, &self.operator_key, Some(&body))?.json()?;
        Ok(())
    }

    /// Calls that all gateways have admitted.
    pub fn admitted(&self) -> io::Result<f64> {
        self.sum("ringfence_admissions_total{outcome=\"admitted\",reason=\"\"}")
    }

    /// A series summed over the gateways.
    pub fn sum(&self, series: &str) -> io::Result<f64> {
        self.gateways.iter().map(|gateway| metric(gateway.ops, series)).sum()
    }

    /// Processor seconds so far of Redis, of the control plane and of all gateways.
    pub fn cpu_s(&self) -> io::Result<[f64; 3]> {
        let gateways = self.gateways.iter().map(|gateway| processor::cpu_s(gateway.server.pid()));
        Ok([
            processor::cpu_s(self.redis.pid())?,
            processor::cpu_s(self.plane_server.pid())?,
            gateways.sum::<io::Result<f64>>()?,
        ])
    }
}

impl Account {
    /// An account as the control plane is asked for it; no gateway may know it yet.
    pub fn create(administrator: &mut Client, members: &Value) -> io::Result<Self> {
        let answer = administrator.send("POST", "/v1/sub-accounts", Some(members))?.json()?;
        let text = |name: &str| {
            let text = answer[name].as_str().map(str::to_owned);
            text.ok_or_else(|| io::Error::other(format!("an account without {name}")))
        };
        Ok(Self { id: text("sub_account_id")?, key: text("api_key")? })
    }
}

impl Gateway {
    pub fn start(program: &Path, hub: SocketAddr, directory: &Path) -> io::Result<Self> {
        let mut command = command(program, "gateway", hub, directory);
        command
            .args(["--gateway-listen", "127.0.0.1:0", "--gateway-threads", "1"])
            .args(["--serve-regions", SERVED_REGION]);
        let server = start(&mut command)?;
        let (address, ops) = (server.listener("gateway")?, server.listener("ops")?);
        Ok(Self { server, address, ops })
    }
}

/// The value of one series.
pub fn metric(ops: SocketAddr, series: &str) -> io::Result<f64> {
    let answer = exchange(ops, "GET", "/metrics", "", None)?;
    let text = String::from_utf8_lossy(&answer.body);
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value = value.and_then(|value| value.trim().parse().ok());
    value.ok_or_else(|| io::Error::other(format!("/metrics has no {series}")))
}

fn command(program: &Path, role: &str, hub: SocketAddr, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .arg(role)
        .arg("--data-dir")
        .arg(directory.join(role))
        .args(["--ops-listen", "127.0.0.1:0", "--log-level", "error"])
        .env("RINGFENCE_HUB_URL", format!("redis://{hub}"));
    command
}

/// Both roles announce two listeners.
fn start(command: &mut Command) -> io::Result<Server> {
    Server::start(command, &processor::allowed()?, 2)
}
