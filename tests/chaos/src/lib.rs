//! Chaos: an installation of real processes under faults drawn from a seed, stacks that go on calling,
//! and checkers that judge what the stacks were told. Knows the wire contract only, none of the
//! product's code.

mod closing;
pub mod faults;
pub mod health;
pub mod hub;
pub mod ledger;
pub mod node;
pub mod plan;
pub mod report;
pub mod stack;
pub mod story;
pub mod tariff;
pub mod verdict;
pub mod wire;
pub mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use support::{now, pause};

use crate::faults::{Outcome, carry_out};
use crate::health::Health;
use crate::plan::Planned;
use crate::report::Report;
use crate::stack::{Notes, Stack, Surroundings};
use crate::world::{World, between, since};

/// What is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The `ringfence` program.
    pub binary: String,
    pub hub: hub::Kind,
    pub gateways: usize,
    pub clients: usize,
    pub limit: u32,
    pub call_lease_s: u32,
    pub seed: u64,
    pub lasts: Duration,
    /// How many times longer than promised everything may take: 1 on a machine that does nothing else.
    pub pace: u32,
}

/// The pause from the start of the stacks to what is checked first.
const WARM_UP: Duration = Duration::from_secs(2);

/// Runs an installation through a plan. `tell` hears of each step.
pub fn run(settings: &Settings, plan: &[Planned], tell: &dyn Fn(&str)) -> Report {
    let mut world = World::start(settings);
    tell("everything runs");
    let health = Arc::new(Health::default());
    let around = surroundings(&world, settings, &health);
    let stacks = call(settings, &around);
    let from = now();
    pause(WARM_UP);
    world.hub.keep_backup();
    health.is_whole();
    health.settles();
    let outcomes = follow(&mut world, plan, &health, settings, tell);
    let to = now();
    let healthy = {
        health.breaks();
        health.is_whole();
        health.times()
    };
    around.is_closing.store(true, Ordering::Relaxed);
    tell("closing: live calls end, forgotten ones by their lease");
    let notes = gather(stacks, &around, settings);
    let mut report = Report::new(settings, (from, to), healthy, outcomes);
    report.died = world.died();
    closing::close(&mut world, &mut report, &notes, tell);
    world.stop();
    report
}

fn surroundings(world: &World, settings: &Settings, health: &Arc<Health>) -> Arc<Surroundings> {
    Arc::new(Surroundings {
        gateways: world.gateways.iter().map(|gateway| gateway.address).collect(),
        key: world.account.key.clone(),
        health: Arc::clone(health),
        call_lease_s: settings.call_lease_s,
        is_closing: AtomicBool::new(false),
        is_over: AtomicBool::new(false),
    })
}

fn call(settings: &Settings, around: &Arc<Surroundings>) -> Vec<JoinHandle<Notes>> {
    let stack = |number| {
        let stack = Stack::new(number, settings.seed, Arc::clone(around));
        thread::spawn(move || stack.run())
    };
    (0..settings.clients).map(stack).collect()
}

/// Carries the plan out; a fault that takes longer than planned delays the next.
fn follow(
    world: &mut World,
    plan: &[Planned],
    health: &Health,
    Settings { lasts, pace, .. }: &Settings,
    tell: &dyn Fn(&str),
) -> Vec<Outcome> {
    let from = now();
    let mut outcomes = Vec::new();
    for planned in plan {
        let due = Duration::from_secs(u64::from(planned.at_s));
        pause(due.saturating_sub(since(from)));
        let outcome = carry_out(world, health, planned.fault, *pace);
        let (broken, healed) =
            (between(outcome.at, outcome.repaired), between(outcome.at, outcome.settled));
        tell(&format!(
            "{:>5.0} s: {}: repaired after {:.1} s, settled after {:.1} s",
            between(from, outcome.at).as_secs_f64(),
            outcome.fault,
            broken.as_secs_f64(),
            healed.as_secs_f64(),
        ));
        outcomes.push(outcome);
        world.died().iter().for_each(|said| tell(&format!("died: {said}")));
    }
    pause(lasts.saturating_sub(since(from)));
    outcomes
}

/// Waits until every stack is done; what is open when a call lease and some more are over stays open.
fn gather(stacks: Vec<JoinHandle<Notes>>, around: &Surroundings, settings: &Settings) -> Notes {
    let lease = Duration::from_secs(u64::from(settings.call_lease_s));
    let from = now();
    while since(from) < lease + Duration::from_secs(30) && stacks.iter().any(|it| !it.is_finished())
    {
        pause(Duration::from_millis(100));
    }
    around.is_over.store(true, Ordering::Relaxed);
    let mut all = Notes::default();
    for stack in stacks {
        all.add(stack.join().expect("a stack does not fail"));
    }
    all
}
