//! A Redis Cluster of three masters, with or without replicas, and the migration of a slot between two of them.

use std::time::Duration;

use super::{Redis, free_port};
use crate::command::run;
use crate::wait::wait_until;

const MASTERS: usize = 3;
const READY_MAX: Duration = Duration::from_secs(30);

pub struct Cluster {
    pub servers: Vec<Redis>,
}

impl Cluster {
    /// Three masters without logins.
    #[track_caller]
    pub fn start() -> Self {
        let settings = [("cluster-enabled", "yes"), ("cluster-node-timeout", "1000")];
        Self::of(3, |bus| Redis::start(&[&settings[..], &[("cluster-port", bus)]].concat()))
    }

    /// Three masters and, of six servers, a replica of each. `start` gets a port for the bus.
    #[track_caller]
    pub fn of(servers: usize, start: impl Fn(&str) -> Redis) -> Self {
        let servers: Vec<Redis> = (0..servers).map(|_| start(&free_port().to_string())).collect();
        let addresses: Vec<String> =
            servers.iter().map(|server| format!("127.0.0.1:{}", server.port())).collect();
        let mut arguments: Vec<&str> = servers[0].cli.iter().map(String::as_str).collect();
        arguments.extend(["--cluster", "create"]);
        arguments.extend(addresses.iter().map(String::as_str));
        let replicas = (servers.len() / MASTERS - 1).to_string();
        arguments.extend(["--cluster-replicas", &replicas, "--cluster-yes"]);
        let created = run("redis-cli", &arguments, &[], "");
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stdout));
        wait_until("the cluster is up", READY_MAX, || {
            servers.iter().all(|server| {
                let is_in_step = |info: &str| {
                    info.contains("role:master") || info.contains("master_link_status:up")
                };
                server.command(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
                    && is_in_step(&server.command(&["INFO", "replication"]))
            })
        });
        Self { servers }
    }

    /// `redis+cluster://…`, naming one of the servers only.
    pub fn url(&self) -> String {
        format!("redis+cluster://127.0.0.1:{}", self.servers[0].port())
    }

    /// The server that has a slot, by its position.
    pub fn owner(&self, slot: u16) -> usize {
        let found = self.servers.iter().position(|server| {
            let nodes = server.command(&["CLUSTER", "NODES"]);
            let own = nodes.lines().find(|line| line.contains("myself")).unwrap_or_default();
            own.split(' ').skip(8).any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                matches!((first.parse(), last.parse()), (Ok(first), Ok(last)) if (first..=last).contains(&slot))
            })
        });
        found.expect("a server has the slot")
    }

    /// Begins to move a slot: keys may be at either end from now on.
    pub fn begin_migration(&self, slot: u16, from: usize, to: usize) {
        let (slot, source, target) = (slot.to_string(), self.id(from), self.id(to));
        self.say(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source]);
        self.say(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]);
    }

    /// Moves a slot's keys.
    pub fn migrate_keys(&self, slot: u16, from: usize, to: usize) {
        let port = self.servers[to].port().to_string();
        let keys =
            self.servers[from].command(&["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), "1000"]);
        for key in keys.lines().filter(|key| !key.is_empty()) {
            self.say(from, &["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
        }
    }

    /// Ends the migration; the target has the slot.
    pub fn end_migration(&self, slot: u16, from: usize, to: usize) {
        let (slot, target) = (slot.to_string(), self.id(to));
        for server in [to, from] {
            self.say(server, &["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
        }
    }

    fn id(&self, server: usize) -> String {
        self.servers[server].command(&["CLUSTER", "MYID"])
    }

    #[track_caller]
    fn say(&self, server: usize, words: &[&str]) {
        let said = self.servers[server].command(words);
        assert!(said == "OK" || said == "NOKEY", "{words:?}: {said}");
    }
}
