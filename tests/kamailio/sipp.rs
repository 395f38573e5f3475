//! `SIPp`: callers and callees with the scenarios of this directory. What happened is read from the
//! lines that the scenarios log.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use support::wait_until;
use tempfile::TempDir;

use crate::proxy::{CARRIER, ENGINE, free_udp_address};

const SCENARIOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kamailio/scenarios");
const RUN_MAX: Duration = Duration::from_mins(1);
/// The number that callers call.
pub const CALLED: &str = "+919811111111";
/// The number that callers say is theirs.
pub const CALLING: &str = "+919800000001";

/// A running `SIPp`.
pub struct Sipp {
    child: Child,
    directory: TempDir,
    host: String,
    pub port: u16,
}

/// Callers that are about to call: one, from the engine, that hangs up at once.
pub struct Callers<'a> {
    pub scenario: &'a str,
    pub from: &'a str,
    pub calls: u32,
    pub per_second: u32,
    /// How long each talks, or rings before it cancels.
    pub talk: Duration,
}

impl Callers<'_> {
    /// They begin to call the proxy.
    #[track_caller]
    pub fn call(&self, proxy: SocketAddr) -> Sipp {
        let (calls, per_second) = (self.calls.to_string(), self.per_second.to_string());
        let (talk, proxy) = (self.talk.as_millis().to_string(), proxy.to_string());
        let rate = ["-m", &calls, "-l", &calls, "-r", &per_second];
        let each = ["-d", &talk, "-s", CALLED, &proxy];
        Sipp::start(self.scenario, self.from, &[&rate[..], &each].concat())
    }
}

impl Default for Callers<'_> {
    fn default() -> Self {
        Self {
            scenario: "caller_hangs_up",
            from: ENGINE,
            calls: 1,
            per_second: 10,
            talk: Duration::ZERO,
        }
    }
}

impl Sipp {
    /// Takes calls at the carrier's address until dropped.
    #[track_caller]
    pub fn callee(scenario: &str) -> Self {
        Self::callee_at(CARRIER, scenario)
    }

    /// Takes calls at another address.
    #[track_caller]
    pub fn callee_at(host: &str, scenario: &str) -> Self {
        // A name of a call that has ended may come again: a new attempt keeps its Call-ID.
        Self::start(scenario, host, &["-deadcall_wait", "0"])
    }

    #[track_caller]
    fn start(scenario: &str, host: &str, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let port = free_udp_address(host).port();
        let output = fs::File::create(directory.path().join("output")).expect("a file");
        let scenario = PathBuf::from(SCENARIOS).join(scenario).with_extension("xml");
        let mut command = Command::new("sipp");
        command
            .arg("-sf")
            .arg(scenario)
            .args(["-i", host, "-p", &port.to_string(), "-nostdin", "-aa"])
            .args(["-trace_logs", "-log_file", "log", "-trace_err", "-error_file", "errors"])
            .args(arguments)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(Stdio::null());
        let child = command
            .spawn()
            .unwrap_or_else(|error| unreachable!("sipp ({error}): run `make test` once"));
        Self { child, directory, host: host.to_owned(), port }
    }

    /// The `call_id` that the proxy derives from the SIP elements of the numbered call; from 1.
    pub fn call_id(&self, number: u32) -> String {
        let process = self.child.id();
        format!("{number}-{process}@{};{process}f{number};1", self.host)
    }

    /// What the scenarios logged so far, a line each.
    pub fn log(&self) -> Vec<String> {
        self.read("log").lines().map(str::to_owned).collect()
    }

    /// How many lines of the log are this one.
    pub fn count(&self, line: &str) -> usize {
        self.log().iter().filter(|logged| *logged == line).count()
    }

    /// Waits until all callers are through, as scripted; the log.
    #[track_caller]
    pub fn finish(mut self) -> Vec<String> {
        let mut status: Option<ExitStatus> = None;
        wait_until("the callers are through", RUN_MAX, || {
            status = self.child.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        let ended_well = status.is_some_and(|status| status.success());
        assert!(
            ended_well,
            "calls did not go as scripted\n{}\n{}",
            self.read("errors"),
            self.read("log")
        );
        self.log()
    }

    fn read(&self, file: &str) -> String {
        let path: &Path = self.directory.path();
        String::from_utf8_lossy(&fs::read(path.join(file)).unwrap_or_default()).into_owned()
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        // It may have ended before; SIGTERM it would ignore while calls are open.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
