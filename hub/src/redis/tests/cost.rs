//! What an exchange costs the server, as the server counts it. With `--nocapture` the numbers are shown.

use redis::Connection;

use super::server::Server;
use super::world::{CALL_LEASE_S, Deed, START_MS, account, lease, record};
use crate::call::{Call, Direction, Facts, Texts};
use crate::id::HolderId;
use crate::redis::encode::Beginning;
use crate::state::exchange::{Begin, Exchange};
use crate::state::request::{Event, Request, Sync, Want};

const ID: HolderId = HolderId(5);
const ROUNDS: u64 = 60;
/// Microseconds of the largest exchange at the very most: another machine may be slow and busy.
const COST_MAX_US: u64 = 60_000;

fn call(number: u64) -> Call {
    let facts = Facts {
        admitted_us: 1_800_000_000_000_000,
        admission: number,
        pins: super::world::pins_of(0),
        account: account(0),
        direction: Direction::Outbound,
        lease_s: 0,
    };
    let call_id = format!("{number:032x}@sip.example.org");
    let texts =
        Texts { call_id: &call_id, from: "+911140000000", to: "+911240000000", ..Texts::default() };
    Call::new(facts, texts).expect("short")
}

fn exchange(number: u64, events: Vec<Event>) -> Deed {
    let sync = Sync { holder: ID, events, ..Sync::default() };
    Deed::Exchange(Box::new(Exchange { incarnation: 1, number, sync, ..Exchange::default() }))
}

fn run(deed: &Deed, connection: &mut Connection) {
    let (script, _) = deed.call().expect("a script");
    script.load().query::<()>(connection).expect("loaded");
    deed.command().query::<redis::Value>(connection).expect("an answer");
}

/// Microseconds that the server takes for a script's call.
fn cost_us(deed: &Deed, connection: &mut Connection) -> u64 {
    redis::cmd("CONFIG").arg("RESETSTAT").query::<()>(connection).expect("reset");
    run(deed, connection);
    let info: String = redis::cmd("INFO").arg("commandstats").query(connection).expect("text");
    let line = info.lines().find(|line| line.starts_with("cmdstat_evalsha:")).expect("it ran");
    let cost = line.split("usec=").nth(1).expect("a cost");
    cost.split(',').next().expect("a number").parse().expect("a number")
}

fn begun(connection: &mut Connection) {
    redis::cmd("FLUSHALL").query::<()>(connection).expect("empty");
    let (call_lease_s, clock_ms) = (CALL_LEASE_S, START_MS);
    let begin = Begin {
        incarnation: 1,
        holders: vec![ID],
        learn_min_ms: 0,
        learn_max_ms: 9_000,
        call_lease_s,
        clock_ms,
        clock_seen_ms: 0,
    };
    let organization = super::world::organization(0);
    let configuration = vec![
        Request::Organization { id: organization, version: 1, total: 1_000_000 },
        Request::Counter {
            id: account(0),
            organization,
            version: 1,
            floor: 0,
            cap: u32::MAX,
            outbound_cap: None,
        },
    ];
    run(&Deed::Begin(Beginning { begin, configuration }), connection);
    let wants = vec![Want { counter: account(0), units: 500_000, recalled: false }];
    let sync = Sync { holder: ID, wants, ..Sync::default() };
    let told = Exchange { incarnation: 1, number: 1, complete: true, sync, ..Exchange::default() };
    run(&Deed::Exchange(Box::new(told)), connection);
}

/// Exchanges of so many calls that are admitted, and of the same that end: microseconds of each.
fn costs(connection: &mut Connection, calls: u64) -> [Vec<u64>; 2] {
    let (mut of_admits, mut of_ends) = (Vec::new(), Vec::new());
    begun(connection);
    for round in 0..ROUNDS {
        let calls: Vec<Call> = (0..calls).map(|number| call(round * 512 + number)).collect();
        let admitted =
            |call: &Call| Event::Admitted { call: call.clone(), lease: lease(START_MS, 7) };
        let ended = |call: &Call| Event::Ended(record(call.clone(), START_MS, 7, 0));
        let admits = exchange(2 + 2 * round, calls.iter().map(admitted).collect());
        of_admits.push(cost_us(&admits, connection));
        let ends = exchange(3 + 2 * round, calls.iter().map(ended).collect());
        of_ends.push(cost_us(&ends, connection));
    }
    of_admits.sort_unstable();
    of_ends.sort_unstable();
    [of_admits, of_ends]
}

#[test]
fn an_exchange_of_512_events_takes_milliseconds() {
    let server = Server::start();
    let mut connection = server.connect();
    for calls in [0, 1, 64, 512] {
        let [admits, ends] = costs(&mut connection, calls);
        let middle = admits.len() / 2;
        println!("{calls} admits: {} us, {calls} ends: {} us", admits[middle], ends[middle]);
        // The best of many: other tests may run beside it.
        assert!(admits[0] < COST_MAX_US && ends[0] < COST_MAX_US, "{admits:?} {ends:?}");
    }
}
