//! A gateway that is told to stop: everything it has is at the disposal of the others once it is gone,
//! whatever was under way, and also when the hub is away just then.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use support::account::{admit, release};
use support::redis::Redis;
use support::relay::Relay;
use support::{Client, wait_until};

use crate::several::{SOON, Several, ask, end, gateway, gateway_behind, know};

/// Of the organization, and of the account.
const LIMIT: u32 = 100;
/// Stops under load: what is under way differs.
const STOPS: usize = 6;
const STACKS: usize = 8;
/// Calls of each stop, before it.
const CALLS: u32 = 300;

/// Holders that the hub knows, in all shards.
fn holders(redis: &Redis) -> usize {
    let count = "local n = 0 for _, key in ipairs(redis.call('KEYS', '*}:holders')) do \
                 n = n + redis.call('HLEN', key) end return n";
    redis.command(&["EVAL", count, "0"]).parse().expect("a number")
}

/// Connections that were ever made to the server, the one by which this asks among them.
fn connections(redis: &Redis) -> usize {
    let statistics = redis.command(&["INFO", "stats"]);
    let line = statistics.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
    line.expect("it is counted").trim().parse().expect("a number")
}

/// Begins and ends calls until the gateway is gone.
fn load(mut stack: Client, name: &str, done: &AtomicU32, is_over: &AtomicBool) {
    for number in 0.. {
        let call_id = format!("{name}-{number}");
        let begun = stack.try_post("/v1/calls/admit", &admit(&call_id));
        let ended = stack.try_post("/v1/calls/release", &release(&call_id));
        if is_over.load(Ordering::Relaxed) || begun.is_err() || ended.is_err() {
            return;
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_gateway_that_stops_under_load_ends_what_is_under_way_and_is_no_holder_any_more() {
    let several = Several::start();
    let account = several.limited(LIMIT);
    for stop in 0..STOPS {
        let leaving = gateway(&several.redis).start();
        know(&leaving, &account);
        let (done, is_over) = (AtomicU32::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            for stack in 0..STACKS {
                let (account, done, is_over) = (&account, &done, &is_over);
                let client = leaving.gateway(&account.key);
                let name = format!("{stop}-{stack}");
                scope.spawn(move || load(client, &name, done, is_over));
            }
            wait_until("calls begin and end", SOON, || done.load(Ordering::Relaxed) >= CALLS);
            let before = connections(&several.redis);
            leaving.ask_to_stop();
            let (status, stderr) = leaving.ended();
            is_over.store(true, Ordering::Relaxed);
            assert!(status.success(), "{status}\n{stderr}");
            assert_eq!(holders(&several.redis), 2, "{stderr}");
            // The two are those by which this asks.
            assert_eq!(
                connections(&several.redis) - before,
                2,
                "it has connected again:\n{stderr}"
            );
        });
    }
    several.stop();
}

#[test]
fn a_gateway_that_stops_while_the_hub_is_away_gives_everything_back_when_it_is_there_again() {
    let several = Several::start();
    let account = several.limited(LIMIT);
    let relay = Relay::start(several.redis.port());
    let leaving = gateway_behind(&relay).start();
    know(&leaving, &account);
    for call in 0..30 {
        assert_eq!(ask(&leaving, &account, &format!("before-{call}")).0, 200);
        end(&leaving, &account, &format!("before-{call}"));
    }
    assert_eq!(holders(&several.redis), 3);
    relay.cut();
    leaving.ask_to_stop();
    wait_until("the hub is told again", SOON, || {
        leaving.stderr().contains("the hub is told again that this gateway goes")
    });
    relay.mend();
    let (status, stderr) = leaving.ended();
    assert!(status.success(), "{status}\n{stderr}");
    assert_eq!(holders(&several.redis), 2, "{stderr}");
    for call in 0..LIMIT {
        let at = &several.gateways[call as usize % 2];
        assert_eq!(ask(at, &account, &format!("after-{call}")).0, 200, "{call} are live");
    }
    assert_eq!(ask(&several.gateways[0], &account, "more").0, 409);
    several.stop();
}
