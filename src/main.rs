//! The `ringfence` binary: reads its settings and runs what was asked. No logic of its own.

mod command_line;
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
use std::process::ExitCode;

use command_line::Task;
use settings::source::Sources;
use settings::{Problem, Settings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The settings or the command line are wrong; clap uses it too.
const STATUS_USAGE: u8 = 2;

fn main() -> ExitCode {
    let line = command_line::parse();
    let role = match line.task {
        Task::Run(role) | Task::ConfigCheck(role) => role,
        Task::ConfigSample => return say(&settings::sample()),
    };
    let mut problems = Vec::new();
    let variables = environment::variables();
    let sources = Sources::merge(line.flags, line.config, variables, &mut problems);
    match (Settings::read(role, &sources, problems, hub::clock::now_us()), line.task) {
        (Err(problems), _) => refuse(&problems),
        (Ok(settings), Task::ConfigCheck(_)) => say(&settings::report(&settings)),
        (Ok(settings), _) => serve::run(role, &settings),
    }
}

fn say(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn refuse(problems: &[Problem]) -> ExitCode {
    let mut lines = vec!["ringfence: the settings are wrong; nothing was started".to_owned()];
    lines.extend(problems.iter().map(|problem| format!("  {problem}")));
    lines.push(String::new());
    // Nobody is left to tell when standard error is closed.
    let _unheard = std::io::stderr().write_all(lines.join("\n").as_bytes());
    ExitCode::from(STATUS_USAGE)
}
