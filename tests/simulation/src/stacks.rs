//! The stacks: they admit, renew and release calls at any gateway, ask again elsewhere when they hear
//! nothing, and sometimes forget their calls. What they were told is the truth that counts.

use std::collections::BTreeMap;

use hub::clock::SECOND_US;
use rand::Rng;
use rand::rngs::StdRng;

use crate::installation::{accounts, is_from_number};
use crate::node::{Asked, ClientId, Said};
use crate::world::{BUSY_US, GATEWAYS, Happening, World};

/// How long a stack waits for an answer.
const PATIENCE_US: i64 = SECOND_US;
const RENEW_US: i64 = 30 * SECOND_US;

#[derive(Clone, Copy, Debug)]
pub enum StackEvent {
    New,
    Renew(u64),
    Hangup(u64),
    /// The lease as the stack knows it may be over.
    Lapse(u64),
    /// No answer came.
    Tired(ClientId),
    Again(u64, Purpose),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Admit,
    Renew,
    Release,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Asking,
    Live,
    /// Hung up; the release is on its way.
    Releasing,
    Done,
}

#[derive(Debug)]
struct StackCall {
    account: usize,
    home: usize,
    state: State,
    /// It counts against the limits: told admitted, and neither hung up nor lapsed.
    counted: bool,
    until_us: i64,
    tries: u32,
    billable_s: u32,
    /// A release was answered with the receipt.
    receipt: bool,
}

#[derive(Debug)]
pub struct Stacks {
    calls: BTreeMap<u64, StackCall>,
    asked: BTreeMap<ClientId, (u64, Purpose)>,
    next_call: u64,
    next_client: ClientId,
    /// Calls that count, by account.
    pub live: [u32; 2],
    /// Those of them that come from the number.
    pub from_number: u32,
    every_us: i64,
}

impl Stacks {
    pub fn new(rng: &mut StdRng) -> Self {
        Self {
            calls: BTreeMap::new(),
            asked: BTreeMap::new(),
            next_call: 0,
            next_client: 0,
            live: [0, 0],
            from_number: 0,
            every_us: [100_000, 400_000, 1_500_000][rng.random_range(0..3)],
        }
    }

    pub fn begin(world: &mut World) {
        world.after(SECOND_US, Happening::Stack(StackEvent::New));
    }

    pub fn call_id(call: u64) -> Box<str> {
        format!("call-{call}").into()
    }

    pub fn happens(world: &mut World, event: StackEvent) {
        match event {
            StackEvent::New => Self::new_call(world),
            StackEvent::Renew(call) => {
                if world.stacks.is(call, State::Live) {
                    Self::ask(world, call, Purpose::Renew);
                    world.after(RENEW_US, Happening::Stack(StackEvent::Renew(call)));
                }
            }
            StackEvent::Hangup(call) => {
                if world.stacks.is(call, State::Live) {
                    Self::hang_up(world, call);
                }
            }
            StackEvent::Lapse(call) => Self::lapse(world, call),
            StackEvent::Tired(client) => {
                if let Some((call, purpose)) = world.stacks.asked.remove(&client) {
                    Self::no_answer(world, call, purpose);
                }
            }
            StackEvent::Again(call, purpose) => {
                let wanted = match purpose {
                    Purpose::Admit => State::Asking,
                    Purpose::Renew => State::Live,
                    Purpose::Release => State::Releasing,
                };
                if world.stacks.is(call, wanted) {
                    Self::ask(world, call, purpose);
                }
            }
        }
    }

    fn is(&self, call: u64, state: State) -> bool {
        self.calls.get(&call).is_some_and(|known| known.state == state)
    }

    fn new_call(world: &mut World) {
        let call = world.stacks.next_call;
        world.stacks.next_call += 1;
        let known = StackCall {
            account: world.rng.random_range(0..2),
            home: world.rng.random_range(0..GATEWAYS),
            state: State::Asking,
            counted: false,
            until_us: 0,
            tries: 0,
            billable_s: world.rng.random_range(1..60),
            receipt: false,
        };
        world.stacks.calls.insert(call, known);
        Self::ask(world, call, Purpose::Admit);
        let every_us = world.stacks.every_us;
        let next_us = world.rng.random_range(0..2 * every_us);
        if world.now_us + next_us < BUSY_US {
            world.after(next_us, Happening::Stack(StackEvent::New));
        }
    }

    fn ask(world: &mut World, call: u64, purpose: Purpose) {
        let stacks = &mut world.stacks;
        let client = stacks.next_client;
        stacks.next_client += 1;
        stacks.asked.insert(client, (call, purpose));
        let Some(known) = stacks.calls.get_mut(&call) else {
            return;
        };
        known.tries += 1;
        let (account, call_id) = (accounts()[known.account], Self::call_id(call));
        let asked = match purpose {
            Purpose::Admit => Asked::Admit { account, call_id },
            Purpose::Renew => Asked::Renew { account, call_id },
            Purpose::Release => Asked::Release { account, call_id, billable_s: known.billable_s },
        };
        // Mostly the gateway that admitted; any other when that did not answer.
        let elsewhere = known.tries > 1 || world.rng.random_ratio(1, 10);
        let home = known.home;
        let gateway = if elsewhere { world.rng.random_range(0..GATEWAYS) } else { home };
        let delay_us = world.rng.random_range(100..1_000);
        world.after(delay_us, Happening::Ask { gateway, client, asked });
        world.after(PATIENCE_US, Happening::Stack(StackEvent::Tired(client)));
    }

    /// A gateway says it now: an admission counts from here on, though the stack hears it later.
    pub fn is_said(world: &mut World, gateway: usize, client: ClientId, said: &Said) {
        let Some((call, purpose)) = world.stacks.asked.get(&client).copied() else {
            return;
        };
        let Said::Live { until_us } = said else {
            return;
        };
        let until_us = world.world_time(gateway, *until_us);
        let stacks = &mut world.stacks;
        let Some(known) = stacks.calls.get_mut(&call) else {
            return;
        };
        let going = match purpose {
            Purpose::Admit => known.state == State::Asking,
            Purpose::Renew => known.state == State::Live,
            Purpose::Release => false,
        };
        if !going || until_us <= world.now_us {
            return;
        }
        if !known.counted {
            known.counted = true;
            stacks.live[known.account] += 1;
            stacks.from_number += comes_from_number(call);
        }
        known.until_us = known.until_us.max(until_us);
        let at_us = known.until_us;
        world.at(at_us, Happening::Stack(StackEvent::Lapse(call)));
    }

    fn lapse(world: &mut World, call: u64) {
        let stacks = &mut world.stacks;
        let Some(known) = stacks.calls.get_mut(&call) else {
            return;
        };
        if known.counted && known.until_us <= world.now_us {
            known.counted = false;
            stacks.live[known.account] -= 1;
            stacks.from_number -= comes_from_number(call);
            known.state = State::Done;
        }
    }

    fn uncount(&mut self, call: u64, state: State) {
        if let Some(known) = self.calls.get_mut(&call) {
            if known.counted {
                self.live[known.account] -= 1;
                self.from_number -= comes_from_number(call);
            }
            (known.counted, known.state) = (false, state);
        }
    }

    fn hang_up(world: &mut World, call: u64) {
        world.stacks.uncount(call, State::Releasing);
        if let Some(known) = world.stacks.calls.get_mut(&call) {
            known.tries = 0;
        }
        Self::ask(world, call, Purpose::Release);
    }

    pub fn hears(world: &mut World, client: ClientId, said: &Said) {
        let Some((call, purpose)) = world.stacks.asked.remove(&client) else {
            return;
        };
        if *said == Said::Unavailable {
            world.summary.unavailable += u64::from(purpose == Purpose::Admit);
            return Self::no_answer(world, call, purpose);
        }
        match purpose {
            Purpose::Admit => Self::hears_of_admit(world, call, said),
            Purpose::Renew => {
                if matches!(said, Said::Ended | Said::Unknown) && world.stacks.is(call, State::Live)
                {
                    world.stacks.uncount(call, State::Done);
                }
            }
            Purpose::Release => {
                if let Some(known) = world.stacks.calls.get_mut(&call) {
                    known.receipt |= *said == Said::Ended;
                }
                world.stacks.uncount(call, State::Done);
            }
        }
    }

    fn hears_of_admit(world: &mut World, call: u64, said: &Said) {
        if !world.stacks.is(call, State::Asking) {
            return;
        }
        match said {
            Said::Live { .. } => {
                world.summary.admitted += 1;
                if let Some(known) = world.stacks.calls.get_mut(&call) {
                    (known.state, known.tries) = (State::Live, 0);
                }
                let lasts_us = world.rng.random_range(SECOND_US..100 * SECOND_US);
                // Some stacks forget their calls: nobody renews or releases them.
                if world.rng.random_ratio(19, 20) {
                    world.after(lasts_us, Happening::Stack(StackEvent::Hangup(call)));
                    world.after(RENEW_US, Happening::Stack(StackEvent::Renew(call)));
                }
            }
            Said::NoSlot => {
                world.summary.refused += 1;
                world.stacks.uncount(call, State::Done);
            }
            Said::NoMoney => {
                world.summary.no_money += 1;
                world.stacks.uncount(call, State::Done);
            }
            Said::Ended | Said::Unknown | Said::Unavailable => {
                world.stacks.uncount(call, State::Done);
            }
        }
    }

    /// Asks again, elsewhere; who gives an admit up releases it, for it may have been granted.
    fn no_answer(world: &mut World, call: u64, purpose: Purpose) {
        let Some(known) = world.stacks.calls.get(&call) else {
            return;
        };
        let (delay_us, tries_max) = match purpose {
            Purpose::Admit => (50_000, 3),
            Purpose::Renew => (SECOND_US, 60),
            Purpose::Release => (SECOND_US, 300),
        };
        if known.tries < tries_max {
            let again = StackEvent::Again(call, purpose);
            world.after(delay_us, Happening::Stack(again));
        } else if purpose == Purpose::Admit && known.state == State::Asking {
            Self::hang_up(world, call);
        }
    }

    /// Calls whose release was answered with a receipt.
    pub fn with_receipt(&self) -> impl Iterator<Item = (usize, u64)> {
        let calls = self.calls.iter().filter(|(_, known)| known.receipt);
        calls.map(|(call, known)| (known.account, *call))
    }
}

fn comes_from_number(call: u64) -> u32 {
    is_from_number(&Stacks::call_id(call)).into()
}
