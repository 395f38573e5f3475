//! `ringfence audit verify` and `ringfence ledger verify`: check what stands in a database and print what was
//! found. Start nothing.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;

use control_plane::{AuditReport, LedgerReport};

/// It could not be checked; 1 says that something does not fit.
const STATUS_UNCHECKED: u8 = 3;
/// The largest file of an earlier check that is read, in bytes.
const EARLIER_MAX: u64 = 64 * 1024 * 1024;

/// Checks the audit, also against what an earlier check printed.
pub fn audit(database_url: &str, earlier: Option<&Path>) -> ExitCode {
    let checked = read(earlier)
        .and_then(|earlier| crate::complete(control_plane::verify_audit(database_url, &earlier)));
    let of_report = |report: AuditReport| {
        let mut told: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
        if report.unsealed > 0 {
            told.push(format!("{} entries are not sealed yet", report.unsealed));
        }
        print(&report.heads, &told, report.faults.is_empty())
    };
    checked.map_or_else(|why| unchecked("audit", &why), of_report)
}

/// The same of the ledger.
pub fn ledger(database_url: &str, earlier: Option<&Path>) -> ExitCode {
    let checked = read(earlier)
        .and_then(|earlier| crate::complete(control_plane::verify_ledger(database_url, &earlier)));
    let of_report = |report: LedgerReport| {
        let mut told = report.faults.clone();
        told.extend(report.open.iter().map(|open| format!("to be settled: {open}")));
        if report.unsealed > 0 {
            told.push(format!("{} transactions are not sealed yet", report.unsealed));
        }
        let head: Vec<_> = report.head.into_iter().collect();
        print(&head, &told, report.faults.is_empty())
    };
    checked.map_or_else(|why| unchecked("ledger", &why), of_report)
}

/// The heads that an earlier check printed.
fn read<H: FromStr<Err = &'static str>>(path: Option<&Path>) -> Result<Vec<H>, String> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let shown = path.display();
    let text = std::fs::metadata(path)
        .and_then(|file| match file.len() {
            ..=EARLIER_MAX => std::fs::read_to_string(path),
            _ => Err(std::io::ErrorKind::FileTooLarge.into()),
        })
        .map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let line = |(index, line): (usize, &str)| {
        line.parse().map_err(|expected| format!("{shown}, line {}: {expected}", index + 1))
    };
    text.lines().enumerate().filter(|(_, line)| !line.is_empty()).map(line).collect()
}

/// Heads to standard output, to be kept as they are; everything else to standard error.
fn print(heads: &[impl Display], told: &[String], is_well: bool) -> ExitCode {
    let line = |mut text: String, line: String| {
        text.extend([line.as_str(), "\n"]);
        text
    };
    let heads = heads.iter().map(ToString::to_string).fold(String::new(), line);
    say(std::io::stdout(), &heads);
    let told = told.iter().map(|told| format!("ringfence: {told}")).fold(String::new(), line);
    say(std::io::stderr(), &told);
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn unchecked(what: &str, why: &str) -> ExitCode {
    say(std::io::stderr(), &format!("ringfence: the {what} was not checked: {why}\n"));
    ExitCode::from(STATUS_UNCHECKED)
}

/// Nobody is left to tell when it is closed.
fn say(mut out: impl Write, text: &str) {
    let _unheard = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
