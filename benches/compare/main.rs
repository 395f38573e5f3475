//! `compare`: runs the release binary and a bare hyper server in turn under the same load and says
//! what admission costs beyond HTTP. What `make bench` prints. Decides nothing unless told `--gate`.

mod arguments;
mod backlog;
mod cases;
mod installation;
mod report;
mod rounds;

use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use benches::machine::Machine;
use clap::Parser;

use arguments::Arguments;
use backlog::Backlog;
use installation::Installation;
use report::Report;
use rounds::Rounds;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(report) if arguments.gate && !report.targets_met() => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _unheard = writeln!(io::stderr(), "compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<Report> {
    let machine = Machine::read();
    writeln!(io::stdout(), "{machine}")?;
    let directory = tempfile::tempdir()?;
    let processors = arguments.processors()?;
    let installation = Installation::start(arguments, &processors, directory.path())?;
    let bare = installation.start_bare(arguments, &processors, directory.path())?;
    let rounds = Rounds::new(arguments, &processors, &installation, &bare)?;
    let backlog = Backlog::of(&installation, arguments.drain_limit_s)?;
    let mut results = Vec::new();
    for case in cases::all().into_iter().filter(|case| arguments.runs(case.name)) {
        let result = rounds.run(&case, &backlog)?;
        write!(io::stdout(), "{result}")?;
        results.push(result);
    }
    let resident_bytes = benches::processor::resident_bytes(installation.server.pid())?;
    let report = Report { machine, settings: arguments.settings(), results, resident_bytes };
    write!(io::stdout(), "{}", report.closing())?;
    if let Some(path) = &arguments.json {
        fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    bare.stop()?;
    installation.server.stop()?;
    Ok(report)
}
