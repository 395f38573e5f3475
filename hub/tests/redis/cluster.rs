//! In a cluster: each shard's calls go to the server that has its slot, also while it changes hands.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use hub::redis::connect::{Lost, Shards, Trouble, channel, slot};
use support::redis::Cluster;
use support::wait::wait_until;
use tokio::time::timeout;

use crate::hub::{Hub, READY_MAX};

#[test]
fn every_shard_is_served_by_the_server_that_has_its_slot() {
    let cluster = Cluster::start();
    let hub = Hub::with(&cluster.url(), &Hub::patient());
    wait_until("all servers are connected", READY_MAX, || hub.servers.is_up());
    let mut shards = [0; 3];
    for shard in 0..=u8::MAX {
        let said = cluster.servers[0].command(&["CLUSTER", "KEYSLOT", &format!("{{rf:{shard}}}")]);
        assert_eq!(said, slot(shard).to_string());
        let answer = hub.call(shard, &hub.count, &["1"]).unwrap();
        let address = answer.connection.address().to_string();
        let server =
            cluster.servers.iter().position(|server| address.ends_with(&server.port().to_string()));
        shards[server.unwrap()] += 1;
    }
    assert!(shards.iter().all(|&count| count > 0), "{shards:?}");
}

#[test]
fn no_call_is_lost_or_run_twice_while_a_slot_is_migrated() {
    const SHARD: u8 = 11;
    const BEFORE: i64 = 50;
    let cluster = Cluster::start();
    let hub = Hub::with(&cluster.url(), &Hub::patient());
    wait_until("all servers are connected", READY_MAX, || hub.servers.is_up());
    let slot = slot(SHARD);
    let from = cluster.owner(slot);
    let to = (from + 1) % 3;
    let counted = AtomicI64::new(0);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let calls = scope.spawn(|| {
            while !ended.load(Ordering::Acquire) {
                match hub.count(SHARD) {
                    Ok(count) => assert_eq!(count, counted.fetch_add(1, Ordering::Relaxed) + 1),
                    Err(lost) => assert!(matches!(lost, Lost::Refused(_)), "{lost}"),
                }
            }
        });
        let more = |what: &str| {
            let from = counted.load(Ordering::Relaxed);
            wait_until(what, READY_MAX, || {
                counted.load(Ordering::Relaxed) >= from + BEFORE || calls.is_finished()
            });
        };
        more("calls run before");
        cluster.begin_migration(slot, from, to);
        cluster.migrate_keys(slot, from, to);
        cluster.end_migration(slot, from, to);
        more("calls run after");
        ended.store(true, Ordering::Release);
        calls.join().unwrap();
    });
    assert_eq!(cluster.owner(slot), to);
    let answer = hub.call(SHARD, &hub.count, &["0"]).unwrap();
    assert_eq!(answer.value, redis::Value::Int(counted.into_inner()));
    let port = cluster.servers[to].port().to_string();
    assert!(answer.connection.address().to_string().ends_with(&port));
}

#[test]
fn no_script_runs_while_the_keys_of_its_shard_may_be_at_two_servers() {
    const SHARD: u8 = 12;
    let cluster = Cluster::start();
    let hub = Hub::with(&cluster.url(), &Hub::patient());
    wait_until("all servers are connected", READY_MAX, || hub.servers.is_up());
    assert_eq!(hub.count(SHARD), Ok(1));
    let slot = slot(SHARD);
    let from = cluster.owner(slot);
    let to = (from + 1) % 3;
    cluster.begin_migration(slot, from, to);
    for moved in [false, true] {
        if moved {
            cluster.migrate_keys(slot, from, to);
        }
        let lost = hub.count(SHARD).unwrap_err();
        assert!(matches!(lost, Lost::Refused(Trouble::Migrating | Trouble::Asked(_))), "{lost}");
    }
    cluster.end_migration(slot, from, to);
    assert_eq!(hub.count(SHARD), Ok(2), "nothing was run meanwhile");
}

#[test]
fn wake_ups_come_from_every_server_and_follow_a_migrated_slot() {
    const SHARD: u8 = 13;
    let cluster = Cluster::start();
    let hub = Hub::with(&cluster.url(), &Hub::patient());
    let mut missing: Vec<u8> = Shards::ALL.iter().collect();
    let next = || {
        let next = async { timeout(READY_MAX, hub.servers.news().next()).await };
        hub.runtime.block_on(next).expect("there is news in time")
    };
    while !missing.is_empty() {
        let news = next();
        missing.retain(|shard| !news.contains(*shard));
    }
    let slot = slot(SHARD);
    let from = cluster.owner(slot);
    let to = (from + 1) % 3;
    cluster.servers[from].command(&["SPUBLISH", &channel(SHARD), ""]);
    while !next().contains(SHARD) {}
    cluster.begin_migration(slot, from, to);
    cluster.migrate_keys(slot, from, to);
    cluster.end_migration(slot, from, to);
    // Reported by the subscription at its new server.
    while !next().contains(SHARD) {}
    wait_until("a message at the new server is heard", READY_MAX, || {
        cluster.servers[to].command(&["SPUBLISH", &channel(SHARD), ""]) == "1"
    });
    while !next().contains(SHARD) {}
}

#[test]
fn a_server_that_is_away_takes_only_its_own_shards_with_it() {
    let mut cluster = Cluster::start();
    for server in &cluster.servers {
        server.command(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]);
    }
    let hub = Hub::with(&cluster.url(), &Hub::patient());
    wait_until("all servers are connected", READY_MAX, || hub.servers.is_up());
    let owner = |shard: u8| cluster.owner(slot(shard));
    let other = (1..=u8::MAX).find(|&shard| owner(shard) != owner(0)).unwrap();
    let killed = owner(0);
    cluster.servers[killed].kill();
    wait_until("its shards are away", READY_MAX, || hub.count(0).is_err() && !hub.servers.is_up());
    hub.wait_for_count(other);
    cluster.servers[killed].start_again();
    hub.wait_for_count(0);
    wait_until("all is up again", READY_MAX, || hub.servers.is_up());
}
