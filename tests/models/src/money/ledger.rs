//! The ledger's side of the money, which is its root: what it puts at the hub's disposal and takes back,
//! what has been posted, and what a hub that lost its memory begins with.

use super::gateway::Life;
use super::hub::{AtHub, Hub};
use super::{CALLS, Config, Event, HOLD, NODES, State};

/// What a recharge adds and a withdrawal takes.
const STEP: i8 = 2;
/// Escrows that the ledger ever told the hub, at most.
const SEQUENCES: usize = 3;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Ledger {
    /// What was at the hub's disposal with each sequence number.
    escrows: [i8; SEQUENCES],
    pub(super) sequence: usize,
    pub(super) recharged: i8,
    pub(super) paid_out: i8,
    /// Taken out of the escrow and not paid out yet.
    pub(super) withdrawing: bool,
    recharges: u8,
    withdrawals: u8,
    /// How often the record of each call.
    pub(super) posted: [[u8; CALLS]; NODES],
}

impl Ledger {
    pub(super) fn new(escrow: i8) -> Self {
        let mut ledger = Self { recharged: escrow, ..Self::default() };
        ledger.escrows[0] = escrow;
        ledger
    }

    const fn escrow(&self) -> i8 {
        self.escrows[self.sequence]
    }

    fn change_escrow(&mut self, by: i8) {
        let escrow = self.escrow() + by;
        self.sequence += 1;
        self.escrows[self.sequence] = escrow;
    }

    pub(super) fn recharge(&mut self) {
        self.recharges += 1;
        self.recharged += STEP;
        self.change_escrow(STEP);
    }

    pub(super) fn withdraw(&mut self) {
        self.withdrawals += 1;
        self.withdrawing = true;
        self.change_escrow(-STEP);
    }

    pub(super) const fn pay_out(&mut self) {
        self.withdrawing = false;
        self.paid_out += STEP;
    }
}

impl Config {
    pub(super) fn events_of_ledger(&self, state: &State, events: &mut Vec<Event>) {
        let (rules, ledger, hub) = (self.rules, &state.ledger, &state.hub);
        let has_place = ledger.sequence + 1 < SEQUENCES;
        if ledger.recharges < self.recharges && has_place {
            events.push(Event::Recharge);
        }
        if ledger.withdrawals < self.withdrawals && !ledger.withdrawing && has_place {
            events.push(Event::Withdraw);
        }
        let confirmed = hub.sequence == ledger.sequence && !hub.learning && hub.free(state) >= 0;
        if ledger.withdrawing && (confirmed || !rules.withdrawn_from_hub) {
            events.push(Event::PayOut);
        }
        // Each may come again, and after a later one.
        let changes = |sequence: &usize| {
            *sequence > hub.sequence
                || *sequence < hub.sequence && !rules.newest_escrow
                || *sequence > 0 && !rules.absolute_escrow && hub.escrow < 2 * STEP
        };
        let sequences = (0..=ledger.sequence).filter(changes);
        events.extend(sequences.map(|sequence| Event::TellEscrow { sequence }));
    }

    pub(super) fn tell_escrow(&self, state: &mut State, sequence: usize) {
        let hub = &mut state.hub;
        if !self.rules.absolute_escrow {
            hub.escrow += STEP;
        } else if sequence >= hub.sequence || !self.rules.newest_escrow {
            (hub.sequence, hub.escrow) = (sequence, state.ledger.escrows[sequence]);
        }
    }

    /// The hub begins anew, from the database.
    pub(super) fn lose_memory(&self, state: &mut State) {
        state.memory_losses += 1;
        let dead = state.hub.dead;
        let registered = dead.map(|dead| !(dead && self.rules.dead_stays_dead));
        let mut hub = Hub { registered, dead, learning: self.rules.learn, ..Hub::default() };
        (hub.sequence, hub.escrow) = (state.ledger.sequence, state.ledger.escrow());
        for node in 0..NODES {
            for call in 0..CALLS {
                let posted = state.ledger.posted[node][call] > 0 && self.rules.unposted;
                if let (true, Life::Ended { cost, .. }) = (posted, state.nodes[node].calls[call]) {
                    hub.calls[node][call] = AtHub::Ended { cost };
                }
            }
            // The connections died with the memory.
            (state.nodes[node].request, state.nodes[node].again) = (None, None);
            (state.nodes[node].reply, state.nodes[node].due) = (None, true);
        }
        state.hub = hub;
    }
}

/// What live calls hold, and what ended ones cost whose records are somewhere.
pub(super) fn used_in_truth(state: &State) -> i8 {
    let used = |node: usize, call: usize| match state.nodes[node].calls[call] {
        Life::Live => HOLD,
        Life::Ended { cost, .. } => {
            let at_hub = matches!(state.hub.calls[node][call], AtHub::Ended { .. });
            let kept = state.nodes[node].serves() && state.hub.registered[node];
            if at_hub || kept || state.ledger.posted[node][call] > 0 { cost } else { 0 }
        }
        _ => 0,
    };
    let calls = (0..NODES).flat_map(|node| (0..CALLS).map(move |call| (node, call)));
    calls.map(|(node, call)| used(node, call)).sum()
}
