//! What goes wrong: drawn from the seed when a world begins, and again at each fault.

use hub::clock::SECOND_US;
use hub::state::Shard;
use rand::Rng;

use crate::world::{BUSY_US, GATEWAYS, Happening, World};

#[derive(Clone, Copy, Debug)]
pub enum Fault {
    Crash(usize),
    Start(usize),
    Pause(usize),
    CutOff(usize),
    /// A replica is promoted that had not heard of the last moments.
    Failover,
    /// The replica's copy is taken: what comes after will be lost.
    Copy,
    /// The memory is empty.
    Flush,
}

/// The control plane reads a record within this time.
const UNREAD_US: i64 = 5 * SECOND_US;

/// At least two crashes, a failover with loss, a partition and a pause, at random times.
pub fn plan(world: &mut World) {
    let mut faults = vec![Fault::Failover, Fault::CutOff(0), Fault::Pause(0), Fault::Crash(0)];
    faults.push(Fault::Crash(0));
    for _ in 0..world.rng.random_range(0..6) {
        faults.push(match world.rng.random_range(0..6) {
            0 => Fault::Failover,
            1 => Fault::Flush,
            2 => Fault::CutOff(0),
            3 => Fault::Pause(0),
            _ => Fault::Crash(0),
        });
    }
    for fault in faults {
        let gateway = world.rng.random_range(0..GATEWAYS);
        let at_us = world.rng.random_range(5 * SECOND_US..BUSY_US - 30 * SECOND_US);
        let fault = match fault {
            Fault::Crash(_) => Fault::Crash(gateway),
            Fault::Pause(_) => Fault::Pause(gateway),
            Fault::CutOff(_) => Fault::CutOff(gateway),
            other => other,
        };
        if matches!(fault, Fault::Failover) {
            let lost_us = world.rng.random_range(0..SECOND_US);
            world.at(at_us - lost_us, Happening::Fault(Fault::Copy));
        }
        world.at(at_us, Happening::Fault(fault));
    }
}

pub fn happens(world: &mut World, fault: Fault) {
    match fault {
        Fault::Crash(first) => {
            // One that runs.
            let all = (0..GATEWAYS).map(|offset| (first + offset) % GATEWAYS);
            let mut running = all.filter(|gateway| world.machines[*gateway].node.is_some());
            let gateway = running.next().unwrap_or(first);
            if let Some(node) = world.machines[gateway].node.take() {
                let reported = node.link.incarnation() == world.hub.shard.incarnation();
                if world.hub.is_unsealed || !reported {
                    world.summary.double_faults += 1;
                }
                world.crashed_us = world.now_us;
                world.summary.crashes += 1;
                world.machines[gateway].life += 1;
                let delay_us = world.rng.random_range(SECOND_US..120 * SECOND_US);
                world.after(delay_us, Happening::Fault(Fault::Start(gateway)));
            }
        }
        Fault::Start(gateway) => {
            if world.machines[gateway].node.is_none() {
                world.start(gateway);
            }
        }
        Fault::Pause(gateway) => {
            world.summary.pauses += 1;
            let until_us = world.now_us + world.rng.random_range(SECOND_US..25 * SECOND_US);
            world.machines[gateway].paused_until_us = until_us;
        }
        Fault::CutOff(gateway) => {
            world.summary.partitions += 1;
            let until_us = world.now_us + world.rng.random_range(SECOND_US..40 * SECOND_US);
            world.machines[gateway].cut_off_until_us = until_us;
        }
        Fault::Copy => {
            let copy = (world.now_us, Shard::clone(&world.hub.shard));
            world.hub.replica.push_back(copy);
        }
        Fault::Failover => {
            world.summary.failovers += 1;
            if let Some((_, copy)) = world.hub.replica.pop_front() {
                *world.hub.shard = copy;
            }
            lose_memory(world);
        }
        Fault::Flush => {
            world.summary.failovers += 1;
            *world.hub.shard = Shard::default();
            // Nothing older may come back.
            world.hub.replica.clear();
            lose_memory(world);
        }
    }
}

fn lose_memory(world: &mut World) {
    // What a gateway told last is lost with both.
    if world.summary.crashes > 0 && world.now_us - world.crashed_us < UNREAD_US {
        world.summary.double_faults += 1;
    }
    world.hub.is_unsealed = true;
    world.hub.down_until_us = world.now_us + world.rng.random_range(0..8 * SECOND_US);
}
