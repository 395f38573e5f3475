//! `instructions`: how many instructions an admit and release pair takes, counted by valgrind's
//! callgrind. Unlike a time it is the same on a busy machine, so it can be a gate.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode};

use benches::in_process::engine::{Accounts, TOMBSTONES_MAX, World};
use benches::in_process::lines::Batch;
use clap::{Parser, ValueEnum};

// As in the binary that is served from.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Pairs in a turn of the engine.
const TURN: u64 = 64;
/// Turns before the count: tables and queues have grown then.
const WARMUP: u64 = 300;
const TURNS: u64 = 64;
const PAIRS: u64 = TURNS * TURN;
const ACCOUNTS: u64 = 1_000;
/// Above the limit by this much fails: another compiler counts a little differently.
const TOLERANCE: f64 = 1.03;

/// Counts the instructions of an admit and release pair with valgrind.
#[derive(Debug, Parser)]
#[command(name = "instructions", version)]
struct Arguments {
    /// Run this once without counting: what valgrind is given
    #[arg(long, hide = true)]
    run: Option<Subject>,
    /// End with status 1 when a count is above its limit
    #[arg(long)]
    gate: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// What the threads that serve do for a pair
    Admission,
    /// With hub and journal, flushed every 64 pairs
    Engine,
    /// Reading the lines of a batch and writing its answers, around the engine
    Http,
    /// The token of a grant. Valgrind has no SHA instructions: a block counts many times what it
    /// costs
    Token,
}

impl Subject {
    /// Instructions per pair that are accepted; lowered with what makes it faster.
    const fn limit(self) -> f64 {
        match self {
            Self::Admission => 2_000.0,
            Self::Engine => 4_080.0,
            Self::Http => 5_000.0,
            Self::Token => 11_600.0,
        }
    }

    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().into())
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.run {
        Some(subject) => run(subject).map(|()| true),
        None => count_all(),
    };
    match done {
        Ok(within) if within || !arguments.gate => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _unheard = writeln!(io::stderr(), "instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all counts are within their limits.
fn count_all() -> io::Result<bool> {
    let directory = tempfile::tempdir()?;
    let mut within = true;
    for subject in Subject::value_variants() {
        #[expect(clippy::cast_precision_loss, reason = "shown with five digits")]
        let each = count(*subject, directory.path())? as f64 / PAIRS as f64;
        let fits = each <= subject.limit() * TOLERANCE;
        within &= fits;
        let verdict = if fits { "within" } else { "ABOVE" };
        let (name, limit) = (subject.name(), subject.limit());
        writeln!(
            io::stdout(),
            "{name:<8} {each:>9.1} instructions per pair   {verdict} {limit:.0}"
        )?;
    }
    Ok(within)
}

fn count(subject: Subject, directory: &Path) -> io::Result<u64> {
    let file = directory.join(subject.name());
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*counted_pairs*"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe()?)
        .arg(format!("--run={}", subject.name()))
        .output()
        .map_err(|error| io::Error::other(format!("valgrind (a Debian package): {error}")))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("valgrind failed: {text}")));
    }
    let profile = fs::read_to_string(file)?;
    let total = profile.lines().find_map(|line| line.strip_prefix("summary: "));
    total
        .and_then(|total| total.trim().parse().ok())
        .filter(|total| *total > 0)
        .ok_or_else(|| io::Error::other("callgrind counted nothing: is the symbol stripped?"))
}

fn run(subject: Subject) -> io::Result<()> {
    match subject {
        Subject::Admission | Subject::Engine => return turns(subject == Subject::Engine),
        Subject::Http => {
            let batch = Batch::default();
            batch.answer(PAIRS);
            counted_pairs(|| batch.answer(PAIRS));
        }
        Subject::Token => {
            let batch = Batch::default();
            counted_pairs(|| batch.issue(PAIRS));
        }
    }
    Ok(())
}

/// Pairs and flushes in turn; `all`: the flushes count too.
fn turns(all: bool) -> io::Result<()> {
    let accounts = Accounts { count: ACCOUNTS, slots: Some(100), billed: true, keys: false };
    let world = World::open(accounts, TOMBSTONES_MAX)?;
    let accounts = world.accounts(ACCOUNTS);
    world.lease_slots(&accounts)?;
    let mut driver = world.driver(&accounts, 1);
    let flush = || world.engine.flush().map_err(io::Error::other);
    for _ in 0..WARMUP {
        driver.prepare(TURN);
        driver.pairs();
        flush()?;
    }
    world.acknowledge()?;
    for _ in 0..TURNS {
        driver.prepare(TURN);
        counted_pairs(|| driver.pairs());
        if all {
            let mut flushed = Ok(());
            counted_pairs(|| flushed = flush());
            flushed?;
        } else {
            flush()?;
        }
    }
    Ok(())
}

/// What callgrind looks for by its name.
#[inline(never)]
fn counted_pairs(work: impl FnOnce()) {
    work();
}
