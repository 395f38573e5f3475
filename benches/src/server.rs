//! A server as a child process: started on given processors, asked where it listens, ended at the
//! latest when it is dropped.

use std::io::{self, BufRead, BufReader, ErrorKind};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::clock::{SECOND_NS, monotonic_ns};
use crate::processor;

/// How long a server may take to end when asked, and no longer.
const STOP_NS: u64 = 20 * SECOND_NS;
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A running server.
pub struct Server {
    child: Child,
    /// The lines of standard output that named an address.
    listeners: Vec<(String, SocketAddr)>,
}

impl Server {
    /// Starts `command` on `processors` and reads lines of its standard output until `listeners` of
    /// them have named an address.
    pub fn start(
        command: &mut Command,
        processors: &[usize],
        listeners: usize,
    ) -> io::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = processor::pinned(processors, || command.spawn())?;
        let stdout = child.stdout.take().ok_or(ErrorKind::BrokenPipe)?;
        let mut server = Self { child, listeners: Vec::new() };
        let mut lines = BufReader::new(stdout).lines();
        while server.listeners.len() < listeners {
            let line = lines.next().ok_or_else(|| {
                io::Error::other("the server ended before it said where it listens")
            })??;
            server.listeners.extend(address_in(&line).map(|address| (line.clone(), address)));
        }
        // Nobody reads on: the rest would fill the pipe and stop the server.
        thread::spawn(move || lines.for_each(drop));
        Ok(server)
    }

    /// The address on the line that begins with `name`.
    pub fn listener(&self, name: &str) -> io::Result<SocketAddr> {
        let found = self.listeners.iter().find(|(line, _)| line.starts_with(name));
        found
            .map(|(_, address)| *address)
            .ok_or_else(|| io::Error::other(format!("the server did not say where {name} listens")))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks the server to end and waits for it.
    pub fn stop(mut self) -> io::Result<()> {
        processor::terminate(self.pid())?;
        let deadline_ns = monotonic_ns() + STOP_NS;
        while self.child.try_wait()?.is_none() {
            if monotonic_ns() > deadline_ns {
                return Err(io::Error::other("the server did not end when asked"));
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Ends the server as a power cut would, for it to find what it recorded.
    pub fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, or there is nothing more that can be done.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    line.split_whitespace().find_map(|word| word.trim_start_matches("http://").parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_asked_where_it_listens_and_ended() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo starting; echo 'ops  http://127.0.0.1:7'; exec sleep 60"]);
        let processors = processor::allowed().expect("affinity");
        let server = Server::start(&mut command, &processors, 1).expect("started");
        assert_eq!(server.listener("ops").expect("named").port(), 7);
        assert!(server.listener("gateway").is_err());
        server.stop().expect("ended");
    }

    #[test]
    fn a_server_that_ends_at_once_is_an_error() {
        let mut command = Command::new("true");
        let processors = processor::allowed().expect("affinity");
        assert!(Server::start(&mut command, &processors, 1).is_err());
    }
}
