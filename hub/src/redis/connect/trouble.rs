//! What can go wrong between a call and its answer, in one closed table: a name for metrics and logs,
//! what an operator should do, and whether the call may have been applied. Never carries a secret.

use std::io;

use redis::ServerError;

use super::setting::Address;

/// Redis appends this to what is raised inside a script, after which a part may have been applied.
const RAISED_INSIDE: &str = "@user_script";

/// A call without an answer. What matters to the caller is whether it may have been applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Nothing was sent.
    #[error("not sent: {0}")]
    NotSent(Trouble),
    /// The server answered that it does not run the call, and ran nothing of it.
    #[error("refused: {0}")]
    Refused(Trouble),
    /// It was handed over, and nobody knows. Its connection is closed, but it may run even later.
    #[error("perhaps applied: {0}")]
    PerhapsApplied(Trouble),
}

impl Lost {
    pub fn trouble(&self) -> &Trouble {
        match self {
            Self::NotSent(trouble) | Self::Refused(trouble) | Self::PerhapsApplied(trouble) => {
                trouble
            }
        }
    }

    /// What an error of the server says about the call that it answers.
    pub(super) fn answered(error: &ServerError) -> Self {
        let trouble = Trouble::of(error);
        let inside = error.details().is_some_and(|details| details.contains(RAISED_INSIDE));
        if inside || matches!(trouble, Trouble::Failed(_)) {
            Self::PerhapsApplied(trouble)
        } else {
            Self::Refused(trouble)
        }
    }
}

/// What is wrong with a server or the way to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}{}", self.name(), self.advice(), self.detail())]
pub enum Trouble {
    /// Not connected yet, since the start or since the connection was lost.
    Connecting,
    Unreachable(io::ErrorKind),
    /// The port does not speak TLS, or its certificate is not trusted.
    Untrusted,
    NoAnswer,
    Closed,
    /// No sentinel names a master that says it is one.
    NoMaster,
    /// No server of the cluster is known to have the shard.
    NoRoute,
    Unauthenticated,
    NotPermitted(String),
    Replica,
    Loading,
    Busy,
    OutOfMemory,
    MissingReplicas,
    Unsaved,
    TooManyClients,
    UnknownScript,
    Moved(Redirection),
    Asked(Redirection),
    Migrating,
    ClusterDown,
    CrossSlot,
    /// An answer that is not what was asked for.
    Unexpected,
    /// The script failed, or said an error of its own.
    Failed(String),
}

/// Where a cluster says a slot is; without a host it is the one that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirection {
    host: String,
    port: u16,
}

impl Redirection {
    /// `<slot> <host>:<port>`; the host may be empty or an IPv6 address without brackets.
    fn parse(details: &str) -> Option<Self> {
        let (_slot, address) = details.split_once(' ')?;
        let (host, port) =
            address.split_once(' ').map_or(address, |(first, _)| first).rsplit_once(':')?;
        Some(Self { host: host.to_owned(), port: port.parse().ok()? })
    }

    pub(super) fn address(&self, answered: &Address) -> Address {
        match answered {
            Address::Tcp { host, .. } if self.host.is_empty() => Address::tcp(host, self.port),
            _ => Address::tcp(&self.host, self.port),
        }
    }
}

impl Trouble {
    pub(super) fn of(error: &ServerError) -> Self {
        let details = error.details().unwrap_or_default();
        let redirection = || Redirection::parse(details);
        match error.code() {
            "NOAUTH" | "WRONGPASS" => Self::Unauthenticated,
            "NOPERM" => Self::NotPermitted(details.to_owned()),
            "READONLY" => Self::Replica,
            "LOADING" | "MASTERDOWN" => Self::Loading,
            "BUSY" => Self::Busy,
            "OOM" => Self::OutOfMemory,
            "NOREPLICAS" => Self::MissingReplicas,
            "MISCONF" => Self::Unsaved,
            "NOSCRIPT" => Self::UnknownScript,
            "MOVED" => redirection().map_or(Self::Unexpected, Self::Moved),
            "ASK" => redirection().map_or(Self::Unexpected, Self::Asked),
            "TRYAGAIN" => Self::Migrating,
            "CLUSTERDOWN" => Self::ClusterDown,
            "CROSSSLOT" => Self::CrossSlot,
            "ERR" if details.starts_with("max number of clients") => Self::TooManyClients,
            "ERR" if details.contains("ACL failure in script") => {
                Self::NotPermitted(details.to_owned())
            }
            code => Self::Failed(format!("{code} {details}")),
        }
    }

    /// What the client library says of a connection that could not be set up.
    pub(super) fn of_setup(error: &redis::RedisError) -> Self {
        match (error.code(), error.kind()) {
            (Some("NOAUTH" | "WRONGPASS"), _) | (_, redis::ErrorKind::AuthenticationFailed) => {
                Self::Unauthenticated
            }
            (Some("LOADING"), _) => Self::Loading,
            (Some("BUSY"), _) => Self::Busy,
            (Some("NOPERM"), _) => {
                Self::NotPermitted(error.detail().unwrap_or_default().to_owned())
            }
            (Some(_), _) => {
                let detail = error.detail().unwrap_or_default();
                if detail.starts_with("max number of clients") {
                    return Self::TooManyClients;
                }
                Self::Failed(detail.to_owned())
            }
            _ => Self::Closed,
        }
    }

    /// Whether the server cannot serve calls at all, so that the connection is not worth keeping.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(self, Self::Unauthenticated | Self::Replica | Self::Loading | Self::Busy)
    }

    /// The label of metrics.
    pub const fn name(&self) -> &'static str {
        self.row().0
    }

    /// What an operator should do.
    pub const fn advice(&self) -> &'static str {
        self.row().1
    }

    fn detail(&self) -> String {
        match self {
            Self::Unreachable(kind) => format!(" ({kind})"),
            Self::NotPermitted(said) | Self::Failed(said) => format!(" ({said})"),
            _ => String::new(),
        }
    }

    #[rustfmt::skip]
    const fn row(&self) -> (&'static str, &'static str) {
        match self {
            Self::Connecting => ("connecting", "not connected yet; no action unless it stays"),
            Self::Unreachable(_) => ("unreachable", "check that the server runs, its address, and the network"),
            Self::Untrusted => ("untrusted", "check that the port speaks TLS, and the host and authority of its certificate"),
            Self::NoAnswer => ("no_answer", "the server or the network is too slow; see SLOWLOG and LATENCY DOCTOR"),
            Self::Closed => ("closed", "the server closed the connection; see its log"),
            Self::NoMaster => ("no_master", "check the service name, that sentinels are reached, and that a master is up"),
            Self::NoRoute => ("no_route", "check CLUSTER INFO: all 16384 slots must be covered"),
            Self::Unauthenticated => ("unauthenticated", "check user and password against the server's ACL"),
            Self::NotPermitted(_) => ("not_permitted", "give the user the rights of deploy/redis/users.acl"),
            Self::Replica => ("replica", "this is a replica; name the master, or use sentinels"),
            Self::Loading => ("loading", "the server loads its data set; wait"),
            Self::Busy => ("busy", "a script has run for seconds; see SLOWLOG, then SCRIPT KILL"),
            Self::OutOfMemory => ("out_of_memory", "raise maxmemory; with noeviction nothing is lost meanwhile"),
            Self::MissingReplicas => ("missing_replicas", "bring back replicas, or lower min-replicas-to-write"),
            Self::Unsaved => ("unsaved", "the server cannot save to its disk; see its log"),
            Self::TooManyClients => ("too_many_clients", "raise maxclients of the server"),
            Self::UnknownScript => ("unknown_script", "scripts are flushed all the time; find who calls SCRIPT FLUSH"),
            Self::Moved(_) => ("moved", "the slot went to another server; no action unless it stays"),
            Self::Asked(_) => ("asked", "the slot is being migrated; no action unless it stays"),
            Self::Migrating => ("migrating", "the slot is being migrated; wait"),
            Self::ClusterDown => ("cluster_down", "check CLUSTER INFO: a slot is uncovered or a majority is missing"),
            Self::CrossSlot => ("cross_slot", "a fault of this program: report it"),
            Self::Unexpected => ("unexpected", "the answer has an unknown form; check the server's version"),
            Self::Failed(_) => ("failed", "the script failed; see what it said"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Lost {
        let line = format!("-{text}\r\n");
        match redis::parse_redis_value(line.as_bytes()).unwrap() {
            redis::Value::ServerError(error) => Lost::answered(&error),
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn each_error_of_a_server_has_its_row() {
        for (text, name) in [
            ("NOAUTH Authentication required.", "unauthenticated"),
            ("WRONGPASS invalid username-password pair or user is disabled.", "unauthenticated"),
            ("NOPERM this user has no permissions to run the 'evalsha' command", "not_permitted"),
            ("READONLY You can't write against a read only replica.", "replica"),
            ("LOADING Redis is loading the dataset in memory", "loading"),
            ("MASTERDOWN Link with MASTER is down", "loading"),
            ("BUSY Redis is busy running a script.", "busy"),
            ("OOM allow-oom flag is not set on the script", "out_of_memory"),
            ("NOREPLICAS Not enough good replicas to write.", "missing_replicas"),
            ("MISCONF Redis is configured to save RDB snapshots", "unsaved"),
            ("NOSCRIPT No matching script. Please use EVAL.", "unknown_script"),
            ("MOVED 3999 127.0.0.1:6381", "moved"),
            ("ASK 3999 127.0.0.1:6381", "asked"),
            ("TRYAGAIN Multiple keys request during rehashing of slot", "migrating"),
            ("CLUSTERDOWN The cluster is down", "cluster_down"),
            ("CROSSSLOT Keys in request don't hash to the same slot", "cross_slot"),
            ("ERR max number of clients reached", "too_many_clients"),
        ] {
            let lost = said(text);
            assert_eq!(lost.trouble().name(), name, "{text}");
            assert!(matches!(lost, Lost::Refused(_)), "{text}: nothing was applied");
        }
    }

    #[test]
    fn what_is_raised_inside_a_script_may_be_applied_in_part() {
        let raised = said("OOM command not allowed script: 4f2, on @user_script:3.");
        assert_eq!(raised, Lost::PerhapsApplied(Trouble::OutOfMemory));
        let failed = said("ERR something script: 4f2, on @user_script:1.");
        assert!(matches!(failed, Lost::PerhapsApplied(Trouble::Failed(_))), "{failed}");
        assert!(matches!(said("WRONGTYPE Operation"), Lost::PerhapsApplied(_)));
    }

    #[test]
    fn a_redirection_names_a_server_or_the_one_that_answered() {
        let answered = Address::tcp("10.0.0.9", 1);
        for (text, expected) in [
            ("MOVED 1 10.0.0.1:6381", Address::tcp("10.0.0.1", 6381)),
            ("MOVED 1 :6381", Address::tcp("10.0.0.9", 6381)),
            ("MOVED 1 ::1:6381", Address::tcp("::1", 6381)),
        ] {
            let Lost::Refused(Trouble::Moved(to)) = said(text) else { unreachable!("{text}") };
            assert_eq!(to.address(&answered), expected, "{text}");
        }
        assert_eq!(said("MOVED nonsense"), Lost::Refused(Trouble::Unexpected));
    }
}
