//! Real Redis servers: started on free ports of the loopback with a directory of their own, stopped by
//! their ids. Knows nothing of what is kept in them.

mod cluster;
mod sentinel;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rand::Rng as _;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::command::{PATH, run};
use crate::wait::{say, wait_until};

pub use cluster::Cluster;
pub use sentinel::Watched;

const START_MAX: Duration = Duration::from_secs(20);
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Another process may take a free port before the server does.
const PORTS_TRIED_MAX: u32 = 5;
const PORTS_LOOKED_AT_MAX: usize = 1_000;
/// Below the kernel's own, with room for a cluster's bus ten thousand above.
const LISTENED: Range<u16> = 10_000..32_000;
/// Bytes of its log that are shown when a test fails.
const LOG_SHOWN: usize = 2_000;

/// A running server.
pub struct Redis {
    child: Child,
    program: &'static str,
    arguments: Vec<String>,
    /// What `redis-cli` says before its command, such as a login.
    cli: Vec<String>,
    port: u16,
    directory: TempDir,
}

impl Redis {
    /// A server with these settings, each a name and its value. Without `save` it keeps nothing.
    #[track_caller]
    pub fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_as("redis-server", None, settings, &[])
    }

    /// One with a configuration file; `settings` come after it. `cli` is what `redis-cli` needs.
    #[track_caller]
    pub fn configured(file: &Path, settings: &[(&str, &str)], cli: &[&str]) -> Self {
        Self::start_as("redis-server", Some(file), settings, cli)
    }

    #[track_caller]
    fn start_as(
        program: &'static str,
        file: Option<&Path>,
        settings: &[(&str, &str)],
        cli: &[&str],
    ) -> Self {
        for _ in 0..PORTS_TRIED_MAX {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let port = free_port();
            let mut arguments = Vec::new();
            if let Some(file) = file {
                // A copy: sentinels and CONFIG REWRITE write to it.
                let copy = directory.path().join("given.conf");
                fs::copy(file, &copy).expect("the configuration is copied");
                arguments.push(copy.display().to_string());
            }
            let port_text = port.to_string();
            let place = directory.path().display().to_string();
            let base = [("port", port_text.as_str()), ("bind", "127.0.0.1"), ("dir", &place)];
            let nothing_kept = [("save", "")];
            let kept = file.is_some() || settings.iter().any(|(name, _)| *name == "save");
            let all = base.iter().chain(nothing_kept.iter().filter(|_| !kept)).chain(settings);
            for (name, value) in all {
                arguments.push(format!("--{name}"));
                arguments.extend(value.split(' ').map(str::to_owned));
            }
            let child = spawn(program, &arguments, directory.path());
            let cli = cli.iter().map(|&word| word.to_owned()).collect();
            let mut redis = Self { child, program, arguments, cli, port, directory };
            if redis.answers() {
                return redis;
            }
        }
        unreachable!("{program} does not start")
    }

    /// Waits until it answers; `false` when it has ended because its port was taken.
    #[track_caller]
    fn answers(&mut self) -> bool {
        let mut ended = false;
        wait_until("the server answers", START_MAX, || {
            ended = self.child.try_wait().expect("a child can be waited for").is_some();
            ended || is_ready(self.port)
        });
        assert!(!ended || self.log().contains("in use"), "{} ended:\n{}", self.program, self.log());
        !ended
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(log_path(self.directory.path())).unwrap_or_default()
    }

    /// Runs a command by `redis-cli`; what it prints, an error included.
    #[track_caller]
    pub fn command(&self, words: &[&str]) -> String {
        let port = self.port.to_string();
        let mut arguments = vec!["-p", &port];
        arguments.extend(self.cli.iter().map(String::as_str));
        arguments.extend(words);
        let output = run("redis-cli", &arguments, &[], "");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// SIGSTOP: it keeps its sockets and answers nothing.
    pub fn stop_answering(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// kill -9, and gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("a child can be waited for");
    }

    /// Starts it again after [`Self::kill`], on its port and its directory.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.child = spawn(self.program, &self.arguments, self.directory.path());
        assert!(self.answers(), "its port was taken meanwhile");
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the process has not been waited for");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let from = log.floor_char_boundary(log.len().saturating_sub(LOG_SHOWN));
            say(&format!("{} on {} had said:\n{}", self.program, self.port, &log[from..]));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            // It may end by itself between the two; then there is nothing to do.
            let _ended = self.child.kill();
            let _status = self.child.wait();
        }
    }
}

fn log_path(directory: &Path) -> PathBuf {
    directory.join("log")
}

#[track_caller]
fn spawn(program: &str, arguments: &[String], directory: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log_path(directory));
    Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .stdout(log.expect("its log"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| unreachable!("{program} ({error}): run `make test` once"))
}

/// A port of the loopback that nothing listens on. None of those that the kernel gives to outgoing
/// connections: a server that is started again finds it free.
pub fn free_port() -> u16 {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let ports = std::iter::repeat_with(|| rand::rng().random_range(LISTENED));
    ports.take(PORTS_LOOKED_AT_MAX).find(is_free).expect("a free port")
}

/// Whether a server there has started: it answers, if only that a login is missing.
fn is_ready(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    let asked =
        stream.set_read_timeout(Some(ANSWER_MAX)).and_then(|()| stream.write_all(b"PING\r\n"));
    let mut answer = [0; 8];
    asked.and_then(|()| stream.read_exact(&mut answer[..5])).is_ok()
        && (answer.starts_with(b"+PONG") || answer.starts_with(b"-NOAU"))
}
