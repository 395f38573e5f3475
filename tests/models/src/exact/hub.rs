//! The hub's side of the exact regime: one step takes an exchange, and decides an admit for good or asks
//! for idle units first. And what is true of all units at an instant, which nobody knows.

use super::gateway::{Call, Health, Life, Reply, Request};
use super::{ACCOUNTS, CALLS, Config, NODES, PerAccount, State};

/// A call as the hub knows it; it only moves forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum AtHub {
    #[default]
    Unknown,
    Live,
    Ended,
}

/// What becomes of an admit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Decision {
    Granted,
    /// Idle units must come back before a refusal would be true.
    Recall,
    Refused,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Hub {
    pub(super) registered: [bool; NODES],
    pub(super) granted: [PerAccount; NODES],
    pub(super) returned: [PerAccount; NODES],
    pub(super) unflushed_max: [PerAccount; NODES],
    /// Also of holders that are gone: those that live are named orphans.
    pub(super) calls: [[AtHub; CALLS]; NODES],
    /// Units kept for unrecorded calls of a holder that is gone.
    pub(super) anonymous: [PerAccount; NODES],
    pub(super) recalled: [bool; NODES],
}

impl Config {
    /// Whether so much of each account is within its cap and the total.
    pub(super) fn allows(&self, units: PerAccount) -> bool {
        let within = |account: usize| units[account] <= self.caps[account];
        (0..ACCOUNTS).all(within) && self.committed(units) <= self.total
    }

    /// Whether one unit more of an account would be.
    pub(super) fn has_room(&self, units: PerAccount, account: usize) -> bool {
        let mut more = units;
        more[account] += 1;
        more[account] <= self.caps[account]
            && (more[account] <= self.floors[account] || self.committed(more) <= self.total)
    }

    fn committed(&self, units: PerAccount) -> u8 {
        (0..ACCOUNTS).map(|account| units[account].max(self.floors[account])).sum()
    }

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
        for account in 0..ACCOUNTS {
            let returned = request.returned[account].min(hub.granted[node][account]);
            hub.returned[node][account] = hub.returned[node][account].max(returned);
        }
        hub.unflushed_max[node] = request.unflushed_max;
        for call in 0..CALLS {
            hub.calls[node][call] = hub.calls[node][call].max(request.calls[call]);
        }
        let decision = request.wish.map(|call| (call, self.decide(state, node, call)));
        if let Some(account) = request.want
            && self.has_room(leased(state), account)
        {
            state.hub.granted[node][account] += 1;
        }
        let unflushed_max = self.tell_unflushed_max(state, node);
        let (granted, calls) = (state.hub.granted[node], state.hub.calls[node]);
        Some(Reply { granted, unflushed_max, calls, decision })
    }

    /// How far the holder may go without asking from now on: not at all where nothing is left.
    fn tell_unflushed_max(&self, state: &mut State, node: usize) -> PerAccount {
        let leased = leased(state);
        let told = std::array::from_fn(|account| {
            if self.has_room(leased, account) { self.unflushed_max } else { 0 }
        });
        for (known, told) in state.hub.unflushed_max[node].iter_mut().zip(told) {
            *known = if self.rules.lowered_by_report { told.max(*known) } else { told };
        }
        told
    }

    fn decide(&self, state: &mut State, node: usize, call: usize) -> Decision {
        if state.hub.calls[node][call] != AtHub::Unknown {
            return Decision::Granted;
        }
        let account = state.nodes[node].calls[call].account;
        let leased = leased(state);
        if self.has_room(leased, account) {
            state.hub.granted[node][account] += 1;
            if self.rules.one_step {
                state.hub.calls[node][call] = AtHub::Live;
            }
            return Decision::Granted;
        }
        if !self.rules.recall {
            return Decision::Refused;
        }
        let for_the_cap = leased[account] >= self.caps[account];
        let mut decision = Decision::Refused;
        for other in 0..NODES {
            let own = other == node;
            let stands = |of: usize| {
                let itself = of == account && (for_the_cap || self.rules.within_floor);
                let above_floor = !for_the_cap && leased[of] > self.floors[of];
                (itself || above_floor) && idle(state, other, of) > 0
            };
            if (0..ACCOUNTS).any(stands) && (self.rules.own_idle || !own) {
                decision = Decision::Recall;
                state.hub.recalled[other] = true;
            }
        }
        decision
    }
}

/// Live calls of a holder as the hub knows them.
fn recorded(state: &State, node: usize, account: usize) -> u8 {
    let calls = state.nodes[node].calls.iter().zip(state.hub.calls[node]);
    calls.map(|(call, at)| u8::from(call.account == account && at == AtHub::Live)).sum()
}

/// Units of a holder without a recorded call: idle, or used by a call not recorded yet.
fn idle(state: &State, node: usize, account: usize) -> u8 {
    let hub = &state.hub;
    let held = hub.granted[node][account] - hub.returned[node][account];
    if hub.registered[node] { held.saturating_sub(recorded(state, node, account)) } else { 0 }
}

/// Units that the hub does not have: leased, or kept for calls without a holder.
pub(super) fn leased(state: &State) -> PerAccount {
    std::array::from_fn(|account| {
        (0..NODES)
            .map(|node| {
                let hub = &state.hub;
                if hub.registered[node] {
                    hub.granted[node][account] - hub.returned[node][account]
                } else {
                    recorded(state, node, account) + hub.anonymous[node][account]
                }
            })
            .sum()
    })
}

/// A holder is gone: its recorded calls keep their units, some units are kept for calls that it may
/// not have recorded, the rest is free.
pub(super) fn reap(state: &mut State, node: usize) {
    state.hub.anonymous[node] = std::array::from_fn(|account| {
        idle(state, node, account).min(state.hub.unflushed_max[node][account])
    });
    let hub = &mut state.hub;
    (hub.registered[node], hub.recalled[node]) = (false, false);
    (hub.granted[node], hub.returned[node]) = ([0; ACCOUNTS], [0; ACCOUNTS]);
    hub.unflushed_max[node] = [0; ACCOUNTS];
}

/// Calls that were told "admitted" and have not ended.
pub(super) fn live(state: &State) -> PerAccount {
    let calls = || state.nodes.iter().flat_map(|node| node.calls);
    std::array::from_fn(|account| {
        calls().map(|call| u8::from(call.account == account && call.life == Life::Live)).sum()
    })
}

/// Units that are neither free nor idle anywhere, for the request `asked`. A unit in quarantine at its
/// gateway is free when its release had come there before.
pub(super) fn used(
    state: &State,
    asked: (usize, usize),
    quarantined_elsewhere_is_used: bool,
) -> PerAccount {
    let released_before = match state.nodes[asked.0].calls[asked.1].life {
        Life::Asked { after, .. } => after,
        _ => [false; CALLS],
    };
    let is_used = |node: usize, call: usize| {
        let (this, at_hub) = (&state.nodes[node], state.hub.calls[node][call]);
        let quarantined_is_used = if this.health != Health::Up || !state.hub.registered[node] {
            true
        } else if node == asked.0 {
            !released_before[call]
        } else {
            quarantined_elsewhere_is_used
        };
        match this.calls[call].life {
            Life::Live => state.hub.registered[node] || at_hub == AtHub::Live,
            Life::Asked { .. } => at_hub == AtHub::Live,
            Life::Ended => at_hub == AtHub::Live && quarantined_is_used,
            _ => false,
        }
    };
    let mut units = [0; ACCOUNTS];
    for node in 0..NODES {
        for (call, Call { account, .. }) in state.nodes[node].calls.iter().enumerate() {
            units[*account] += u8::from(is_used(node, call));
        }
        for (units, anonymous) in units.iter_mut().zip(state.hub.anonymous[node]) {
            *units += anonymous;
        }
    }
    units
}

/// Every unit of the first account is leased, one of them to the second gateway for a call, after the
/// first gateway gave one back.
pub(super) fn moved(config: &Config, state: &State) -> bool {
    let live = |call: &Call| call.account == 0 && call.life == Life::Live;
    state.hub.registered[0]
        && state.hub.returned[0][0] > 0
        && leased(state)[0] == config.caps[0]
        && state.nodes[1].calls.iter().any(live)
}
