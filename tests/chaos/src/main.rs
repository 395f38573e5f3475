//! `chaos`: one long run by one command, with a report. Only reads its arguments, says how far it is,
//! and writes the report.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use chaos::plan::{Frame, draw};
use chaos::{Settings, hub, run};
use clap::{Parser, ValueEnum};

#[derive(Clone, Copy, ValueEnum)]
enum Hub {
    Single,
    Sentinel,
    Cluster,
}

/// Runs gateways, control planes, their database and a hub as processes, breaks one after the other, and checks what
/// stacks were told.
#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value = "target/release/ringfence")]
    binary: String,
    #[arg(long, value_enum, default_value = "sentinel")]
    hub: Hub,
    #[arg(long, default_value_t = 20)]
    minutes: u32,
    #[arg(long, default_value_t = 30)]
    fault_every_s: u32,
    #[arg(long, default_value_t = 300)]
    clients: usize,
    #[arg(long, default_value_t = 100)]
    limit: u32,
    #[arg(long, default_value_t = 3)]
    gateways: usize,
    #[arg(long, default_value_t = 90)]
    call_lease_s: u32,
    /// How many times longer than promised everything may take, on a machine that is busy otherwise.
    #[arg(long, default_value_t = 1)]
    pace: u32,
    /// Of the faults and of the stacks; one is drawn unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// Where the report goes, with `.md` and `.json` after it.
    #[arg(long, default_value = "target/chaos")]
    report: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let hub = match arguments.hub {
        Hub::Single => hub::Kind::Single,
        Hub::Sentinel => hub::Kind::Sentinel,
        Hub::Cluster => hub::Kind::Cluster,
    };
    let lasts_s = 60 * arguments.minutes;
    let frame = Frame {
        gateways: arguments.gateways,
        hub,
        lasts_s,
        every_s: arguments.fault_every_s,
        call_lease_s: arguments.call_lease_s,
    };
    let settings = Settings {
        binary: arguments.binary,
        hub,
        gateways: arguments.gateways,
        clients: arguments.clients,
        limit: arguments.limit,
        call_lease_s: arguments.call_lease_s,
        seed,
        lasts: Duration::from_secs(u64::from(lasts_s)),
        pace: arguments.pace,
    };
    say(&format!("seed {seed}"));
    let report = run(&settings, &draw(&frame, seed), &say);
    let markdown = report.markdown();
    let json = format!("{:#}\n", report.json());
    for (extension, text) in [("md", &markdown), ("json", &json)] {
        let path = arguments.report.with_extension(extension);
        if let Err(error) = fs::write(&path, text) {
            say(&format!("{}: {error}", path.display()));
        }
    }
    say(&markdown);
    if report.broken().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn say(line: &str) {
    if writeln!(std::io::stdout().lock(), "{line}").is_err() {
        // Nobody reads: the report is written all the same.
        std::process::exit(2);
    }
}
