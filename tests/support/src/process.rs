//! A real `ringfence` process, of any role: started on free ports with a directory of its own,
//! stopped by its id, started again on the same directory.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustls::ClientConfig;

use crate::http::Client;
use crate::wait::{say, wait_until};

/// The keys that installations of tests are given.
pub const OPERATOR_KEY: &str = "test-operator-key-0123456789abcdefghijkl";
pub const ORGANIZATION_KEY: &str = "test-organization-key-0123456789abcdefgh";

/// The listeners of each role, as they are announced.
const SERVE: (&str, &[&str]) = ("serve", &["gateway ", "control-plane ", "ops "]);
const GATEWAY: (&str, &[&str]) = ("gateway", &["gateway ", "ops "]);
const CONTROL_PLANE: (&str, &[&str]) = ("control-plane", &["control-plane ", "ops "]);

const START_MAX: Duration = Duration::from_mins(1);
/// Lines of its log that are shown when a test fails.
const LINES_SHOWN: usize = 40;
const STOP_MAX: Duration = Duration::from_secs(30);

/// A data directory and the environment its processes get.
pub struct Installation {
    /// The program and what comes before `serve`: a wrapper that ends in the binary, if any.
    program: Vec<String>,
    /// The subcommand and its listeners.
    role: (&'static str, &'static [&'static str]),
    directory: PathBuf,
    environment: Vec<(String, String)>,
    /// Removed when neither this nor a process uses it any more.
    temporary: Option<Arc<tempfile::TempDir>>,
}

impl Installation {
    /// An empty one, with keys given by the environment, in a temporary directory.
    pub fn new(binary: &str) -> Self {
        Self::without_keys(binary)
            .set("RINGFENCE_OPERATOR_KEY", OPERATOR_KEY)
            .set("RINGFENCE_ORGANIZATION_KEY", ORGANIZATION_KEY)
    }

    /// An empty one whose first start generates its keys.
    pub fn without_keys(binary: &str) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        let directory = temporary.path().join("data");
        let mut installation = Self::on(binary, &directory);
        installation.temporary = Some(Arc::new(temporary));
        installation
    }

    /// One in a directory that the test owns, without keys.
    pub fn on(binary: &str, directory: &Path) -> Self {
        let listen = ["GATEWAY", "CONTROL_PLANE", "OPS"];
        let mut installation = Self {
            program: vec![binary.to_owned()],
            role: SERVE,
            directory: directory.to_owned(),
            environment: Vec::new(),
            temporary: None,
        };
        for name in listen {
            installation = installation.set(&format!("RINGFENCE_{name}_LISTEN"), "127.0.0.1:0");
        }
        installation
    }

    /// One of the gateways of a shared hub.
    pub fn gateway(binary: &str, hub_url: &str) -> Self {
        let gateway = Self::without_keys(binary).set("RINGFENCE_HUB_URL", hub_url);
        Self { role: GATEWAY, ..gateway }
    }

    /// A control plane before a shared hub, with keys given by the environment.
    pub fn control_plane(binary: &str, hub_url: &str) -> Self {
        let plane = Self::new(binary).set("RINGFENCE_HUB_URL", hub_url);
        Self { role: CONTROL_PLANE, ..plane }
    }

    /// Sets an environment variable of the processes.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Puts the data directory elsewhere.
    #[must_use]
    pub fn in_directory(mut self, directory: &Path) -> Self {
        directory.clone_into(&mut self.directory);
        self
    }

    /// Starts by a wrapper, which gets the arguments of the binary and must become it by `exec`.
    #[must_use]
    pub fn wrapped(mut self, wrapper: &[&str]) -> Self {
        self.program = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The process, not started yet.
    pub fn command(&self) -> Command {
        self.told(&[self.role.0])
    }

    /// Runs another command of the binary with the same settings to its end; its status and all it wrote.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> (ExitStatus, String) {
        Launched::of(self.told(arguments).spawn().expect("the binary starts")).ended()
    }

    fn told(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program[0]);
        command
            .args(&self.program[1..])
            .args(arguments)
            .env_clear()
            .env("PATH", crate::command::PATH)
            .env("RINGFENCE_DATA_DIR", &self.directory)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts a process and waits until it says where it listens.
    #[track_caller]
    pub fn start(&self) -> Running {
        self.spawn().listening()
    }

    /// Starts a process that has to wait before it listens.
    #[track_caller]
    pub fn spawn(&self) -> Starting {
        let launched = Launched::of(self.command().spawn().expect("the binary starts"));
        Starting { launched, names: self.role.1, directory: self.temporary.clone() }
    }

    /// Starts a process that is expected to refuse; its status and all it wrote.
    #[track_caller]
    pub fn start_refused(&self) -> (ExitStatus, String) {
        Launched::of(self.command().spawn().expect("the binary starts")).ended()
    }
}

/// What a stream of the process wrote so far.
#[derive(Clone, Default)]
struct Output {
    text: Arc<Mutex<String>>,
}

impl Output {
    fn collect(stream: impl Read + Send + 'static) -> (Self, thread::JoinHandle<()>) {
        let output = Self::default();
        let text = Arc::clone(&output.text);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let mut text = text.lock().expect("no reader panics");
                text.push_str(&String::from_utf8_lossy(&line));
                text.push('\n');
            }
        });
        (output, reader)
    }

    fn text(&self) -> String {
        self.text.lock().expect("no reader panics").clone()
    }
}

/// A child with its output being read.
struct Launched {
    child: Child,
    stdout: Output,
    stderr: Output,
    readers: Vec<thread::JoinHandle<()>>,
}

impl Launched {
    fn of(mut child: Child) -> Self {
        let (stdout, out) = Output::collect(child.stdout.take().expect("piped"));
        let (stderr, err) = Output::collect(child.stderr.take().expect("piped"));
        Self { child, stdout, stderr, readers: vec![out, err] }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the process has not been waited for");
    }

    #[track_caller]
    fn wait(&mut self, deadline: Duration) -> ExitStatus {
        let mut status = None;
        wait_until("the process ends", deadline, || {
            status = self.child.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader does not panic");
        }
        status.expect("it has ended")
    }

    /// Its status and all it wrote, once it has ended.
    #[track_caller]
    fn ended(mut self) -> (ExitStatus, String) {
        let status = self.wait(START_MAX);
        (status, self.stdout.text() + &self.stderr.text())
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        if thread::panicking() {
            let stderr = self.stderr.text();
            let lines: Vec<&str> = stderr.lines().collect();
            let last = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
            say(&format!("the process had said:\n{}", last.join("\n")));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            // It may end by itself between the two; then there is nothing to do.
            let _ended = self.child.kill();
            let _status = self.child.wait();
        }
    }
}

/// A running process and where it listens.
pub struct Running {
    launched: Launched,
    /// After the process: fields are dropped in this order.
    _directory: Option<Arc<tempfile::TempDir>>,
    /// Whom its clients trust; `None`: plain text.
    tls: Option<Arc<ClientConfig>>,
    /// Where each listener is; nowhere, port 0, where the role has none.
    pub gateway: SocketAddr,
    pub control_plane: SocketAddr,
    pub ops: SocketAddr,
}

/// A process that does not listen yet, as far as is known.
pub struct Starting {
    launched: Launched,
    names: &'static [&'static str],
    directory: Option<Arc<tempfile::TempDir>>,
}

impl Starting {
    /// Whether it has said where it listens.
    pub fn listens(&self) -> bool {
        self.listeners().is_some()
    }

    pub fn stderr(&self) -> String {
        self.launched.stderr.text()
    }

    /// Waits until it says where it listens.
    #[track_caller]
    pub fn listening(mut self) -> Running {
        let mut ended = None;
        wait_until("the process says where it listens", START_MAX, || {
            ended = self.launched.child.try_wait().expect("a child can be waited for");
            ended.is_some() || self.listens()
        });
        let Some([gateway, control_plane, ops]) = self.listeners() else {
            let status = self.launched.wait(STOP_MAX);
            let (stdout, stderr) = (self.launched.stdout.text(), self.launched.stderr.text());
            unreachable!("the process ended ({status}) instead of starting:\n{stdout}\n{stderr}");
        };
        let Self { launched, directory, .. } = self;
        Running { launched, gateway, control_plane, ops, tls: None, _directory: directory }
    }

    fn listeners(&self) -> Option<[SocketAddr; 3]> {
        listeners(self.names, &self.launched.stdout.text())
    }
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.launched.child.id()
    }

    pub fn stdout(&self) -> String {
        self.launched.stdout.text()
    }

    pub fn stderr(&self) -> String {
        self.launched.stderr.text()
    }

    /// A client of the gateway with the given key.
    pub fn gateway(&self, key: &str) -> Client {
        self.client(self.gateway, key)
    }

    /// A client of the control plane with the given key.
    pub fn control_plane(&self, key: &str) -> Client {
        self.client(self.control_plane, key)
    }

    pub fn ops(&self) -> Client {
        self.client(self.ops, "")
    }

    /// Its clients come by TLS from here on.
    #[must_use]
    pub fn by_tls(self, trusted: &Arc<ClientConfig>) -> Self {
        Self { tls: Some(Arc::clone(trusted)), ..self }
    }

    fn client(&self, address: SocketAddr, key: &str) -> Client {
        let client = Client::new(address, key);
        match &self.tls {
            Some(trusted) => client.by_tls(trusted),
            None => client,
        }
    }

    /// kill -9
    pub fn kill(mut self) {
        self.launched.signal(Signal::KILL);
        self.launched.wait(STOP_MAX);
    }

    /// SIGSTOP: it keeps its sockets and does nothing.
    pub fn freeze(&self) {
        self.launched.signal(Signal::STOP);
    }

    /// SIGCONT
    pub fn go_on(&self) {
        self.launched.signal(Signal::CONT);
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.launched.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Asks the process to read its certificates again.
    pub fn hang_up(&self) {
        self.launched.signal(Signal::HUP);
    }

    /// Asks the process to stop; it goes on draining.
    pub fn ask_to_stop(&self) {
        self.launched.signal(Signal::TERM);
    }

    /// Waits for the end; the status and everything written to standard error.
    #[track_caller]
    pub fn ended(mut self) -> (ExitStatus, String) {
        let status = self.launched.wait(STOP_MAX);
        (status, self.launched.stderr.text())
    }

    /// SIGTERM, and the status 0 that follows.
    #[track_caller]
    pub fn stop(self) {
        self.ask_to_stop();
        let (status, stderr) = self.ended();
        assert!(status.success(), "{status}\n{stderr}");
    }
}

/// What stands in the lines `name  http://address` (or `https`) of those names, once all are there.
fn listeners(names: &[&str], stdout: &str) -> Option<[SocketAddr; 3]> {
    let address = |name: &str| {
        if !names.contains(&name) {
            return Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        }
        stdout.lines().find_map(|line| {
            let url = line.strip_prefix(name)?.trim_start();
            url.split_once("://")?.1.parse().ok()
        })
    };
    Some([address("gateway ")?, address("control-plane ")?, address("ops ")?])
}
