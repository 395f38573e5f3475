//! Programs of the machine that tests run: curl, promtool, mount.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Where programs are found.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs a program to its end. A program that is missing fails the test: `make test` installs it.
#[track_caller]
pub fn run(program: &str, arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| unreachable!("{program} ({error}): run `make test` once"));
    let mut stdin = child.stdin.take().expect("piped");
    let text = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("its output");
    // A program that does not read its input to the end says more by its own output.
    let _closed_early = writer.join().expect("the writer does not panic");
    output
}

/// Runs a line as a shell does; standard output. The status must be 0.
#[track_caller]
pub fn shell(line: &str, environment: &[(&str, &str)]) -> String {
    let output = run("sh", &["-c", line], environment, "");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}\n{stdout}\n{stderr}");
    stdout
}

/// A text as one word of a shell line.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
