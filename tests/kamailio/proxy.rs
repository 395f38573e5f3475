//! Kamailio with the configuration that `deploy/kamailio` ships: the very files, with only values of
//! `ringfence.cfg` set, on a free port with a directory of its own, stopped by its process group.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use support::wait_until;
use tempfile::TempDir;

const DEPLOYED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/kamailio");
const SETTINGS: &str = "ringfence.cfg";
const START_MAX: Duration = Duration::from_secs(20);
const ANSWER_MAX: Duration = Duration::from_millis(100);

/// The engine calls from here; the carrier is called there. Two addresses, as the proxy tells them
/// apart by network.
pub const ENGINE: &str = "127.0.0.1";
pub const CARRIER: &str = "127.0.0.2";

/// Values of `ringfence.cfg`, by their names there.
pub struct Settings {
    values: Vec<(&'static str, String)>,
    enabled: Vec<&'static str>,
}

impl Settings {
    /// Asks this gateway with this key, and relays to a carrier at this port.
    pub fn new(gateway: SocketAddr, key: &str, carrier_port: u16) -> Self {
        let carrier = format!("{CARRIER}:{carrier_port}");
        Self { values: Vec::new(), enabled: Vec::new() }
            .set("RINGFENCE_GATEWAY", &gateway.to_string())
            .set("RINGFENCE_KEY", key)
            .set("UPSTREAM_ADDRESS", &carrier)
    }

    #[must_use]
    pub fn set(mut self, name: &'static str, value: &str) -> Self {
        self.values.push((name, value.to_owned()));
        self
    }

    /// Takes the comment mark from a define that is off as deployed.
    #[must_use]
    pub fn enable(mut self, name: &'static str) -> Self {
        self.enabled.push(name);
        self
    }

    /// The deployed file with these values.
    #[track_caller]
    fn applied(&self, deployed: &str) -> String {
        let mut lines: Vec<String> = deployed.lines().map(str::to_owned).collect();
        for (name, value) in &self.values {
            let (defined, substituted) = (format!("#!define {name} "), format!("\"!{name}!"));
            let line = lines
                .iter_mut()
                .find(|line| line.starts_with(&defined) || line.contains(&substituted))
                .unwrap_or_else(|| unreachable!("{SETTINGS} defines {name}"));
            *line = if line.starts_with(&defined) {
                format!("{defined}{value}")
            } else {
                format!("#!substdef {substituted}{value}!g\"")
            };
        }
        for name in &self.enabled {
            let off = format!("##!define {name}");
            let line = lines.iter_mut().find(|line| **line == off);
            *line.unwrap_or_else(|| unreachable!("{SETTINGS} has {off}")) =
                format!("#!define {name}");
        }
        lines.join("\n") + "\n"
    }
}

/// A running proxy.
pub struct Proxy {
    main: Child,
    directory: TempDir,
    pub address: SocketAddr,
}

impl Proxy {
    /// Starts Kamailio and waits until it answers.
    #[track_caller]
    pub fn start(settings: Settings) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let address = free_udp_address(ENGINE);
        let settings = settings.set("SIP_LISTEN", &format!("udp:{address}"));
        deploy(directory.path(), &settings);
        let mut command = Command::new("kamailio");
        command
            .args(["-DD", "-E", "-m", "64", "-M", "8", "-f", "kamailio.cfg"])
            .arg("-Y")
            .arg(directory.path())
            .current_dir(directory.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(directory.path().join("log")).expect("a log file"));
        let main = command
            .spawn()
            .unwrap_or_else(|error| unreachable!("kamailio ({error}): run `make test` once"));
        let mut proxy = Self { main, directory, address };
        proxy.wait_until_ready();
        proxy
    }

    /// What Kamailio wrote so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// kill -9 of all its processes.
    pub fn kill(mut self) {
        self.end();
    }

    #[track_caller]
    fn wait_until_ready(&mut self) {
        let socket = UdpSocket::bind((ENGINE, 0)).expect("a free port");
        socket.set_read_timeout(Some(ANSWER_MAX)).expect("a timeout above zero");
        let mine = socket.local_addr().expect("bound");
        let options = format!(
            "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {mine};branch=z9hG4bKready\r\n\
             From: <sip:test@{mine}>;tag=ready\r\nTo: <sip:{to}>\r\nCall-ID: ready@{mine}\r\n\
             CSeq: 1 OPTIONS\r\nMax-Forwards: 10\r\nContent-Length: 0\r\n\r\n",
            to = self.address,
        );
        let mut answer = [0; 2048];
        wait_until("Kamailio answers", START_MAX, || {
            if let Ok(Some(status)) = self.main.try_wait() {
                let log = self.log();
                unreachable!(
                    "kamailio ended ({status}); are its modules there? run `make test` once\n{log}"
                );
            }
            socket.send_to(options.as_bytes(), self.address).is_ok()
                && socket.recv(&mut answer).is_ok()
        });
    }

    fn end(&mut self) {
        // Its workers are processes of the same group; some may have ended before.
        let _ended = kill_process_group(Pid::from_child(&self.main), Signal::KILL);
        let _status = self.main.wait();
    }
}

impl Drop for Proxy {
    #[expect(clippy::print_stderr, reason = "shown with the failure of a test")]
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            eprintln!("--- kamailio\n{}", self.log());
        }
    }
}

/// Copies the deployed configuration; only the settings differ.
#[track_caller]
fn deploy(directory: &Path, settings: &Settings) {
    for file in ["kamailio.cfg", "admission.cfg", SETTINGS] {
        let mut text = fs::read_to_string(PathBuf::from(DEPLOYED).join(file)).expect("deployed");
        if file == SETTINGS {
            text = settings.applied(&text);
        }
        fs::write(directory.join(file), text).expect("a writable directory");
    }
}

/// An address at which nothing listens now.
#[track_caller]
pub fn free_udp_address(host: &str) -> SocketAddr {
    let socket = UdpSocket::bind((host, 0)).expect("a free port");
    socket.local_addr().expect("bound")
}

#[test]
fn the_configuration_is_accepted_as_it_is_deployed() {
    let file = format!("{DEPLOYED}/kamailio.cfg");
    let checked = support::command::run("kamailio", &["-c", "-E", "-f", &file], &[], "");
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && !said.contains("WARNING"), "{said}");
}
