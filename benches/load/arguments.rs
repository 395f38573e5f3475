//! The command line of `load`, read into a plan that cannot be wrong.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::plan::{Limits, Plan, Workload};

/// Drives admit and release pairs over HTTP/1.1 against a gateway on this machine.
#[derive(Debug, Parser)]
#[command(name = "load", version)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct Arguments {
    /// Where the gateway listens; loopback only. Of several, connections go to each in turn
    #[arg(long = "target", value_delimiter = ',', default_value = "127.0.0.1:7070")]
    targets: Vec<SocketAddr>,
    /// An API key; may be repeated: one account each. Other users of the machine can read it here:
    /// prefer the variable or the file
    #[arg(long = "key", env = "RINGFENCE_LOAD_KEY", hide_env_values = true)]
    keys: Vec<String>,
    /// A file with one API key per line
    #[arg(long)]
    keys_file: Option<PathBuf>,
    /// Change the key with every call instead of with every connection
    #[arg(long)]
    rotate_keys: bool,
    /// Keep-alive connections
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    connections: u32,
    /// Requests sent at once on a connection before their answers are read
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pipeline: u32,
    /// Send batches of this many lines, half admits and half their releases
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..=10_000), conflicts_with = "pipeline")]
    batch: Option<u32>,
    /// Open loop: requests per second, sent when due; latency counts from then
    #[arg(long, conflicts_with_all = ["pipeline", "batch"])]
    rate: Option<f64>,
    /// Calls kept live before the oldest is released
    #[arg(long, default_value_t = 0, conflicts_with = "batch")]
    live: u32,
    /// Seconds to measure
    #[arg(long, default_value_t = 10.0)]
    duration_s: f64,
    /// Seconds before the measurement that do not count
    #[arg(long, default_value_t = 1.0)]
    warmup_s: f64,
    /// End after this many requests, if that is sooner
    #[arg(long)]
    count: Option<u64>,
    /// Generator threads
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,
    /// Processors to run on, one per thread: `1` or `1,3`
    #[arg(long, value_delimiter = ',')]
    pin: Vec<usize>,
    /// The server's process: its processor time is reported
    #[arg(long)]
    server_pid: Option<u32>,
    /// Sleep until a request is due rather than spin: for a machine with few processors that the servers
    /// run on too. The timer's own delay is then part of each latency
    #[arg(long, requires = "rate")]
    sleep: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Print figures in spite of errors; the exit status still tells
    #[arg(long)]
    allow_errors: bool,
    /// No progress bar, also on a terminal
    #[arg(long)]
    quiet: bool,
}

/// How the figures are printed.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub json: bool,
    pub allow_errors: bool,
}

impl Arguments {
    pub fn read(mut self) -> Result<(Plan, Output), String> {
        if let Some(target) = self.targets.iter().find(|target| !target.ip().is_loopback()) {
            return Err(format!("--target {target}: expected a loopback address"));
        }
        let keys = self.take_keys()?;
        let measured = seconds("--duration-s", self.duration_s, 0.1)?;
        let warmup = seconds("--warmup-s", self.warmup_s, 0.0)?;
        if self.connections < self.threads {
            return Err(format!(
                "--connections {} is below --threads {}: expected at least one each",
                self.connections, self.threads
            ));
        }
        if !self.pin.is_empty() && self.pin.len() != self.threads as usize {
            return Err(format!(
                "--pin names {} processors for {} threads: expected one each",
                self.pin.len(),
                self.threads
            ));
        }
        let workload = self.workload()?;
        let plan = Plan {
            targets: self.targets,
            keys,
            rotate_keys: self.rotate_keys,
            connections: self.connections as usize,
            workload,
            live: u64::from(self.live),
            limits: Limits { warmup, measured, requests: self.count.unwrap_or(u64::MAX) },
            threads: self.threads as usize,
            pin: self.pin,
            server_pid: self.server_pid,
            show_progress: !self.quiet,
            sleeps: self.sleep,
        };
        Ok((plan, Output { json: self.json, allow_errors: self.allow_errors }))
    }

    fn take_keys(&mut self) -> Result<Vec<String>, String> {
        let mut keys = std::mem::take(&mut self.keys);
        if let Some(path) = &self.keys_file {
            let text = fs::read_to_string(path)
                .map_err(|error| format!("--keys-file {}: {error}", path.display()))?;
            keys.extend(text.split_whitespace().map(str::to_owned));
        }
        if keys.is_empty() {
            return Err("expected --key, --keys-file or RINGFENCE_LOAD_KEY".into());
        }
        let unfit =
            |key: &&String| key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic());
        match keys.iter().position(|key| unfit(&key)) {
            Some(at) => Err(format!("key {}: expected visible ASCII", at + 1)),
            None => Ok(keys),
        }
    }

    fn workload(&self) -> Result<Workload, String> {
        match (self.rate, self.batch) {
            (Some(rate), _) if rate.is_finite() && (1.0..=1e7).contains(&rate) => {
                Ok(Workload::Open { rate_per_s: rate })
            }
            (Some(rate), _) => Err(format!("--rate {rate}: expected 1 to 10000000")),
            (None, Some(lines)) if lines % 2 == 1 => {
                Err(format!("--batch {lines}: expected an even number, admits and their releases"))
            }
            (None, Some(lines)) => Ok(Workload::Batch { calls: u64::from(lines / 2) }),
            (None, None) => Ok(Workload::Closed { pipeline: self.pipeline as usize }),
        }
    }
}

fn seconds(name: &str, value: f64, min: f64) -> Result<Duration, String> {
    const MAX_S: f64 = 86_400.0;
    if (min..=MAX_S).contains(&value) {
        return Ok(Duration::from_secs_f64(value));
    }
    Err(format!("{name} {value}: expected {min} to {MAX_S}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Plan, String> {
        let all = ["load", "--key", "k"].iter().chain(arguments);
        Arguments::try_parse_from(all).map_err(|error| error.to_string())?.read().map(|read| read.0)
    }

    #[test]
    fn only_this_machine_is_loaded() {
        assert!(read(&["--target", "192.0.2.1:7070"]).is_err_and(|text| text.contains("loopback")));
        assert!(read(&["--target", "127.0.0.1:1,192.0.2.1:1"]).is_err());
        assert!(read(&["--target", "[::1]:7070"]).is_ok());
    }

    #[test]
    fn live_calls_are_spread_over_the_connections_without_rest() {
        let plan = read(&["--connections", "6", "--live", "9"]).expect("a plan");
        let each: Vec<usize> = (0..6).map(|number| plan.live_of(number)).collect();
        assert_eq!(each, [1, 2, 1, 2, 1, 2]);
    }

    #[test]
    fn connections_go_to_each_gateway_in_turn() {
        let plan = read(&["--target", "127.0.0.1:1,127.0.0.1:2"]).expect("a plan");
        let ports: Vec<u16> = (0..3).map(|number| plan.target(number).port()).collect();
        assert_eq!(ports, [1, 2, 1]);
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        for wrong in [
            &["--rate", "0"][..],
            &["--rate", "NaN"],
            &["--rate", "10", "--batch", "2"],
            &["--batch", "3"],
            &["--duration-s", "0"],
            &["--threads", "2", "--pin", "1"],
            &["--threads", "2", "--connections", "1"],
            &["--key", "a b"],
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
