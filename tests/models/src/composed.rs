//! The exact regime with money: an admit takes a slot and a hold, or neither, and both refusals are true
//! at an instant. Money is counted in holds: a call that ended has cost its hold, or nothing. One of two
//! gateways may be reaped alive. Invariants I1, I10 and I14 of the lease protocol.

mod hub;
mod runs;

use stateright::{Model, Property};

use crate::{Outcome, explore};
use hub::{AtHub, Decision, Hub, Want};
pub use runs::RUNS;

/// Gateways; each is one holder.
const NODES: usize = 2;
/// Calls of one gateway, at most.
const CALLS: usize = 2;

/// Slots and holds.
type Both = [u8; 2];
const SLOTS: usize = 0;
const HOLDS: usize = 1;

/// How far the exploration goes, and which rules it follows.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The cap, and the holds that the escrow pays for.
    limits: Both,
    /// Requests of each gateway.
    asks: [usize; NODES],
    /// The most that a holder is granted ahead of its calls.
    ahead_max: Both,
    /// Unflushed admits of a gateway in the fast regime, `b`.
    unflushed_max: u8,
    fences: u8,
    reaps: u8,
    rules: Rules,
}

/// The rules of the protocol that runs leave out.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule that stands alone")]
struct Rules {
    /// The hub gives slot and hold in one step, or neither.
    all_or_none: bool,
    /// A gateway gives back exactly what it was given.
    undo_exactly: bool,
    recall_slots: bool,
    recall_money: bool,
}

const ALL_RULES: Rules =
    Rules { all_or_none: true, undo_exactly: true, recall_slots: true, recall_money: true };

/// A call as its client and its gateway know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Life {
    #[default]
    New,
    Asked {
        /// No slot, no hold was free or idle anywhere at some instant since it was asked for.
        seen_empty: [bool; 2],
    },
    Live,
    Ended {
        costs: bool,
        /// Before a request that waits here.
        before: bool,
    },
    Refused {
        truly: bool,
        /// Slots or holds.
        lacks: usize,
    },
}

/// An exchange on its way to the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Request {
    returned: Both,
    unflushed_max: u8,
    calls: [AtHub; CALLS],
    want: Want,
}

/// The hub's answer on its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Reply {
    granted: Both,
    unflushed_max: u8,
    calls: [AtHub; CALLS],
    decision: Option<(usize, Decision)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Node {
    fenced: bool,
    granted: Both,
    returned: Both,
    unflushed_max: u8,
    calls: [Life; CALLS],
    acknowledged: [AtHub; CALLS],
    request: Option<Request>,
    reply: Option<Reply>,
    due: bool,
}

impl Node {
    /// With a call, or spent, or in quarantine.
    fn taken(&self, of: usize) -> u8 {
        let calls = self.calls.iter().zip(self.acknowledged);
        let taken = calls.filter(|(life, at_hub)| match life {
            Life::Live => true,
            Life::Ended { costs, .. } => {
                !matches!(at_hub, AtHub::Ended { .. }) || (of == HOLDS && *costs)
            }
            _ => false,
        });
        u8::try_from(taken.count()).unwrap_or(u8::MAX)
    }

    fn idle(&self, of: usize) -> u8 {
        (self.granted[of] - self.returned[of]).saturating_sub(self.taken(of))
    }

    fn is_within_lease(&self) -> bool {
        [SLOTS, HOLDS].iter().all(|of| self.taken(*of) <= self.granted[*of] - self.returned[*of])
    }

    fn may_admit(&self) -> bool {
        let told = |life: Life| matches!(life, Life::Live | Life::Ended { .. });
        let calls = self.calls.iter().zip(self.acknowledged);
        let unflushed = calls.filter(|(life, at)| told(**life) && *at == AtHub::Unknown).count();
        let credit = unflushed < usize::from(self.unflushed_max);
        credit && self.idle(SLOTS) > 0 && self.idle(HOLDS) > 0
    }

    fn waiting(&self) -> Option<usize> {
        self.calls.iter().position(|life| matches!(life, Life::Asked { .. }))
    }

    fn told(&self, call: usize) -> AtHub {
        match self.calls[call] {
            Life::Live => AtHub::Live,
            Life::Ended { costs, .. } => AtHub::Ended { costs },
            // What the hub gave to a refused call goes back.
            Life::Refused { .. } if self.acknowledged[call] != AtHub::Unknown => {
                AtHub::Ended { costs: false }
            }
            _ => AtHub::Unknown,
        }
    }

    fn ask(&mut self) {
        let Some(call) = self.calls.iter().position(|life| *life == Life::New) else { return };
        if self.may_admit() {
            self.calls[call] = Life::Live;
            return;
        }
        for life in &mut self.calls {
            if let Life::Ended { before, .. } = life {
                *before = true;
            }
        }
        self.calls[call] = Life::Asked { seen_empty: [false; 2] };
    }

    fn send(&mut self, want: Want) {
        if self.waiting().is_some() && self.unflushed_max == 0 {
            self.give_back_idle();
        }
        self.due = false;
        self.request = Some(Request {
            returned: self.returned,
            unflushed_max: self.unflushed_max,
            calls: std::array::from_fn(|call| self.told(call)),
            want,
        });
    }

    fn give_back_idle(&mut self) {
        for of in [SLOTS, HOLDS] {
            self.returned[of] += self.idle(of);
        }
        self.due = true;
    }

    fn deliver(&mut self, rules: Rules) {
        let Some(reply) = self.reply.take() else { return };
        self.granted = reply.granted;
        self.unflushed_max = reply.unflushed_max;
        self.acknowledged = reply.calls;
        let Some((call, decision)) = reply.decision else { return };
        let Life::Asked { seen_empty } = self.calls[call] else { return };
        self.calls[call] = match decision {
            Decision::Granted => Life::Live,
            Decision::Recall => return,
            Decision::Refused { lacks } => Life::Refused { truly: seen_empty[lacks], lacks },
        };
        if !rules.undo_exactly
            && matches!(decision, Decision::Refused { lacks: HOLDS })
            && self.granted[SLOTS] > self.returned[SLOTS]
        {
            self.returned[SLOTS] += 1;
            self.due = true;
        }
        for life in &mut self.calls {
            if let Life::Ended { before, .. } = life {
                *before = false;
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    hub: Hub,
    nodes: [Node; NODES],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A client asks; answered at once where the gateway may.
    Ask {
        node: usize,
    },
    Send {
        node: usize,
        want: Want,
    },
    Execute {
        node: usize,
    },
    Deliver {
        node: usize,
    },
    ReadRecall {
        node: usize,
    },
    End {
        node: usize,
        call: usize,
        costs: bool,
    },
    Fence {
        node: usize,
    },
    Reap {
        node: usize,
    },
    /// The hub frees what a call without a holder has, once that is over.
    ForgetNamed {
        node: usize,
        call: usize,
    },
    ForgetAnonymous {
        node: usize,
    },
}

struct Composed(Config);

const WITHIN_CAP: &str = "I1: live calls never exceed the cap";
const CONSERVED: &str = "I10: holds and costs never exceed the escrow";
const WITHIN_LIMITS: &str = "I2: leases never exceed the cap or the escrow";
const WITHIN_LEASE: &str = "I4: what calls have at a gateway is within its lease";
const TRULY_REFUSED: &str = "I14: who is refused asked while what lacked was nowhere";
const NO_SLOT: &str = "an admit is refused for its slot";
const NO_MONEY: &str = "an admit is refused for its money";
const FULL: &str = "all slots and all money are in use";

impl Composed {
    fn events_of_gateway(&self, state: &State, node: usize, events: &mut Vec<Event>) {
        let (config, this) = (&self.0, &state.nodes[node]);
        let asked = this.calls.iter().filter(|life| **life != Life::New).count();
        if asked < config.asks[node] && this.waiting().is_none() {
            events.push(Event::Ask { node });
        }
        if this.request.is_none() && this.reply.is_none() {
            let untold = (0..CALLS).any(|call| this.told(call) != this.acknowledged[call]);
            if let Some(call) = this.waiting() {
                events.push(Event::Send { node, want: Want::Admit(call) });
            } else if this.due || untold {
                events.push(Event::Send { node, want: Want::Nothing });
            }
            let ahead = [SLOTS, HOLDS]
                .into_iter()
                .filter(|of| this.granted[*of] < config.ahead_max[*of] && this.unflushed_max > 0);
            events.extend(ahead.map(|of| Event::Send { node, want: Want::Ahead(of) }));
        }
        if state.hub.recalled[node] {
            events.push(Event::ReadRecall { node });
        }
        let fenced = state.nodes.iter().filter(|node| node.fenced).count();
        if fenced < usize::from(config.fences) {
            events.push(Event::Fence { node });
        }
    }

    fn events_of_hub(&self, state: &State, node: usize, events: &mut Vec<Event>) {
        let (this, hub) = (&state.nodes[node], &state.hub);
        if this.request.is_some() {
            events.push(Event::Execute { node });
        }
        if this.reply.is_some() && !this.fenced {
            events.push(Event::Deliver { node });
        }
        let reaped = hub.registered.iter().filter(|registered| !**registered).count();
        if hub.registered[node] && reaped < usize::from(self.0.reaps) {
            events.push(Event::Reap { node });
        }
        for call in 0..CALLS {
            let life = this.calls[call];
            if life == Life::Live {
                let ends = [true, false].map(|costs| Event::End { node, call, costs });
                events.extend(ends);
            }
            let untold = matches!(life, Life::Asked { .. }) && this.fenced;
            let is_over = matches!(life, Life::Ended { .. } | Life::Refused { .. }) || untold;
            if !hub.registered[node] && hub.has(node, call) && is_over {
                events.push(Event::ForgetNamed { node, call });
            }
        }
        let unknown = |call: usize| this.calls[call] == Life::Live && !hub.has(node, call);
        if hub.anonymous[node] != [0; 2] && this.fenced && !(0..CALLS).any(unknown) {
            events.push(Event::ForgetAnonymous { node });
        }
    }

    /// What every request that waits has seen by now.
    fn observe(&self, state: &mut State) {
        for node in 0..NODES {
            let Some(call) = state.nodes[node].waiting() else { continue };
            let used = hub::used(state, node);
            if let Life::Asked { seen_empty } = &mut state.nodes[node].calls[call] {
                for of in [SLOTS, HOLDS] {
                    seen_empty[of] |= used[of] >= self.0.limits[of];
                }
            }
        }
    }
}

impl Model for Composed {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        let b = self.0.unflushed_max;
        let hub = Hub { registered: [true; NODES], unflushed_max: [b; NODES], ..Hub::default() };
        let node = Node { unflushed_max: b, ..Node::default() };
        vec![State { hub, nodes: [node.clone(), node] }]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        for node in 0..NODES {
            if !state.nodes[node].fenced {
                self.events_of_gateway(state, node, events);
            }
            self.events_of_hub(state, node, events);
        }
    }

    fn next_state(&self, state: &State, event: Event) -> Option<State> {
        let mut next = state.clone();
        match event {
            Event::Ask { node } => next.nodes[node].ask(),
            Event::Send { node, want } => next.nodes[node].send(want),
            Event::Execute { node } => {
                let request = next.nodes[node].request.take()?;
                let reply = self.0.execute(&mut next, node, &request);
                next.nodes[node].reply = reply;
            }
            Event::Deliver { node } => next.nodes[node].deliver(self.0.rules),
            Event::ReadRecall { node } => {
                next.hub.recalled[node] = false;
                next.nodes[node].give_back_idle();
            }
            Event::End { node, call, costs } => {
                next.nodes[node].calls[call] = Life::Ended { costs, before: false };
            }
            Event::Fence { node } => next.nodes[node].fenced = true,
            Event::Reap { node } => hub::reap(&mut next, node),
            Event::ForgetNamed { node, call } => {
                let costs =
                    matches!(state.nodes[node].calls[call], Life::Ended { costs: true, .. });
                next.hub.calls[node][call] = AtHub::Ended { costs };
            }
            Event::ForgetAnonymous { node } => next.hub.anonymous[node] = [0; 2],
        }
        self.observe(&mut next);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(WITHIN_CAP, |model: &Self, state: &State| {
                hub::in_truth(state)[SLOTS] <= model.0.limits[SLOTS]
            }),
            Property::always(CONSERVED, |model: &Self, state: &State| {
                hub::in_truth(state)[HOLDS] <= model.0.limits[HOLDS]
            }),
            Property::always(WITHIN_LIMITS, |model: &Self, state: &State| {
                let leased = hub::leased(state);
                (0..2).all(|of| leased[of] <= model.0.limits[of])
            }),
            Property::always(WITHIN_LEASE, |_, state: &State| {
                state.nodes.iter().all(Node::is_within_lease)
            }),
            Property::always(TRULY_REFUSED, |_, state: &State| {
                !any(state, |life| matches!(life, Life::Refused { truly: false, .. }))
            }),
            Property::sometimes(NO_SLOT, |_, state: &State| {
                any(state, |life| matches!(life, Life::Refused { lacks: SLOTS, .. }))
            }),
            Property::sometimes(NO_MONEY, |_, state: &State| {
                any(state, |life| matches!(life, Life::Refused { lacks: HOLDS, .. }))
            }),
            Property::sometimes(FULL, |model: &Self, state: &State| {
                hub::in_truth(state) == model.0.limits
            }),
        ]
    }
}

fn any(state: &State, is: impl Fn(&Life) -> bool) -> bool {
    state.nodes.iter().flat_map(|node| &node.calls).any(is)
}

/// Explores one run.
pub fn check(config: Config) -> Outcome {
    let invariants = [WITHIN_CAP, CONSERVED, WITHIN_LIMITS, WITHIN_LEASE, TRULY_REFUSED];
    explore(Composed(config), &invariants, &[NO_SLOT, NO_MONEY, FULL])
}
