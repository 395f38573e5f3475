//! One connection to one server: commands are pipelined, answers come in order. A command whose answer
//! is not waited for to its end, by a timeout or because its caller went away, ends the connection.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisResult, Value};
use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;

use super::setting::Address;
use super::trouble::{Lost, Trouble};

pub struct Connection {
    address: Address,
    /// Counts the connections of this process: tells one from the next to the same server.
    number: u64,
    multiplexed: MultiplexedConnection,
    ended: AtomicBool,
    end: Notify,
    waits: Waits,
}

/// Acknowledgements by replicas, shared by those that wait for them at the same time.
#[derive(Default)]
struct Waits {
    arrived: AtomicU64,
    last: Mutex<Acknowledged>,
}

/// The last WAIT that ended: how many arrivals it covers, and how many replicas it found.
#[derive(Default)]
struct Acknowledged {
    covered: u64,
    replicas: u32,
}

/// Ends the connection unless the answer came.
struct Outstanding<'a> {
    connection: &'a Connection,
    answered: bool,
}

impl Drop for Outstanding<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.connection.end();
        }
    }
}

impl Connection {
    pub(super) fn new(address: Address, multiplexed: MultiplexedConnection) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Self {
            address,
            // Only unique, nothing is ordered by it.
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            multiplexed,
            ended: AtomicBool::new(false),
            end: Notify::new(),
            waits: Waits::default(),
        }
    }

    /// The server at the other end.
    pub fn address(&self) -> &Address {
        &self.address
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn is_open(&self) -> bool {
        !self.ended.load(Ordering::Acquire)
    }

    /// Nothing is sent any more; whoever drives the connection closes it.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.end.notify_one();
    }

    /// Returns when [`Self::end`] has been called. For the one who drives the connection.
    pub(super) async fn ended(&self) {
        while self.is_open() {
            self.end.notified().await;
        }
    }

    pub(super) async fn send(&self, command: &Cmd, within: Duration) -> Result<Value, Lost> {
        let mut multiplexed = self.multiplexed.clone();
        let value = self.answer(multiplexed.send_packed_command(command), within).await?;
        said(value).map_err(|lost| self.judge(lost))
    }

    /// Sends commands as one; their answers may be errors.
    pub(super) async fn send_all(
        &self,
        commands: &Pipeline,
        within: Duration,
    ) -> Result<Vec<Value>, Lost> {
        let mut multiplexed = self.multiplexed.clone();
        let count = commands.len();
        self.answer(multiplexed.send_packed_commands(commands, 0, count), within).await
    }

    async fn answer<T>(
        &self,
        sending: impl Future<Output = RedisResult<T>>,
        within: Duration,
    ) -> Result<T, Lost> {
        if !self.is_open() {
            return Err(Lost::NotSent(Trouble::Closed));
        }
        let mut outstanding = Outstanding { connection: self, answered: false };
        match timeout(within, sending).await {
            Ok(Ok(value)) => {
                outstanding.answered = true;
                Ok(value)
            }
            Ok(Err(_broken)) => Err(Lost::PerhapsApplied(Trouble::Closed)),
            Err(_late) => Err(Lost::PerhapsApplied(Trouble::NoAnswer)),
        }
    }

    /// Ends the connection if what the server said means that it serves no calls.
    pub(super) fn judge(&self, lost: Lost) -> Lost {
        if lost.trouble().ends_connection() {
            self.end();
        }
        lost
    }

    /// Waits until that many replicas have all that was written through this connection so far; how
    /// many have, which may be fewer. Concurrent waits for the same number share one command.
    pub(super) async fn wait(
        &self,
        replicas: u32,
        wait: Duration,
        response: Duration,
    ) -> Result<u32, Lost> {
        // The arrival is counted before the lock is taken: who holds it then covers it or not, by the
        // number read below.
        let arrival = self.waits.arrived.fetch_add(1, Ordering::AcqRel);
        let mut last = self.waits.last.lock().await;
        if arrival < last.covered {
            return Ok(last.replicas);
        }
        let covered = self.waits.arrived.load(Ordering::Acquire);
        let mut command = redis::cmd("WAIT");
        command.arg(replicas).arg(wait.as_millis().max(1).to_string());
        let value = self.send(&command, wait + response).await?;
        let Value::Int(found) = value else { return Err(Lost::Refused(Trouble::Unexpected)) };
        *last = Acknowledged { covered, replicas: u32::try_from(found).unwrap_or(0) };
        Ok(last.replicas)
    }
}

/// The value of an answer, unless it is an error.
pub(super) fn said(value: Value) -> Result<Value, Lost> {
    match value {
        Value::ServerError(error) => Err(Lost::answered(&error)),
        value => Ok(value),
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({} to {})", self.number, self.address)
    }
}
