//! A telephony stack: admits calls at any gateway, holds, renews and releases them, asks elsewhere when
//! it hears nothing, and forgets some. Writes down what it was told; judges nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use support::history::Refused;
use support::{Client, Nanos, now, pause};

use crate::health::Health;
use crate::story::{End, Receipt, SETTLED_REQUESTS, Story};
use crate::wire::{Asked, Said, ask};

/// How long a stack waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
const TRIES_MAX: u32 = 4;
/// One stack in so many.
const WITHOUT_TOKENS: usize = 4;
/// How often a stack that waits looks whether all is over.
const GLANCE: Duration = Duration::from_millis(200);
const SECOND: Nanos = 1_000_000_000;

/// What all stacks share.
pub struct Surroundings {
    pub gateways: Vec<SocketAddr>,
    pub key: String,
    pub health: Arc<Health>,
    pub call_lease_s: u32,
    /// No new calls; live ones end.
    pub is_closing: AtomicBool,
    /// What is not over by now stays open.
    pub is_over: AtomicBool,
}

impl Surroundings {
    fn was_whole(&self, asked: &Asked) -> bool {
        let settled = u64::try_from(SETTLED_REQUESTS.as_nanos()).unwrap_or(u64::MAX);
        self.health.whole_since().is_some_and(|since| since + settled <= asked.sent)
    }
}

/// How requests were answered, by their number.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub admitted: u64,
    pub renewed: u64,
    pub released: u64,
    /// 503: nothing is said about slots.
    pub unavailable: u64,
    /// No answer in time, or no connection.
    pub silent: u64,
}

/// All that a stack writes down.
#[derive(Default)]
pub struct Notes {
    pub stories: Vec<Story>,
    pub refused: Vec<Refused>,
    pub counts: Counts,
    /// Answers that no stack is prepared for.
    pub odd: Vec<String>,
}

impl Notes {
    /// Takes what another stack wrote down.
    pub fn add(&mut self, other: Self) {
        self.stories.extend(other.stories);
        self.refused.extend(other.refused);
        self.odd.extend(other.odd);
        let (sum, more) = (&mut self.counts, other.counts);
        sum.admitted += more.admitted;
        sum.renewed += more.renewed;
        sum.released += more.released;
        sum.unavailable += more.unavailable;
        sum.silent += more.silent;
    }
}

/// How a call will end, and what its client says about it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It says how many seconds it lasted.
    Reported(u32),
    /// Nobody answered.
    Busy,
    /// It was answered; the product counts.
    Answered,
    /// It is forgotten: neither renewed any more nor released.
    Forgotten,
}

/// When a call was answered, as its client knows: not before, and not after if it was told.
#[derive(Clone, Copy)]
struct Answered {
    sent: Nanos,
    heard: Option<Nanos>,
}

pub struct Stack {
    number: usize,
    around: Arc<Surroundings>,
    gateways: Vec<Client>,
    random: StdRng,
    calls: u64,
    /// Forgotten calls that have not been seen to end.
    watched: Vec<Story>,
    notes: Notes,
}

impl Stack {
    pub fn new(number: usize, seed: u64, around: Arc<Surroundings>) -> Self {
        let client = |at: &SocketAddr| Client::new(*at, &around.key).with_patience(PATIENCE);
        let gateways = around.gateways.iter().map(client).collect();
        let random = StdRng::seed_from_u64(seed ^ (number as u64).wrapping_mul(0x9E37_79B9));
        let (watched, notes) = (Vec::new(), Notes::default());
        Self { number, around, gateways, random, calls: 0, watched, notes }
    }

    /// Calls until it is closing time, and then until everything it began is over.
    pub fn run(mut self) -> Notes {
        while !self.is_closing() {
            self.one_call();
            self.look_at_one();
            let wait_ms = self.random.random_range(200..1_000);
            pause(Duration::from_millis(wait_ms));
        }
        while !self.watched.is_empty() && !self.is_over() {
            self.look_at_one();
            pause(GLANCE);
        }
        self.notes.stories.append(&mut self.watched);
        self.notes
    }

    fn is_closing(&self) -> bool {
        self.around.is_closing.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.around.is_over.load(Ordering::Relaxed)
    }

    fn one_call(&mut self) {
        self.calls += 1;
        let home = self.random.random_range(0..self.gateways.len());
        let call_id = format!("c{}-{}", self.number, self.calls);
        let mut story = Story::new(call_id, home, now());
        if !self.admit(&mut story) {
            if story.end == End::Open {
                self.release(&mut story, json!({"outcome": "canceled"}));
            }
            // Refusals are written down as such.
            if story.end != End::Refused {
                self.notes.stories.push(story);
            }
            return;
        }
        let manner = match self.random.random_range(0..100) {
            0..70 => Manner::Reported(self.random.random_range(1..=280)),
            70..82 => Manner::Busy,
            82..96 => Manner::Answered,
            _ => Manner::Forgotten,
        };
        let answered = (manner == Manner::Answered).then(|| self.answer(&story));
        self.hold(&mut story);
        self.end(story, manner, answered);
    }

    /// Whether the call was admitted.
    fn admit(&mut self, story: &mut Story) -> bool {
        let body = json!({"call_id": story.call_id, "requested_s": 300});
        let mut is_in_doubt = false;
        for _ in 0..TRIES_MAX {
            let asked = self.ask(story.gateway, "/v1/calls/admit", &body);
            match &asked.said {
                Said::Done(answer) => {
                    self.lives(story, &asked, answer);
                    self.notes.counts.admitted += 1;
                    self.repeat_elsewhere(story, &body);
                    return true;
                }
                Said::NoSlot if is_in_doubt => return false,
                Said::NoSlot => {
                    let call = self.number as u64 * 1_000_000 + self.calls;
                    let (from, to) = (asked.sent, asked.heard);
                    self.notes.refused.push(Refused { account: 0, call, from, to });
                    story.is_over(asked.heard, End::Refused);
                    return false;
                }
                Said::Away => {}
                Said::Ended | Said::Unknown => self.odd(&story.call_id, &asked),
                Said::Odd(_) => return false,
            }
            is_in_doubt = true;
            story.gateway = self.other_than(story.gateway);
            self.pause_ms(20, 150);
        }
        false
    }

    /// Some stacks send an admit twice, to another gateway as well: it stays one call.
    fn repeat_elsewhere(&mut self, story: &mut Story, body: &Value) {
        if self.random.random_ratio(3, 100) {
            let elsewhere = self.other_than(story.gateway);
            let asked = self.ask(elsewhere, "/v1/calls/admit", body);
            if let Said::Done(answer) = &asked.said {
                self.lives(story, &asked, answer);
            }
        }
    }

    /// Most stacks keep the token; with it a call goes on that nobody else knows any more.
    fn lives(&self, story: &mut Story, asked: &Asked, answer: &Value) {
        story.lives(asked.sent, asked.heard, answer["expires_in_s"].as_u64().unwrap_or(0));
        if self.keeps_tokens() {
            story.token = answer["token"].as_str().map(str::to_owned);
        }
    }

    const fn keeps_tokens(&self) -> bool {
        !self.number.is_multiple_of(WITHOUT_TOKENS)
    }

    /// Reports the call answered.
    fn answer(&mut self, story: &Story) -> Answered {
        let body = json!({"call_id": story.call_id});
        let sent = now();
        for _ in 0..TRIES_MAX {
            let at = self.mostly_at_home(story);
            let asked = self.ask(at, "/v1/calls/answer", &body);
            match &asked.said {
                Said::Done(_) => return Answered { sent, heard: Some(asked.heard) },
                Said::Away | Said::Unknown => self.pause_ms(20, 150),
                Said::NoSlot | Said::Ended => self.odd(&story.call_id, &asked),
                Said::Odd(_) => {}
            }
        }
        Answered { sent, heard: None }
    }

    /// Renews the call for as long as it goes on.
    fn hold(&mut self, story: &mut Story) {
        let lasts_ms = match self.random.random_range(0..100) {
            0..80 => self.random.random_range(500..4_000),
            80..95 => self.random.random_range(4_000..15_000),
            _ => self.random.random_range(20_000..60_000),
        };
        let until = now() + lasts_ms * 1_000_000;
        let every = u64::from(self.around.call_lease_s) * SECOND / 3;
        let mut renew_at = now() + every;
        while !self.is_closing() && now() < until.min(story.leased_until) {
            if now() >= renew_at {
                if !self.renew(story) {
                    return;
                }
                renew_at = now() + every;
            }
            let left = until.min(renew_at).saturating_sub(now());
            pause(GLANCE.min(Duration::from_nanos(left)));
        }
    }

    /// Whether the call goes on.
    fn renew(&mut self, story: &mut Story) -> bool {
        for _ in 0..TRIES_MAX {
            let at = self.mostly_at_home(story);
            let asked = self.ask(at, "/v1/calls/renew", &named(story, json!({})));
            match &asked.said {
                Said::Done(answer) => {
                    self.lives(story, &asked, answer);
                    self.notes.counts.renewed += 1;
                    return true;
                }
                Said::Ended | Said::Unknown => {
                    story.hangs_up(asked.sent);
                    story.is_cut_short |= asked.heard < story.leased_until;
                    return false;
                }
                Said::Away => self.pause_ms(50, 300),
                Said::NoSlot => self.odd(&story.call_id, &asked),
                Said::Odd(_) => {}
            }
        }
        true
    }

    fn end(&mut self, mut story: Story, manner: Manner, answered: Option<Answered>) {
        let seconds = |from: Nanos, to: Nanos| {
            u32::try_from(to.saturating_sub(from).div_ceil(SECOND)).unwrap_or(u32::MAX)
        };
        match manner {
            Manner::Reported(billable_s) => {
                self.release(&mut story, json!({"billable_s": billable_s}));
                story.seconds = (billable_s, billable_s);
            }
            Manner::Busy => self.release(&mut story, json!({"outcome": "busy"})),
            Manner::Answered => {
                let hung_up = now();
                self.release(&mut story, json!({}));
                let known = answered.and_then(|answered| answered.heard);
                // The product's clock is another one: a second on either side.
                let least = known.map_or(0, |known| seconds(known, hung_up).saturating_sub(1));
                let from = answered.map_or(hung_up, |answered| answered.sent);
                story.seconds = (least, seconds(from, now()) + 1);
            }
            Manner::Forgotten => {
                // Never reported answered: nothing to pay.
                self.watched.push(story);
                return;
            }
        }
        self.notes.stories.push(story);
    }

    /// Ends a call, or makes sure that there is none.
    fn release(&mut self, story: &mut Story, body: Value) {
        let body = named(story, body);
        story.hangs_up(now());
        let mut at = self.mostly_at_home(story);
        while !self.is_over() {
            let asked = self.ask(at, "/v1/calls/release", &body);
            match &asked.said {
                Said::Done(receipt) => {
                    story.is_over(asked.heard, End::Receipt(receipt_of(receipt)));
                    self.notes.counts.released += 1;
                    return;
                }
                Said::Unknown if self.around.was_whole(&asked) => {
                    return story.is_over(asked.heard, End::Unknown);
                }
                Said::NoSlot | Said::Ended => self.odd(&story.call_id, &asked),
                Said::Unknown | Said::Away | Said::Odd(_) => {}
            }
            at = self.other_than(at);
            self.pause_ms(100, 500);
        }
    }

    /// Looks whether the oldest forgotten call has ended.
    fn look_at_one(&mut self) {
        let Some(mut story) = self.watched.pop() else {
            return;
        };
        let at = self.random.random_range(0..self.gateways.len());
        let path = format!("/v1/calls/{}", story.call_id);
        let asked = ask(&mut self.gateways[at], "GET", &path, &Value::Null);
        match &asked.said {
            Said::Done(view) if view["state"] == "ended" => {
                let ended = ended_at(view, asked.heard);
                story.was_seen_over(asked.heard, ended, End::Receipt(receipt_of(view)));
            }
            // The tombstone is gone with a hub's memory: the ledger says how it ended.
            Said::Unknown if self.around.was_whole(&asked) && asked.sent > story.leased_until => {
                story.is_over(asked.heard, End::Unknown);
            }
            Said::Odd(_) => self.odd(&story.call_id, &asked),
            _ => {}
        }
        if story.over.is_some() {
            self.notes.stories.push(story);
        } else {
            self.watched.insert(0, story);
        }
    }

    fn ask(&mut self, gateway: usize, path: &str, body: &Value) -> Asked {
        let asked = ask(&mut self.gateways[gateway], "POST", path, body);
        match &asked.said {
            Said::Away if asked.is_silent => self.notes.counts.silent += 1,
            Said::Away => self.notes.counts.unavailable += 1,
            Said::Odd(_) => self.odd(path, &asked),
            _ => {}
        }
        asked
    }

    fn odd(&mut self, about: &str, asked: &Asked) {
        self.notes.odd.push(format!("{about}: {:?}", asked.said));
    }

    fn mostly_at_home(&mut self, story: &Story) -> usize {
        if self.random.random_ratio(3, 4) { story.gateway } else { self.other_than(story.gateway) }
    }

    fn other_than(&mut self, gateway: usize) -> usize {
        let others: Vec<usize> = (0..self.gateways.len()).filter(|at| *at != gateway).collect();
        others.choose(&mut self.random).copied().unwrap_or(gateway)
    }

    fn pause_ms(&mut self, least: u64, most: u64) {
        pause(Duration::from_millis(self.random.random_range(least..most)));
    }
}

/// A request about a call, with its token if there is one.
fn named(story: &Story, mut body: Value) -> Value {
    body["call_id"] = story.call_id.as_str().into();
    if let Some(token) = &story.token {
        body["token"] = token.as_str().into();
    }
    body
}

/// When a call ended by the product's clock, which is this machine's.
fn ended_at(view: &Value, heard: Nanos) -> Option<Nanos> {
    let ended: Timestamp = view["ended_at"].as_str()?.parse().ok()?;
    let since = Timestamp::now().duration_since(ended).as_nanos();
    Some(heard.saturating_sub(Nanos::try_from(since).unwrap_or(0)))
}

fn receipt_of(view: &Value) -> Receipt {
    Receipt {
        cause: view["cause"].as_str().unwrap_or_default().to_owned(),
        billable_s: view["billable_s"].as_u64().and_then(|s| u32::try_from(s).ok()).unwrap_or(0),
        cost_micros: view["cost"].as_str().map_or(0, support::account::micros),
    }
}
