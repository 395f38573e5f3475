//! The hub's servers, as real processes: one, a watched pair, or a cluster; and what can happen to
//! their memory. Knows nothing of what the gateways keep there, but which server has it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::redis::{Cluster, Redis, Watched};
use support::{Nanos, now, wait_until};

/// The password of the sentinels.
const SENTINELS: &str = "sentinels-of-the-test";
/// A machine that is busy keeps a server from answering for longer than sentinels usually wait.
const DOWN_AFTER_MS: u32 = 1_500;
const FAILOVER_MAX: Duration = Duration::from_secs(30);
const CLUSTER_SERVERS: usize = 6;
/// Where a server saves its memory, and finds it when it starts.
const DUMP: &str = "dump.rdb";
const BACKUP: &str = "backup.rdb";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Single,
    Sentinel,
    Cluster,
}

pub struct Hub {
    servers: Servers,
    backup: Option<PathBuf>,
}

enum Servers {
    Single(Redis),
    Sentinel(Box<Watched>),
    Cluster(Cluster),
}

impl Hub {
    pub fn start(kind: Kind) -> Self {
        let servers = match kind {
            Kind::Single => Servers::Single(Redis::start(&[])),
            Kind::Sentinel => {
                Servers::Sentinel(Box::new(Watched::patient(SENTINELS, DOWN_AFTER_MS)))
            }
            Kind::Cluster => Servers::Cluster(Cluster::of(CLUSTER_SERVERS, |bus| {
                Redis::start(&[
                    ("cluster-enabled", "yes"),
                    ("cluster-node-timeout", "1500"),
                    ("repl-diskless-sync-delay", "0"),
                    ("cluster-port", bus),
                ])
            })),
        };
        Self { servers, backup: None }
    }

    /// Where processes connect: servers that keep the memory, then sentinels.
    pub fn ports(&self) -> Vec<u16> {
        match &self.servers {
            Servers::Single(server) => vec![server.port()],
            Servers::Sentinel(watched) => {
                let servers = [&watched.master, &watched.replica];
                servers.into_iter().chain(&watched.sentinels).map(Redis::port).collect()
            }
            Servers::Cluster(cluster) => cluster.servers.iter().map(Redis::port).collect(),
        }
    }

    /// The settings of a process that reaches each of [`Self::ports`] by the port in its place.
    pub fn settings(&self, by: &[u16]) -> Vec<(&'static str, String)> {
        let list = |ports: &[u16]| {
            let hosts = ports.iter().map(|port| format!("127.0.0.1:{port}"));
            hosts.collect::<Vec<_>>().join(",")
        };
        match &self.servers {
            Servers::Single(_) => vec![("RINGFENCE_HUB_URL", format!("redis://{}", list(by)))],
            Servers::Sentinel(_) => vec![
                ("RINGFENCE_HUB_URL", format!("redis+sentinel://{}/hub", list(&by[2..]))),
                ("RINGFENCE_HUB_SENTINEL_LOGIN", format!("default:{SENTINELS}")),
            ],
            Servers::Cluster(_) => {
                vec![("RINGFENCE_HUB_URL", format!("redis+cluster://{}", list(by)))]
            }
        }
    }

    /// kill -9 of the server that has the organization's memory. When another one, or an empty one in
    /// its place, first says that it is the master.
    pub fn lose_master(&mut self) -> Nanos {
        match &mut self.servers {
            Servers::Single(server) => {
                server.kill();
                server.start_again();
                now()
            }
            Servers::Sentinel(watched) => {
                let (master, replica) = watched.roles().expect("a replica follows its master");
                master.kill();
                let promoted = promotion(replica);
                master.start_again();
                follow(master, replica);
                promoted
            }
            Servers::Cluster(cluster) => {
                let lost = owner(cluster);
                let replica = replica_of(cluster, lost);
                cluster.servers[lost].kill();
                let promoted = promotion(&cluster.servers[replica]);
                cluster.servers[lost].start_again();
                promoted
            }
        }
    }

    /// What the master is told from now on does not reach its replica, for the few seconds in which the
    /// sentinels would promote that one all the same.
    pub fn stall_replication(&mut self) {
        match &mut self.servers {
            Servers::Sentinel(watched) => watched.stall_replication(),
            Servers::Single(_) | Servers::Cluster(_) => unreachable!("only of a watched pair"),
        }
    }

    /// FLUSHALL
    pub fn flush(&mut self) {
        match &mut self.servers {
            Servers::Single(server) => said_ok(server, &["FLUSHALL"]),
            Servers::Sentinel(watched) => {
                let (master, _) = watched.roles().expect("a replica follows its master");
                said_ok(master, &["FLUSHALL"]);
            }
            Servers::Cluster(cluster) => said_ok(&cluster.servers[owner(cluster)], &["FLUSHALL"]),
        }
    }

    /// Keeps a copy of the memory as it is now, for [`Self::restore_backup`].
    pub fn keep_backup(&mut self) {
        if let Some(server) = self.copied() {
            said_ok(server, &["SAVE"]);
            let directory = server.directory();
            fs::rename(directory.join(DUMP), directory.join(BACKUP)).expect("it was saved");
            self.backup = Some(directory.join(BACKUP));
        }
    }

    /// All servers end, and come back with the memory of the last backup. When they first answer.
    pub fn restore_backup(&mut self) -> Nanos {
        let backup = self.backup.clone().expect("one was kept");
        match &mut self.servers {
            Servers::Single(server) => {
                server.kill();
                start_with(server, &backup);
            }
            Servers::Sentinel(watched) => {
                let (master, replica) = watched.roles().expect("a replica follows its master");
                replica.kill();
                master.kill();
                start_with(master, &backup);
                // It may have been a replica when it was first started.
                said_ok(master, &["REPLICAOF", "NO", "ONE"]);
                replica.start_again();
                follow(replica, master);
            }
            Servers::Cluster(_) => unreachable!("not of a cluster"),
        }
        now()
    }

    /// The server whose memory is copied; no backups are kept of a cluster.
    fn copied(&mut self) -> Option<&Redis> {
        match &mut self.servers {
            Servers::Single(server) => Some(server),
            Servers::Sentinel(watched) => watched.roles().map(|(master, _)| &*master),
            Servers::Cluster(_) => None,
        }
    }

    /// The replica is killed, and follows again.
    pub fn restart_replica(&mut self) {
        match &mut self.servers {
            Servers::Single(_) => {}
            Servers::Sentinel(watched) => {
                let (master, replica) = watched.roles().expect("a replica follows its master");
                replica.kill();
                replica.start_again();
                follow(replica, master);
            }
            Servers::Cluster(cluster) => {
                let replica = replica_of(cluster, owner(cluster));
                cluster.servers[replica].kill();
                cluster.servers[replica].start_again();
            }
        }
    }

    /// Waits until a failover would find a replica that is in step.
    pub fn wait_until_whole(&mut self) {
        match &mut self.servers {
            Servers::Single(_) => {}
            Servers::Sentinel(watched) => {
                wait_until("a replica follows", FAILOVER_MAX, || watched.is_in_step());
            }
            Servers::Cluster(cluster) => {
                wait_until("the cluster is whole", FAILOVER_MAX, || {
                    cluster.servers.iter().all(|server| {
                        let role = server.command(&["ROLE"]);
                        let in_step = role.starts_with("master") || role.contains("connected");
                        in_step && server.command(&["CLUSTER", "INFO"]).contains("state:ok")
                    })
                });
            }
        }
    }

    /// The port of the server that has the memory: another one after a failover nobody asked for.
    pub fn master(&mut self) -> Option<u16> {
        match &mut self.servers {
            Servers::Single(server) => Some(server.port()),
            Servers::Sentinel(watched) => watched.roles().map(|(master, _)| master.port()),
            Servers::Cluster(cluster) => Some(cluster.servers[owner(cluster)].port()),
        }
    }
}

fn said_ok(server: &Redis, words: &[&str]) {
    let said = server.command(words);
    // Some say more.
    assert!(said.starts_with("OK"), "{words:?}: {said}");
}

/// Whoever was started again follows at once, not when the sentinels come by.
fn follow(server: &Redis, master: &Redis) {
    said_ok(server, &["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
}

fn start_with(server: &mut Redis, backup: &Path) {
    let found = server.directory().join(DUMP);
    fs::copy(backup, &found).expect("the backup is put in its place");
    server.start_again();
    // The next start is without.
    fs::remove_file(found).expect("it was read");
}

/// When a server that was a replica says that it is a master.
fn promotion(server: &Redis) -> Nanos {
    wait_until("a replica is promoted", FAILOVER_MAX, || {
        server.command(&["ROLE"]).starts_with("master")
    });
    now()
}

/// The server of a cluster that has the organization's shard: the wallets lie there.
fn owner(cluster: &Cluster) -> usize {
    let has = |server: &Redis| {
        server.command(&["ROLE"]).starts_with("master")
            && !server.command(&["KEYS", "{rf:*}:wallets"]).is_empty()
    };
    cluster.servers.iter().position(has).expect("a server has the wallets")
}

fn replica_of(cluster: &Cluster, master: usize) -> usize {
    let port = cluster.servers[master].port().to_string();
    let follows = |server: &Redis| {
        let role = server.command(&["ROLE"]);
        role.starts_with("slave") && role.lines().any(|line| line == port)
    };
    cluster.servers.iter().position(follows).expect("a replica follows it")
}
