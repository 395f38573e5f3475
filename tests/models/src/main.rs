//! `models`: explores every run of every model and says what it came to.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use models::{
    Expected, Outcome, Run, composed, deadlines, exact, money, names, release, slots, tick,
};

/// Explores the models of the lease protocol, the large runs too: some minutes and a few gigabytes.
#[derive(Debug, Parser)]
#[command(name = "models", version)]
struct Arguments {
    /// Only runs whose name holds this
    only: Option<String>,
    /// Print the events that led to each counterexample
    #[arg(long)]
    traces: bool,
}

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut as_expected = run_all(&arguments, "slots", &slots::RUNS, slots::check)?;
    as_expected &= run_all(&arguments, "release", &release::RUNS, release::check)?;
    as_expected &= run_all(&arguments, "names", &names::RUNS, names::check)?;
    as_expected &= run_all(&arguments, "exact", &exact::RUNS, exact::check)?;
    as_expected &= run_all(&arguments, "deadlines", &deadlines::RUNS, deadlines::check)?;
    as_expected &= run_all(&arguments, "money", &money::RUNS, money::check)?;
    as_expected &= run_all(&arguments, "tick", &tick::RUNS, tick::check)?;
    as_expected &= run_all(&arguments, "composed", &composed::RUNS, composed::check)?;
    Ok(if as_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether every run came to what was expected.
fn run_all<C: Copy>(
    arguments: &Arguments,
    model: &str,
    runs: &[Run<C>],
    check: fn(C) -> Outcome,
) -> io::Result<bool> {
    let mut out = io::stdout();
    let mut as_expected = true;
    let wanted =
        |run: &&Run<C>| arguments.only.as_ref().is_none_or(|only| run.name.contains(only.as_str()));
    for run in runs.iter().filter(wanted) {
        write!(out, "{model:<9} {:<72}", run.name)?;
        out.flush()?;
        let outcome = check(run.config);
        let found = if outcome.violation.is_some() { "violated" } else { "holds" };
        let right = outcome.is(run.expected);
        as_expected &= right;
        let verdict = match (right, run.expected) {
            (true, Expected::Holds) => "as it must",
            (true, Expected::Breaks(_)) => "as it must: a rule is left out",
            (false, _) => "NOT AS EXPECTED",
        };
        writeln!(
            out,
            "{:>9} states  depth {:>3}  {found}, {verdict}",
            outcome.states, outcome.depth
        )?;
        for name in &outcome.unreached {
            writeln!(out, "         never: {name}")?;
        }
        if let Some((invariant, events)) = outcome.violation.filter(|_| arguments.traces || !right)
        {
            writeln!(out, "         {invariant}\n         {events}")?;
        }
    }
    Ok(as_expected)
}
