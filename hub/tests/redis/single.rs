//! One server: what is lost is told apart, nothing waits for a server that is away, and it is found
//! again.

use std::time::Duration;

use hub::redis::connect::{Lost, Options, Script, Servers, Timing, Trouble};
use support::command::shell;
use support::redis::{Redis, free_port};
use support::wait::{timed, wait_until};
use tokio::time::Instant;

use crate::hub::{Hub, READY_MAX};

/// What a loaded machine adds to a limit before a test sees that it was kept.
const SLACK: Duration = Duration::from_secs(2);

#[test]
fn a_script_is_loaded_when_a_server_does_not_know_it() {
    let redis = Redis::start(&[]);
    let hub = Hub::with(&redis.url(), &Hub::patient());
    assert_eq!(hub.count(7), Ok(1));
    assert_eq!(redis.command(&["SCRIPT", "FLUSH"]), "OK");
    assert_eq!(hub.count(7), Ok(2), "after a flush too");
    assert_eq!(redis.command(&["HGET", "{rf:7}:shard", "n"]), "2");
    assert!(hub.servers.is_up());
}

#[test]
fn a_unix_socket_serves_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("hub.sock");
    let socket = socket.to_str().unwrap();
    let redis = Redis::start(&[("unixsocket", socket)]);
    let hub = Hub::with(&format!("unix://{socket}?db=5"), &Hub::patient());
    assert_eq!(hub.count(0), Ok(1));
    assert_eq!(redis.command(&["-n", "5", "HGET", "{rf:0}:shard", "n"]), "1");
}

#[test]
fn an_encrypted_connection_is_made_only_to_a_server_with_a_known_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = |name: &str| {
        let path = |what: &str| directory.path().join([name, what].concat()).display().to_string();
        let (key, certificate) = (path(".key"), path(".crt"));
        shell(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
             -subj /CN=hub -addext subjectAltName=IP:127.0.0.1 \
             -addext basicConstraints=critical,CA:FALSE -keyout $KEY -out $CERTIFICATE 2>&1",
            &[("KEY", &key), ("CERTIFICATE", &certificate)],
        );
        (key, certificate)
    };
    let ((key, certificate), (_, other)) = (certificate("hub"), certificate("other"));
    let port = free_port().to_string();
    let _redis = Redis::start(&[
        ("tls-port", &port),
        ("tls-cert-file", &certificate),
        ("tls-key-file", &key),
        ("tls-ca-cert-file", &certificate),
        ("tls-auth-clients", "no"),
    ]);
    let url = format!("rediss://127.0.0.1:{port}");
    let known = Options { authorities: Some(certificate.into()), ..Hub::patient() };
    assert_eq!(Hub::with(&url, &known).wait_for_count(1), 1);
    let unknown = Options { authorities: Some(other.into()), ..Hub::patient() };
    Hub::with(&url, &unknown).wait_for_trouble(1, "untrusted");
    let plain = Hub::with(&url.replace("rediss", "redis"), &Hub::patient());
    assert!(plain.count(1).is_err());
    let missing = Options { authorities: Some(key.into()), ..Options::default() };
    assert!(Servers::start(url.parse().unwrap(), &missing).is_err(), "a key is no certificate");
}

#[test]
fn many_calls_share_a_connection_and_each_gets_its_own_answer() {
    const CALLERS: usize = 32;
    const CALLS: usize = 50;
    let redis = Redis::start(&[]);
    let hub = Hub::with(&redis.url(), &Hub::patient());
    let echo = Script::new("echo", "#!lua\nreturn ARGV[1]");
    let number = hub.call(0, &echo, &["first"]).unwrap().connection.number();
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (hub, echo) = (&hub, &echo);
            scope.spawn(move || {
                for call in 0..CALLS {
                    let text = format!("{caller} {call}");
                    let answer = hub.call(7, echo, &[&text]).unwrap();
                    assert_eq!(answer.value, redis::Value::BulkString(text.into_bytes()));
                    assert_eq!(answer.connection.number(), number, "one connection");
                }
            });
        }
    });
}

#[test]
fn a_call_to_a_stopped_server_fails_in_time_and_its_connection_is_not_used_again() {
    let redis = Redis::start(&[]);
    // The call itself is to notice, not the heartbeat.
    let timing = Timing { heartbeat: READY_MAX, ..Timing::default() };
    let hub = Hub::with(&redis.url(), &Options { timing, ..Options::default() });
    hub.wait_for_count(1);
    let before = hub.call(1, &hub.count, &["0"]).unwrap().connection;
    redis.stop_answering();
    let (took, lost) = hub.timed_count(1);
    assert_eq!(lost, Err(Lost::PerhapsApplied(Trouble::NoAnswer)));
    assert!(took < Timing::default().response + SLACK, "{took:?}");
    assert!(!before.is_open());
    redis.go_on();
    // The given-up call may run now, on its own connection; what comes after it is counted one by one.
    let count = hub.wait_for_count(1);
    assert_eq!(hub.count(1), Ok(count + 1));
    let after = hub.call(1, &hub.count, &["0"]).unwrap().connection;
    assert_ne!(before.number(), after.number());
    wait_until("the server has closed the given-up connection", READY_MAX, || {
        // What we hold: calls and wake-ups; the third is the one that asks.
        redis.command(&["CLIENT", "LIST"]).lines().count() == 3
    });
}

#[test]
fn a_call_whose_caller_goes_away_ends_its_connection() {
    let redis = Redis::start(&[]);
    let hub = Hub::with(&redis.url(), &Hub::patient());
    hub.wait_for_count(1);
    let before = hub.call(1, &hub.count, &["0"]).unwrap().connection;
    redis.stop_answering();
    hub.runtime.block_on(async {
        let call = hub.servers.call(1, &hub.count, &["1"], Instant::now() + READY_MAX);
        let soon = Duration::from_millis(20);
        tokio::time::timeout(soon, call).await.unwrap_err();
    });
    assert!(!before.is_open());
    redis.go_on();
    hub.wait_for_count(1);
}

#[test]
fn after_some_failures_calls_fail_at_once_until_the_server_answers() {
    let redis = Redis::start(&[]);
    let hub = Hub::at(&redis.url());
    hub.wait_for_count(1);
    redis.stop_answering();
    wait_until("the breaker opens", READY_MAX, || {
        let (took, lost) = hub.timed_count(1);
        matches!(lost, Err(Lost::NotSent(_))) && took < Duration::from_millis(5)
    });
    assert!(!hub.servers.is_up());
    let (took, lost) = timed(|| (0..100).map(|_| hub.count(1)).filter(Result::is_err).count());
    assert_eq!(lost, 100);
    assert!(took < SLACK, "{took:?} for a hundred calls");
    redis.go_on();
    hub.wait_for_count(1);
    assert!(hub.servers.is_up());
}

#[test]
fn a_server_that_was_killed_is_found_again_when_it_is_back() {
    let mut redis = Redis::start(&[("appendonly", "yes"), ("appendfsync", "always")]);
    let hub = Hub::at(&redis.url());
    let count = hub.wait_for_count(1);
    redis.kill();
    hub.wait_for_trouble(1, "unreachable");
    redis.start_again();
    assert!(hub.wait_for_count(1) > count, "it has kept what was answered");
}

#[test]
fn a_server_that_is_not_there_is_unreachable() {
    let hub = Hub::at(&format!("redis://127.0.0.1:{}", free_port()));
    let lost = hub.wait_for_trouble(1, "unreachable");
    assert!(matches!(lost, Lost::NotSent(_)), "{lost}");
}

#[test]
fn a_wrong_password_is_said_without_showing_it() {
    let redis = Redis::start(&[("requirepass", "right-password")]);
    for login in [":wrong-password@", "nobody:wrong-password@", ""] {
        let hub = Hub::at(&format!("redis://{login}127.0.0.1:{}", redis.port()));
        let lost = hub.wait_for_trouble(1, "unauthenticated");
        assert!(!format!("{lost} {lost:?}").contains("wrong-password"), "{lost}");
    }
    let hub = Hub::at(&format!("redis://:right-password@127.0.0.1:{}", redis.port()));
    hub.wait_for_count(1);
}

#[test]
fn a_server_without_memory_refuses_the_call_and_runs_nothing_of_it() {
    let redis = Redis::start(&[("maxmemory", "1"), ("maxmemory-policy", "noeviction")]);
    let hub = Hub::at(&redis.url());
    let lost = hub.wait_for_trouble(1, "out_of_memory");
    assert_eq!(lost, Lost::Refused(Trouble::OutOfMemory));
    assert_eq!(redis.command(&["EXISTS", "{rf:1}:shard"]), "0");
}

#[test]
fn a_replica_is_not_taken_for_a_master() {
    let master = Redis::start(&[]);
    let replica = Redis::start(&[("replicaof", &format!("127.0.0.1 {}", master.port()))]);
    let hub = Hub::at(&replica.url());
    assert_eq!(hub.wait_for_trouble(1, "replica"), Lost::NotSent(Trouble::Replica));
    assert!(!hub.servers.is_up());
    assert_eq!(replica.command(&["REPLICAOF", "NO", "ONE"]), "OK");
    hub.wait_for_count(1);
}

#[test]
fn a_master_that_becomes_a_replica_is_left() {
    let other = Redis::start(&[]);
    let redis = Redis::start(&[]);
    let hub = Hub::at(&redis.url());
    hub.wait_for_count(1);
    redis.command(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
    hub.wait_for_trouble(1, "replica");
    wait_until("it is down", READY_MAX, || !hub.servers.is_up());
}

#[test]
fn too_few_replicas_refuse_the_call() {
    let redis = Redis::start(&[("min-replicas-to-write", "1")]);
    let hub = Hub::at(&redis.url());
    let lost = hub.wait_for_trouble(1, "missing_replicas");
    assert_eq!(lost, Lost::Refused(Trouble::MissingReplicas));
}

#[test]
fn what_a_script_raises_may_be_applied_in_part() {
    let redis = Redis::start(&[]);
    let hub = Hub::with(&redis.url(), &Hub::patient());
    let text = "#!lua\nredis.call('HSET', KEYS[1], 'x', 'y')\nreturn redis.call('INCR', KEYS[1])";
    let half = Script::new("half", text);
    let lost = hub.call(2, &half, &[]).unwrap_err();
    assert!(matches!(lost, Lost::PerhapsApplied(Trouble::Failed(_))), "{lost:?}");
    assert!(hub.count(2).is_ok(), "the connection serves on");
}

#[test]
fn a_durable_call_is_acknowledged_by_its_replicas_only() {
    const CALLERS: u32 = 32;
    let master = Redis::start(&[("repl-diskless-sync-delay", "0")]);
    let options = Options { replicas: 1, ..Hub::patient() };
    let hub = Hub::with(&master.url(), &options);
    let durable = || {
        hub.runtime.block_on(async {
            let deadline = Instant::now() + READY_MAX;
            let answer = hub.servers.call_durable(3, &hub.count, &["1"], deadline).await?;
            hub.servers.acknowledged(&answer).await
        })
    };
    wait_until("connected", READY_MAX, || durable() == Ok(false));
    let replica = Redis::start(&[("replicaof", &format!("127.0.0.1 {}", master.port()))]);
    wait_until("a replica has it", READY_MAX, || durable() == Ok(true));
    replica.stop_answering();
    assert_eq!(durable(), Ok(false), "a replica that has stopped acknowledges nothing");
    let (took, ()) = timed(|| {
        std::thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| assert_eq!(durable(), Ok(false)));
            }
        });
    });
    let one_by_one = options.timing.wait * CALLERS;
    assert!(took < one_by_one / 2, "{took:?}: those that wait together share one wait");
    let (took, count) = hub.timed_count(4);
    assert!(count.is_ok() && took < SLACK, "ordinary calls wait for nobody: {took:?}");
    replica.go_on();
    wait_until("a replica has it again", READY_MAX, || durable() == Ok(true));
    let alone = Hub::with(&master.url(), &Hub::patient());
    let answer = alone.call(3, &alone.count, &["1"]).unwrap();
    assert_eq!(alone.runtime.block_on(alone.servers.acknowledged(&answer)), Ok(true), "at once");
}
