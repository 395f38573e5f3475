//! What `deploy/redis` recommends: a server with exactly that file and that user serves everything, and
//! the inspection has nothing against it; against others it has.

use std::fs;
use std::path::{Path, PathBuf};

use hub::redis::connect::{Finding, Options, Severity, channel, slot};
use hub::redis::scripts::COMMANDS;
use hub::shared::SharedHub as _;
use hub::state::request::Sync;
use support::redis::{Cluster, Redis, Watched};
use support::wait::wait_until;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::hub::{Hub, READY_MAX};
use crate::shared::{Gateway, Process, account_change, organization_change, shard};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/redis")
}

/// The recommended files: only addresses, directories and passwords are set.
struct Deployed {
    directory: TempDir,
}

impl Deployed {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let users = fs::read_to_string(deploy().join("users.acl")).unwrap();
        fs::write(directory.path().join("users.acl"), users.replace("CHANGE-ME", "secret"))
            .unwrap();
        let conf = fs::read_to_string(deploy().join("redis.conf")).unwrap();
        fs::write(directory.path().join("redis.conf"), conf).unwrap();
        Self { directory }
    }

    fn start(&self, more: &[(&str, &str)]) -> Redis {
        let users = self.directory.path().join("users.acl");
        let mut settings = vec![("aclfile", users.to_str().unwrap())];
        settings.extend(more);
        let login = ["--no-auth-warning", "--user", "ringfence", "-a", "secret"];
        Redis::configured(&self.directory.path().join("redis.conf"), &settings, &login)
    }
}

fn url(redis: &Redis) -> String {
    format!("redis://ringfence:secret@127.0.0.1:{}", redis.port())
}

impl Hub {
    fn inspect(&self) -> Vec<Finding> {
        self.runtime.block_on(self.servers.inspect(COMMANDS, READY_MAX))
    }
}

#[track_caller]
fn has(findings: &[Finding], severity: Severity, part: &str) {
    let found = |finding: &Finding| finding.severity == severity && finding.text.contains(part);
    assert!(findings.iter().any(found), "{part}: {findings:?}");
}

#[test]
fn the_recommended_server_and_user_serve_everything_without_a_finding() {
    let deployed = Deployed::new();
    let redis = deployed.start(&[]);
    let hub = Hub::with(&url(&redis), &Hub::patient());
    assert_eq!(hub.wait_for_count(200), 1);
    let findings = hub.inspect();
    assert!(findings.iter().all(|finding| finding.severity == Severity::Note), "{findings:?}");
    has(&findings, Severity::Note, "appendfsync");
    hub.runtime.block_on(hub.servers.news().next());
    assert_eq!(redis.command(&["SPUBLISH", &channel(200), ""]), "1");
    hub.runtime.block_on(hub.servers.news().next());
    for refused in [&["KEYS", "*"][..], &["GET", "other"], &["FLUSHALL"], &["CONFIG", "GET", "*"]] {
        let said = redis.command(refused);
        assert!(said.starts_with("NOPERM"), "{refused:?}: {said}");
    }
}

#[test]
fn the_recommended_user_may_do_all_that_a_shared_hub_does() {
    let deployed = Deployed::new();
    let redis = deployed.start(&[]);
    let process = Process::at(&url(&redis));
    let findings = process.wait(process.hub.inspect(READY_MAX));
    assert!(findings.iter().all(|finding| finding.severity == Severity::Note), "{findings:?}");
    process.wait(process.hub.news());
    assert!(process.begin(1, &[]));
    assert!(process.wait(process.hub.news()).contains(shard()), "a script may wake others");
    process.republish(1, &[organization_change(1)], true);
    process.publish(2, &[account_change(0, 2)]);
    assert_eq!(process.directory(0).unwrap().changes.len(), 2);
    let mut gateway = Gateway::new(&url(&redis), 7);
    gateway.join();
    process.wait(process.hub.confirm(shard(), gateway.id)).unwrap();
    gateway.sync(Sync::default());
    assert_eq!(process.wait(process.hub.standing(shard())).unwrap().members.len(), 1);
}

#[test]
fn the_recommended_users_replicate_and_acknowledge() {
    let deployed = Deployed::new();
    let master = deployed.start(&[("min-replicas-to-write", "1")]);
    let options = Options { replicas: 1, ..Hub::patient() };
    let hub = Hub::with(&url(&master), &options);
    has(&hub.inspect(), Severity::Error, "no durable call");
    let of = format!("127.0.0.1 {}", master.port());
    let login =
        [("replicaof", of.as_str()), ("masteruser", "replica"), ("masterauth", "secret-TOO")];
    let replica = deployed.start(&login);
    wait_until("a durable call is acknowledged", READY_MAX, || {
        hub.runtime.block_on(async {
            let deadline = Instant::now() + READY_MAX;
            let answer = hub.servers.call_durable(1, &hub.count, &["1"], deadline).await;
            match answer {
                Ok(answer) => hub.servers.acknowledged(&answer).await == Ok(true),
                Err(_) => false,
            }
        })
    });
    let findings = hub.inspect();
    assert!(findings.iter().all(|finding| finding.severity == Severity::Note), "{findings:?}");
    drop(replica);
}

#[test]
fn the_recommended_cluster_survives_the_loss_of_a_master() {
    let deployed = Deployed::new();
    let conf = fs::read_to_string(deploy().join("cluster/cluster.conf")).unwrap();
    let file = deployed.directory.path().join("cluster.conf");
    let included = deployed.directory.path().join("redis.conf");
    let conf = conf.replace("/etc/ringfence/redis.conf", included.to_str().unwrap());
    fs::write(&file, conf.replace("CHANGE-ME", "secret")).unwrap();
    let users = deployed.directory.path().join("users.acl");
    let mut cluster = Cluster::of(6, |bus| {
        let settings = [("aclfile", users.to_str().unwrap()), ("cluster-port", bus)];
        let login = ["--no-auth-warning", "--user", "admin", "-a", "secret-ADMIN"];
        Redis::configured(&file, &settings, &login)
    });
    let hub = Hub::with(&cluster.url().replace("://", "://ringfence:secret@"), &Hub::patient());
    wait_until("all servers are connected", READY_MAX, || hub.servers.is_up());
    assert!((0..=u8::MAX).all(|shard| hub.count(shard) == Ok(1)));
    let findings = hub.inspect();
    assert!(findings.iter().all(|finding| finding.severity != Severity::Error), "{findings:?}");
    let killed = cluster.owner(slot(0));
    cluster.servers[killed].kill();
    hub.wait_for_count(0);
    wait_until("all is up again", READY_MAX, || hub.servers.is_up());
}

#[test]
fn the_recommended_users_and_sentinels_survive_a_failover() {
    let deployed = Deployed::new();
    let login = [("masteruser", "replica"), ("masterauth", "secret-TOO")];
    let master = deployed.start(&login);
    let of = format!("127.0.0.1 {}", master.port());
    let replica = deployed.start(&[&[("replicaof", of.as_str())][..], &login[..]].concat());
    let conf = fs::read_to_string(deploy().join("sentinel/sentinel.conf")).unwrap();
    let conf = conf.replace("CHANGE-ME", "secret").replace("127.0.0.1 6379", &of);
    let mut watched = Watched::over(master, replica, &conf, "secret-SENTINEL");
    let options = Options { sentinel_login: ":secret-SENTINEL".parse().unwrap(), ..Hub::patient() };
    let hub = Hub::with(&watched.url().replace("://", "://ringfence:secret@"), &options);
    hub.wait_for_count(1);
    watched.master.kill();
    let new = format!("127.0.0.1:{}", watched.replica.port());
    wait_until("the new master is called", READY_MAX, || {
        let answer = hub.call(1, &hub.count, &["1"]);
        answer.is_ok_and(|answer| answer.connection.address().to_string() == new)
    });
}

#[test]
fn the_inspection_names_each_missing_right_and_each_bad_setting() {
    let redis = Redis::start(&[("maxmemory-policy", "allkeys-lru")]);
    redis.command(&["ACL", "SETUSER", "ringfence", "on", ">secret", "~{rf:*", "+@all", "-hset"]);
    redis.command(&["ACL", "SETUSER", "ringfence", "-wait", "-config", "resetchannels"]);
    let inspected = |commands: &[&str]| {
        let mut words = vec!["ACL", "SETUSER", "ringfence"];
        words.extend(commands);
        assert_eq!(redis.command(&words), "OK");
        // The wake-ups may not be had: the calls do.
        Hub::with(&url(&redis), &Hub::patient()).inspect()
    };
    let findings = inspected(&["+@all", "-hset", "-wait", "-config"]);
    for right in ["HSET", "WAIT", "SSUBSCRIBE", "SPUBLISH"] {
        has(&findings, Severity::Error, &format!("the user may not: {right}"));
    }
    has(&findings, Severity::Error, "noeviction");
    has(&findings, Severity::Warning, "appendonly");
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    assert_eq!(errors, 5, "{findings:?}");
    has(&inspected(&["-evalsha"]), Severity::Error, "evalsha");
    has(&inspected(&["+evalsha", "-info"]), Severity::Error, "INFO");
}

#[test]
fn the_inspection_says_what_is_not_reached_and_what_is_of_another_kind() {
    let redis = Redis::start(&[]);
    let as_cluster = Hub::at(&redis.url().replace("redis://", "redis+cluster://"));
    has(&as_cluster.inspect(), Severity::Error, "not every shard has a server");
    let cluster = Cluster::start();
    let as_single = Hub::with(&cluster.servers[0].url(), &Hub::patient());
    has(&as_single.inspect(), Severity::Error, "redis+cluster://");
    let mut redis = redis;
    redis.kill();
    let away = Hub::at(&redis.url());
    has(&away.inspect(), Severity::Error, "unreachable");
}
