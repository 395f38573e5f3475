//! Behind sentinels: the master they name is called, and after a failover the new one.

use std::time::Duration;

use hub::redis::connect::{Login, Options, Timing};
use support::redis::Watched;
use support::wait::{timed, wait_until};

use crate::hub::{Hub, READY_MAX};

/// Of the sentinels, from when they know the new master.
const FOUND_MAX: Duration = Duration::from_secs(5);

fn options(password: &str) -> Options {
    let sentinel_login: Login = format!(":{password}").parse().unwrap();
    let timing = Timing { poll: Duration::from_millis(200), ..Hub::patient().timing };
    Options { sentinel_login, timing, ..Options::default() }
}

#[test]
fn after_a_failover_calls_go_to_the_new_master_within_a_bounded_time() {
    let mut watched = Watched::start("sentinel-password");
    let hub = Hub::with(&watched.url(), &options("sentinel-password"));
    let port =
        |hub: &Hub| hub.call(1, &hub.count, &["1"]).unwrap().connection.address().to_string();
    hub.wait_for_count(1);
    assert_eq!(port(&hub), format!("127.0.0.1:{}", watched.master.port()));
    watched.master.kill();
    watched.sentinels[0].kill();
    let new = watched.replica.port().to_string();
    wait_until("the sentinels have made the replica master", READY_MAX, || {
        let said = watched.sentinels[1].command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "hub"]);
        said.ends_with(&new)
    });
    let (took, _count) = timed(|| hub.wait_for_count(1));
    assert!(took < FOUND_MAX, "{took:?}");
    assert_eq!(port(&hub), format!("127.0.0.1:{new}"), "found by the sentinels that are left");
    assert!(hub.servers.is_up());
    // The old master is back, first as one, until the sentinels make it a replica.
    watched.master.start_again();
    for _ in 0..50 {
        assert_eq!(port(&hub), format!("127.0.0.1:{new}"));
    }
}

#[test]
fn a_master_that_is_cut_off_is_left_when_the_sentinels_name_another() {
    let watched = Watched::start("p");
    let hub = Hub::with(&watched.url(), &options("p"));
    hub.wait_for_count(1);
    let said = watched.sentinels[0].command(&["SENTINEL", "FAILOVER", "hub"]);
    assert_eq!(said, "OK");
    let new = format!("127.0.0.1:{}", watched.replica.port());
    wait_until("the new master is called", READY_MAX, || {
        let answer = hub.call(1, &hub.count, &["1"]);
        answer.is_ok_and(|answer| answer.connection.address().to_string() == new)
    });
}

#[test]
fn a_wrong_login_for_the_sentinels_is_said() {
    let watched = Watched::start("p");
    let hub = Hub::with(&watched.url(), &options("wrong"));
    hub.wait_for_trouble(1, "unauthenticated");
    let unknown = watched.url().replace("/hub", "/other");
    let hub = Hub::with(&unknown, &options("p"));
    hub.wait_for_trouble(1, "no_master");
}
