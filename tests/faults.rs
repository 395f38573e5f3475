//! Gateways, control planes, PostgreSQL and a watched pair of Redis servers as processes, while they are killed,
//! stopped, cut off and lose their memory: the short run of `make chaos`, and the stories that have a
//! bound in time.

use std::time::Duration;

use chaos::hub::Kind;
use chaos::plan::{Fault, Planned};
use chaos::wire::{Asked, Said, ask};
use chaos::world::{World, since};
use chaos::{Settings, run};
use serde_json::json;
use support::{Client, Nanos, now, pause, say, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_ringfence");
const LIMIT: u32 = 100;
const LEASE_S: u32 = 20;
/// By then a silent gateway was given up.
const RECLAIM: Duration = Duration::from_secs(6);
/// Longer than anything that is not measured takes on a busy machine.
const SOON: Duration = Duration::from_secs(30);

fn settings(gateways: usize) -> Settings {
    Settings {
        binary: BINARY.to_owned(),
        hub: Kind::Sentinel,
        gateways,
        clients: 120,
        limit: LIMIT,
        call_lease_s: LEASE_S,
        seed: 20_261_123,
        lasts: Duration::ZERO,
        pace: 2,
    }
}

/// Calls by their number, at the gateways of a world.
struct Calls {
    clients: Vec<Client>,
    begun: u32,
    live: Vec<String>,
    renewed: Nanos,
}

impl Calls {
    fn of(world: &World) -> Self {
        let clients = (0..world.gateways.len()).map(|gateway| world.client(gateway)).collect();
        Self { clients, begun: 0, live: Vec::new(), renewed: now() }
    }

    /// Asks for one more; whether it was admitted. Every other answer but these two fails the test.
    fn begin(&mut self, gateway: usize) -> bool {
        self.begun += 1;
        let call_id = format!("c{}", self.begun);
        let said = self.ask(gateway, "admit", &call_id).said;
        match said {
            Said::Done(_) => self.live.push(call_id),
            // What may have been admitted all the same ends.
            Said::Away => self.end(gateway, &call_id),
            Said::NoSlot => {}
            _ => unreachable!("{call_id}: {said:?}"),
        }
        self.live.last().is_some_and(|last| *last == format!("c{}", self.begun))
    }

    /// Begins calls until so many are live; how many there were when time was up.
    fn begin_until(&mut self, gateway: usize, live: usize, deadline: Duration) -> usize {
        let from = now();
        while self.live.len() < live && since(from) < deadline {
            self.begin(gateway);
            self.renew_all(gateway);
        }
        self.live.len()
    }

    fn renew_all(&mut self, gateway: usize) {
        if since(self.renewed) < Duration::from_secs(u64::from(LEASE_S) / 3) {
            return;
        }
        self.renewed = now();
        for call_id in self.live.clone() {
            wait_until("a call is renewed", SOON, || {
                matches!(self.ask(gateway, "renew", &call_id).said, Said::Done(_))
            });
        }
    }

    fn end(&mut self, gateway: usize, call_id: &str) {
        wait_until("a call ends", SOON, || {
            matches!(self.ask(gateway, "release", call_id).said, Said::Done(_) | Said::Unknown)
        });
        self.live.retain(|live| live != call_id);
    }

    fn ask(&mut self, gateway: usize, what: &str, call_id: &str) -> Asked {
        let path = format!("/v1/calls/{what}");
        ask(&mut self.clients[gateway], "POST", &path, &json!({"call_id": call_id}))
    }
}

#[test]
fn under_faults_no_limit_is_passed_no_refusal_is_false_and_every_call_is_charged_once() {
    let settings = Settings { lasts: Duration::from_secs(64), ..settings(3) };
    say(&format!("seed {}", settings.seed));
    let plan = [
        (2, Fault::Flush),
        (9, Fault::Failover),
        (18, Fault::CutOff { gateway: 1, for_s: 6 }),
        (40, Fault::KillControlPlane { which: 0 }),
        (45, Fault::CrashDatabase { for_s: 1 }),
        (50, Fault::Kill { gateway: 0 }),
    ];
    let plan = plan.map(|(at_s, fault)| Planned { at_s, fault });
    let report = run(&settings, &plan, &say);
    say(&report.markdown());
    assert_eq!(report.broken(), [""; 0]);
    assert!(report.verdict.refusals_checked >= 30, "{}", report.verdict.refusals_checked);
    assert!(report.verdict.most_live >= LIMIT / 2, "the limit was never near");
}

#[test]
fn a_replica_that_missed_the_last_admits_gives_none_of_their_slots_away() {
    let mut world = World::start(&settings(2));
    let mut calls = Calls::of(&world);
    assert_eq!(calls.begin_until(0, 20, SOON), 20);
    world.hub.stall_replication();
    // The replica knows nothing of these.
    assert_eq!(calls.begin_until(0, 60, SOON), 60);
    world.hub.lose_master();
    assert_eq!(calls.begin_until(1, 100, SOON), 100, "the others are free");
    let from = now();
    while since(from) < RECLAIM {
        assert!(!calls.begin(1) && !calls.begin(0), "call {} is one too many", calls.live.len());
        calls.renew_all(1);
        pause(Duration::from_millis(20));
    }
    for call_id in calls.live.clone() {
        calls.end(1, &call_id);
    }
    world.wait_until_nothing_is_held(SOON + SOON);
    world.stop();
}

#[test]
fn a_killed_gateways_idle_slots_are_back_before_the_lease_of_its_calls_and_all_others_after_it() {
    let mut world = World::start(&settings(2));
    let mut calls = Calls::of(&world);
    assert_eq!(calls.begin_until(0, 30, SOON), 30);
    let killed = now();
    world.gateways[0].kill();
    let forgotten = calls.live.drain(..).count();
    // What the hub keeps for admits that it may not have been told of is back with the calls.
    let untold = usize::try_from(LIMIT / (16 * 2)).expect("few");
    let idle = usize::try_from(LIMIT).expect("few") - forgotten;
    // `make chaos` and `make bench-shared` measure when exactly.
    let lease = Duration::from_secs(u64::from(LEASE_S));
    let live = calls.begin_until(1, idle - untold, lease.saturating_sub(since(killed)));
    say(&format!("{live} slots after {:?}", since(killed)));
    assert_eq!(live, idle - untold);
    let all = calls.begin_until(1, idle + forgotten, 2 * SOON);
    say(&format!("{all} slots after {:?}", since(killed)));
    assert_eq!(all, 100);
    assert!(!calls.begin(1));
    world.gateways[0].start();
    world.stop();
}

#[test]
fn a_gateway_that_stops_gives_back_everything_at_once_and_its_calls_go_on_elsewhere() {
    let mut world = World::start(&settings(2));
    let mut calls = Calls::of(&world);
    assert_eq!(calls.begin_until(0, 30, SOON), 30);
    world.gateways[0].stop();
    for _ in 0..70 {
        assert!(calls.begin(1), "{} are live", calls.live.len());
    }
    assert!(!calls.begin(1), "those of the other go on");
    calls.renewed = 0;
    calls.renew_all(1);
    assert!(!calls.begin(1), "those of the other go on");
    for call_id in calls.live.clone() {
        calls.end(1, &call_id);
    }
    world.wait_until_nothing_is_held(SOON);
    world.gateways[0].start();
    world.stop();
}
