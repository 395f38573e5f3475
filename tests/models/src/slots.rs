//! The slots of one account under crashes, fences and failovers: two gateways lease units from a hub
//! whose replica may lag behind and take over. Invariants I1 and I2 of the lease protocol.
//!
//! Time is left out: that a holder is reaped only after it crashed or fenced itself stands for the
//! assumption that `D_reclaim` is longer than `T_fence` by every clock.

mod runs;

use stateright::{Model, Property};

use crate::{Outcome, explore};
pub use runs::RUNS;

/// Gateways; each is one holder.
const NODES: usize = 2;

/// How far the exploration goes, and which rules it follows.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    limit: u8,
    /// The most units that one holder is ever granted: keeps the states finite.
    granted_max: u8,
    /// Requests of each gateway.
    requests: u8,
    /// Units that a request may ask for.
    wants: &'static [u8],
    crashes: u8,
    /// Gateways that may fence themselves: a partition, a pause.
    fences: u8,
    failovers: u8,
    rules: Rules,
}

/// The rules of the protocol that runs leave out.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule that stands alone")]
struct Rules {
    /// A new incarnation grants nothing until learning closes.
    learn: bool,
    /// A sync carries what its holder has, and the hub takes the maximum over.
    report_held: bool,
    /// A reap keeps the units of live calls aside instead of returning them at once.
    orphans: bool,
    /// A gateway ignores answers to requests that it has abandoned.
    drop_stale: bool,
    /// A grant counts only after the replica has it.
    wait: bool,
    /// Learning stays open while a holder is missing and its calls may be live.
    strict_learning: bool,
    /// Only who crashed or fenced itself is reaped.
    timed_reap: bool,
}

const ALL_RULES: Rules = Rules {
    learn: true,
    report_held: true,
    orphans: true,
    drop_stale: true,
    wait: false,
    strict_learning: true,
    timed_reap: true,
};

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Hub {
    incarnation: u8,
    learning: bool,
    /// Who has reported since the incarnation began.
    reported: [bool; NODES],
    registered: [bool; NODES],
    granted: [u8; NODES],
    returned: [u8; NODES],
    /// Units kept for calls whose holder was reaped.
    orphaned: u8,
}

impl Hub {
    fn leased(&self) -> u8 {
        let held = (0..NODES).map(|node| self.granted[node] - self.returned[node]);
        held.sum::<u8>() + self.orphaned
    }

    /// Strikes a holder out: its lease is kept for its calls, or returned.
    fn reap(&mut self, node: usize, rules: Rules) {
        if rules.orphans {
            self.orphaned += self.granted[node] - self.returned[node];
        }
        (self.granted[node], self.returned[node], self.registered[node]) = (0, 0, false);
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Node {
    alive: bool,
    fenced: bool,
    incarnation: u8,
    granted: u8,
    returned: u8,
    used: u8,
    /// The number of the last request.
    request: u8,
    waiting: bool,
}

impl Node {
    const fn lease(&self) -> u8 {
        self.granted - self.returned
    }
}

/// A sync on its way to the hub.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Sync {
    node: usize,
    number: u8,
    /// The incarnation to which the connection was made.
    incarnation: u8,
    granted: u8,
    returned: u8,
    want: u8,
}

/// The hub's answer on its way back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Reply {
    node: usize,
    number: u8,
    incarnation: u8,
    granted: u8,
    /// The replica has what it tells.
    replicated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    hub: Hub,
    replica: Hub,
    nodes: [Node; NODES],
    /// In any order they may arrive; one that is lost never does.
    syncs: Vec<Sync>,
    replies: Vec<Reply>,
    /// Live calls whose gateway has crashed.
    orphans: u8,
    crashes: u8,
    failovers: u8,
}

impl State {
    fn in_use(&self) -> u8 {
        let used = self.nodes.iter().filter(|node| node.alive).map(|node| node.used);
        used.sum::<u8>() + self.orphans
    }

    /// Live calls for which no registered holder answers any more.
    fn unheld(&self) -> u8 {
        let unheld = |node: &usize| self.nodes[*node].alive && !self.hub.registered[*node];
        let used = (0..NODES).filter(unheld).map(|node| self.nodes[node].used);
        used.sum::<u8>() + self.orphans
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    Send {
        node: usize,
        want: u8,
    },
    Abandon {
        node: usize,
    },
    Execute {
        sync: usize,
    },
    Deliver {
        reply: usize,
    },
    Admit {
        node: usize,
    },
    Release {
        node: usize,
    },
    Return {
        node: usize,
    },
    Replicate,
    Failover,
    Crash {
        node: usize,
    },
    Fence {
        node: usize,
    },
    Reap {
        node: usize,
    },
    CloseLearning,
    /// An orphan hangs up and is released through the hub.
    OrphanEnds,
    /// What was kept for a call that nobody renewed is returned.
    OrphanExpires,
}

struct Slots(Config);

const WITHIN_LIMIT: &str = "I1: calls in use never exceed the limit";
const WITHIN_LEASE: &str = "I2: a gateway uses no more than its lease";
const LIMIT_REACHED: &str = "the limit is reached";
const LIMIT_REACHED_AGAIN: &str = "the limit is reached after a failover whose learning has closed";

impl Slots {
    fn events_of_node(&self, state: &State, node: usize, events: &mut Vec<Event>) {
        let (config, rules) = (&self.0, self.0.rules);
        let (this, hub) = (&state.nodes[node], &state.hub);
        if this.alive && !this.fenced {
            if this.waiting {
                events.push(Event::Abandon { node });
            } else if this.request < config.requests {
                if hub.incarnation > 1 {
                    events.push(Event::Send { node, want: 0 });
                }
                if this.granted < config.granted_max {
                    events
                        .extend(config.wants.iter().map(|want| Event::Send { node, want: *want }));
                }
            }
            if this.used < this.lease() {
                events.extend([Event::Admit { node }, Event::Return { node }]);
            }
            if state.nodes.iter().filter(|node| node.fenced).count() < usize::from(config.fences) {
                events.push(Event::Fence { node });
            }
        }
        if this.alive && this.used > 0 {
            events.push(Event::Release { node });
        }
        if this.alive && state.crashes < config.crashes {
            events.push(Event::Crash { node });
        }
        let silent = !this.alive || this.fenced || !rules.timed_reap;
        if hub.registered[node] && !hub.learning && silent {
            events.push(Event::Reap { node });
        }
    }

    /// Whether learning may end: everybody has reported, or what is missing cannot matter.
    fn may_close_learning(&self, state: &State) -> bool {
        let settled = |node: usize| {
            let this = &state.nodes[node];
            state.hub.reported[node] || !this.alive || this.fenced
        };
        let missing = !state.hub.reported.iter().all(|reported| *reported);
        // Live calls have been renewed or adopted within the call lease.
        let calls_known = state.hub.leased() >= state.in_use();
        (0..NODES).all(settled) && (!self.0.rules.strict_learning || !missing || calls_known)
    }

    fn execute(&self, state: &mut State, sync: usize) {
        let sync = state.syncs.remove(sync);
        let (node, hub, rules) = (sync.node, &mut state.hub, self.0.rules);
        if sync.incarnation != hub.incarnation {
            // The connection died with the incarnation before.
            return;
        }
        if !hub.registered[node] {
            if !hub.learning {
                return;
            }
            hub.registered[node] = true;
        }
        if rules.report_held {
            hub.granted[node] = hub.granted[node].max(sync.granted);
        }
        hub.returned[node] = hub.returned[node].max(sync.returned.min(hub.granted[node]));
        hub.reported[node] = true;
        let free = self.0.limit.saturating_sub(hub.leased());
        let grant = if rules.learn && hub.learning { 0 } else { sync.want.min(free) };
        hub.granted[node] += grant.min(self.0.granted_max.saturating_sub(hub.granted[node]));
        state.replies.push(Reply {
            node,
            number: sync.number,
            incarnation: hub.incarnation,
            granted: hub.granted[node],
            replicated: false,
        });
        state.replies.sort_by_key(|reply| (reply.node, reply.number, reply.incarnation));
    }

    fn deliver(&self, state: &mut State, reply: usize) {
        let reply = state.replies.remove(reply);
        let node = &mut state.nodes[reply.node];
        let awaited = node.waiting && reply.number == node.request;
        if !node.alive || node.fenced || (self.0.rules.drop_stale && !awaited) {
            return;
        }
        node.waiting &= !awaited;
        node.incarnation = node.incarnation.max(reply.incarnation);
        node.granted = node.granted.max(reply.granted);
    }

    fn fail_over(state: &mut State) {
        let incarnation = state.hub.incarnation + 1;
        state.failovers += 1;
        state.hub =
            Hub { incarnation, learning: true, reported: [false; NODES], ..state.replica.clone() };
        state.replica = state.hub.clone();
    }

    fn apply(&self, state: &mut State, event: Event) {
        match event {
            Event::Send { node: index, want } => {
                let node = &mut state.nodes[index];
                (node.request, node.waiting) = (node.request + 1, true);
                let (granted, returned, number) = (node.granted, node.returned, node.request);
                let incarnation = state.hub.incarnation;
                state.syncs.push(Sync {
                    node: index,
                    number,
                    incarnation,
                    granted,
                    returned,
                    want,
                });
                state.syncs.sort_by_key(|sync| (sync.node, sync.number));
            }
            Event::Abandon { node } => state.nodes[node].waiting = false,
            Event::Execute { sync } => self.execute(state, sync),
            Event::Deliver { reply } => self.deliver(state, reply),
            Event::Admit { node } => state.nodes[node].used += 1,
            Event::Release { node } => {
                state.nodes[node].used -= 1;
                if !state.hub.registered[node] {
                    // Who was reaped releases through the hub.
                    state.hub.orphaned = state.hub.orphaned.saturating_sub(1);
                }
            }
            Event::Return { node } => state.nodes[node].returned += 1,
            Event::Replicate => {
                state.replica = state.hub.clone();
                for reply in &mut state.replies {
                    reply.replicated |= reply.incarnation == state.hub.incarnation;
                }
            }
            Event::Failover => Self::fail_over(state),
            Event::Crash { node } => {
                state.crashes += 1;
                state.nodes[node].alive = false;
                state.orphans += std::mem::take(&mut state.nodes[node].used);
            }
            Event::Fence { node } => state.nodes[node].fenced = true,
            Event::Reap { node } => state.hub.reap(node, self.0.rules),
            Event::CloseLearning => {
                state.hub.learning = false;
                for node in (0..NODES).filter(|node| !state.hub.reported[*node]).collect::<Vec<_>>()
                {
                    state.hub.reap(node, self.0.rules);
                }
            }
            Event::OrphanEnds => {
                state.orphans -= 1;
                state.hub.orphaned = state.hub.orphaned.saturating_sub(1);
            }
            Event::OrphanExpires => state.hub.orphaned -= 1,
        }
    }
}

impl Model for Slots {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        let hub = Hub { incarnation: 1, registered: [true; NODES], ..Hub::default() };
        let node = Node { alive: true, incarnation: 1, ..Node::default() };
        vec![State {
            replica: hub.clone(),
            hub,
            nodes: [node.clone(), node],
            syncs: Vec::new(),
            replies: Vec::new(),
            orphans: 0,
            crashes: 0,
            failovers: 0,
        }]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        let (config, hub) = (&self.0, &state.hub);
        (0..NODES).for_each(|node| self.events_of_node(state, node, events));
        events.extend((0..state.syncs.len()).map(|sync| Event::Execute { sync }));
        // The replica's word comes over the connection of the answer: a dead master never gives it.
        let usable = |reply: &usize| !config.rules.wait || state.replies[*reply].replicated;
        let replies = (0..state.replies.len()).filter(usable);
        events.extend(replies.map(|reply| Event::Deliver { reply }));
        let unconfirmed = state
            .replies
            .iter()
            .any(|reply| !reply.replicated && reply.incarnation == hub.incarnation);
        if state.replica != *hub || (config.rules.wait && unconfirmed) {
            events.push(Event::Replicate);
        }
        if state.failovers < config.failovers {
            events.push(Event::Failover);
        }
        if hub.learning && self.may_close_learning(state) {
            events.push(Event::CloseLearning);
        }
        if state.orphans > 0 {
            events.push(Event::OrphanEnds);
        }
        if hub.orphaned > state.unheld() {
            events.push(Event::OrphanExpires);
        }
    }

    fn next_state(&self, state: &State, event: Event) -> Option<State> {
        let mut next = state.clone();
        self.apply(&mut next, event);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(WITHIN_LIMIT, |model: &Self, state: &State| {
                state.in_use() <= model.0.limit
            }),
            Property::always(WITHIN_LEASE, |_, state: &State| {
                state.nodes.iter().all(|node| !node.alive || node.used <= node.lease())
            }),
            Property::sometimes(LIMIT_REACHED, |model: &Self, state: &State| {
                state.in_use() == model.0.limit
            }),
            Property::sometimes(LIMIT_REACHED_AGAIN, |model: &Self, state: &State| {
                let closed = state.hub.incarnation > 1 && !state.hub.learning;
                model.0.failovers == 0 || closed && state.in_use() == model.0.limit
            }),
        ]
    }
}

/// Explores one run.
pub fn check(config: Config) -> Outcome {
    let invariants = [WITHIN_LIMIT, WITHIN_LEASE];
    explore(Slots(config), &invariants, &[LIMIT_REACHED, LIMIT_REACHED_AGAIN])
}
