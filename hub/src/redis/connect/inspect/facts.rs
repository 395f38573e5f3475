//! What a server says of itself by `INFO`, and what is wrong with it for a hub. Pure.

use std::collections::HashMap;

use redis::Value;

use super::Severity;
use crate::redis::connect::setting::Address;

const REDIS_MIN: (u32, u32) = (7, 0);
const VALKEY_MIN: (u32, u32) = (7, 2);

/// The fields of `INFO`.
pub(super) struct Facts(HashMap<String, String>);

type Judged = Vec<(Severity, String)>;

impl Facts {
    pub(super) fn of(info: Value) -> Option<Self> {
        let text = match info {
            Value::BulkString(text) => String::from_utf8(text).ok()?,
            Value::VerbatimString { text, .. } => text,
            _ => return None,
        };
        Some(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        Self(fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
    }

    fn field(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.field(name) == value
    }

    /// Whether it writes an append-only file.
    pub(super) fn is_logged(&self) -> bool {
        self.is("aof_enabled", "1")
    }

    /// Its replicas: `slave0:ip=…,port=…,…`.
    pub(super) fn replicas(&self) -> Vec<Address> {
        let replica = |position: usize| {
            let mut parts = self.0.get(&format!("slave{position}"))?.split(',');
            let host = parts.next()?.strip_prefix("ip=")?;
            let port = parts.next()?.strip_prefix("port=")?.parse().ok()?;
            Some(Address::tcp(host, port))
        };
        (0..).map_while(replica).collect()
    }

    /// What is wrong with it as a master; `waited` replicas must have what is durable.
    pub(super) fn judged(&self, cluster: bool, waited: u32) -> Judged {
        let mut judged = Judged::new();
        let mut found = |severity, text: &str| judged.push((severity, text.to_owned()));
        if !self.is_new_enough() {
            found(Severity::Error, "too old: Redis 7.0 or Valkey 7.2 are the oldest that serve");
        }
        match (cluster, self.is("cluster_enabled", "1")) {
            (false, true) => found(Severity::Error, "part of a cluster: use redis+cluster://"),
            (true, false) => found(Severity::Error, "not part of a cluster: use redis://"),
            _ => {}
        }
        if !self.is("maxmemory_policy", "noeviction") {
            let text = "maxmemory-policy is not noeviction: the hub's state may be thrown away; set \
                        noeviction";
            found(Severity::Error, text);
        }
        if self.is("maxmemory", "0") {
            let text =
                "maxmemory is not set: the kernel may kill the server; set it below its memory";
            found(Severity::Warning, text);
        }
        if !self.is_logged() {
            let text = "appendonly is no: after a restart each shard is rebuilt and learned again; set \
                        appendonly yes and appendfsync everysec";
            found(Severity::Warning, text);
        }
        if self.is("aof_last_write_status", "err") || self.is("rdb_last_bgsave_status", "err") {
            found(Severity::Error, "the last write to its disk failed; see its log");
        }
        let replicas: u32 = self.field("connected_slaves").parse().unwrap_or(0);
        if replicas < waited {
            let text = format!(
                "{replicas} replicas are connected and {waited} are waited for: no durable call will \
                 be acknowledged"
            );
            found(Severity::Error, &text);
        }
        // The field is there only where the setting is.
        if replicas > 0 && self.field("min_slaves_good_slaves").is_empty() {
            let text = "min-replicas-to-write is not set: a master that is cut off goes on taking calls \
                        until it is left; set 1";
            found(Severity::Warning, text);
        }
        judged
    }

    /// What is wrong with it as one that may be promoted.
    pub(super) fn judged_as_replica(&self) -> Judged {
        let mut judged = Judged::new();
        if !self.is("slave_read_only", "1") {
            let text = "replica-read-only is no: what is written there is lost; set yes";
            judged.push((Severity::Error, text.to_owned()));
        }
        if !self.is("maxmemory_policy", "noeviction") {
            let text = "maxmemory-policy is not noeviction, and it may be promoted; set noeviction";
            judged.push((Severity::Error, text.to_owned()));
        }
        judged
    }

    fn is_new_enough(&self) -> bool {
        let version = |name: &str| {
            let mut numbers = self.field(name).split('.').map(str::parse);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        };
        match version("valkey_version") {
            Some(valkey) => valkey >= VALKEY_MIN,
            None => version("redis_version").is_some_and(|redis| redis >= REDIS_MIN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Server\r\nredis_version:7.0.15\r\ncluster_enabled:0\r\nmaxmemory:1000\r\n\
        maxmemory_policy:noeviction\r\naof_enabled:1\r\naof_last_write_status:ok\r\n\
        connected_slaves:1\r\nmin_slaves_good_slaves:1\r\n\
        slave0:ip=10.0.0.2,port=6380,state=online,offset=1,lag=0\r\n";

    fn judged(from: &str, to: &str, cluster: bool, waited: u32) -> Judged {
        assert!(GOOD.contains(from), "{from}");
        Facts::parse(&GOOD.replace(from, to)).judged(cluster, waited)
    }

    #[test]
    fn a_good_server_has_no_findings_and_names_its_replicas() {
        let facts = Facts::parse(GOOD);
        assert_eq!(facts.judged(false, 1), []);
        assert_eq!(facts.replicas(), [Address::tcp("10.0.0.2", 6380)]);
    }

    #[test]
    fn each_fault_of_a_server_is_one_finding() {
        use Severity::{Error, Warning};
        for (from, to, cluster, waited, severity, part) in [
            ("7.0.15", "6.2.14", false, 0, Error, "too old"),
            (
                "redis_version:7.0.15",
                "redis_version:7.2.4\r\nvalkey_version:7.1.0",
                false,
                0,
                Error,
                "too old",
            ),
            ("cluster_enabled:0", "cluster_enabled:1", false, 0, Error, "redis+cluster://"),
            ("cluster_enabled:0", "cluster_enabled:0", true, 0, Error, "use redis://"),
            ("noeviction", "allkeys-lru", false, 0, Error, "noeviction"),
            ("maxmemory:1000", "maxmemory:0", false, 0, Warning, "maxmemory is not set"),
            ("aof_enabled:1", "aof_enabled:0", false, 0, Warning, "appendonly"),
            ("status:ok", "status:err", false, 0, Error, "disk"),
            ("connected_slaves:1", "connected_slaves:1", false, 2, Error, "durable"),
            ("min_slaves_good_slaves:1", "", false, 0, Warning, "min-replicas-to-write"),
        ] {
            let found = judged(from, to, cluster, waited);
            assert_eq!(found.len(), 1, "{part}: {found:?}");
            assert_eq!(found[0].0, severity, "{part}");
            assert!(found[0].1.contains(part), "{found:?}");
        }
        assert_eq!(
            judged("redis_version:7.0.15", "redis_version:7.2.4\r\nvalkey_version:8.0.1", false, 0),
            []
        );
    }

    #[test]
    fn a_replica_that_can_be_written_to_or_evicts_is_an_error() {
        assert_eq!(
            Facts::parse("slave_read_only:1\r\nmaxmemory_policy:noeviction").judged_as_replica(),
            []
        );
        let both = Facts::parse("slave_read_only:0\r\nmaxmemory_policy:allkeys-lru");
        assert_eq!(both.judged_as_replica().len(), 2);
    }
}
