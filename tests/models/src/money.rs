//! The money of one wallet: the ledger puts some at the hub's disposal, two gateways lease it, hold it
//! for calls and spend it, while a gateway crashes or is reaped alive, the hub loses its memory, and
//! every exchange may be lost, or be taken again later. Invariants I10, I11 and I14 of the lease protocol.

mod gateway;
mod hub;
mod ledger;
mod runs;

use stateright::{Model, Property};

use crate::{Outcome, explore};
use gateway::{Life, Node};
use hub::{AtHub, Hub};
use ledger::Ledger;
pub use runs::RUNS;

/// Gateways; each is one holder.
const NODES: usize = 2;
/// Calls of one gateway, at most.
const CALLS: usize = 2;
/// What a call holds.
const HOLD: i8 = 2;
/// An admit is tried so often before the answer is `hub_unavailable`.
const TRIES: u8 = 2;

/// How far the exploration goes, and which rules it follows.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    escrow: i8,
    /// Requests of each gateway.
    asks: [usize; NODES],
    /// What a call may cost.
    costs: &'static [i8],
    /// The most that a holder is granted ahead of its calls.
    ahead_max: i8,
    /// Exchanges are lost, or taken a second time later.
    disorder: bool,
    crashes: u8,
    fences: u8,
    /// Gateways that may be reaped, alive or not.
    reaps: u8,
    memory_losses: u8,
    recharges: u8,
    withdrawals: u8,
    rules: Rules,
}

/// The rules of the protocol that runs leave out.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule that stands alone")]
struct Rules {
    /// Reports carry what there was in total, not what is new.
    cumulative: bool,
    /// The hub takes an escrow only if it is no older than the one it has.
    newest_escrow: bool,
    /// The escrow is told in total, not what a recharge adds.
    absolute_escrow: bool,
    /// A refund is used again only after its record is in the hub.
    quarantine: bool,
    /// A reap keeps the holds of recorded calls.
    named: bool,
    /// A reap keeps money for calls that are not recorded.
    anonymous: bool,
    /// What others have idle is recalled before anybody is told that the wallet is empty.
    recall: bool,
    /// What the holder that asks has idle by now stands against a refusal too.
    own_idle: bool,
    /// A cost for which nothing is kept any more takes what is free, and the rest is counted debt.
    late_is_debt: bool,
    /// A hub without its memory grants nothing until it has learnt.
    learn: bool,
    /// It takes what was posted out of the escrow.
    unposted: bool,
    /// The database knows a holder as dead before its money is used again, in every incarnation.
    dead_stays_dead: bool,
    /// Learning lasts until the calls of dead holders are over too.
    waits_for_dead: bool,
    /// The ledger posts a record once, however often it comes.
    posted_once: bool,
    /// Money leaves the ledger only once the hub has taken it out of what it grants.
    withdrawn_from_hub: bool,
}

const ALL_RULES: Rules = Rules {
    cumulative: true,
    newest_escrow: true,
    absolute_escrow: true,
    quarantine: true,
    named: true,
    anonymous: true,
    recall: true,
    own_idle: true,
    late_is_debt: true,
    learn: true,
    unposted: true,
    dead_stays_dead: true,
    waits_for_dead: true,
    posted_once: true,
    withdrawn_from_hub: true,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    ledger: Ledger,
    hub: Hub,
    nodes: [Node; NODES],
    memory_losses: u8,
    /// Costs for which no money was kept.
    debt: i8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A client asks; answered at once where the gateway has the money.
    Ask {
        node: usize,
    },
    Send {
        node: usize,
        want: bool,
    },
    Lose {
        node: usize,
    },
    Execute {
        node: usize,
    },
    ExecuteAgain {
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
        cost: i8,
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
    /// Nobody renewed a call without a holder.
    ForgetNamed {
        node: usize,
        call: usize,
    },
    ForgetAnonymous {
        node: usize,
    },
    /// A record of a call whose holder is gone comes: late, or from a release elsewhere.
    LateRecord {
        node: usize,
        call: usize,
    },
    Post {
        node: usize,
        call: usize,
    },
    LoseMemory,
    CloseLearning,
    Recharge,
    /// The hub is told an escrow, the newest or one before.
    TellEscrow {
        sequence: usize,
    },
    Withdraw,
    PayOut,
}

struct Money(Config);

const CONSERVED: &str = "I10: what live calls hold and ended ones cost was paid in";
const WITHIN_ESCROW: &str = "I10: what the hub granted, keeps and spent is within the escrow";
const WITHIN_LEASE: &str = "I4: what a gateway holds and spent is within its lease";
const POSTED_ONCE: &str = "I11: a record is posted once";
const TRULY_EMPTY: &str = "I14: who is refused for money asked while it was nowhere";
const ALL_HELD: &str = "all money is held or spent";
const REFUSED: &str = "an admit is refused for money";
const RECOVERED: &str = "a call is admitted after learning has closed";

impl Money {
    fn events_of_gateway(&self, state: &State, node: usize, events: &mut Vec<Event>) {
        let (config, this) = (&self.0, &state.nodes[node]);
        if this.asked() < config.asks[node] && this.waiting().is_none() {
            events.push(Event::Ask { node });
        }
        if this.request.is_none() && this.reply.is_none() {
            let report = state.hub.learning && !state.hub.reported[node];
            if report || this.due || this.waiting().is_some() || this.has_untold() {
                events.push(Event::Send { node, want: false });
            }
            if this.granted < config.ahead_max {
                events.push(Event::Send { node, want: true });
            }
        }
        if state.hub.recalled[node] {
            events.push(Event::ReadRecall { node });
        }
        if state.nodes.iter().filter(|node| node.is_fenced()).count() < usize::from(config.fences) {
            events.push(Event::Fence { node });
        }
    }

    fn events_of_network(&self, state: &State, node: usize, events: &mut Vec<Event>) {
        let this = &state.nodes[node];
        if this.request.is_some() {
            events.push(Event::Execute { node });
        }
        if this.again.is_some() {
            events.push(Event::ExecuteAgain { node });
        }
        if this.reply.is_some() && this.serves() {
            events.push(Event::Deliver { node });
        }
        if self.0.disorder && (this.request.is_some() || this.reply.is_some()) {
            events.push(Event::Lose { node });
        }
    }

    fn events_of_calls(&self, state: &State, node: usize, events: &mut Vec<Event>) {
        let (this, hub) = (&state.nodes[node], &state.hub);
        for call in 0..CALLS {
            let (life, at_hub) = (this.calls[call], hub.calls[node][call]);
            if life == Life::Live {
                events.extend(self.0.costs.iter().map(|cost| Event::End {
                    node,
                    call,
                    cost: *cost,
                }));
            }
            let is_over = matches!(life, Life::Ended { .. });
            if !hub.registered[node] && !hub.learning && is_over {
                if at_hub == AtHub::Live {
                    events.push(Event::ForgetNamed { node, call });
                }
                if !matches!(at_hub, AtHub::Ended { .. }) {
                    events.push(Event::LateRecord { node, call });
                }
            }
            let posted = state.ledger.posted[node][call];
            let posts = posted == 0 || posted == 1 && !self.0.rules.posted_once;
            if matches!(at_hub, AtHub::Ended { .. }) && posts {
                events.push(Event::Post { node, call });
            }
        }
        let unknown =
            |call: usize| this.calls[call] == Life::Live && hub.calls[node][call] == AtHub::Unknown;
        if hub.anonymous[node] > 0 && !this.serves() && !(0..CALLS).any(unknown) {
            events.push(Event::ForgetAnonymous { node });
        }
    }

    fn events_of_faults(&self, state: &State, events: &mut Vec<Event>) {
        let (config, hub) = (&self.0, &state.hub);
        let crashed = state.nodes.iter().filter(|node| node.is_crashed()).count();
        let reaped = hub.registered.iter().filter(|registered| !**registered).count();
        for node in 0..NODES {
            if !state.nodes[node].is_crashed() && crashed < usize::from(config.crashes) {
                events.push(Event::Crash { node });
            }
            if hub.registered[node] && !hub.learning && reaped < usize::from(config.reaps) {
                events.push(Event::Reap { node });
            }
        }
        if state.memory_losses < config.memory_losses {
            events.push(Event::LoseMemory);
        }
        if hub.learning && self.may_close_learning(state) {
            events.push(Event::CloseLearning);
        }
    }

    /// Whether each holder has reported, or is silent and has no live call any more.
    fn may_close_learning(&self, state: &State) -> bool {
        (0..NODES).all(|node| {
            let is_dead = !state.hub.registered[node];
            let skipped = is_dead && !self.0.rules.waits_for_dead;
            let is_over = !state.nodes[node].serves() && state.nodes[node].live() == 0;
            state.hub.reported[node] || skipped || is_over
        })
    }
}

impl Model for Money {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        let escrow = self.0.escrow;
        let ledger = Ledger::new(escrow);
        let hub = Hub { registered: [true; NODES], escrow, ..Hub::default() };
        vec![State { ledger, hub, nodes: Default::default(), memory_losses: 0, debt: 0 }]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        for node in 0..NODES {
            if state.nodes[node].serves() {
                self.events_of_gateway(state, node, events);
            }
            self.events_of_network(state, node, events);
            self.events_of_calls(state, node, events);
        }
        self.events_of_faults(state, events);
        self.0.events_of_ledger(state, events);
    }

    fn next_state(&self, state: &State, event: Event) -> Option<State> {
        let mut next = state.clone();
        match event {
            Event::Ask { node } => next.nodes[node].ask(self.0.rules),
            Event::Send { node, want } => next.nodes[node].send(want, self.0.rules),
            Event::Lose { node } => next.nodes[node].lose(),
            Event::Execute { node } => {
                let request = next.nodes[node].request.take()?;
                next.nodes[node].again = self.0.disorder.then_some(request);
                let reply = self.0.execute(&mut next, node, &request);
                next.nodes[node].reply = reply;
            }
            Event::ExecuteAgain { node } => {
                let request = next.nodes[node].again.take()?;
                self.0.execute(&mut next, node, &request);
            }
            Event::Deliver { node } => next.nodes[node].deliver(self.0.rules),
            Event::ReadRecall { node } => {
                next.hub.recalled[node] = false;
                next.nodes[node].give_back_idle(self.0.rules);
            }
            Event::End { node, call, cost } => next.nodes[node].end(call, cost),
            Event::Crash { node } => next.nodes[node].crash(),
            Event::Fence { node } => next.nodes[node].fence(),
            Event::Reap { node } => self.0.reap(&mut next, node),
            Event::ForgetNamed { node, call } => next.hub.calls[node][call] = AtHub::Expired,
            Event::ForgetAnonymous { node } => next.hub.anonymous[node] = 0,
            Event::LateRecord { node, call } => self.0.take_late(&mut next, node, call),
            Event::Post { node, call } => next.ledger.posted[node][call] += 1,
            Event::LoseMemory => self.0.lose_memory(&mut next),
            Event::CloseLearning => hub::close_learning(&mut next),
            Event::Recharge => next.ledger.recharge(),
            Event::TellEscrow { sequence } => self.0.tell_escrow(&mut next, sequence),
            Event::Withdraw => next.ledger.withdraw(),
            Event::PayOut => next.ledger.pay_out(),
        }
        hub::observe(&mut next);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(CONSERVED, |_, state: &State| {
                let paid_in = state.ledger.recharged - state.ledger.paid_out;
                ledger::used_in_truth(state) - state.debt <= paid_in
            }),
            Property::always(WITHIN_ESCROW, |_, state: &State| {
                let lowering = state.ledger.withdrawing || state.hub.learning;
                lowering || state.hub.free(state) >= 0
            }),
            Property::always(WITHIN_LEASE, |model: &Self, state: &State| {
                let within = |node: &Node| !node.serves() || node.idle(model.0.rules) >= 0;
                state.nodes.iter().all(within)
            }),
            Property::always(POSTED_ONCE, |_, state: &State| {
                state.ledger.posted.iter().flatten().all(|times| *times <= 1)
            }),
            Property::always(TRULY_EMPTY, |_, state: &State| {
                let mut calls = state.nodes.iter().flat_map(|node| node.calls);
                !calls.any(|life| life == Life::Refused { truly: false })
            }),
            Property::sometimes(ALL_HELD, |_, state: &State| {
                ledger::used_in_truth(state) == state.ledger.recharged
            }),
            Property::sometimes(REFUSED, |_, state: &State| {
                let mut calls = state.nodes.iter().flat_map(|node| node.calls);
                calls.any(|life| life == Life::Refused { truly: true })
            }),
            Property::sometimes(RECOVERED, |model: &Self, state: &State| {
                let calls = state.hub.calls.iter().flatten();
                let live = calls.filter(|at_hub| **at_hub == AtHub::Live).count() > 0;
                state.memory_losses == model.0.memory_losses && !state.hub.learning && live
            }),
        ]
    }
}

/// Explores one run.
pub fn check(config: Config) -> Outcome {
    let invariants = [CONSERVED, WITHIN_ESCROW, WITHIN_LEASE, POSTED_ONCE, TRULY_EMPTY];
    explore(Money(config), &invariants, &[ALL_HELD, REFUSED, RECOVERED])
}
