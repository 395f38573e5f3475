//! The system that is measured: the real binary on a new data directory, with an organization, a
//! billed and an unbilled account made through the control plane.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use benches::client::exchange;
use benches::server::Server;
use serde_json::{Value, json};

use crate::arguments::{Arguments, Processors};
use crate::cases::Billing;

const LISTENERS: usize = 3;
/// Slots of an account: never in the way.
const SLOTS: u32 = 100_000;
/// Enough for a thousand million calls at the rate below.
const MONEY: u64 = 4_000_000_000;

pub struct Installation {
    pub server: Server,
    pub gateway: SocketAddr,
    pub operations: SocketAddr,
    billed_key: String,
    unbilled_key: String,
}

impl Installation {
    pub fn start(
        arguments: &Arguments,
        processors: &Processors,
        directory: &Path,
    ) -> io::Result<Self> {
        // The command line can be read by every user of the machine, the environment cannot.
        let operator_key = format!("bench-operator-{:032x}", rand::random::<u128>());
        let mut command = Command::new(arguments.program("ringfence")?);
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(directory.join("data"))
            .args(["--gateway-listen", "127.0.0.1:0", "--control-plane-listen", "127.0.0.1:0"])
            .args(["--ops-listen", "127.0.0.1:0", "--log-level", "warn"])
            .arg(format!("--gateway-threads={}", arguments.gateway_threads))
            .arg(format!("--posting-cpu-percent={}", arguments.posting_cpu_percent))
            .env("RINGFENCE_OPERATOR_KEY", &operator_key);
        let server = Server::start(&mut command, &processors.server, LISTENERS)?;
        let control_plane = server.listener("control-plane")?;
        let post = |path: &str, key: &str, body: Value| {
            exchange(control_plane, "POST", path, key, Some(&body))?
                .json()
                .map_err(|error| io::Error::other(format!("POST {path}: {error}")))
        };
        let organization = json!({
            "name": "Bench", "concurrency_total": 4 * SLOTS, "currency": "INR", "regions": ["india"],
        });
        let organization = post("/v1/organizations", &operator_key, organization)?;
        let key = text(&organization, "api_key")?;
        let billed = json!({
            "name": "Billed", "billing_mode": "isolated", "region": "india",
            "concurrency_limit": SLOTS,
            "rate": {"per_minute": "1.20", "initial_s": 60, "increment_s": 60},
        });
        let billed = post("/v1/sub-accounts", &key, billed)?;
        let id = text(&billed, "sub_account_id")?;
        let money = json!({"amount": MONEY, "currency": "INR"});
        post(&format!("/v1/sub-accounts/{id}/wallet/recharge"), &key, money)?;
        let unbilled = json!({
            "name": "Unbilled", "billing_mode": "isolated", "region": "india",
            "concurrency_limit": SLOTS,
        });
        let unbilled = post("/v1/sub-accounts", &key, unbilled)?;
        Ok(Self {
            gateway: server.listener("gateway")?,
            operations: server.listener("ops")?,
            billed_key: text(&billed, "api_key")?,
            unbilled_key: text(&unbilled, "api_key")?,
            server,
        })
    }

    pub fn key(&self, billing: Billing) -> &str {
        match billing {
            Billing::Billed => &self.billed_key,
            Billing::Unbilled => &self.unbilled_key,
        }
    }

    /// Starts the bare server with the bytes that this gateway answers.
    pub fn start_bare(
        &self,
        arguments: &Arguments,
        processors: &Processors,
        directory: &Path,
    ) -> io::Result<Server> {
        let mut command = Command::new(arguments.program("bare")?);
        command.arg(format!("--threads={}", arguments.gateway_threads));
        let call = json!({
            "call_id": "01234567-89ab-4cde-8f01-0123456789ab", "from": "+912250001000",
            "to": "+919800012345", "source": "load",
        });
        let end = json!({"call_id": call["call_id"], "outcome": "completed", "billable_s": 30});
        for (operation, body) in [("admit", call), ("release", end)] {
            let path = format!("/v1/calls/{operation}");
            let answer = exchange(self.gateway, "POST", &path, &self.billed_key, Some(&body))?;
            answer.json().map_err(|error| io::Error::other(format!("POST {path}: {error}")))?;
            let file = directory.join(operation);
            fs::write(&file, &answer.body)?;
            command.arg(format!("--{operation}-answer")).arg(file);
        }
        Server::start(&mut command, &processors.server, 1)
    }
}

fn text(answer: &Value, name: &str) -> io::Result<String> {
    let text = answer[name].as_str().map(str::to_owned);
    text.ok_or_else(|| io::Error::other(format!("the control plane answered without {name}")))
}
