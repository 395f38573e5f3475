//! `load`: drives admits and releases against a running gateway and says what it answered, how fast,
//! and what that cost. Never prints a figure of a run with errors unless told to.

mod arguments;
mod calls;
mod connection;
mod generator;
mod plan;
mod progress;
mod schedule;
mod table;
mod tally;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::thread::{self, ScopedJoinHandle};

use benches::figures::Figures;
use clap::Parser;

use arguments::Arguments;
use generator::{Generator, Setup};
use plan::Plan;
use progress::Progress;
use tally::Tally;

fn main() -> ExitCode {
    let (plan, output) = match Arguments::parse().read() {
        Ok(read) => read,
        Err(problem) => return fail(&problem),
    };
    let figures = match run(&plan) {
        Ok(figures) => figures,
        Err(error) => return fail(&format!("{}: {error}", plan.named_targets())),
    };
    let errors = figures.errors_total();
    if errors > 0 && !output.allow_errors {
        let listed = table::counted(&figures.errors);
        return fail(&format!(
            "{errors} errors in {} requests, so there are no figures (--allow-errors shows them): {listed}",
            figures.requests
        ));
    }
    match print(&figures, output.json) {
        Ok(()) if errors == 0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn run(plan: &Plan) -> io::Result<Figures> {
    let answered = AtomicU64::new(0);
    let setup = Setup::new(plan);
    let tallies = thread::scope(|scope| {
        let running: Vec<_> = (0..plan.threads)
            .map(|index| {
                let (setup, answered) = (&setup, &answered);
                scope.spawn(move || Generator::new(plan, setup, index, answered)?.run())
            })
            .collect();
        Progress::new(plan).watch(&answered, || running.iter().all(ScopedJoinHandle::is_finished));
        running
            .into_iter()
            .map(|thread| thread.join().map_err(|_| io::Error::other("a generator panicked"))?)
            .collect::<io::Result<Vec<Tally>>>()
    })?;
    Ok(Tally::sum(tallies).figures(plan))
}

fn print(figures: &Figures, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, figures)?;
        return writeln!(out);
    }
    write!(out, "{}", table::Table(figures))
}

fn fail(problem: &str) -> ExitCode {
    // Nobody is left to tell when standard error is closed.
    let _unheard = writeln!(io::stderr(), "load: {problem}");
    ExitCode::FAILURE
}
