//! Rounds: the gateway, then the bare server, then the gateway again. What else the machine does
//! falls on both.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use benches::figures::Figures;
use benches::server::Server;

use crate::arguments::{Arguments, Processors};
use crate::backlog::Backlog;
use crate::cases::Case;
use crate::installation::Installation;
use crate::report::{CaseResult, Round};

const WARMUP_S: &str = "0.5";

/// Who is loaded, by what.
pub struct Rounds<'a> {
    installation: &'a Installation,
    gateway: Loaded,
    bare: Loaded,
    load: PathBuf,
    count: u32,
    round_s: f64,
    load_processors: &'a [usize],
}

#[derive(Clone, Copy)]
struct Loaded {
    address: SocketAddr,
    pid: u32,
}

impl<'a> Rounds<'a> {
    pub fn new(
        arguments: &Arguments,
        processors: &'a Processors,
        installation: &'a Installation,
        bare: &Server,
    ) -> io::Result<Self> {
        Ok(Self {
            gateway: Loaded { address: installation.gateway, pid: installation.server.pid() },
            bare: Loaded { address: bare.listener("bare")?, pid: bare.pid() },
            installation,
            load: arguments.program("load")?,
            count: arguments.rounds,
            round_s: arguments.round_s,
            load_processors: &processors.load,
        })
    }

    /// All rounds of a case. What the gateway's round left to post is posted before the bare server
    /// is measured: they share a processor.
    pub fn run(&self, case: &Case, backlog: &Backlog) -> io::Result<CaseResult> {
        let one = || {
            let gateway = self.load(case, self.gateway)?;
            let posting = backlog.drain()?;
            let bare = case.against_bare.then(|| self.load(case, self.bare)).transpose()?;
            Ok(Round { gateway, posting, bare })
        };
        let rounds = (0..self.count).map(|_| one()).collect::<io::Result<Vec<Round>>>()?;
        Ok(CaseResult::new(case, rounds))
    }

    fn load(&self, case: &Case, server: Loaded) -> io::Result<Figures> {
        let processors: Vec<String> = self.load_processors.iter().map(usize::to_string).collect();
        let output = Command::new(&self.load)
            .args(["--quiet", "--json", "--warmup-s", WARMUP_S])
            .arg(format!("--target={}", server.address))
            .arg(format!("--duration-s={}", case.round_s.unwrap_or(self.round_s)))
            .arg(format!("--server-pid={}", server.pid))
            .arg(format!("--threads={}", processors.len()))
            .arg(format!("--pin={}", processors.join(",")))
            .args(case.arguments)
            .env("RINGFENCE_LOAD_KEY", self.installation.key(case.billing))
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(io::Error::other(format!("{}: the run failed", case.name)));
        }
        let figures: Figures = serde_json::from_slice(&output.stdout)?;
        if let Some((reason, count)) = figures.refusals.first_key_value() {
            return Err(io::Error::other(format!("{}: {count} refused with {reason}", case.name)));
        }
        Ok(figures)
    }
}
