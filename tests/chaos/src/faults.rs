//! Carries a fault out, repairs it, and waits until everything is whole and has settled. Writes down how
//! long that took.

use std::time::Duration;

use support::{Nanos, now, pause};

use crate::health::Health;
use crate::plan::Fault;
use crate::world::{Listed, World, between};

/// A killed gateway is started again so much later.
const DOWN: Duration = Duration::from_secs(3);
/// After a holder was lost: until the others have given it up and have what it had idle (6 s from the
/// loss at most, a beat for those who have to hear of it).
const SETTLE_HOLDER: Duration = Duration::from_secs(7);
/// After everything else: two beats.
const SETTLE: Duration = Duration::from_secs(2);

/// What came of a fault.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub fault: Fault,
    pub at: Nanos,
    pub repaired: Nanos,
    pub settled: Nanos,
    /// From the first answer of the hub's new memory to its first new grant.
    pub grants_after: Option<Duration>,
    /// Before it the hub had failed over by itself: a machine that is too busy for its sentinels.
    pub is_after_unasked: bool,
    /// What was live when everything had settled.
    pub listed: Option<Listed>,
}

pub fn carry_out(world: &mut World, health: &Health, fault: Fault, pace: u32) -> Outcome {
    world.hub.wait_until_whole();
    let is_after_unasked = world.has_other_master();
    health.breaks();
    let at = now();
    let answered = break_and_repair(world, fault);
    let repaired = now();
    let granted = world.wait_until_granting();
    health.is_whole();
    // Nothing settles before what a lost holder had is given up, which begins with its last beat.
    let settle = pace * if fault.silences_holder() { SETTLE_HOLDER } else { SETTLE };
    let from = if matches!(fault, Fault::Kill { .. }) { at } else { repaired };
    pause(settle.saturating_sub(between(from, now())));
    health.settles();
    world.hub.wait_until_whole();
    // What was asked for is no surprise.
    world.has_other_master();
    let grants_after = answered.map(|answered| between(answered, granted));
    let (settled, listed) = (now(), world.listed());
    Outcome { fault, at, repaired, settled, grants_after, is_after_unasked, listed }
}

/// When the hub's new memory first answered, where it was lost.
fn break_and_repair(world: &mut World, fault: Fault) -> Option<Nanos> {
    let seconds = |for_s: u32| Duration::from_secs(u64::from(for_s));
    match fault {
        Fault::Kill { gateway } => {
            world.gateways[gateway].kill();
            pause(DOWN);
            world.gateways[gateway].start();
        }
        Fault::Stop { gateway } => {
            world.gateways[gateway].stop();
            world.gateways[gateway].start();
        }
        Fault::Freeze { gateway, for_s } => {
            world.gateways[gateway].freeze();
            pause(seconds(for_s));
            world.gateways[gateway].go_on();
        }
        Fault::CutOff { gateway, for_s } => {
            world.gateways[gateway].cut_off();
            pause(seconds(for_s));
            world.gateways[gateway].mend();
        }
        Fault::Failover => return Some(world.hub.lose_master()),
        Fault::Flush => {
            world.hub.flush();
            return Some(now());
        }
        Fault::Restore => return Some(world.hub.restore_backup()),
        Fault::KillControlPlane { which } => {
            world.control_planes[which].kill();
            world.control_planes[which].start();
        }
        Fault::FreezeControlPlane { which, for_s } => {
            world.control_planes[which].freeze();
            pause(seconds(for_s));
            world.control_planes[which].go_on();
        }
        Fault::CrashDatabase { for_s } => {
            world.database.crash();
            pause(seconds(for_s));
            world.database.start_again();
        }
        Fault::KillReplica => world.hub.restart_replica(),
    }
    None
}
