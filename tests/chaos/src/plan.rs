//! Which fault comes when, drawn from a seed. Faults come one at a time: two that lose a gateway and the
//! hub's memory of it within one call lease are declared double faults (lease protocol, section 5), and
//! are kept apart.

use std::fmt;

use rand::Rng as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};

use crate::hub;
use crate::world::CONTROL_PLANES;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// kill -9, and started again.
    Kill {
        gateway: usize,
    },
    /// SIGTERM, and started again.
    Stop {
        gateway: usize,
    },
    /// SIGSTOP
    Freeze {
        gateway: usize,
        for_s: u32,
    },
    /// Nothing passes between it and the hub.
    CutOff {
        gateway: usize,
        for_s: u32,
    },
    /// kill -9 of the hub's master.
    Failover,
    /// FLUSHALL
    Flush,
    /// An old backup of the hub's memory is restored.
    Restore,
    /// kill -9 of a control plane, and started again.
    KillControlPlane {
        which: usize,
    },
    FreezeControlPlane {
        which: usize,
        for_s: u32,
    },
    /// Every process of the database server ends at once; it is started again.
    CrashDatabase {
        for_s: u32,
    },
    /// kill -9 of a replica, and started again.
    KillReplica,
}

impl Fault {
    /// The others may give a holder up, which could not tell what it did last.
    pub const fn silences_holder(self) -> bool {
        match self {
            Self::Kill { .. } => true,
            Self::Freeze { for_s, .. } | Self::CutOff { for_s, .. } => for_s >= SHORT_S,
            _ => false,
        }
    }

    /// A holder ends: its calls are nobody's, and only the hub knows them.
    pub const fn loses_holder(self) -> bool {
        self.silences_holder() || matches!(self, Self::Stop { .. })
    }

    /// The hub forgets something, or everything.
    pub const fn loses_memory(self) -> bool {
        matches!(self, Self::Failover | Self::Flush | Self::Restore)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill { .. } => "gateway killed",
            Self::Stop { .. } => "gateway stopped",
            Self::Freeze { .. } => "gateway frozen",
            Self::CutOff { .. } => "gateway cut off",
            Self::Failover => "hub master killed",
            Self::Flush => "hub flushed",
            Self::Restore => "old backup of the hub restored",
            Self::KillControlPlane { .. } => "control plane killed",
            Self::FreezeControlPlane { .. } => "control plane frozen",
            Self::CrashDatabase { .. } => "database crashed",
            Self::KillReplica => "hub replica killed",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())?;
        match self {
            Self::Kill { gateway } | Self::Stop { gateway } => write!(f, " ({gateway})"),
            Self::Freeze { gateway, for_s } | Self::CutOff { gateway, for_s } => {
                write!(f, " ({gateway}, {for_s} s)")
            }
            Self::KillControlPlane { which } => write!(f, " ({which})"),
            Self::FreezeControlPlane { which, for_s } => write!(f, " ({which}, {for_s} s)"),
            Self::CrashDatabase { for_s } => write!(f, " ({for_s} s)"),
            _ => Ok(()),
        }
    }
}

/// A gateway that is silent for less is not given up.
const SHORT_S: u32 = 4;
const FREEZE_MAX_S: u32 = 20;
/// What a call lease is exceeded by until a lost holder is forgotten.
const AFTERWARDS_S: u32 = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    pub at_s: u32,
    pub fault: Fault,
}

/// What a plan is drawn for.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub gateways: usize,
    pub hub: hub::Kind,
    pub lasts_s: u32,
    pub every_s: u32,
    pub call_lease_s: u32,
}

/// Faults one after the other: some that lose holders, then as many that lose nothing as a call lease
/// is long, then some that lose the hub's memory, and again.
pub fn draw(frame: &Frame, seed: u64) -> Vec<Planned> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut faults: Vec<Fault> = Vec::new();
    let wanted = usize::try_from(frame.lasts_s / frame.every_s).unwrap_or(usize::MAX);
    let apart = (frame.call_lease_s + AFTERWARDS_S).div_ceil(frame.every_s);
    while faults.len() < wanted {
        let restored =
            if frame.hub == hub::Kind::Cluster { Fault::Failover } else { Fault::Restore };
        let (mut losing, mut forgetting) =
            (holders(frame, &mut random), [Fault::Failover, Fault::Flush, restored]);
        losing.shuffle(&mut random);
        forgetting.shuffle(&mut random);
        faults.extend(losing.into_iter().take(3));
        faults.extend((0..apart).map(|_| harmless(frame, &mut random)));
        faults.extend(forgetting.into_iter().take(2));
    }
    let times = (1..).map(|number| number * frame.every_s);
    let planned = times.zip(faults).map(|(at_s, fault)| Planned { at_s, fault });
    planned.take_while(|planned| planned.at_s + frame.every_s <= frame.lasts_s + 1).collect()
}

fn holders(frame: &Frame, random: &mut StdRng) -> Vec<Fault> {
    let mut gateway = || random.random_range(0..frame.gateways);
    let [one, two, three, four] = [gateway(), gateway(), gateway(), gateway()];
    let mut long_s = || random.random_range(SHORT_S + 2..=FREEZE_MAX_S.min(frame.every_s));
    vec![
        Fault::Kill { gateway: one },
        Fault::Freeze { gateway: two, for_s: long_s() },
        Fault::CutOff { gateway: three, for_s: long_s() },
        Fault::Stop { gateway: four },
    ]
}

fn harmless(frame: &Frame, random: &mut StdRng) -> Fault {
    let gateway = random.random_range(0..frame.gateways);
    let which = random.random_range(0..CONTROL_PLANES);
    let for_s = random.random_range(1..SHORT_S);
    let all = [
        Fault::Freeze { gateway, for_s },
        Fault::CutOff { gateway, for_s },
        Fault::KillControlPlane { which },
        Fault::FreezeControlPlane { which, for_s: 5 * for_s },
        Fault::CrashDatabase { for_s: 2 * for_s },
        Fault::KillReplica,
    ];
    let has_replica = frame.hub != hub::Kind::Single;
    let of = &all[..all.len() - usize::from(!has_replica)];
    of.choose(random).copied().unwrap_or(Fault::KillControlPlane { which })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame = Frame {
        gateways: 3,
        hub: hub::Kind::Sentinel,
        lasts_s: 1_200,
        every_s: 30,
        call_lease_s: 90,
    };

    #[test]
    fn a_seed_draws_the_same_plan_with_a_fault_of_each_kind_in_time() {
        let plan = draw(&FRAME, 7);
        assert_eq!(plan, draw(&FRAME, 7));
        assert_ne!(plan, draw(&FRAME, 8));
        assert_eq!(plan.len(), 39);
        assert!(plan.windows(2).all(|two| two[1].at_s == two[0].at_s + 30), "{plan:?}");
        assert!(plan.iter().any(|planned| planned.fault.loses_holder()));
        assert!(plan.iter().any(|planned| planned.fault.loses_memory()));
    }

    #[test]
    fn no_memory_is_lost_within_a_call_lease_of_a_lost_holder() {
        for seed in 0..200 {
            let mut holder_at_s = None;
            for Planned { at_s, fault } in draw(&FRAME, seed) {
                if fault.loses_holder() {
                    holder_at_s = Some(at_s + FREEZE_MAX_S);
                }
                if fault.loses_memory() {
                    let since_s = holder_at_s.map_or(u32::MAX, |lost| at_s - lost);
                    assert!(since_s > FRAME.call_lease_s, "seed {seed}: {since_s} s");
                }
            }
        }
    }
}
