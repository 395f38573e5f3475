//! A connection to the hub's servers as these tests use it: calls that block, with a script that counts.

use std::time::Duration;

use hub::redis::connect::{Answer, Lost, Options, Script, Servers, Timing, Trouble};
use redis::Value;
use support::wait::{timed, wait_until};
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// More than any failover or restart of these tests takes.
pub const READY_MAX: Duration = Duration::from_secs(30);

/// A call that is answered at all is answered within this; the hub's own limits are tighter.
const DEADLINE: Duration = Duration::from_secs(2);

pub struct Hub {
    pub servers: Servers,
    pub count: Script,
    pub runtime: Runtime,
}

impl Hub {
    pub fn at(url: &str) -> Self {
        Self::with(url, &Options::default())
    }

    pub fn with(url: &str, options: &Options) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let entered = runtime.enter();
        let servers = Servers::start(url.parse().unwrap(), options).unwrap();
        drop(entered);
        Self { servers, count: counting(), runtime }
    }

    /// Limits that a loaded machine keeps, where a test is not about limits.
    pub fn patient() -> Options {
        let second = Duration::from_secs(1);
        let timing = Timing { connect: second, response: second, ..Timing::default() };
        Options { timing, ..Options::default() }
    }

    pub fn call(&self, shard: u8, script: &Script, arguments: &[&str]) -> Result<Answer, Lost> {
        self.runtime.block_on(async {
            self.servers.call(shard, script, arguments, Instant::now() + DEADLINE).await
        })
    }

    /// Counts one more on a shard; the count after it.
    pub fn count(&self, shard: u8) -> Result<i64, Lost> {
        match self.call(shard, &self.count, &["1"])?.value {
            Value::Int(count) => Ok(count),
            other => unreachable!("{other:?}"),
        }
    }

    /// Counts until it is answered.
    #[track_caller]
    pub fn wait_for_count(&self, shard: u8) -> i64 {
        let mut count = Err(Lost::NotSent(Trouble::Connecting));
        wait_until("a call is answered", READY_MAX, || {
            count = self.count(shard);
            count.is_ok()
        });
        count.unwrap()
    }

    /// Waits until calls fail, and with what.
    #[track_caller]
    pub fn wait_for_trouble(&self, shard: u8, name: &str) -> Lost {
        let mut lost = None;
        wait_until(&format!("calls fail: {name}"), READY_MAX, || {
            lost = self.count(shard).err();
            lost.as_ref().is_some_and(|lost| lost.trouble().name() == name)
        });
        lost.unwrap()
    }

    pub fn timed_count(&self, shard: u8) -> (Duration, Result<i64, Lost>) {
        timed(|| self.count(shard))
    }
}

/// Adds to the counter of a shard.
fn counting() -> Script {
    Script::new("count", "#!lua\nreturn redis.call('HINCRBY', KEYS[1], 'n', ARGV[1])")
}
