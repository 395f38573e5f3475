//! The hub's clock: a number that only observers advance, each by what it measured on its own clock,
//! while the hub itself reads none. It may stand still, and never runs ahead: no unit that a reap keeps
//! is free before the call lease has passed in truth.

use stateright::{Model, Property};

use crate::{Expected, Outcome, Run, explore};

const OBSERVERS: usize = 2;
const REAPS: usize = 2;
/// The call lease, for which a reap keeps units, in ticks.
const CALL_LEASE: u8 = 2;
/// The exploration ends here.
const TIME_MAX: u8 = 4;

/// How the claims of observers that began before a reap are told from later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Nothing,
    /// The reap advances the tick by one.
    Tick,
    /// The reap advances a number beside the tick, that claims must name too.
    Number,
}

/// Which rules a run follows.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    reaps: usize,
    mark: Mark,
    /// The longest time that one claim may cover.
    claim_max: u8,
    /// Added to the deadline of what a reap keeps.
    margin: u8,
    /// A claim counts only while the tick is the one that its observer saw; else the tick becomes what
    /// was claimed if that is later.
    compare: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Tick {
    tick: u8,
    number: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Claim {
    saw: Tick,
    elapsed: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Observer {
    /// What it saw, and when by its own clock.
    seen: Option<(Tick, u8)>,
    /// On its way to the hub; an exchange that is lost may arrive late.
    claim: Option<Claim>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kept {
    /// When the reap was, in truth.
    since: u8,
    /// The tick with which it ends.
    until: u8,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    now: u8,
    hub: Tick,
    observers: [Observer; OBSERVERS],
    kept: [Option<Kept>; REAPS],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    Pass,
    See(usize),
    Claim(usize),
    Execute(usize),
    Reap(usize),
}

struct Ticks(Config);

const NEVER_EARLY: &str = "I1: what a reap keeps is kept for the call lease";
const ENDS: &str = "what every reap kept is free again";

impl Ticks {
    fn execute(&self, hub: &mut Tick, claim: Claim) {
        let claimed = claim.saw.tick + claim.elapsed.min(self.0.claim_max);
        if !self.0.compare {
            hub.tick = hub.tick.max(claimed);
        } else if *hub == claim.saw {
            hub.tick = claimed;
        }
    }

    fn reap(&self, state: &mut State, reap: usize) {
        match self.0.mark {
            Mark::Nothing => {}
            Mark::Tick => state.hub.tick += 1,
            Mark::Number => state.hub.number += 1,
        }
        let until = state.hub.tick + CALL_LEASE + self.0.margin;
        state.kept[reap] = Some(Kept { since: state.now, until });
    }
}

impl Model for Ticks {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        if state.now < TIME_MAX {
            events.push(Event::Pass);
        }
        for (index, observer) in state.observers.iter().enumerate() {
            events.push(Event::See(index));
            if observer.seen.is_some() && observer.claim.is_none() {
                events.push(Event::Claim(index));
            }
            if observer.claim.is_some() {
                events.push(Event::Execute(index));
            }
        }
        if let Some(next) = (0..self.0.reaps).find(|reap| state.kept[*reap].is_none()) {
            events.push(Event::Reap(next));
        }
    }

    fn next_state(&self, state: &State, event: Event) -> Option<State> {
        let mut next = state.clone();
        match event {
            Event::Pass => next.now += 1,
            Event::See(index) => next.observers[index].seen = Some((state.hub, state.now)),
            Event::Claim(index) => {
                let (saw, at) = state.observers[index].seen?;
                next.observers[index].claim = Some(Claim { saw, elapsed: state.now - at });
            }
            Event::Execute(index) => {
                let claim = next.observers[index].claim.take()?;
                self.execute(&mut next.hub, claim);
            }
            Event::Reap(reap) => self.reap(&mut next, reap),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NEVER_EARLY, |_, state: &State| {
                let early = |kept: &Kept| {
                    state.hub.tick >= kept.until && state.now < kept.since + CALL_LEASE
                };
                !state.kept.iter().flatten().any(early)
            }),
            Property::sometimes(ENDS, |model: &Self, state: &State| {
                let over = |kept: &&Kept| state.hub.tick >= kept.until;
                state.kept.iter().flatten().filter(over).count() == model.0.reaps
            }),
        ]
    }
}

/// Explores one run.
pub fn check(config: Config) -> Outcome {
    explore(Ticks(config), &[NEVER_EARLY], &[ENDS])
}

/// Claims cover any time, and no deadline is later for it; two reaps.
const UNBOUNDED: Config =
    Config { reaps: 2, mark: Mark::Nothing, claim_max: u8::MAX, margin: 0, compare: true };

/// The runs.
pub const RUNS: [Run<Config>; 7] = [
    Run {
        name: "T1 compare and set, a number marks the reap",
        expected: Expected::Holds,
        small: true,
        config: Config { mark: Mark::Number, ..UNBOUNDED },
    },
    Run {
        name: "T2 compare and set, claims are bounded and deadlines later by that",
        expected: Expected::Holds,
        small: true,
        config: Config { claim_max: 1, margin: 1, ..UNBOUNDED },
    },
    Run {
        name: "T3 claims are bounded, deadlines are no later",
        expected: Expected::Breaks("I1"),
        small: true,
        config: Config { claim_max: 1, ..UNBOUNDED },
    },
    Run {
        name: "T4 nothing marks the reap: a claim from before it counts",
        expected: Expected::Breaks("I1"),
        small: true,
        config: Config { reaps: 1, ..UNBOUNDED },
    },
    Run {
        name: "T5 compare and set, a tick more marks the one reap",
        expected: Expected::Holds,
        small: true,
        config: Config { reaps: 1, mark: Mark::Tick, ..UNBOUNDED },
    },
    Run {
        name: "T6 a tick more marks the second reap: the first one's deadline comes sooner",
        expected: Expected::Breaks("I1"),
        small: true,
        config: Config { mark: Mark::Tick, ..UNBOUNDED },
    },
    Run {
        name: "T7 the later of the tick and what is claimed",
        expected: Expected::Breaks("I1"),
        small: true,
        config: Config { reaps: 1, mark: Mark::Tick, compare: false, ..UNBOUNDED },
    },
];
