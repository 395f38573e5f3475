//! The world: what happens when, and to whom. Everything that takes time goes through one queue.

mod delivery;
mod told;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use gateway::link::{Now, Rhythm};
use hub::clock::SECOND_US;
use hub::id::HolderId;
use hub::state::Shard;
use hub::state::exchange::{Exchange, Reply};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::control::Control;
use crate::faults::{self, Fault};
use crate::invariants;
use crate::node::{Asked, ClientId, Node, Said};
use crate::stacks::{StackEvent, Stacks};
use crate::watched::Watched;

pub const GATEWAYS: usize = 3;
/// Faults and calls stop then.
pub const BUSY_US: i64 = 300 * SECOND_US;
/// Then everything has come to rest.
const END_US: i64 = BUSY_US + 240 * SECOND_US;
/// The wall clock when a world begins.
const EPOCH_US: i64 = 1_800_000_000 * SECOND_US;
/// How often a gateway looks for leases that have run out.
const TICK_US: i64 = 500_000;

#[derive(Debug)]
pub enum Happening {
    Ask {
        gateway: usize,
        client: ClientId,
        asked: Asked,
    },
    Hear {
        client: ClientId,
        said: Said,
    },
    /// An exchange reaches the hub.
    AtHub {
        gateway: usize,
        life: u32,
        exchange: Box<Exchange>,
    },
    /// A reply reaches its gateway.
    Back {
        gateway: usize,
        life: u32,
        number: u64,
        holder: HolderId,
        reply: Box<Reply>,
    },
    /// No reply came in time.
    Timeout {
        gateway: usize,
        life: u32,
        number: u64,
        holder: HolderId,
    },
    Wake {
        gateway: usize,
        life: u32,
    },
    Tick {
        gateway: usize,
        life: u32,
    },
    Stack(StackEvent),
    Control,
    Fault(Fault),
}

/// One machine with a gateway on it.
#[derive(Debug)]
pub struct Machine {
    /// `None`: the process is dead.
    pub node: Option<Node>,
    /// Grows with every start: what was meant for an earlier process is lost.
    pub life: u32,
    /// By how much its wall clock is off.
    wall_off_us: i64,
    pub paused_until_us: i64,
    pub cut_off_until_us: i64,
    /// The exchange under way: its number.
    awaited: u64,
}

#[derive(Debug)]
pub struct Hub {
    pub shard: Watched<Shard>,
    /// It takes nothing: between masters.
    pub down_until_us: i64,
    /// What a replica had, from time to time.
    pub replica: VecDeque<(i64, Shard)>,
    /// Its memory was lost, or is older than what it answered; the control plane has not noticed yet.
    pub is_unsealed: bool,
    /// More may be leased than a limit allows: its memory was older than what it had answered.
    pub may_exceed: bool,
}

pub struct World {
    pub seed: u64,
    pub rng: StdRng,
    pub now_us: i64,
    queue: BinaryHeap<Reverse<Entry>>,
    queued: u64,
    pub machines: Vec<Machine>,
    pub hub: Hub,
    pub control: Control,
    pub stacks: Stacks,
    pub summary: Summary,
    /// When a gateway crashed last.
    pub crashed_us: i64,
    teller: Option<Teller>,
}

/// Takes lines that say what happens.
pub type Teller = Box<dyn FnMut(&str)>;

struct Entry {
    at_us: i64,
    number: u64,
    happening: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_us, self.number).cmp(&(other.at_us, other.number))
    }
}

/// What a world came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub events: u64,
    pub admitted: u64,
    pub refused: u64,
    pub no_money: u64,
    pub unavailable: u64,
    pub exchanges: u64,
    pub crashes: u64,
    pub failovers: u64,
    pub partitions: u64,
    pub pauses: u64,
    pub records: u64,
    /// A gateway died before it could tell a hub again what that had forgotten.
    pub double_faults: u64,
    pub overshoot: u64,
    /// A digest of everything that happened, in order.
    pub trace: u64,
}

/// A promise that was broken: when, and which.
#[derive(Clone, Debug)]
pub struct Failure {
    pub seed: u64,
    pub at_us: i64,
    pub problem: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at_s = self.at_us / SECOND_US;
        write!(f, "seed {}, {at_s} s: {}", self.seed, self.problem)
    }
}

/// Runs the world of one seed to its end.
pub fn run(seed: u64) -> Result<Summary, Failure> {
    run_told(seed, None)
}

/// As [`run`]; says what happens, a line at a time.
pub fn run_told(seed: u64, teller: Option<Teller>) -> Result<Summary, Failure> {
    let mut world = World::new(seed);
    world.teller = teller;
    let failure = |world: &World, problem| Failure { seed, at_us: world.now_us, problem };
    while let Some(Reverse(entry)) = world.queue.pop() {
        if entry.at_us > END_US {
            break;
        }
        world.now_us = entry.at_us;
        world.summary.events += 1;
        world.trace(&entry.happening);
        world.happens(entry.happening);
        if let Err(problem) = invariants::check(&mut world) {
            world.tell_state();
            return Err(failure(&world, problem));
        }
    }
    invariants::check_at_rest(&mut world).map_err(|problem| failure(&world, problem))?;
    world.summary.overshoot = world.hub.shard.overshoot();
    world.summary.records = world.control.posted();
    Ok(world.summary)
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let control = Control::new(&mut rng);
        let machine = |off_us| Machine {
            node: None,
            life: 0,
            wall_off_us: off_us,
            paused_until_us: 0,
            cut_off_until_us: 0,
            awaited: 0,
        };
        let hour_us = 3_600 * SECOND_US;
        let machines =
            (0..GATEWAYS).map(|_| machine(rng.random_range(-hour_us..hour_us))).collect();
        let stacks = Stacks::new(&mut rng);
        let mut world = Self {
            seed,
            rng,
            now_us: 0,
            queue: BinaryHeap::new(),
            queued: 0,
            machines,
            hub: Hub {
                shard: Watched::default(),
                down_until_us: 0,
                replica: VecDeque::new(),
                is_unsealed: true,
                may_exceed: false,
            },
            control,
            stacks,
            summary: Summary::default(),
            crashed_us: 0,
            teller: None,
        };
        world.at(0, Happening::Control);
        for gateway in 0..GATEWAYS {
            world.start(gateway);
        }
        faults::plan(&mut world);
        Stacks::begin(&mut world);
        world
    }

    pub fn at(&mut self, at_us: i64, happening: Happening) {
        self.queued += 1;
        self.queue.push(Reverse(Entry { at_us, number: self.queued, happening }));
    }

    pub fn after(&mut self, delay_us: i64, happening: Happening) {
        self.at(self.now_us + delay_us, happening);
    }

    pub fn now_at(&self, gateway: usize) -> Now {
        let wall_us = EPOCH_US + self.now_us + self.machines[gateway].wall_off_us;
        Now { boot_us: self.now_us, wall_us }
    }

    /// A wall time at a gateway as a time of the world.
    pub fn world_time(&self, gateway: usize, wall_us: i64) -> i64 {
        wall_us - EPOCH_US - self.machines[gateway].wall_off_us
    }

    pub fn wall_ms(&self) -> u64 {
        u64::try_from((EPOCH_US + self.now_us) / 1_000).unwrap_or(0)
    }

    fn new_holder(&mut self) -> HolderId {
        HolderId(self.rng.random())
    }

    pub fn start(&mut self, gateway: usize) {
        let holder = self.new_holder();
        let first = u64::from(self.machines[gateway].life + 1) << 32 | (gateway as u64) << 56;
        let machine = &mut self.machines[gateway];
        machine.life += 1;
        machine.node = Some(Node::new(holder, Rhythm::default(), first));
        let life = machine.life;
        self.after(0, Happening::Wake { gateway, life });
        self.after(TICK_US, Happening::Tick { gateway, life });
    }

    /// The machine of a gateway stands still: what would happen there happens when it goes on.
    fn put_off(&mut self, gateway: usize, happening: Happening) -> Option<Happening> {
        let until_us = self.machines[gateway].paused_until_us;
        if self.now_us < until_us {
            self.at(until_us, happening);
            return None;
        }
        Some(happening)
    }

    fn happens(&mut self, happening: Happening) {
        let gateway = match &happening {
            Happening::Ask { gateway, .. }
            | Happening::Back { gateway, .. }
            | Happening::Timeout { gateway, .. }
            | Happening::Wake { gateway, .. }
            | Happening::Tick { gateway, .. } => Some(*gateway),
            _ => None,
        };
        let happening = match gateway {
            Some(gateway) => match self.put_off(gateway, happening) {
                Some(happening) => happening,
                None => return,
            },
            None => happening,
        };
        match happening {
            Happening::Stack(event) => Stacks::happens(self, event),
            Happening::Hear { client, said } => Stacks::hears(self, client, &said),
            Happening::Control => Control::happens(self),
            Happening::Fault(fault) => faults::happens(self, fault),
            Happening::AtHub { gateway, life, exchange } => self.at_hub(gateway, life, *exchange),
            at_gateway => self.at_gateway(at_gateway),
        }
    }

    fn at_gateway(&mut self, happening: Happening) {
        match happening {
            Happening::Ask { gateway, client, asked } => {
                self.with_node(gateway, None, |node, now| node.ask(client, asked, now));
            }
            Happening::Back { gateway, life, number, holder, reply } => {
                let awaited = self.machines[gateway].awaited == number;
                self.with_node(gateway, Some(life), |node, now| {
                    if awaited && node.holder() == holder {
                        node.take(*reply, now);
                    }
                });
            }
            Happening::Timeout { gateway, life, number, holder } => {
                let awaited = self.machines[gateway].awaited == number;
                self.with_node(gateway, Some(life), |node, now| {
                    let is_under_way = node.link.due_us().is_none() && !node.is_gone;
                    if awaited && node.holder() == holder && is_under_way {
                        node.lost(now);
                    }
                });
            }
            Happening::Tick { gateway, life } => {
                self.with_node(gateway, Some(life), Node::tick);
                if self.machines[gateway].life == life {
                    self.after(TICK_US, Happening::Tick { gateway, life });
                }
            }
            Happening::Wake { gateway, life } => {
                self.with_node(gateway, Some(life), |_, _| {});
            }
            _ => {}
        }
    }
}
