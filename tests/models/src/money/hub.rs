//! The hub's side of the money: what it grants of the escrow, what it keeps for holders that are gone,
//! and when it says that the wallet is empty. And where the money is in truth, which nobody knows.

use super::gateway::{Life, Reply, Request, UNFLUSHED_MAX};
use super::{CALLS, Config, HOLD, NODES, State};

/// A call as the hub knows it; it only moves forward, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum AtHub {
    #[default]
    Unknown,
    Live,
    /// Nobody renewed it: it costs nothing unless a record comes after all.
    Expired,
    Ended {
        cost: i8,
    },
}

/// What becomes of a request for money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Decision {
    Granted,
    /// Others have idle money, or the hub is learning: ask again.
    Again,
    Empty,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Hub {
    /// The escrow in total, as the ledger numbered it.
    pub(super) escrow: i8,
    pub(super) sequence: usize,
    pub(super) registered: [bool; NODES],
    /// As the database has it: kept over a loss of memory.
    pub(super) dead: [bool; NODES],
    pub(super) learning: bool,
    pub(super) reported: [bool; NODES],
    pub(super) granted: [i8; NODES],
    pub(super) returned: [i8; NODES],
    pub(super) calls: [[AtHub; CALLS]; NODES],
    /// Kept for unrecorded calls of a holder that is gone.
    pub(super) anonymous: [i8; NODES],
    pub(super) recalled: [bool; NODES],
}

impl Hub {
    /// What calls of a holder hold or cost.
    fn taken(&self, node: usize) -> i8 {
        let taken = |at_hub: &AtHub| match at_hub {
            AtHub::Live => HOLD,
            AtHub::Ended { cost } => *cost,
            AtHub::Unknown | AtHub::Expired => 0,
        };
        self.calls[node].iter().map(taken).sum()
    }

    fn idle(&self, node: usize) -> i8 {
        self.granted[node] - self.returned[node] - self.taken(node)
    }

    /// What may be granted.
    pub(super) fn free(&self, state: &State) -> i8 {
        let used = (0..NODES).map(|node| {
            if self.registered[node] {
                self.granted[node] - self.returned[node]
            } else {
                self.taken(node) + self.anonymous[node]
            }
        });
        self.escrow + state.debt - used.sum::<i8>()
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
        let hub = &mut state.hub;
        if !hub.registered[node] {
            return None;
        }
        hub.reported[node] |= hub.learning;
        hub.granted[node] = hub.granted[node].max(request.granted);
        if self.rules.cumulative {
            hub.returned[node] = hub.returned[node].max(request.returned);
        } else {
            hub.returned[node] += request.newly_returned;
        }
        for call in 0..CALLS {
            hub.calls[node][call] = hub.calls[node][call].max(request.calls[call]);
        }
        let funded = request.fund.map(|least| self.fund(state, node, least));
        let hub = &state.hub;
        Some(Reply {
            granted: hub.granted[node],
            returned: hub.returned[node],
            calls: hub.calls[node],
            decision: request.wish.zip(funded),
        })
    }

    fn fund(&self, state: &mut State, node: usize, least: i8) -> Decision {
        if state.hub.learning {
            return Decision::Again;
        }
        if state.hub.free(state) >= least {
            state.hub.granted[node] += least;
            return Decision::Granted;
        }
        let mut decision = Decision::Empty;
        for other in (0..NODES).filter(|other| *other != node || self.rules.own_idle) {
            let hub = &mut state.hub;
            if self.rules.recall && hub.registered[other] && hub.idle(other) > 0 {
                hub.recalled[other] = true;
                decision = Decision::Again;
            }
        }
        decision
    }

    /// A holder is gone.
    pub(super) fn reap(&self, state: &mut State, node: usize) {
        let hub = &mut state.hub;
        let unflushed_max = HOLD * i8::try_from(UNFLUSHED_MAX).unwrap_or(i8::MAX);
        if self.rules.anonymous {
            hub.anonymous[node] = hub.idle(node).clamp(0, unflushed_max);
        }
        if !self.rules.named {
            for at_hub in hub.calls[node].iter_mut().filter(|at_hub| **at_hub == AtHub::Live) {
                *at_hub = AtHub::Unknown;
            }
        }
        (hub.registered[node], hub.recalled[node], hub.dead[node]) = (false, false, true);
        (hub.granted[node], hub.returned[node]) = (0, 0);
    }

    /// Takes the record of a call whose holder is gone.
    pub(super) fn take_late(&self, state: &mut State, node: usize, call: usize) {
        let Life::Ended { cost, .. } = state.nodes[node].calls[call] else { return };
        let before = state.hub.calls[node][call];
        if before == AtHub::Unknown {
            let kept = &mut state.hub.anonymous[node];
            *kept -= HOLD.min(*kept);
        }
        state.hub.calls[node][call] = AtHub::Ended { cost };
        if self.rules.late_is_debt {
            state.debt += (-state.hub.free(state)).clamp(0, cost);
        }
    }
}

/// Who has not reported is gone, and its calls are over.
pub(super) fn close_learning(state: &mut State) {
    let hub = &mut state.hub;
    hub.learning = false;
    for node in 0..NODES {
        if !hub.reported[node] {
            (hub.registered[node], hub.dead[node]) = (false, true);
        }
    }
    hub.reported = [false; NODES];
}

/// What every request that waits has seen by now.
pub(super) fn observe(state: &mut State) {
    for asked in 0..NODES {
        let Some(call) = state.nodes[asked].waiting() else { continue };
        let used: i8 = (0..NODES).map(|node| used(state, node, asked)).sum();
        let empty = state.hub.escrow + state.debt - used < HOLD;
        if let Life::Asked { seen_empty, .. } = &mut state.nodes[asked].calls[call] {
            *seen_empty |= empty;
        }
    }
}

/// Money of a holder that calls hold or have cost, for a request at gateway `asked`. What is in
/// quarantine there is free when the release had come before.
fn used(state: &State, node: usize, asked: usize) -> i8 {
    let (hub, this) = (&state.hub, &state.nodes[node]);
    let of_call = |call: usize| match (this.calls[call], hub.calls[node][call]) {
        (_, AtHub::Ended { cost }) => cost,
        (Life::Ended { cost, before: true }, _) if node == asked => cost,
        (Life::Live, _) | (Life::Ended { .. }, AtHub::Live | AtHub::Unknown) => HOLD,
        _ => 0,
    };
    if hub.registered[node] {
        (0..CALLS).map(of_call).sum()
    } else {
        hub.taken(node) + hub.anonymous[node]
    }
}
