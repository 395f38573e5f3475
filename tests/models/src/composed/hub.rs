//! The hub's side of an admit that takes a slot and a hold, and what is true of both at an instant.

use super::{Both, CALLS, Config, HOLDS, Life, NODES, Reply, Request, SLOTS, State};

/// A call as the hub knows it; it only moves forward, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum AtHub {
    #[default]
    Unknown,
    /// Its slot without its hold: no rule allows it.
    WithoutHold,
    Live,
    Ended {
        costs: bool,
    },
}

/// What an exchange wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    Nothing,
    /// A call admitted now.
    Admit(usize),
    /// A slot or a hold ahead of calls.
    Ahead(usize),
}

/// What becomes of an admit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Decision {
    Granted,
    /// Idle slots or money must come back before a refusal would be true.
    Recall,
    Refused {
        lacks: usize,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Hub {
    pub(super) registered: [bool; NODES],
    pub(super) granted: [Both; NODES],
    pub(super) returned: [Both; NODES],
    pub(super) unflushed_max: [u8; NODES],
    pub(super) calls: [[AtHub; CALLS]; NODES],
    /// Kept for unrecorded calls of a holder that is gone.
    pub(super) anonymous: [Both; NODES],
    pub(super) recalled: [bool; NODES],
}

impl Hub {
    /// Whether a call has something that is its own.
    pub(super) fn has(&self, node: usize, call: usize) -> bool {
        matches!(self.calls[node][call], AtHub::Live | AtHub::WithoutHold)
    }

    /// What the recorded calls of a holder have, and have spent.
    fn taken(&self, node: usize) -> Both {
        let mut taken = [0; 2];
        for at_hub in &self.calls[node] {
            let (slot, hold) = match at_hub {
                AtHub::Unknown => (0, 0),
                AtHub::WithoutHold => (1, 0),
                AtHub::Live => (1, 1),
                AtHub::Ended { costs } => (0, u8::from(*costs)),
            };
            taken[SLOTS] += slot;
            taken[HOLDS] += hold;
        }
        taken
    }

    fn idle(&self, node: usize, of: usize) -> u8 {
        (self.granted[node][of] - self.returned[node][of]).saturating_sub(self.taken(node)[of])
    }
}

impl Config {
    /// Takes what a holder reports, then what it wants; `None`: it is no holder any more.
    pub(super) fn execute(
        &self,
        state: &mut State,
        node: usize,
        request: &Request,
    ) -> Option<Reply> {
        if !state.hub.registered[node] {
            return None;
        }
        let hub = &mut state.hub;
        for of in [SLOTS, HOLDS] {
            let returned = request.returned[of].min(hub.granted[node][of]);
            hub.returned[node][of] = hub.returned[node][of].max(returned);
        }
        hub.unflushed_max[node] = request.unflushed_max;
        for call in 0..CALLS {
            hub.calls[node][call] = hub.calls[node][call].max(request.calls[call]);
        }
        let decision = match request.want {
            Want::Admit(call) => Some((call, self.decide(state, node, call))),
            Want::Ahead(of) => {
                state.hub.granted[node][of] += u8::from(self.has_room(state, of));
                None
            }
            Want::Nothing => None,
        };
        let is_fast = self.has_room(state, SLOTS) && self.has_room(state, HOLDS);
        let unflushed_max = if is_fast { self.unflushed_max } else { 0 };
        let hub = &mut state.hub;
        hub.unflushed_max[node] = hub.unflushed_max[node].max(unflushed_max);
        Some(Reply { granted: hub.granted[node], unflushed_max, calls: hub.calls[node], decision })
    }

    fn has_room(&self, state: &State, of: usize) -> bool {
        leased(state)[of] < self.limits[of]
    }

    fn decide(&self, state: &mut State, node: usize, call: usize) -> Decision {
        let lacks = [SLOTS, HOLDS].into_iter().find(|of| !self.has_room(state, *of));
        let Some(lacks) = lacks else {
            state.hub.granted[node] = state.hub.granted[node].map(|granted| granted + 1);
            state.hub.calls[node][call] = AtHub::Live;
            return Decision::Granted;
        };
        let recalls = [self.rules.recall_slots, self.rules.recall_money][lacks];
        let mut decision = Decision::Refused { lacks };
        for other in 0..NODES {
            let hub = &mut state.hub;
            if recalls && hub.registered[other] && hub.idle(other, lacks) > 0 {
                hub.recalled[other] = true;
                decision = Decision::Recall;
            }
        }
        if lacks == HOLDS && !self.rules.all_or_none && decision != Decision::Recall {
            state.hub.granted[node][SLOTS] += 1;
            state.hub.calls[node][call] = AtHub::WithoutHold;
        }
        decision
    }
}

/// What the hub does not have: leased, or kept for calls without a holder, or spent.
pub(super) fn leased(state: &State) -> Both {
    let hub = &state.hub;
    [SLOTS, HOLDS].map(|of| {
        let of_holder = |node: usize| {
            if hub.registered[node] {
                hub.granted[node][of] - hub.returned[node][of]
            } else {
                hub.taken(node)[of] + hub.anonymous[node][of]
            }
        };
        (0..NODES).map(of_holder).sum()
    })
}

/// A holder is gone.
pub(super) fn reap(state: &mut State, node: usize) {
    let hub = &mut state.hub;
    hub.anonymous[node] = [SLOTS, HOLDS].map(|of| hub.idle(node, of).min(hub.unflushed_max[node]));
    (hub.registered[node], hub.recalled[node]) = (false, false);
    (hub.granted[node], hub.returned[node], hub.unflushed_max[node]) = ([0; 2], [0; 2], 0);
}

/// What live calls have, and what those that ended have cost as far as the hub knows.
pub(super) fn in_truth(state: &State) -> Both {
    let mut truth = [0; 2];
    for (node, this) in state.nodes.iter().enumerate() {
        for (life, at_hub) in this.calls.iter().zip(state.hub.calls[node]) {
            let live = u8::from(*life == Life::Live);
            truth[SLOTS] += live;
            truth[HOLDS] += live + u8::from(at_hub == AtHub::Ended { costs: true });
        }
    }
    truth
}

/// What is neither free nor idle anywhere, for a request that waits at gateway `asked`. What is in
/// quarantine there is free when the release had come before.
pub(super) fn used(state: &State, asked: usize) -> Both {
    let mut used = [0; 2];
    for (node, this) in state.nodes.iter().enumerate() {
        let hub = &state.hub;
        for (life, at_hub) in this.calls.iter().zip(hub.calls[node]) {
            let is_used = match (life, at_hub) {
                (Life::Live, AtHub::Unknown) => hub.registered[node],
                (_, AtHub::Live) | (Life::Ended { .. }, AtHub::Unknown) => {
                    let served = hub.registered[node] && !this.fenced && node == asked;
                    let released = matches!(life, Life::Ended { before: true, .. }) && served;
                    !released && (hub.registered[node] || at_hub == AtHub::Live)
                }
                _ => false,
            };
            let spent = matches!(
                (life, at_hub),
                (_, AtHub::Ended { costs: true }) | (Life::Ended { costs: true, .. }, _)
            );
            used[SLOTS] += u8::from(is_used);
            used[HOLDS] += u8::from(is_used || spent);
        }
        for of in [SLOTS, HOLDS] {
            used[of] += hub.anonymous[node][of];
        }
    }
    used
}
