//! `memory`: bytes per live call and per idle account, gateway and embedded hub together, at a million
//! of each. Each figure is the growth of the resident memory of a process of its own.

use std::io::{self, Write};
use std::process::{Command, ExitCode, Stdio};

use benches::in_process::engine::{Accounts, TOMBSTONES_MAX, World};
use benches::processor::resident_bytes;
use clap::{Parser, ValueEnum};
use gateway::request::Admit;
use serde::{Deserialize, Serialize};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FLUSH_EVERY: u64 = 64;

/// Bytes per live call and per idle account.
#[derive(Debug, Parser)]
#[command(name = "memory", version)]
struct Arguments {
    /// Measure only this, in this process
    #[arg(long)]
    subject: Option<Subject>,
    /// How many of it
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    count: u64,
    /// One line of JSON for each figure instead of text
    #[arg(long)]
    json: bool,
    /// End with status 1 when a target is missed
    #[arg(long)]
    gate: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Subject {
    /// Live calls of one account, with a call id of 36 bytes and nothing else
    Call,
    /// The same with numbers, agent and source as a SIP server sends them
    CallWithTexts,
    /// The same as `call`, of an account that is billed
    BilledCall,
    /// Accounts with slots, without a call
    Account,
    /// Accounts with a key, a rate and money in a wallet of their own
    AccountWithWallet,
}

/// One figure.
#[derive(Debug, Serialize, Deserialize)]
struct Figure {
    subject: Subject,
    count: u64,
    bytes_each: f64,
    /// `None`: shown only.
    target_bytes: Option<f64>,
}

impl Subject {
    const fn target_bytes(self) -> Option<f64> {
        match self {
            Self::Call => Some(384.0),
            Self::Account => Some(512.0),
            Self::CallWithTexts | Self::BilledCall | Self::AccountWithWallet => None,
        }
    }
}

impl Figure {
    fn met(&self) -> bool {
        self.target_bytes.is_none_or(|target| self.bytes_each <= target)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let figures = match arguments.subject {
        Some(subject) => measure(subject, arguments.count).map(|figure| vec![figure]),
        None => Subject::value_variants()
            .iter()
            .map(|subject| in_a_process(*subject, arguments.count))
            .collect(),
    };
    match figures.and_then(|figures| print(&figures, arguments.json).map(|()| figures)) {
        Ok(figures) if arguments.gate && !figures.iter().all(Figure::met) => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _unheard = writeln!(io::stderr(), "memory: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print(figures: &[Figure], json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for figure in figures {
        if json {
            writeln!(out, "{}", serde_json::to_string(figure)?)?;
            continue;
        }
        let target = figure.target_bytes.map_or(String::new(), |target| {
            let met = if figure.met() { "met" } else { "MISSED" };
            format!("   target {target:.0}: {met}")
        });
        let name = figure
            .subject
            .to_possible_value()
            .map_or_else(String::new, |value| value.get_name().into());
        writeln!(
            out,
            "{name:<20} {:>7.1} bytes each at {}{target}",
            figure.bytes_each, figure.count
        )?;
    }
    Ok(())
}

/// A process of its own: what an earlier figure freed would be reused unseen.
fn in_a_process(subject: Subject, count: u64) -> io::Result<Figure> {
    let name =
        subject.to_possible_value().map_or_else(String::new, |value| value.get_name().into());
    let output = Command::new(std::env::current_exe()?)
        .args(["--json", "--subject", &name])
        .arg(format!("--count={count}"))
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{name} could not be measured")));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[expect(clippy::cast_precision_loss, reason = "shown with four digits")]
fn measure(subject: Subject, count: u64) -> io::Result<Figure> {
    let pid = std::process::id();
    let grown = match subject {
        Subject::Call | Subject::CallWithTexts | Subject::BilledCall => {
            let billed = subject == Subject::BilledCall;
            let accounts = Accounts { count: 1, slots: Some(u32::MAX / 4), billed, keys: false };
            let world = World::open(accounts, TOMBSTONES_MAX)?;
            let before = resident_bytes(pid)?;
            admit(&world, count, subject == Subject::CallWithTexts)?;
            resident_bytes(pid)?.saturating_sub(before)
        }
        Subject::Account | Subject::AccountWithWallet => {
            let all = subject == Subject::AccountWithWallet;
            let accounts = Accounts { count, slots: Some(10), billed: all, keys: all };
            let world = World::empty(TOMBSTONES_MAX)?;
            let before = resident_bytes(pid)?;
            world.publish(accounts)?;
            resident_bytes(pid)?.saturating_sub(before)
        }
    };
    Ok(Figure {
        subject,
        count,
        bytes_each: grown as f64 / count as f64,
        target_bytes: subject.target_bytes(),
    })
}

fn admit(world: &World, count: u64, texts: bool) -> io::Result<()> {
    let accounts = world.accounts(1);
    let mut driver = world.driver(&accounts, rand::random());
    let like = if texts {
        Admit {
            from: "+912250001000",
            to: "+919800012345",
            agent_id: "agent-0042",
            source: "kam-1",
            ..Admit::default()
        }
    } else {
        Admit::default()
    };
    let mut left = count;
    while left > 0 {
        let turn = left.min(FLUSH_EVERY);
        driver.admit(turn, &like);
        world.engine.flush().map_err(io::Error::other)?;
        left -= turn;
    }
    Ok(())
}
