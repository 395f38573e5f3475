//! A real redis-server of one test, on a socket of its own, without a file; it ends with its owner.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use redis::{Client, Connection};

pub(super) struct Server {
    process: Child,
    directory: tempfile::TempDir,
}

impl Server {
    pub(super) fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a directory"))
    }

    fn start_in(directory: tempfile::TempDir) -> Self {
        let mut process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no"])
            .args(["--enable-debug-command", "yes", "--unixsocket"])
            .arg(directory.path().join("socket"))
            .arg("--dir")
            .arg(directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        let log = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut lines = log.lines();
        let is_ready = |line: &Result<String, _>| {
            line.as_ref().is_ok_and(|line| line.contains("eady to accept connections"))
        };
        assert!(lines.any(|line| is_ready(&line)), "redis-server did not start");
        // Its log goes nowhere from here; it writes little.
        Self { process, directory }
    }

    pub(super) fn connect(&self) -> Connection {
        let socket = self.directory.path().join("socket");
        let client =
            Client::open(format!("redis+unix://{}", socket.display())).expect("an address");
        client.get_connection().expect("the server listens")
    }

    /// Another process on the data that this one leaves.
    pub(super) fn restart(mut self) -> Self {
        redis::cmd("SAVE").query::<()>(&mut self.connect()).expect("the data is written");
        self.stop();
        let directory = tempfile::tempdir().expect("a directory");
        Self::start_in(std::mem::replace(&mut self.directory, directory))
    }

    fn stop(&mut self) {
        // Already gone is as good.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
