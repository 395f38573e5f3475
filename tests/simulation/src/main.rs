//! Runs worlds by the number: every failing seed is printed, and runs again alone.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;

/// Simulates gateways, a shared hub and their faults in virtual time, and checks the invariants of the
/// lease protocol after every event.
#[derive(Parser)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many worlds; each is nine simulated minutes.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// Worlds at a time; 0: one for each processor.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Say what each world came to.
    #[arg(long)]
    verbose: bool,
    /// Say what happens in each world, line by line; for one seed.
    #[arg(long)]
    trace: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if arguments.threads == 0 { processors } else { arguments.threads };
    let next = AtomicU64::new(0);
    let failures = Mutex::new(Vec::new());
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= arguments.seeds {
                        return;
                    }
                    let teller = arguments.trace.then(|| Box::new(say_line) as simulation::Teller);
                    let result = simulation::run_told(arguments.first + seed, teller);
                    say(&arguments, &result);
                    if let Err(failure) = result {
                        failures.lock().expect("no panic").push(failure);
                    }
                    let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                    if done.is_multiple_of(1_000) {
                        say_progress(done, arguments.seeds);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{} worlds, {} failed", arguments.seeds, failures.len());
    if written.is_ok() && failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn say(arguments: &Arguments, result: &Result<simulation::Summary, simulation::Failure>) {
    let mut out = std::io::stdout().lock();
    let written = match result {
        Ok(summary) if arguments.verbose => writeln!(out, "{summary:?}"),
        Ok(_) => Ok(()),
        Err(failure) => {
            writeln!(out, "{failure}\n  again: simulate --first {} --seeds 1", failure.seed)
        }
    };
    if written.is_err() {
        // Nobody reads: the exit code still tells.
        std::process::exit(2);
    }
}

fn say_line(line: &str) {
    if writeln!(std::io::stdout().lock(), "{line}").is_err() {
        std::process::exit(2);
    }
}

fn say_progress(done: u64, of: u64) {
    let mut error = std::io::stderr().lock();
    if writeln!(error, "{done} of {of} worlds").is_err() {
        std::process::exit(2);
    }
}
