//! Real PostgreSQL servers: started on free ports of the loopback with a directory of their own, stopped
//! by their ids. Knows nothing of what is kept in them.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

use crate::command::{PATH, run};
use crate::redis::free_port;
use crate::wait::{say, wait_until};

const START_MAX: Duration = Duration::from_mins(1);
/// Another process may take a free port before the server does.
const PORTS_TRIED_MAX: u32 = 5;
const USER: &str = "ringfence";
const PASSWORD: &str = "of-the-test";
/// Where Debian keeps a version's programs: `15/bin`.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Whom the package makes. The server does not run as root.
const DAEMON: &str = "postgres";

/// A running server.
pub struct Postgres {
    child: Child,
    port: u16,
    directory: TempDir,
}

impl Postgres {
    #[track_caller]
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        give(directory.path());
        initialize(directory.path());
        let port = free_port();
        let mut postgres = Self { child: serve(directory.path(), port), port, directory };
        for _ in 0..PORTS_TRIED_MAX {
            if postgres.answers() {
                return postgres;
            }
            postgres.port = free_port();
            postgres.child = serve(postgres.directory.path(), postgres.port);
        }
        unreachable!("PostgreSQL does not start")
    }

    /// A database that is made unless it is there; its URL.
    #[track_caller]
    pub fn database(&self, name: &str) -> String {
        create_database(&self.url("postgres"), name)
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// Every process of it ends at once; what was not committed is gone.
    pub fn crash(&mut self) {
        self.signal(Signal::QUIT);
        self.child.wait().expect("a child can be waited for");
    }

    /// Starts it again after [`Self::crash`], on its port and its directory.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.child = serve(self.directory.path(), self.port);
        assert!(self.answers(), "its port was taken meanwhile");
    }

    /// Waits until it answers; `false` when it has ended.
    #[track_caller]
    fn answers(&mut self) -> bool {
        let (url, mut ended) = (self.url("postgres"), false);
        wait_until("the server answers", START_MAX, || {
            ended = self.child.try_wait().expect("a child can be waited for").is_some();
            ended || ask(&url, "SELECT 1").is_ok()
        });
        assert!(!ended || self.log().contains("in use"), "PostgreSQL ended:\n{}", self.log());
        !ended
    }

    fn log(&self) -> String {
        fs::read_to_string(log_path(self.directory.path())).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the process has not been waited for");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if thread::panicking() {
            say(&format!("PostgreSQL on {} had said:\n{}", self.port, self.log()));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            self.crash();
        }
    }
}

/// Makes a database of a server unless it is there; its URL. `server` is the URL of another one there.
#[track_caller]
pub fn create_database(server: &str, name: &str) -> String {
    let known = ask(server, &format!("SELECT 1 FROM pg_database WHERE datname = '{name}'"));
    if known.expect("the server answers").is_empty() {
        ask(server, &format!("CREATE DATABASE {name}")).expect("it is made");
    }
    let (base, _) = server.rsplit_once('/').expect("a URL with a database");
    format!("{base}/{name}")
}

/// What `psql` prints for a statement, or its error.
fn ask(url: &str, statement: &str) -> Result<String, String> {
    let options = ["--no-psqlrc", "--tuples-only", "--no-align", "--command", statement, url];
    let output = run("psql", &options, &[], "");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn initialize(directory: &Path) {
    let password = directory.join("password");
    fs::write(&password, PASSWORD).expect("the password is written");
    give(&password);
    let data = data_path(directory);
    let (data, password) = (data.display().to_string(), password.display().to_string());
    let mut initdb = program("initdb");
    initdb.args(["--pgdata", &data, "--username", USER, "--pwfile", &password]);
    initdb.args([
        "--auth",
        "scram-sha-256",
        "--encoding",
        "UTF8",
        "--locale",
        "C.UTF-8",
        "--no-sync",
    ]);
    let output = initdb.stdin(Stdio::null()).output().expect("initdb: run `make test` once");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn serve(directory: &Path, port: u16) -> Child {
    let log = File::options().create(true).append(true).open(log_path(directory));
    let mut postgres = program("postgres");
    postgres.arg("-D").arg(data_path(directory)).args(["-p", &port.to_string()]);
    for setting in [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        // The machine does not fail in a test; processes do.
        "fsync=off",
    ] {
        postgres.args(["-c", setting]);
    }
    postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("its log"));
    postgres.spawn().expect("postgres: run `make test` once")
}

/// A program of the newest version that is installed, as the user that the package has made.
#[track_caller]
fn program(name: &str) -> Command {
    let versions = fs::read_dir(VERSIONS).unwrap_or_else(|error| {
        unreachable!("{VERSIONS} ({error}): run `make test` once");
    });
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let paths = versions.map(|entry| entry.expect("it can be read").path());
    let newest = paths.max_by_key(|path| number(path)).expect("a version");
    let mut command = Command::new(newest.join("bin").join(name));
    command.env_clear().env("PATH", PATH).current_dir("/");
    if let Some((user, group)) = daemon() {
        command.uid(user).gid(group);
    }
    command
}

/// Makes a path the daemon's own.
fn give(path: &Path) {
    if let Some((user, group)) = daemon() {
        chown(path, Some(user), Some(group)).expect("root may give a path away");
    }
}

/// The ids of the server's user, where this process is root and may take them.
fn daemon() -> Option<(u32, u32)> {
    if !getuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("it can be read");
    let line = users.lines().find(|line| line.starts_with(&format!("{DAEMON}:")));
    let mut ids = line.expect("the package has made its user").split(':').skip(2);
    let mut id = || ids.next().and_then(|id| id.parse().ok());
    Some((id()?, id()?))
}

fn data_path(directory: &Path) -> PathBuf {
    directory.join("data")
}

fn log_path(directory: &Path) -> PathBuf {
    directory.join("log")
}
