//! The command line of `compare`.

use std::io;
use std::path::PathBuf;

use benches::{processor, program};
use clap::Parser;
use serde::{Deserialize, Serialize};

/// Measures the gateway against a bare hyper server with the same answers, in turn.
#[derive(Debug, Parser)]
#[command(name = "compare", version)]
pub struct Arguments {
    /// Where `ringfence`, `load` and `bare` stand; beside this program unless given
    #[arg(long)]
    bin_dir: Option<PathBuf>,
    /// Rounds of each case; medians are of these
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=101))]
    pub rounds: u32,
    /// Seconds measured of each round
    #[arg(long, default_value_t = 4.0)]
    pub round_s: f64,
    /// Threads that serve, each on a processor of its own; the generator needs one more
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=63))]
    pub gateway_threads: u16,
    /// Generator threads, each on a processor of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=63))]
    pub load_threads: u16,
    /// The part of a processor, in percent, that posting to the ledger may take meanwhile
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub posting_cpu_percent: u8,
    /// Seconds that the posting of what a round left may take at most
    #[arg(long, default_value_t = 60)]
    pub drain_limit_s: u32,
    /// Run only the cases whose name holds this
    #[arg(long)]
    only: Option<String>,
    /// Write everything measured to this file as well
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// End with status 1 when a target is missed
    #[arg(long)]
    pub gate: bool,
}

/// The settings that a figure depends on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    pub rounds: u32,
    pub round_s: f64,
    pub gateway_threads: u16,
    pub load_threads: u16,
    pub posting_cpu_percent: u8,
}

/// Who runs where: never both on one.
#[derive(Clone, Debug)]
pub struct Processors {
    pub server: Vec<usize>,
    pub load: Vec<usize>,
}

impl Arguments {
    pub fn processors(&self) -> io::Result<Processors> {
        let allowed = processor::allowed()?;
        let (server, load) = (usize::from(self.gateway_threads), usize::from(self.load_threads));
        if allowed.len() < server + load {
            return Err(io::Error::other(format!(
                "{server} gateway threads and {load} of the generator need {} processors; there are {}",
                server + load,
                allowed.len()
            )));
        }
        let (first, rest) = allowed.split_at(server);
        Ok(Processors { server: first.to_vec(), load: rest[..load].to_vec() })
    }

    /// The path of a program of this workspace.
    pub fn program(&self, name: &str) -> io::Result<PathBuf> {
        program::find(self.bin_dir.as_deref(), name)
    }

    pub fn runs(&self, case: &str) -> bool {
        self.only.as_ref().is_none_or(|part| case.contains(part.as_str()))
    }

    pub const fn settings(&self) -> Settings {
        Settings {
            rounds: self.rounds,
            round_s: self.round_s,
            gateway_threads: self.gateway_threads,
            load_threads: self.load_threads,
            posting_cpu_percent: self.posting_cpu_percent,
        }
    }
}
