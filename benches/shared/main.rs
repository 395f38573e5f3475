//! `shared`: measures gateways that share a hub against what was promised of them: real processes over
//! a Redis server, one figure after the other. What `make bench-shared` prints. Decides nothing unless
//! told `--gate`.

mod arguments;
mod figure;
mod figures;
mod installation;
mod load;
mod redis;

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use benches::machine::Machine;
use clap::Parser;
use serde::Serialize;

use arguments::Arguments;
use figure::Figure;

/// Everything that was measured.
#[derive(Serialize)]
struct Report {
    machine: Machine,
    figures: Vec<Figure>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(figures) if arguments.gate && !figures.iter().all(|figure| figure.holds) => {
            ExitCode::FAILURE
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _unheard = writeln!(io::stderr(), "shared: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<Vec<Figure>> {
    let machine = Machine::read();
    writeln!(io::stdout(), "{machine}")?;
    let mut report = Report { machine, figures: Vec::new() };
    for (name, measure) in figures::ALL {
        if arguments.wants(name) {
            let figure = measure(arguments, name)?;
            write!(io::stdout(), "{figure}")?;
            report.figures.push(figure);
        }
    }
    if let Some(path) = &arguments.json {
        fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(report.figures)
}
