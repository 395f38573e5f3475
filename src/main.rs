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

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use command_line::{CommandLine, Task};
use role::Role;
use settings::source::Sources;
use settings::{Problem, Settings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The settings or the command line are wrong; clap uses it too.
const STATUS_USAGE: u8 = 2;

fn main() -> ExitCode {
    let CommandLine { task, flags, config } = command_line::parse();
    match task {
        Task::Run(role) => {
            with_settings(Some(role), flags, config, |settings| serve::run(role, settings))
        }
        Task::KeepUp(upkeep) => {
            with_settings(None, flags, config, |settings| database::keep_up(&upkeep, settings))
        }
        Task::ConfigCheck(role) => {
            with_settings(Some(role), flags, config, |settings| say(&settings::report(settings)))
        }
        Task::ConfigSample => say(&settings::sample()),
    }
}

/// Goes on with the settings of a process of that role, or of one that serves nothing.
fn with_settings(
    role: Option<Role>,
    flags: Vec<(String, String)>,
    config: Option<PathBuf>,
    go_on: impl FnOnce(&Settings) -> ExitCode,
) -> ExitCode {
    let mut problems = Vec::new();
    let sources = Sources::merge(flags, config, environment::variables(), &mut problems);
    match Settings::read(role, &sources, problems, hub::clock::now_us()) {
        Ok(settings) => go_on(&settings),
        Err(problems) => refuse(&problems),
    }
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
