//! How long a call may live that its gateway answers while the hub cannot be reached, against how long
//! a reap keeps its unit. Time is in ticks and the same everywhere: what matters is from when each
//! counts. Invariant I1 of the lease protocol with one unit, one gateway that has it and may be a
//! zombie, and everybody else, who takes the unit as soon as the hub has it.

use stateright::{Model, Property};

use crate::{Expected, Outcome, Run, explore};

/// The protocol's `T_fence`, `T_call` and `D_reclaim`.
const FENCE: u8 = 2;
const CALL_LEASE: u8 = 4;
const RECLAIM: u8 = 1;
/// The exploration ends here: everything can have ended by then.
const TIME_MAX: u8 = 11;

/// What the deadline of an admitted or renewed call counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    /// The sending of the last exchange that was acknowledged.
    Sent,
    /// The arrival of its acknowledgement; the fence then counts from it too.
    Acknowledged,
    /// The instant of the answer.
    Now,
}

/// Which rules a run follows.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    base: Base,
    /// The hub may know the call: else it is never flushed.
    flushes: bool,
    kept_from: KeptFrom,
}

/// What the time counts from for which a reap keeps the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeptFrom {
    Reap,
    /// The last exchange that the hub took of the holder.
    Beat,
}

/// An exchange on its way to the hub, or its acknowledgement on the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Exchange {
    sent: u8,
    /// The deadline that it tells of the call.
    deadline: Option<u8>,
    taken: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    now: u8,
    /// Of the last acknowledged exchange, by the rule in force.
    base: u8,
    /// Until when the client has been told its call may live.
    deadline: Option<u8>,
    exchange: Option<Exchange>,
    /// When the hub took the last exchange.
    beat: u8,
    /// The call's deadline as the hub knows it.
    recorded: Option<u8>,
    /// Until when the unit is kept after the reap, for the call by its name or without.
    kept_until: Option<u8>,
    /// Somebody else has the unit.
    taken_elsewhere: bool,
}

impl State {
    fn is_live(&self) -> bool {
        self.deadline.is_some_and(|deadline| self.now < deadline)
    }

    const fn is_fenced(&self) -> bool {
        self.now > self.base + FENCE
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    Tick,
    Send,
    Lose,
    Execute,
    Acknowledge,
    /// Admits the call, or renews it.
    Answer,
    Reap,
    /// The hub leases the unit to somebody else, who admits a call on it.
    TakeElsewhere,
}

struct Deadlines(Config);

const NEVER_BOTH: &str = "I1: a unit carries one call at a time";
const USED_AGAIN: &str = "the unit carries another call after the first";

impl Deadlines {
    fn answer(&self, state: &mut State) {
        let base = if self.0.base == Base::Now { state.now } else { state.base };
        state.deadline = state.deadline.max(Some(base + CALL_LEASE));
    }

    fn acknowledge(&self, state: &mut State, exchange: Exchange) {
        let received = self.0.base == Base::Acknowledged;
        state.base = if received { state.now } else { exchange.sent };
        state.exchange = None;
    }

    fn execute(&self, state: &mut State, exchange: Exchange) {
        if state.kept_until.is_some() {
            // The hub takes nothing from a holder that it has struck out.
            state.exchange = None;
            return;
        }
        state.beat = state.now;
        if self.0.flushes {
            state.recorded = state.recorded.max(exchange.deadline);
        }
        state.exchange = Some(Exchange { taken: true, ..exchange });
    }
}

impl Model for Deadlines {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        if state.now < TIME_MAX {
            events.push(Event::Tick);
        }
        match state.exchange {
            None => events.push(Event::Send),
            Some(exchange) if exchange.taken => events.extend([Event::Acknowledge, Event::Lose]),
            Some(_) => events.extend([Event::Execute, Event::Lose]),
        }
        let may_answer = !state.is_fenced() && (state.deadline.is_none() || state.is_live());
        if may_answer {
            events.push(Event::Answer);
        }
        if state.kept_until.is_none() && state.now >= state.beat + RECLAIM {
            events.push(Event::Reap);
        }
        if state.kept_until.is_some_and(|until| state.now >= until) && !state.taken_elsewhere {
            events.push(Event::TakeElsewhere);
        }
    }

    fn next_state(&self, state: &State, event: Event) -> Option<State> {
        let mut next = state.clone();
        match event {
            Event::Tick => next.now += 1,
            Event::Send => {
                let (sent, deadline) = (state.now, state.deadline);
                next.exchange = Some(Exchange { sent, deadline, taken: false });
            }
            Event::Lose => next.exchange = None,
            Event::Execute => self.execute(&mut next, state.exchange?),
            Event::Acknowledge => self.acknowledge(&mut next, state.exchange?),
            Event::Answer => self.answer(&mut next),
            Event::Reap => {
                let from = match self.0.kept_from {
                    KeptFrom::Reap => state.now,
                    KeptFrom::Beat => state.beat,
                };
                next.kept_until = Some(from + CALL_LEASE).max(state.recorded);
            }
            Event::TakeElsewhere => next.taken_elsewhere = true,
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NEVER_BOTH, |_, state: &State| {
                !(state.taken_elsewhere && state.is_live())
            }),
            Property::sometimes(USED_AGAIN, |_, state: &State| {
                state.taken_elsewhere && state.deadline.is_some()
            }),
        ]
    }
}

/// Explores one run.
pub fn check(config: Config) -> Outcome {
    explore(Deadlines(config), &[NEVER_BOTH], &[USED_AGAIN])
}

/// As the protocol has it, of a call that is flushed or not.
const ALL_RULES: Config = Config { base: Base::Sent, flushes: true, kept_from: KeptFrom::Reap };

/// The runs.
pub const RUNS: [Run<Config>; 6] = [
    Run {
        name: "D1 a call lives from the sending of the last acknowledged exchange",
        expected: Expected::Holds,
        small: true,
        config: ALL_RULES,
    },
    Run {
        name: "D2 the same, of a call that is never flushed",
        expected: Expected::Holds,
        small: true,
        config: Config { flushes: false, ..ALL_RULES },
    },
    Run {
        name: "D3 the same, and its unit is kept from the last exchange only",
        expected: Expected::Holds,
        small: true,
        config: Config { kept_from: KeptFrom::Beat, ..ALL_RULES },
    },
    Run {
        name: "D4 a call lives from its answer, never flushed",
        expected: Expected::Breaks("I1"),
        small: true,
        config: Config { base: Base::Now, flushes: false, ..ALL_RULES },
    },
    Run {
        name: "D5 a call lives from its renewal's answer",
        expected: Expected::Breaks("I1"),
        small: true,
        config: Config { base: Base::Now, ..ALL_RULES },
    },
    Run {
        name: "D6 a call lives from the arrival of the acknowledgement",
        expected: Expected::Breaks("I1"),
        small: true,
        config: Config { base: Base::Acknowledged, ..ALL_RULES },
    },
];
