//! The `ringfence` binary: reads its settings and runs what was asked. No logic of its own.

mod command_line;
mod database;
mod environment;
mod listener;
mod log;
mod operations;
mod role;
mod serve;
mod settings;
mod task;
mod tls;
mod verify;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use command_line::Task;
use settings::source::Sources;
use settings::{Problem, Settings};
use tokio::runtime::Builder;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The settings or the command line are wrong; clap uses it too.
const STATUS_USAGE: u8 = 2;

fn main() -> ExitCode {
    let line = command_line::parse();
    let mut problems = Vec::new();
    let variables = environment::variables();
    let sources = Sources::merge(line.flags, line.config, variables, &mut problems);
    let read = |role, problems| Settings::read(role, &sources, problems, hub::clock::now_us());
    let done = match line.task {
        Task::Run(role) => read(role, problems).map(|settings| serve::run(role, &settings)),
        Task::ConfigCheck(role) => {
            read(role, problems).map(|settings| say(&settings::report(&settings)))
        }
        Task::ConfigSample => Ok(say(&settings::sample())),
        Task::KeepUp(upkeep) => settings::database_url(&sources, problems)
            .map(|database_url| database::keep_up(&upkeep, &database_url)),
        Task::AuditVerify { earlier } => settings::database_url(&sources, problems)
            .map(|database_url| verify::audit(&database_url, earlier.as_deref())),
        Task::LedgerVerify { earlier } => settings::database_url(&sources, problems)
            .map(|database_url| verify::ledger(&database_url, earlier.as_deref())),
    };
    done.unwrap_or_else(|problems| refuse(&problems))
}

/// Carries out what a command does and serves nothing, to its end.
fn complete<T, E: Display>(work: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    runtime.block_on(work).map_err(|error| error.to_string())
}

fn say(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says why nothing was done.
fn fail(failure: &str) -> ExitCode {
    // Nobody is left to tell when standard error is closed.
    let _unheard = writeln!(std::io::stderr(), "ringfence: {failure}");
    ExitCode::FAILURE
}

fn refuse(problems: &[Problem]) -> ExitCode {
    let mut lines = vec!["ringfence: the settings are wrong; nothing was started".to_owned()];
    lines.extend(problems.iter().map(|problem| format!("  {problem}")));
    lines.push(String::new());
    // Nobody is left to tell when standard error is closed.
    let _unheard = std::io::stderr().write_all(lines.join("\n").as_bytes());
    ExitCode::from(STATUS_USAGE)
}
