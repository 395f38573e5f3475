//! `with-postgres`: runs a command with a PostgreSQL server of its own, whose URL it finds in
//! `RINGFENCE_TEST_POSTGRES`; ends as the command does.

use std::process::{Command, ExitCode};

use support::postgres::Postgres;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let Some(program) = words.next() else {
        support::say("with-postgres COMMAND…");
        return ExitCode::from(2);
    };
    let postgres = Postgres::start();
    let mut command = Command::new(program);
    command.args(words).env("RINGFENCE_TEST_POSTGRES", postgres.url("postgres"));
    let status = command.status().expect("the command can be run");
    drop(postgres);
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
