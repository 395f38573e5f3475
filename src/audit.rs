//! `ringfence audit verify`: checks the audit of a database and prints what was found. Starts nothing.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use control_plane::{AuditHead, AuditReport};

/// It could not be checked; 1 says that something does not fit.
const STATUS_UNCHECKED: u8 = 3;
/// The largest file of an earlier check that is read, in bytes.
const EARLIER_MAX: u64 = 64 * 1024 * 1024;

/// Checks the audit, also against what an earlier check printed.
pub fn verify(database_url: &str, earlier: Option<&Path>) -> ExitCode {
    let checked = earlier
        .map_or(Ok(Vec::new()), read)
        .and_then(|earlier| crate::complete(control_plane::verify_audit(database_url, &earlier)));
    match checked {
        Ok(report) => print(&report),
        Err(why) => {
            say(std::io::stderr(), &format!("ringfence: the audit was not checked: {why}\n"));
            ExitCode::from(STATUS_UNCHECKED)
        }
    }
}

/// The heads that an earlier check printed.
fn read(path: &Path) -> Result<Vec<AuditHead>, String> {
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

/// The chains to standard output, to be kept as they are; everything else to standard error.
fn print(report: &AuditReport) -> ExitCode {
    let heads: Vec<String> = report.heads.iter().map(ToString::to_string).collect();
    say(
        std::io::stdout(),
        &heads.iter().flat_map(|head| [head.as_str(), "\n"]).collect::<String>(),
    );
    let mut told = String::new();
    let mut tell = |line: String| told.extend(["ringfence: ", &line, "\n"]);
    report.faults.iter().for_each(|fault| tell(fault.to_string()));
    if report.unsealed > 0 {
        tell(format!("{} entries are not sealed yet", report.unsealed));
    }
    say(std::io::stderr(), &told);
    if report.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Nobody is left to tell when it is closed.
fn say(mut out: impl Write, text: &str) {
    let _unheard = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
