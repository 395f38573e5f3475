//! A Redis server of its own for one figure: nothing is kept, and it counts the scripts that it runs.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use benches::clock::monotonic_ns;
use benches::wait::until;

use crate::figures::milliseconds;

const START_MAX: Duration = Duration::from_secs(20);
const ANSWER_MAX: Duration = Duration::from_secs(5);
const ROUND_TRIP_EVERY: Duration = Duration::from_millis(2);
const PONG: &[u8] = b"+PONG\r\n";
/// The commands that run a script.
const SCRIPTS: [&str; 6] = ["eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro"];

/// A running server; ended when dropped.
pub struct Redis {
    child: Child,
    address: SocketAddr,
}

impl Redis {
    pub fn start(directory: &Path) -> io::Result<Self> {
        let address = free_address()?;
        let child = Command::new("redis-server")
            .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1", "--save", ""])
            .arg("--dir")
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(File::create(directory.join("redis.log"))?)
            .spawn()
            .map_err(|error| io::Error::other(format!("redis-server: {error}")))?;
        let redis = Self { child, address };
        until("redis-server answers", START_MAX, || Ok(redis.ask("PING").is_ok()))?;
        Ok(redis)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Scripts that it has run since its start, by its own count.
    pub fn script_calls(&self) -> io::Result<u64> {
        Ok(script_calls(&self.ask("INFO commandstats")?))
    }

    /// Bare round trips one after the other for so long: the milliseconds of each. What machine and load
    /// alone take.
    pub fn round_trips(&self, lasts: Duration) -> io::Result<Vec<f64>> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        let (mut taken, mut pong) = (Vec::new(), [0; PONG.len()]);
        let end_ns = monotonic_ns().saturating_add(u64::try_from(lasts.as_nanos()).unwrap_or(0));
        while monotonic_ns() < end_ns {
            let from_ns = monotonic_ns();
            stream.write_all(b"PING\r\n")?;
            stream.read_exact(&mut pong)?;
            taken.push(milliseconds(monotonic_ns() - from_ns));
            thread::sleep(ROUND_TRIP_EVERY);
        }
        Ok(taken)
    }

    /// The text that a command is answered with.
    fn ask(&self, command: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut answer = BufReader::new(stream);
        let mut head = String::new();
        answer.read_line(&mut head)?;
        let Some(length) = head.strip_prefix('$') else { return Ok(head) };
        let length = length.trim().parse().map_err(io::Error::other)?;
        let mut text = vec![0; length];
        answer.read_exact(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It has ended already, or there is nothing more that can be done.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// An address of the loopback that nothing listens on.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// The sum over lines such as `cmdstat_evalsha:calls=7,usec=120,…`.
fn script_calls(stats: &str) -> u64 {
    let calls = |line: &str| {
        let (name, counts) = line.strip_prefix("cmdstat_")?.split_once(':')?;
        let counted = SCRIPTS.contains(&name).then_some(counts)?;
        counted.strip_prefix("calls=")?.split(',').next()?.parse::<u64>().ok()
    };
    stats.lines().filter_map(calls).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_a_script_is_counted_and_nothing_else() {
        let stats = "# Commandstats\r\ncmdstat_evalsha:calls=7,usec=120\r\n\
                     cmdstat_get:calls=100,usec=1\r\ncmdstat_fcall:calls=3,usec=9\r\n";
        assert_eq!(script_calls(stats), 10);
    }
}
