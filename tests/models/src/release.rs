//! The units of one holder's lease while its calls are released on any path, more than once, and the
//! holder crashes or is reaped alive. Invariant I3 of the lease protocol: a unit is never free while a
//! call lives on it.

use stateright::{Model, Property};

use crate::{Expected, Outcome, Run, explore};

/// Units of the lease.
const UNITS: u8 = 3;
const CALLS: usize = 4;
/// How often a stack releases one call at most.
const RELEASES_MAX: u8 = 2;

/// Which rules a run follows, and how much is assumed of time.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule or a fault that stands alone")]
pub struct Config {
    /// A freed unit is used again only after its tombstone is at the hub.
    quarantine: bool,
    /// A reap releases the calls that wait in the holder's mailbox.
    empty_mailbox: bool,
    /// The hub knows by name the calls that were flushed, and frees each one's own unit.
    named: bool,
    /// Admits that may be unflushed, and units kept for them at a reap; `None`: any number, and the
    /// whole lease.
    credit: Option<u8>,
    /// A live holder may be reaped that has not fenced itself.
    reaped_alive: bool,
    /// What is kept for unflushed admits may be returned before that holder is fenced.
    returned_early: bool,
}

const ALL_RULES: Config = Config {
    quarantine: true,
    empty_mailbox: true,
    named: true,
    credit: Some(1),
    reaped_alive: false,
    returned_early: false,
};

/// A call as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Call {
    #[default]
    New,
    Live,
    Ended,
}

/// A call as its holder knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum AtHolder {
    #[default]
    Unknown,
    Live,
    Closed,
}

/// A call as the hub knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum AtHub {
    #[default]
    Unknown,
    Live,
    Tombstone,
}

/// What the holder has not flushed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Unflushed {
    Admitted(usize),
    Ended(usize),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    up: bool,
    fenced: bool,
    reaped: bool,
    free: u8,
    quarantined: u8,
    lease: u8,
    /// Units kept after a reap for calls that the hub does not know by name.
    anonymous: u8,
    /// Units back at the hub.
    pool: u8,
    calls: [Call; CALLS],
    at_holder: [AtHolder; CALLS],
    at_hub: [AtHub; CALLS],
    queue: Vec<Unflushed>,
    /// Releases that came to the hub for the holder.
    mailbox: Vec<usize>,
    releases: [u8; CALLS],
}

impl State {
    fn live(&self) -> u8 {
        self.calls.iter().map(|call| u8::from(*call == Call::Live)).sum()
    }

    fn unflushed_admits(&self) -> u8 {
        let admitted = |event: &Unflushed| u8::from(matches!(event, Unflushed::Admitted(_)));
        self.queue.iter().map(admitted).sum()
    }

    const fn serves(&self) -> bool {
        self.up && !self.fenced
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    Admit(usize),
    Flush,
    HangUp(usize),
    ReleaseAtHolder(usize),
    ReleaseElsewhere(usize),
    ReadMailbox,
    Crash,
    Reap,
    ReturnAnonymous,
    ExpireNamed(usize),
    /// A renew with the call's token, at any gateway.
    Adopt(usize),
}

struct Releases(Config);

const NEVER_BOTH: &str = "I3: no unit is free while a call lives on it";
const RECOVERED: &str = "all units are back after a reap";

impl Releases {
    /// The holder closes a call that it knows as live.
    fn close(&self, state: &mut State, call: usize) {
        if state.at_holder[call] != AtHolder::Live {
            return;
        }
        state.at_holder[call] = AtHolder::Closed;
        state.queue.push(Unflushed::Ended(call));
        if self.0.quarantine {
            state.quarantined += 1;
        } else {
            state.free += 1;
        }
    }

    /// The hub releases a call of a reaped holder: a named one frees its own unit, another one of those
    /// that are kept.
    fn close_at_hub(&self, state: &mut State, call: usize) {
        let named = self.0.named && state.at_hub[call] == AtHub::Live;
        state.at_hub[call] = AtHub::Tombstone;
        if named {
            state.pool += 1;
        } else if state.anonymous > 0 {
            state.anonymous -= 1;
            state.pool += 1;
        }
    }

    fn flush(&self, state: &mut State) {
        if state.reaped {
            // The hub takes nothing from a holder that it has struck out.
            state.fenced = true;
            state.queue.clear();
            (state.free, state.quarantined) = (0, 0);
            return;
        }
        for event in std::mem::take(&mut state.queue) {
            match event {
                Unflushed::Admitted(call) if state.at_hub[call] == AtHub::Unknown => {
                    state.at_hub[call] = AtHub::Live;
                }
                Unflushed::Admitted(_) => {}
                Unflushed::Ended(call) => {
                    state.at_hub[call] = AtHub::Tombstone;
                    if self.0.quarantine {
                        state.quarantined -= 1;
                        state.free += 1;
                    }
                }
            }
        }
    }

    fn reap(&self, state: &mut State) {
        state.reaped = true;
        let live = state.at_hub.iter().map(|call| u8::from(*call == AtHub::Live)).sum();
        let named = if self.0.named { live } else { 0 };
        let rest = std::mem::take(&mut state.lease) - named;
        let kept = self.0.credit.map_or(rest, |credit| rest.min(credit));
        state.anonymous += kept;
        state.pool += rest - kept;
        if !state.up {
            (state.free, state.quarantined) = (0, 0);
        }
        for call in std::mem::take(&mut state.mailbox) {
            if self.0.empty_mailbox && state.at_hub[call] != AtHub::Tombstone {
                self.close_at_hub(state, call);
            }
        }
    }

    fn release_elsewhere(&self, state: &mut State, call: usize) {
        state.releases[call] += 1;
        if state.at_hub[call] == AtHub::Tombstone {
            return;
        }
        if state.reaped {
            self.close_at_hub(state, call);
        } else if !state.mailbox.contains(&call) {
            state.mailbox.push(call);
        }
    }

    fn events_of_call(&self, state: &State, call: usize, events: &mut Vec<Event>) {
        let may_admit = self.0.credit.is_none_or(|credit| state.unflushed_admits() < credit);
        if state.serves() && state.free > 0 && state.calls[call] == Call::New && may_admit {
            events.push(Event::Admit(call));
        }
        if state.calls[call] == Call::Live {
            events.push(Event::HangUp(call));
        }
        if state.calls[call] == Call::Ended && state.releases[call] < RELEASES_MAX {
            if state.serves() {
                events.push(Event::ReleaseAtHolder(call));
            }
            events.push(Event::ReleaseElsewhere(call));
        }
    }

    fn events_after_reap(&self, state: &State, events: &mut Vec<Event>) {
        if !self.0.named {
            if state.anonymous > state.live() {
                events.push(Event::ReturnAnonymous);
            }
            return;
        }
        for call in 0..CALLS {
            let (live, at_hub) = (state.calls[call] == Call::Live, state.at_hub[call]);
            if live && at_hub == AtHub::Unknown && state.anonymous > 0 {
                events.push(Event::Adopt(call));
            }
            if !live && at_hub == AtHub::Live {
                // Not renewed for the call lease.
                events.push(Event::ExpireNamed(call));
            }
        }
        // Every live call had the call lease to be renewed, and to be named by it.
        let known =
            |call: usize| state.calls[call] != Call::Live || state.at_hub[call] == AtHub::Live;
        let silent = !state.serves() || self.0.returned_early;
        if state.anonymous > 0 && silent && (0..CALLS).all(known) {
            events.push(Event::ReturnAnonymous);
        }
    }

    fn apply(&self, state: &mut State, event: Event) {
        match event {
            Event::Admit(call) => {
                state.free -= 1;
                state.calls[call] = Call::Live;
                state.at_holder[call] = AtHolder::Live;
                state.queue.push(Unflushed::Admitted(call));
            }
            Event::Flush => self.flush(state),
            Event::HangUp(call) => state.calls[call] = Call::Ended,
            Event::ReleaseAtHolder(call) => {
                state.releases[call] += 1;
                self.close(state, call);
            }
            Event::ReleaseElsewhere(call) => self.release_elsewhere(state, call),
            Event::ReadMailbox => {
                let call = state.mailbox.remove(0);
                self.close(state, call);
            }
            Event::Crash => {
                state.up = false;
                state.queue.clear();
            }
            Event::Reap => self.reap(state),
            Event::ReturnAnonymous => {
                // By name they go as a whole, else one by one.
                let units = if self.0.named { state.anonymous } else { 1 };
                state.anonymous -= units;
                state.pool += units;
            }
            Event::ExpireNamed(call) => {
                state.at_hub[call] = AtHub::Tombstone;
                state.pool += 1;
            }
            Event::Adopt(call) => {
                state.anonymous -= 1;
                state.at_hub[call] = AtHub::Live;
            }
        }
    }
}

impl Model for Releases {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            up: true,
            fenced: false,
            reaped: false,
            free: UNITS,
            quarantined: 0,
            lease: UNITS,
            anonymous: 0,
            pool: 0,
            calls: [Call::New; CALLS],
            at_holder: [AtHolder::Unknown; CALLS],
            at_hub: [AtHub::Unknown; CALLS],
            queue: Vec::new(),
            mailbox: Vec::new(),
            releases: [0; CALLS],
        }]
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        (0..CALLS).for_each(|call| self.events_of_call(state, call, events));
        if state.serves() && !state.queue.is_empty() {
            events.push(Event::Flush);
        }
        if state.serves() && !state.reaped && !state.mailbox.is_empty() {
            events.push(Event::ReadMailbox);
        }
        if state.up {
            events.push(Event::Crash);
        }
        if !state.reaped && (!state.up || self.0.reaped_alive) {
            events.push(Event::Reap);
        }
        if state.reaped {
            self.events_after_reap(state, events);
        }
    }

    fn next_state(&self, state: &State, event: Event) -> Option<State> {
        let mut next = state.clone();
        self.apply(&mut next, event);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NEVER_BOTH, |_, state: &State| {
                let free = if state.up && !state.reaped { state.free } else { 0 };
                state.pool + free + state.live() <= UNITS
            }),
            Property::sometimes(RECOVERED, |_, state: &State| state.reaped && state.pool == UNITS),
        ]
    }
}

/// Explores one run.
pub fn check(config: Config) -> Outcome {
    explore(Releases(config), &[NEVER_BOTH], &[RECOVERED])
}

/// The runs; the names are those of the lease protocol's list.
pub const RUNS: [Run<Config>; 9] = [
    Run {
        name: "B1 what a dead holder leaves is one number",
        expected: Expected::Breaks("I3"),
        small: true,
        config: Config { named: false, credit: None, ..ALL_RULES },
    },
    Run {
        name: "B2 a freed unit is used before its tombstone is flushed",
        expected: Expected::Breaks("I3"),
        small: true,
        config: Config { quarantine: false, credit: None, ..ALL_RULES },
    },
    Run {
        name: "B3 without a credit, the mailbox is dropped at a reap",
        expected: Expected::Holds,
        small: true,
        config: Config { empty_mailbox: false, credit: None, ..ALL_RULES },
    },
    Run {
        name: "B4 without a credit",
        expected: Expected::Holds,
        small: true,
        config: Config { credit: None, ..ALL_RULES },
    },
    Run { name: "B5 all rules", expected: Expected::Holds, small: true, config: ALL_RULES },
    Run {
        name: "B6 all rules, a credit of two",
        expected: Expected::Holds,
        small: true,
        config: Config { credit: Some(2), ..ALL_RULES },
    },
    Run {
        name: "B7 a live holder is reaped",
        expected: Expected::Holds,
        small: true,
        config: Config { reaped_alive: true, ..ALL_RULES },
    },
    Run {
        name: "B8 a live holder is reaped, without a credit",
        expected: Expected::Holds,
        small: false,
        config: Config { reaped_alive: true, credit: None, ..ALL_RULES },
    },
    Run {
        name: "B9 what is kept for a reaped holder returns before it is fenced",
        expected: Expected::Breaks("I3"),
        small: true,
        config: Config { reaped_alive: true, returned_early: true, ..ALL_RULES },
    },
];
