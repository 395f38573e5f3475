//! The reckoning: thousands of parallel calls of random length on a thousand wallets, with processes
//! killed meanwhile; at every checkpoint what was paid in is what is left, what was charged and what is
//! held, to the micro-unit, and each call has the price that its rate says.

mod books;
mod call;
mod price;
mod stack;
mod wallets;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use support::redis::free_port;
use support::{Installation, Running, now, pause, say};

use crate::installation;
use books::Books;
use call::Call;
use stack::Stack;
use wallets::{Organization, Wallet};

const WALLETS: usize = 1_000;
const CALLS: usize = 10_000;
const STACKS: usize = 20;
/// The wait for postings, on a busy machine.
const POSTED_WITHIN: Duration = Duration::from_mins(1);
/// The calls that stayed end within that time.
const ENDED_WITHIN_MS: u64 = 2_000;

/// Who pays, who calls, and what is known of it.
struct Reckoning {
    organizations: Vec<Organization>,
    wallets: Arc<Vec<Wallet>>,
    stacks: Vec<Stack>,
}

impl Reckoning {
    fn new(plane: &Running, gateways: &[SocketAddr], lease: Duration) -> Self {
        let seed: u64 = rand::rng().random();
        say(&format!("seed {seed}"));
        let mut random = StdRng::seed_from_u64(seed);
        let from = now();
        let (organizations, wallets) = wallets::create(plane, WALLETS, &mut random);
        say(&format!("{WALLETS} wallets after {:?}", Duration::from_nanos(now() - from)));
        let wallets = Arc::new(wallets);
        let stacks =
            (0..STACKS).map(|_| Stack::new(gateways, &wallets, lease, random.random())).collect();
        Self { organizations, wallets, stacks }
    }

    /// All calls are wanted, from now on.
    fn begin(&mut self) -> Vec<JoinHandle<Stack>> {
        let each = CALLS / STACKS;
        for (number, stack) in self.stacks.iter_mut().enumerate() {
            stack.want(number * each, each);
        }
        self.run()
    }

    /// The calls that stayed are ended, from now on.
    fn end(&mut self) -> Vec<JoinHandle<Stack>> {
        self.stacks.iter_mut().for_each(|stack| stack.end_kept(ENDED_WITHIN_MS));
        self.run()
    }

    fn run(&mut self) -> Vec<JoinHandle<Stack>> {
        self.stacks.drain(..).map(|stack| thread::spawn(move || stack.run())).collect()
    }

    fn join(&mut self, running: Vec<JoinHandle<Stack>>) {
        self.stacks.extend(running.into_iter().map(|stack| stack.join().expect("a stack fails")));
    }

    /// Waits until the books agree with what was told.
    fn check(&self, plane: &Running, what: &str) {
        let calls: Vec<&Call> = self.stacks.iter().flat_map(|stack| &stack.calls).collect();
        let repeated: u64 = self.stacks.iter().map(|stack| stack.repeated).sum();
        say(&format!("{what}: {} {repeated} requests repeated", stack::tally(&calls)));
        let from = now();
        let mut faults = Vec::new();
        let mut is_right = || {
            let totals;
            (faults, totals) = Books::read(plane, &self.organizations).audit(&self.wallets, &calls);
            if faults.is_empty() {
                say(&format!("{what}: {totals:?} after {:?}", Duration::from_nanos(now() - from)));
            }
            faults.is_empty()
        };
        while !is_right() {
            let waited = Duration::from_nanos(now() - from);
            assert!(waited < POSTED_WITHIN, "{what}:\n{}", faults.join("\n"));
            pause(Duration::from_millis(200));
        }
    }
}

#[test]
fn one_gateway_that_is_killed_thrice_charges_ten_thousand_calls_to_the_micro_unit() {
    let lease = Duration::from_secs(8);
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let installation = serving(installation(), lease)
        .set("RINGFENCE_GATEWAY_LISTEN", &address.to_string())
        .set("RINGFENCE_REQUESTS_PER_S", "100000");
    let mut running = installation.start();
    let mut reckoning = Reckoning::new(&running, &[address], lease);
    let calls = reckoning.begin();
    for after_ms in [1_200, 1_500] {
        pause(Duration::from_millis(after_ms));
        running.kill();
        running = installation.start();
    }
    reckoning.join(calls);
    reckoning.check(&running, "while calls are live");
    let calls = reckoning.end();
    pause(Duration::from_millis(ENDED_WITHIN_MS / 2));
    running.kill();
    running = installation.start();
    reckoning.join(calls);
    reckoning.check(&running, "at the end");
    running.stop();
    verify_ledger(&installation);
}

fn serving(installation: Installation, lease: Duration) -> Installation {
    installation
        .set("RINGFENCE_CALL_LEASE_S", &lease.as_secs().to_string())
        .set("RINGFENCE_GRANT_MAX_S", "14400")
        .set("RINGFENCE_CONCURRENCY_TOTAL", &wallets::CONCURRENCY.to_string())
        .set("RINGFENCE_POSTING_CPU_PERCENT", "100")
}

/// `ringfence ledger verify` finds nothing wrong.
fn verify_ledger(installation: &Installation) {
    let (status, said) = installation.run(&["ledger", "verify"]);
    assert!(status.success(), "{status}: {said}");
    say(said.lines().next().unwrap_or_default());
}
