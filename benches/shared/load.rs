//! Runs the load generator against all gateways of an installation at once.

use std::fs;
use std::io;
use std::process::{Child, Command, Stdio};

use benches::figures::Figures;

use crate::installation::Installation;

/// Before the measurement: leases find their sizes.
pub const WARMUP_S: f64 = 5.0;

/// What is asked for.
pub struct Load<'a> {
    pub keys: Vec<&'a str>,
    /// Requests per second, half of them admits; `None`: as fast as it goes.
    pub rate: Option<f64>,
    /// Connections to each gateway: an open loop sends what is due on a free one.
    pub connections_each: u32,
    /// Calls kept live on each connection, besides those that half of them keep so that they do not
    /// all admit at once.
    pub live_each: u32,
    pub measured_s: f64,
}

/// A generator at work; ended when dropped.
pub struct Running {
    child: Option<Child>,
    /// Removed with it.
    _keys: tempfile::TempDir,
}

impl Load<'_> {
    pub fn start(&self, installation: &Installation) -> io::Result<Running> {
        let keys = tempfile::tempdir()?;
        let keys_file = keys.path().join("keys");
        fs::write(&keys_file, self.keys.join("\n"))?;
        let targets: Vec<String> =
            installation.gateways.iter().map(|gateway| gateway.address.to_string()).collect();
        let connections = self.connections_each * u32::try_from(targets.len()).unwrap_or(1);
        let mut command = Command::new(&installation.load);
        command
            .args(["--json", "--allow-errors", "--rotate-keys"])
            .arg(format!("--target={}", targets.join(",")))
            .arg(format!("--connections={connections}"))
            .arg(format!("--live={}", self.live_each * connections + connections / 2))
            .arg(format!("--warmup-s={WARMUP_S}"))
            .arg(format!("--duration-s={}", self.measured_s))
            // Generator and servers share the processors: one that spins would take half of two.
            .args(
                self.rate.iter().flat_map(|rate| [format!("--rate={rate}"), "--sleep".to_owned()]),
            )
            .arg("--keys-file")
            .arg(&keys_file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        Ok(Running { child: Some(command.spawn()?), _keys: keys })
    }
}

impl Running {
    /// Waits for its end and reads what it measured, errors included.
    pub fn figures(mut self) -> io::Result<Figures> {
        let child = self.child.take().ok_or_else(|| io::Error::other("it has been waited for"))?;
        let output = child.wait_with_output()?;
        // With errors its status is that of a failure, and its figures name them.
        serde_json::from_slice(&output.stdout)
            .map_err(|error| io::Error::other(format!("the load generator: {error}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It has ended already, or there is nothing more that can be done.
            let _ended = child.kill().and_then(|()| child.wait());
        }
    }
}
