//! A master, its replica, and three sentinels that watch over them. Knows when a failover has ended.

use std::fs;
use std::time::Duration;

use super::Redis;
use crate::wait::wait_until;

/// The name of the master.
pub const NAME: &str = "hub";
const READY_MAX: Duration = Duration::from_secs(30);
const QUORUM: u32 = 2;

pub struct Watched {
    pub master: Redis,
    pub replica: Redis,
    pub sentinels: Vec<Redis>,
}

impl Watched {
    /// A master and a replica without logins, and sentinels that take a silent master for dead after
    /// half a second. `password` is that of the sentinels themselves.
    #[track_caller]
    pub fn start(password: &str) -> Self {
        let master = Redis::start(&[("repl-diskless-sync-delay", "0")]);
        let of = format!("127.0.0.1 {}", master.port());
        let replica = Redis::start(&[("replicaof", &of)]);
        let text = format!(
            "requirepass {password}\n\
             sentinel monitor {NAME} {of} {QUORUM}\n\
             sentinel down-after-milliseconds {NAME} 500\n\
             sentinel failover-timeout {NAME} 3000\n\
             sentinel sentinel-pass {password}\n"
        );
        Self::over(master, replica, &text, password)
    }

    /// Sentinels with that configuration, over a master and its replica.
    #[track_caller]
    pub fn over(master: Redis, replica: Redis, configuration: &str, password: &str) -> Self {
        wait_until("the replica is in step", READY_MAX, || {
            replica.log().contains("MASTER <-> REPLICA sync: Finished with success")
        });
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("sentinel.conf");
        fs::write(&file, configuration).expect("written");
        let login = ["--no-auth-warning", "-a", password];
        let sentinel = |_| Redis::start_as("redis-sentinel", Some(&file), &[], &login);
        let sentinels: Vec<Redis> = (0..3).map(sentinel).collect();
        wait_until("the sentinels know each other and the replica", READY_MAX, || {
            sentinels.iter().all(|sentinel| {
                let said = sentinel.command(&["SENTINEL", "MASTER", NAME]);
                let field = |name: &str| said.lines().skip_while(|line| *line != name).nth(1);
                field("num-other-sentinels") == Some("2") && field("num-slaves") == Some("1")
            })
        });
        Self { master, replica, sentinels }
    }

    /// `redis+sentinel://…/hub`
    pub fn url(&self) -> String {
        let ports = self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port()));
        format!("redis+sentinel://{}/{NAME}", ports.collect::<Vec<_>>().join(","))
    }
}
