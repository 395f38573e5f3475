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
        Self::patient(password, 500)
    }

    /// The same, whose sentinels take a master for dead after so many milliseconds.
    #[track_caller]
    pub fn patient(password: &str, down_after_ms: u32) -> Self {
        let master = Redis::start(&[("repl-diskless-sync-delay", "0")]);
        let of = format!("127.0.0.1 {}", master.port());
        let replica = Redis::start(&[("replicaof", &of)]);
        let text = format!(
            "requirepass {password}\n\
             sentinel monitor {NAME} {of} {QUORUM}\n\
             sentinel down-after-milliseconds {NAME} {down_after_ms}\n\
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

    /// The master and its replica, as they are now; `None` while no replica follows a master.
    pub fn roles(&mut self) -> Option<(&mut Redis, &mut Redis)> {
        let is = |server: &Redis, role| server.command(&["ROLE"]).starts_with(role);
        let (one, other) = (&mut self.master, &mut self.replica);
        if is(one, "master") && is(other, "slave") {
            Some((one, other))
        } else if is(other, "master") && is(one, "slave") {
            Some((other, one))
        } else {
            None
        }
    }

    /// Whether the replica has what the master has, but for the last instants.
    pub fn is_in_step(&mut self) -> bool {
        self.roles().is_some_and(|(_, replica)| {
            replica.command(&["INFO", "replication"]).contains("master_link_status:up")
        })
    }

    /// Nothing reaches the replica of a master any more, which the sentinels go on counting on for some
    /// seconds: it cannot log in again.
    #[track_caller]
    pub fn stall_replication(&mut self) {
        let (master, replica) = self.roles().expect("a replica follows");
        assert_eq!(replica.command(&["CONFIG", "SET", "masterauth", "wrong"]), "OK");
        assert_eq!(master.command(&["CLIENT", "KILL", "TYPE", "replica"]), "1");
    }

    /// `redis+sentinel://…/hub`
    pub fn url(&self) -> String {
        let ports = self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port()));
        format!("redis+sentinel://{}/{NAME}", ports.collect::<Vec<_>>().join(","))
    }
}
