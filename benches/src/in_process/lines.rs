//! A batch without the engine: its lines are read and checked, and each is answered with a grant or a
//! receipt that was made before.

use std::hint::black_box;
use std::ops::RangeInclusive;

use gateway::answer::{CallView, Grant, Token};
use gateway::http::answer::{self, Format, Writer};
use gateway::http::parameters::Parameters;
use gateway::http::{Operation, lines, operation};
use gateway::token::Tokens;
use hub::call::{Call, Cause, Direction, Facts, Outcome, Pins, Record, Texts};
use hub::clock::{SECOND_US, second_of};
use hub::directory::Billing;
use hub::id::HolderId;
use hub::money::{Amount, Currency};
use hub::state::request::{Granted, Lease};
use triomphe::Arc;

use super::names;
use crate::request::{self, CallIds, Template};

/// Lines of a batch: as many admits as releases.
const PAIRS_AT_ONCE: u64 = 50;
const LINE_LEN: usize = 512;
const LEASE_S: RangeInclusive<u32> = 10..=14_400;
const ADMITTED_US: i64 = 1_795_363_200_123_456;

/// What a batch asks and what it is answered.
pub struct Batch {
    body: Vec<u8>,
    grant: Grant,
    token: Token,
    receipt: CallView,
    tokens: Tokens,
}

impl Default for Batch {
    fn default() -> Self {
        let ids = CallIds::new(1 << 64);
        let mut body = Vec::new();
        for operation in [request::Operation::Admit, request::Operation::Release] {
            let template = Template::line(operation);
            (0..PAIRS_AT_ONCE).for_each(|call| template.append(&ids, call, &mut body));
        }
        let call = call(&ids);
        let lease = Lease {
            deadline: second_of(ADMITTED_US) + 90,
            granted: Granted::new(300, false),
            hold: Amount::from_micros(6_000_000),
            answered: None,
            renewed_us: ADMITTED_US,
        };
        let grant = Grant {
            call: call.clone(),
            lease,
            duplicate: false,
            renew_every_s: 30,
            expires_in_s: 90,
            in_use: 12,
            limit: Some(1_000),
        };
        let tokens = Tokens::proofs(&[7; 32], HolderId(1 << 100));
        let token = tokens.issue(&call, &lease);
        Self { body, grant, token, receipt: CallView::Ended(Arc::new(record(call))), tokens }
    }
}

impl Batch {
    /// Reads `pairs` admit and as many release lines and writes their answers.
    ///
    /// # Panics
    /// When a line is refused: there would be nothing to measure.
    pub fn answer(&self, pairs: u64) {
        let mut parameters = Parameters::default();
        for _ in 0..pairs.div_ceil(PAIRS_AT_ONCE) {
            let mut writer =
                Writer::with_room(Format::Json, lines::count_max(&self.body) * LINE_LEN);
            let mut at = 0;
            while let Some(line) = lines::next(&self.body, &mut at) {
                parameters.clear();
                parameters.read_json(line);
                self.answer_line(&parameters, &mut writer);
                writer.end_line_with_status();
            }
            black_box(writer.into_bytes());
        }
    }

    fn answer_line(&self, parameters: &Parameters<'_>, writer: &mut Writer) {
        if operation::of_line(parameters) == Some(Operation::Admit) {
            let asked = operation::admit(parameters, &LEASE_S, true);
            let (_, call) = black_box(asked).expect("an admit as it should be");
            answer::grant(writer, call.call_id, &self.grant, &self.token);
        } else {
            let asked = operation::release(parameters, true);
            assert!(black_box(asked).is_ok(), "a release was refused");
            answer::call_view(writer, &self.receipt);
        }
    }

    /// Makes as many tokens.
    pub fn issue(&self, tokens: u64) {
        for _ in 0..tokens {
            black_box(self.tokens.issue(black_box(&self.grant.call), &self.grant.lease));
        }
    }
}

fn call(ids: &CallIds) -> Call {
    let pins = Pins {
        billing: Billing::Isolated,
        currency: Currency::INR,
        rate: names::rate(),
        deck: None,
    };
    let facts = Facts {
        admitted_us: ADMITTED_US,
        admission: ADMITTED_US.unsigned_abs(),
        pins: Some(Arc::new(pins)),
        account: names::sub_account(1),
        direction: Direction::Outbound,
        lease_s: 0,
    };
    let mut id = Vec::new();
    ids.append(0, &mut id);
    let call_id = std::str::from_utf8(&id).expect("ASCII");
    Call::new(facts, Texts { call_id, ..Texts::default() }).expect("a short id")
}

fn record(call: Call) -> Record {
    Record {
        call,
        answered: None,
        ended_us: ADMITTED_US + 30 * SECOND_US,
        outcome: Outcome::Canceled,
        cause: Cause::Release,
        billable_s: 0,
        cost: Amount::ZERO,
        debt: Amount::ZERO,
        revision: 0,
        granted_s: 300,
        forget_at: second_of(ADMITTED_US) + 690,
        costs: None,
    }
}
