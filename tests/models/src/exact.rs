//! The exact regime: two gateways admit the last units of an account, or of its organization, one by
//! one in the hub, and a refusal is true at an instant. Invariants I1, I2 and I14 of the lease protocol.
//!
//! The hub takes only an exchange that is newer than those it has taken, so a late one is a lost one. A
//! reaped gateway may be alive: what is kept for its unrecorded calls returns once it is silent and they
//! are over, which stands for `T_call` after the reap.

mod gateway;
mod hub;
mod runs;

use stateright::{Model, Property};

use crate::{Outcome, explore};
use gateway::{Health, Life, Node};
use hub::{AtHub, Hub, used};
pub use runs::RUNS;

/// Gateways; each is one holder.
const NODES: usize = 2;
const ACCOUNTS: usize = 2;
/// Calls of one gateway, at most.
const CALLS: usize = 3;

type PerAccount = [u8; ACCOUNTS];

/// How far the exploration goes, and which rules it follows.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    floors: PerAccount,
    caps: PerAccount,
    total: u8,
    /// Requests of each gateway for any account that has a cap.
    asks: [usize; NODES],
    /// The most units that a holder is granted ahead of its calls.
    ahead_max: u8,
    /// Unflushed admits of a gateway in the fast regime, `b`.
    unflushed_max: u8,
    /// An admit is asked for so often before the answer is `hub_unavailable`.
    tries: u8,
    losses: bool,
    crashes: u8,
    fences: u8,
    /// Gateways that may be reaped, alive or not.
    reaps: u8,
    rules: Rules,
}

/// The rules of the protocol that runs leave out.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule that stands alone")]
struct Rules {
    /// What lies idle at holders is recalled before anybody is refused.
    recall: bool,
    /// What lies idle at the holder that asks stands against a refusal too.
    own_idle: bool,
    /// Before a refusal for the total, what lies idle of the account itself is recalled too, not only
    /// what accounts have above their floors.
    within_floor: bool,
    /// A recall takes idle units, not those of calls that the hub does not know yet.
    recall_spares_unflushed: bool,
    /// A gateway admits by itself only while fewer than `b` of its admits are unflushed.
    credit: bool,
    /// In the exact regime one step of the hub leases the unit and records the call.
    one_step: bool,
    /// A lower `b` counts for the hub once the holder has reported it, not from its telling.
    lowered_by_report: bool,
    /// The hub takes no exchange of a holder that is older than another it has taken.
    newest_only: bool,
    /// A unit whose call was released at another gateway counts as used until the hub has it.
    quarantined_elsewhere_is_used: bool,
}

const ALL_RULES: Rules = Rules {
    recall: true,
    own_idle: true,
    within_floor: true,
    recall_spares_unflushed: true,
    credit: true,
    one_step: true,
    lowered_by_report: true,
    newest_only: true,
    quarantined_elsewhere_is_used: true,
};

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
        account: usize,
    },
    Send {
        node: usize,
        want: Option<usize>,
    },
    Lose {
        node: usize,
    },
    Execute {
        node: usize,
    },
    ExecuteLate {
        node: usize,
    },
    Deliver {
        node: usize,
    },
    ReadRecall {
        node: usize,
    },
    /// A call ends: released at its gateway, or over by itself where that is gone.
    End {
        node: usize,
        call: usize,
    },
    Crash {
        node: usize,
    },
    Fence {
        node: usize,
    },
    Reap {
        node: usize,
    },
    /// The hub frees the unit of a call without a holder that is over.
    ForgetNamed {
        node: usize,
        call: usize,
    },
    ForgetAnonymous {
        node: usize,
    },
}

struct Exact(Config);

const WITHIN_LIMIT: &str = "I1: live calls never exceed the cap or the total";
const LEASES_WITHIN_LIMIT: &str = "I2: leases never exceed the cap or the total";
const TRULY_REFUSED: &str = "I14: who is refused asked while no unit was free";
const REFUSED: &str = "an admit is refused";
const UNAVAILABLE: &str = "an admit ends as hub_unavailable";
const MOVED: &str = "a unit that was idle at one gateway carries a call of the other";

impl Exact {
    fn events_of_node(&self, state: &State, node: usize, events: &mut Vec<Event>) {
        let (config, this) = (&self.0, &state.nodes[node]);
        let asked = this.calls.iter().filter(|call| call.life != Life::New).count();
        if asked < config.asks[node] && this.asked().is_none() {
            let accounts = (0..ACCOUNTS).filter(|account| config.caps[*account] > 0);
            events.extend(accounts.map(|account| Event::Ask { node, account }));
        }
        if this.request.is_none() && this.reply.is_none() {
            let untold = (0..CALLS).any(|call| this.told(call) != this.acknowledged[call]);
            if this.due || this.asked().is_some() || untold {
                events.push(Event::Send { node, want: None });
            }
            let wants = (0..ACCOUNTS).filter(|account| {
                let ahead = this.granted[*account] < config.ahead_max;
                config.caps[*account] > 0 && ahead && this.unflushed_max[*account] > 0
            });
            events.extend(wants.map(|account| Event::Send { node, want: Some(account) }));
        }
        if state.hub.recalled[node] {
            events.push(Event::ReadRecall { node });
        }
        let fenced = state.nodes.iter().filter(|node| node.health == Health::Fenced).count();
        if fenced < usize::from(config.fences) {
            events.push(Event::Fence { node });
        }
    }

    fn events_of_network(&self, state: &State, node: usize, events: &mut Vec<Event>) {
        let this = &state.nodes[node];
        if this.request.is_some() {
            events.push(Event::Execute { node });
        }
        if this.late.is_some() {
            events.push(Event::ExecuteLate { node });
        }
        if this.reply.is_some() && this.health == Health::Up {
            events.push(Event::Deliver { node });
        }
        if self.0.losses && (this.request.is_some() || this.reply.is_some()) {
            events.push(Event::Lose { node });
        }
    }

    fn events_of_calls(state: &State, node: usize, events: &mut Vec<Event>) {
        let (this, hub) = (&state.nodes[node], &state.hub);
        let silent = this.health != Health::Up;
        for call in 0..CALLS {
            let life = this.calls[call].life;
            if life == Life::Live {
                events.push(Event::End { node, call });
            }
            let untold = matches!(life, Life::Asked { .. }) && silent;
            if !hub.registered[node]
                && hub.calls[node][call] == AtHub::Live
                && (life == Life::Ended || untold)
            {
                events.push(Event::ForgetNamed { node, call });
            }
        }
        let unknown = |call: usize| {
            this.calls[call].life == Life::Live && hub.calls[node][call] == AtHub::Unknown
        };
        if hub.anonymous[node] != [0; ACCOUNTS] && silent && !(0..CALLS).any(unknown) {
            events.push(Event::ForgetAnonymous { node });
        }
    }

    /// What every request that waits has seen by now.
    fn observe(&self, state: &mut State) {
        for node in 0..NODES {
            let Some(call) = state.nodes[node].asked() else { continue };
            let used = used(state, (node, call), self.0.rules.quarantined_elsewhere_is_used);
            let call = &mut state.nodes[node].calls[call];
            if let Life::Asked { seen_full, .. } = &mut call.life {
                *seen_full |= !self.0.has_room(used, call.account);
            }
        }
    }
}

impl Model for Exact {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        let b = [self.0.unflushed_max; ACCOUNTS];
        let hub = Hub { registered: [true; NODES], unflushed_max: [b; NODES], ..Hub::default() };
        let node = Node { unflushed_max: b, ..Node::default() };
        vec![State { hub, nodes: [node.clone(), node] }]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        let crashed = state.nodes.iter().filter(|node| node.health == Health::Crashed).count();
        let reaped = state.hub.registered.iter().filter(|registered| !**registered).count();
        for node in 0..NODES {
            if state.nodes[node].health == Health::Up {
                self.events_of_node(state, node, events);
            }
            self.events_of_network(state, node, events);
            Self::events_of_calls(state, node, events);
            let up = state.nodes[node].health != Health::Crashed;
            if up && crashed < usize::from(self.0.crashes) {
                events.push(Event::Crash { node });
            }
            if state.hub.registered[node] && reaped < usize::from(self.0.reaps) {
                events.push(Event::Reap { node });
            }
        }
    }

    fn next_state(&self, state: &State, event: Event) -> Option<State> {
        let mut next = state.clone();
        match event {
            Event::Ask { node, account } => next.nodes[node].ask(account, self.0.rules),
            Event::Send { node, want } => next.nodes[node].send(want),
            Event::Lose { node } => next.nodes[node].lose(self.0.rules),
            Event::Execute { node } => {
                let request = next.nodes[node].request.take()?;
                let reply = self.0.execute(&mut next, node, &request);
                next.nodes[node].reply = reply;
            }
            Event::ExecuteLate { node } => {
                let request = next.nodes[node].late.take()?;
                self.0.execute(&mut next, node, &request);
            }
            Event::Deliver { node } => next.nodes[node].deliver(self.0.tries),
            Event::ReadRecall { node } => {
                next.hub.recalled[node] = false;
                next.nodes[node].read_recall(self.0.rules);
            }
            Event::End { node, call } => next.nodes[node].calls[call].life = Life::Ended,
            Event::Crash { node } => next.nodes[node].health = Health::Crashed,
            Event::Fence { node } => next.nodes[node].health = Health::Fenced,
            Event::Reap { node } => hub::reap(&mut next, node),
            Event::ForgetNamed { node, call } => next.hub.calls[node][call] = AtHub::Ended,
            Event::ForgetAnonymous { node } => next.hub.anonymous[node] = [0; ACCOUNTS],
        }
        self.observe(&mut next);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(WITHIN_LIMIT, |model: &Self, state: &State| {
                model.0.allows(hub::live(state))
            }),
            Property::always(LEASES_WITHIN_LIMIT, |model: &Self, state: &State| {
                model.0.allows(hub::leased(state))
            }),
            Property::always(TRULY_REFUSED, |_, state: &State| {
                !any(state, Life::Refused { truly: false })
            }),
            Property::sometimes(REFUSED, |_, state: &State| {
                any(state, Life::Refused { truly: true })
            }),
            Property::sometimes(UNAVAILABLE, |_, state: &State| any(state, Life::Unavailable)),
            Property::sometimes(MOVED, |model: &Self, state: &State| hub::moved(&model.0, state)),
        ]
    }
}

/// Whether this became of any call.
fn any(state: &State, life: Life) -> bool {
    state.nodes.iter().flat_map(|node| node.calls).any(|call| call.life == life)
}

/// Explores one run.
pub fn check(config: Config) -> Outcome {
    let invariants = [WITHIN_LIMIT, LEASES_WITHIN_LIMIT, TRULY_REFUSED];
    explore(Exact(config), &invariants, &[REFUSED, UNAVAILABLE, MOVED])
}
