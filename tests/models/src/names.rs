//! One name of a call at two gateways: a stack that hears nothing at one asks the other. Whatever becomes
//! of exchanges and patience, a call of which it was told counts somewhere: at the hub, or at the gateway
//! that told it (rules 10 and 17, invariant I1).

use std::mem;

use stateright::{Model, Property};

use crate::{Expected, Outcome, Run, explore};

const GATEWAYS: usize = 2;
/// How often the stack asks in all, wherever.
const ASKS_MAX: u8 = 4;

#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// An admission that was told waits at the hub while one that was asked for may be undone.
    defers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Told {
    /// The gateway has told its stack: it had credit and a unit.
    Admitted,
    /// The hub is to decide first.
    Wanted,
    Withdrawn,
}

/// What the hub says of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Said {
    Has,
    Rejected,
    Deferred,
}

/// The call at a gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Here {
    #[default]
    Nothing,
    /// The hub decides; whether the stack still waits.
    Asked {
        patient: bool,
    },
    Live,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Gateway {
    here: Here,
    queue: Vec<Told>,
    /// An exchange that the hub has taken, and its reply on the way.
    under_way: Option<Vec<(Told, Said)>>,
}

/// The call at the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Entry {
    gateway: usize,
    /// The gateway asked for it in its last exchange: it may undo it.
    asked: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    gateways: [Gateway; GATEWAYS],
    hub: Option<Entry>,
    asks: u8,
    /// A gateway told the stack that the call is live.
    told: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Answered at once.
    Admit(usize),
    /// The hub decides.
    Ask(usize),
    /// The stack hears that there was no answer.
    GiveUp(usize),
    /// The hub takes what the gateway has to tell.
    Exchange(usize),
    Reply(usize),
    /// The reply does not come.
    Lost(usize),
}

struct Names(Config);

const COUNTED: &str = "I1: a call of which a stack was told counts somewhere";
const MOVED: &str = "an admission that was told stands after another was undone";

impl Names {
    /// At the hub, in one step.
    fn exchange(&self, state: &mut State, gateway: usize) {
        let told = mem::take(&mut state.gateways[gateway].queue);
        // Whatever it asked for before, it knows by now, or undoes it in this exchange.
        if let Some(entry) = state.hub.as_mut().filter(|entry| entry.gateway == gateway) {
            entry.asked = false;
        }
        let said = told.into_iter().map(|event| {
            let said = match (event, state.hub) {
                (Told::Withdrawn, Some(entry)) if entry.gateway == gateway => {
                    state.hub = None;
                    Said::Has
                }
                (Told::Withdrawn, _) => Said::Has,
                (_, None) => {
                    state.hub = Some(Entry { gateway, asked: event == Told::Wanted });
                    Said::Has
                }
                (_, Some(entry)) if entry.gateway == gateway => Said::Has,
                (Told::Admitted, Some(entry)) if self.0.defers && entry.asked => Said::Deferred,
                _ => Said::Rejected,
            };
            (event, said)
        });
        let said = said.collect();
        state.gateways[gateway].under_way = Some(said);
    }

    fn reply(state: &mut State, gateway: usize) {
        let at = &mut state.gateways[gateway];
        let mut again = Vec::new();
        for (event, said) in at.under_way.take().into_iter().flatten() {
            match (event, said, at.here) {
                (Told::Admitted, Said::Deferred, _) => again.push(event),
                (Told::Admitted | Told::Wanted, Said::Rejected, _) => {
                    at.here = Here::Nothing;
                }
                (Told::Wanted, _, Here::Asked { patient: true }) => {
                    at.here = Here::Live;
                    state.told = true;
                }
                (Told::Wanted, ..) => {
                    at.here = Here::Nothing;
                    at.queue.insert(0, Told::Withdrawn);
                }
                _ => {}
            }
        }
        again.append(&mut at.queue);
        at.queue = again;
    }

    /// Facts are told again; what was asked for is undone.
    fn lost(state: &mut State, gateway: usize) {
        let at = &mut state.gateways[gateway];
        let mut again = Vec::new();
        for (event, _) in at.under_way.take().into_iter().flatten() {
            again.push(if event == Told::Wanted {
                at.here = Here::Nothing;
                Told::Withdrawn
            } else {
                event
            });
        }
        again.append(&mut at.queue);
        at.queue = again;
    }
}

impl Model for Names {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        for (number, gateway) in state.gateways.iter().enumerate() {
            if gateway.here == Here::Nothing && state.asks < ASKS_MAX {
                events.extend([Event::Admit(number), Event::Ask(number)]);
            }
            if gateway.here == (Here::Asked { patient: true }) {
                events.push(Event::GiveUp(number));
            }
            match gateway.under_way {
                Some(_) => events.extend([Event::Reply(number), Event::Lost(number)]),
                None if gateway.queue.is_empty() => {}
                None => events.push(Event::Exchange(number)),
            }
        }
    }

    fn next_state(&self, state: &State, event: Event) -> Option<State> {
        let mut next = state.clone();
        match event {
            Event::Admit(gateway) => {
                next.asks += 1;
                next.told = true;
                next.gateways[gateway].here = Here::Live;
                next.gateways[gateway].queue.push(Told::Admitted);
            }
            Event::Ask(gateway) => {
                next.asks += 1;
                next.gateways[gateway].here = Here::Asked { patient: true };
                next.gateways[gateway].queue.push(Told::Wanted);
            }
            Event::GiveUp(gateway) => {
                next.gateways[gateway].here = Here::Asked { patient: false };
            }
            Event::Exchange(gateway) => self.exchange(&mut next, gateway),
            Event::Reply(gateway) => Self::reply(&mut next, gateway),
            Event::Lost(gateway) => Self::lost(&mut next, gateway),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(COUNTED, |_, state: &State| {
                let is_live = |gateway: &Gateway| gateway.here == Here::Live;
                !state.told || state.hub.is_some() || state.gateways.iter().any(is_live)
            }),
            Property::sometimes(MOVED, |_, state: &State| {
                let deferred = |gateway: &Gateway| {
                    gateway.under_way.iter().flatten().any(|(_, said)| *said == Said::Deferred)
                };
                let withdrawn = |gateway: &Gateway| gateway.queue.contains(&Told::Withdrawn);
                state.gateways.iter().any(deferred) && state.gateways.iter().any(withdrawn)
            }),
        ]
    }
}

/// Explores one run.
pub fn check(config: Config) -> Outcome {
    let possible: &[&str] = if config.defers { &[MOVED] } else { &[] };
    explore(Names(config), &[COUNTED], possible)
}

pub const RUNS: [Run<Config>; 2] = [
    Run {
        name: "N1 an admission that was told is refused for one that is then undone",
        expected: Expected::Breaks("I1"),
        small: true,
        config: Config { defers: false },
    },
    Run {
        name: "N2 it waits until the other stands or is undone",
        expected: Expected::Holds,
        small: true,
        config: Config { defers: true },
    },
];
