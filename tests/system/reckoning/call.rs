//! One call as its stack wants it, and what the stack was told of it.

use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use support::account::micros;
use support::{Nanos, now};

use super::price::Priced;
use super::wallets::{NUMBERS, Wallet};

const SECOND: Nanos = 1_000_000_000;
/// Calls begin within that time.
const BEGINS_WITHIN_MS: u64 = 3_000;
/// The lease of calls that stay; longer than a test.
const LONG_S: u32 = 14_400;

/// What its stack does with an admitted call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Says at the end how long it lasted.
    Reported,
    /// The same after renewals.
    Renewed,
    /// Nobody answers.
    Unanswered,
    /// The product counts the seconds.
    Counted,
    /// Is answered and forgotten.
    Forgotten,
    /// Is forgotten, and its end is told when its lease is long over.
    Late,
    /// Cannot renew: it has a long lease and lives until it is told to end.
    Kept,
}

/// What is asked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Admit,
    Answer,
    Renew,
    Release,
    /// The release again: the receipt must be the same.
    Repeat,
    Done,
}

/// How it stands, as the stack was told.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    Unasked,
    /// No money, or no such destination.
    Refused,
    Live,
    Receipt(Value),
}

pub struct Call {
    pub name: String,
    pub wallet: usize,
    pub direction: &'static str,
    pub number: String,
    /// `None`: it must be refused.
    pub priced: Option<Priced>,
    pub manner: Manner,
    requested_s: u32,
    pub step: Step,
    pub due: Nanos,
    pub gateway: usize,
    renewals: u32,
    token: Option<String>,
    pub granted_s: u32,
    /// The seconds that its stack reports.
    billable_s: u32,
    /// When the answer to it was first asked for, and last heard.
    answered: Option<(Nanos, Nanos)>,
    hung_up: Option<Nanos>,
    /// When its last request was sent and its last answer heard.
    last_sent: Nanos,
    last_heard: Nanos,
    /// Until then it is not over unless its stack ends it.
    leased_until: Nanos,
    pub end: End,
}

impl Call {
    pub fn wanted(number: usize, wallets: &[Wallet], gateways: usize, random: &mut StdRng) -> Self {
        let wallet = random.random_range(0..wallets.len());
        let (direction, prefix) = NUMBERS[random.random_range(0..NUMBERS.len())];
        let number_called = format!("{prefix}{:07}", random.random_range(0..10_000_000));
        let manner = match random.random_range(0..100) {
            0..30 => Manner::Reported,
            30..45 => Manner::Renewed,
            45..53 => Manner::Unanswered,
            53..60 => Manner::Counted,
            60..66 => Manner::Forgotten,
            66..72 if wallets[wallet].is_rich => Manner::Late,
            _ => Manner::Kept,
        };
        let requested_s = match random.random_range(0..3) {
            0 => random.random_range(30..300),
            1 => random.random_range(300..3_600),
            _ => random.random_range(3_600..14_400),
        };
        let due = now() + random.random_range(0..BEGINS_WITHIN_MS) * 1_000_000;
        Self {
            name: format!("call-{number}"),
            wallet,
            direction,
            priced: wallets[wallet].tariff.of(direction, &number_called),
            number: number_called,
            manner,
            requested_s,
            step: Step::Admit,
            due,
            gateway: random.random_range(0..gateways),
            renewals: random.random_range(1..=2),
            token: None,
            granted_s: 0,
            billable_s: 0,
            answered: None,
            hung_up: None,
            last_sent: 0,
            last_heard: 0,
            leased_until: 0,
            end: End::Unasked,
        }
    }

    pub fn request(&mut self) -> (&'static str, Value) {
        let mut body = json!({"call_id": self.name});
        self.last_sent = now();
        if let Some(token) = self.token.as_ref().filter(|_| self.step != Step::Answer) {
            body["token"] = json!(token);
        }
        let path = match self.step {
            Step::Admit => {
                let other = if self.direction == "inbound" { "from" } else { "to" };
                body["direction"] = json!(self.direction);
                body[other] = json!(self.number);
                body["requested_s"] = json!(self.requested_s);
                if self.manner == Manner::Kept {
                    body["lease_s"] = json!(LONG_S);
                }
                "/v1/calls/admit"
            }
            Step::Answer => {
                self.answered.get_or_insert((now(), Nanos::MAX));
                "/v1/calls/answer"
            }
            Step::Renew => "/v1/calls/renew",
            Step::Release | Step::Repeat | Step::Done => {
                self.hung_up.get_or_insert(now());
                match self.manner {
                    Manner::Unanswered => body["outcome"] = json!("no-answer"),
                    Manner::Counted => {}
                    _ => body["billable_s"] = json!(self.billable_s),
                }
                "/v1/calls/release"
            }
        };
        (path, body)
    }

    /// It was admitted, or renewed.
    pub fn is_granted(&mut self, answer: &Value, lease: Duration, random: &mut StdRng) {
        self.end = End::Live;
        self.last_heard = now();
        let lives_s = answer["expires_in_s"].as_u64().expect("a number");
        self.leased_until = self.last_sent + lives_s * SECOND;
        self.token = answer["token"].as_str().map(str::to_owned);
        let granted = answer["granted_s"].as_u64().and_then(|granted| u32::try_from(granted).ok());
        self.granted_s = granted.unwrap_or_else(|| unreachable!("no grant in {answer}"));
        let lease_ms = u64::try_from(lease.as_millis()).expect("short");
        match (self.manner, self.step) {
            (Manner::Counted | Manner::Forgotten | Manner::Late, Step::Admit) => {
                self.follow(Step::Answer, random.random_range(0..500));
            }
            (Manner::Renewed, _) if self.renewals > 0 => {
                self.renewals -= 1;
                self.follow(Step::Renew, lease_ms / 3);
            }
            (Manner::Kept | Manner::Forgotten, _) => self.step = Step::Done,
            (Manner::Late, _) => self.release_after(lease_ms * 2, random),
            _ => self.release_after(random.random_range(0..lease_ms / 2), random),
        }
    }

    pub fn is_answered(&mut self, lease: Duration, random: &mut StdRng) {
        let (asked, _) = self.answered.expect("it was asked for");
        self.last_heard = now();
        self.answered = Some((asked, self.last_heard));
        let lease_ms = u64::try_from(lease.as_millis()).expect("short");
        match self.manner {
            Manner::Forgotten if random.random_ratio(1, 2) => {
                self.follow(Step::Renew, lease_ms / 3);
            }
            Manner::Forgotten => self.step = Step::Done,
            Manner::Late => self.release_after(lease_ms * 2, random),
            // What the money was given for may be a few seconds.
            _ if self.granted_s < 30 => {
                self.manner = Manner::Reported;
                self.release_after(random.random_range(0..lease_ms / 2), random);
            }
            _ => self.release_after(random.random_range(0..lease_ms / 2), random),
        }
    }

    /// Its end is told after that time: it lasted some of the seconds that it was granted.
    pub fn release_after(&mut self, wait_ms: u64, random: &mut StdRng) {
        self.billable_s = random.random_range(1..=self.granted_s.max(1));
        self.follow(Step::Release, wait_ms);
    }

    pub fn is_released(&mut self, receipt: Value, random: &mut StdRng) {
        if self.step == Step::Release {
            self.last_heard = now();
        }
        self.end = End::Receipt(receipt);
        match self.step {
            Step::Release if random.random_ratio(1, 20) => self.follow(Step::Repeat, 0),
            _ => self.step = Step::Done,
        }
    }

    /// The same again elsewhere.
    pub fn again(&mut self, gateways: usize, random: &mut StdRng) {
        self.gateway = (self.gateway + random.random_range(0..gateways)) % gateways;
        self.due = now() + random.random_range(50..250) * 1_000_000;
    }

    fn follow(&mut self, step: Step, wait_ms: u64) {
        (self.step, self.due) = (step, now() + wait_ms * 1_000_000);
    }

    pub fn was_admitted(&self) -> bool {
        matches!(self.end, End::Live | End::Receipt(_))
    }

    /// What its receipt or record must say, from what the stack did; why it is wrong, else.
    pub fn judge(&self, found: &Value) -> Result<(), String> {
        let priced = self.priced.ok_or("it is in a blocked destination")?;
        let seconds = found["billable_s"].as_u64().and_then(|seconds| u32::try_from(seconds).ok());
        let seconds = seconds.ok_or("it has no seconds")?;
        let (least, most) = self.seconds(found["cause"] == "expiry");
        if !(least..=most).contains(&seconds) {
            return Err(format!("{seconds} s are not {least} to {most} s"));
        }
        let cost = micros(found["cost"].as_str().ok_or("it has no cost")?);
        let price = priced.micros(seconds);
        if cost != price {
            return Err(format!(
                "{cost} is charged for {seconds} s, which cost {price}: {priced:?}"
            ));
        }
        let debt = found["debt"].as_str().map_or(0, micros);
        // What it held is free when its lease is over: others may have it, or a hub that is away.
        if debt != 0 && self.last_heard < self.leased_until {
            return Err(format!(
                "{debt} of {cost} could not be paid, with {} s granted",
                self.granted_s
            ));
        }
        Ok(())
    }

    /// The seconds that it may be charged for; another clock counts them, so one on either side.
    fn seconds(&self, is_expired: bool) -> (u32, u32) {
        let whole = |from: Nanos, to: Nanos| {
            u32::try_from(to.saturating_sub(from).div_ceil(SECOND)).unwrap_or(u32::MAX)
        };
        let is_told = matches!(self.end, End::Receipt(_));
        match (self.manner, self.answered) {
            (Manner::Unanswered, _) | (Manner::Counted, None) => (0, 0),
            (Manner::Counted, Some((asked, heard))) => {
                let hung_up = self.hung_up.unwrap_or(self.last_heard);
                let least = if is_expired { 0 } else { whole(heard, hung_up).saturating_sub(1) };
                (least, whole(asked, now().min(hung_up + 60 * SECOND)) + 1)
            }
            _ if is_told => (self.billable_s, self.billable_s),
            (_, Some((asked, _))) => (0, whole(asked, self.last_heard.max(asked)) + 1),
            (_, None) => (0, 0),
        }
    }
}
