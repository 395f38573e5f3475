//! The command line of `shared`.

use std::path::PathBuf;

use clap::Parser;

/// Measures three gateways over one Redis server against what sharing a hub promises.
#[derive(Debug, Parser)]
#[command(name = "shared", version)]
pub struct Arguments {
    /// Where `ringfence` and `load` stand; beside this program unless given
    #[arg(long)]
    pub bin_dir: Option<PathBuf>,
    /// Runs of each figure that a load is measured by; medians are of these
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=101))]
    pub runs: u32,
    /// Seconds measured of each run
    #[arg(long, default_value_t = 10.0)]
    pub run_s: f64,
    /// Changes of each sort
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub changes: u32,
    /// Accounts that a start is not timed with, only weighed
    #[arg(long, default_value_t = 1_000_000)]
    pub accounts_max: u64,
    /// Measure only the figures whose name holds this
    #[arg(long)]
    only: Option<String>,
    /// Write everything measured to this file as well
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// End with status 1 when a promise is missed
    #[arg(long)]
    pub gate: bool,
}

impl Arguments {
    pub fn wants(&self, figure: &str) -> bool {
        self.only.as_ref().is_none_or(|part| figure.contains(part.as_str()))
    }
}
