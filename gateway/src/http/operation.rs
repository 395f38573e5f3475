//! What each operation takes: its parameters, parsed into the requests of [`crate::request`].
//! Must never decide anything about a call.

use std::ops::RangeInclusive;

use hub::call::CallPlace;
use hub::denial::Denial;
use hub::id::AccountId;
use hub::money::Rate;

use super::check::Check;
use super::field::{Field, FieldSet};
use super::parameters::{Given, Parameters};
use super::router::Operation;
use crate::request::{Admit, ListLive, Reconcile, Release, Renew};

/// `requested_s`, in seconds.
const REQUESTED_S: RangeInclusive<u32> = 1..=86_400;
/// `billable_s`, in seconds.
const BILLABLE_S: RangeInclusive<u32> = 0..=Rate::SECONDS_MAX;
/// Live calls on one page of `GET /v1/calls`.
const PAGE: RangeInclusive<u32> = 1..=1_000;
const PAGE_DEFAULT: usize = 100;

/// `status` stands in every set: it changes how the answer is sent, not what is asked.
const ADMIT: FieldSet = FieldSet::of(&[
    Field::CallId,
    Field::Account,
    Field::Direction,
    Field::From,
    Field::To,
    Field::AgentId,
    Field::Provider,
    Field::RequestedS,
    Field::LeaseS,
    Field::Source,
    Field::Status,
]);
const ONE_CALL: FieldSet = FieldSet::of(&[Field::CallId, Field::Account, Field::Status]);
const RENEW: FieldSet = ONE_CALL.with(Field::Token).with(Field::RequestedS);
const RELEASE: FieldSet =
    ONE_CALL.with(Field::Token).with(Field::Outcome).with(Field::BillableS).with(Field::Costs);
const RECONCILE: FieldSet =
    FieldSet::of(&[Field::Account, Field::Source, Field::Live, Field::Complete, Field::Status]);
const LIST_LIVE: FieldSet = FieldSet::of(&[
    Field::Account,
    Field::Source,
    Field::State,
    Field::Cursor,
    Field::Limit,
    Field::Status,
]);
const CONCURRENCY: FieldSet = FieldSet::of(&[Field::Account, Field::Status]);
const BATCH: FieldSet = FieldSet::of(&[Field::Status]);

/// Who asks for what: the account that is named, if any, and the request.
pub type Asked<T> = Result<(Option<AccountId>, T), Denial>;

/// The set of parameters, in a batch or alone.
const fn allowed(own: FieldSet, in_batch: bool) -> FieldSet {
    if in_batch { own.without(BATCH).with(Field::Op) } else { own }
}

pub fn admit<'p>(
    parameters: &'p Parameters<'_>,
    lease_s: &RangeInclusive<u32>,
    in_batch: bool,
) -> Asked<Admit<'p>> {
    let mut check = Check::new(parameters, allowed(ADMIT, in_batch));
    let account = check.account();
    let call = Admit {
        call_id: check.call_id(),
        direction: check.word(Field::Direction, "is no direction").unwrap_or_default(),
        from: check.text(Field::From),
        to: check.text(Field::To),
        agent_id: check.text(Field::AgentId),
        provider: check.text(Field::Provider),
        source: check.text(Field::Source),
        requested_s: check.whole(Field::RequestedS, &REQUESTED_S),
        lease_s: check.whole(Field::LeaseS, lease_s),
    };
    check.done()?;
    Ok((account, call))
}

/// Answer and look-up.
pub fn one_call<'p>(parameters: &'p Parameters<'_>, in_batch: bool) -> Asked<&'p str> {
    let mut check = Check::new(parameters, allowed(ONE_CALL, in_batch));
    let asked = (check.account(), check.call_id());
    check.done()?;
    Ok(asked)
}

pub fn renew<'p>(parameters: &'p Parameters<'_>, in_batch: bool) -> Asked<Renew<'p>> {
    let mut check = Check::new(parameters, allowed(RENEW, in_batch));
    let account = check.account();
    let call = Renew {
        call_id: check.call_id(),
        token: check.token(),
        requested_s: check.whole(Field::RequestedS, &REQUESTED_S),
    };
    check.done()?;
    Ok((account, call))
}

pub fn release<'p>(parameters: &'p Parameters<'_>, in_batch: bool) -> Asked<Release<'p>> {
    let mut check = Check::new(parameters, allowed(RELEASE, in_batch));
    let account = check.account();
    let call = Release {
        call_id: check.call_id(),
        token: check.token(),
        outcome: check.word(Field::Outcome, "is no outcome"),
        billable_s: check.whole(Field::BillableS, &BILLABLE_S),
        costs: check.costs(),
    };
    check.done()?;
    Ok((account, call))
}

/// The call and the token that a release names, whatever else is wrong with it.
pub fn call_and_token<'p>(parameters: &'p Parameters<'_>) -> Option<(&'p str, &'p str)> {
    let mut check = Check::new(parameters, RELEASE);
    let call_id = check.call_id();
    check.token().map(|token| (call_id, token))
}

pub fn reconcile<'p>(parameters: &'p Parameters<'_>) -> Asked<Reconcile<'p>> {
    let mut check = Check::new(parameters, RECONCILE);
    let account = check.account();
    let source = check.required_text(Field::Source);
    let live = check.live();
    let complete = check.flag(Field::Complete);
    check.done()?;
    // An empty list frees nothing: it is what a stack sends that has just lost its memory.
    let complete = complete && !live.is_empty();
    Ok((account, Reconcile { source, live, complete }))
}

pub fn list_live<'p>(parameters: &'p Parameters<'_>) -> Asked<ListLive<'p>> {
    let mut check = Check::new(parameters, LIST_LIVE);
    let account = check.account();
    let source = check.text(Field::Source);
    let limit = check.whole(Field::Limit, &PAGE);
    match parameters.given(Field::State) {
        Given::Text(state) if state != "live" => {
            check.wrong(Field::State, "is not listed here", "expected live");
        }
        _ => {}
    }
    let after = match parameters.given(Field::Cursor) {
        Given::Text(cursor) => {
            let place = place_at(cursor);
            if place.is_none() {
                let expected = "expected next_cursor of the page before";
                check.wrong(Field::Cursor, "is no cursor", expected);
            }
            place
        }
        _ => None,
    };
    check.done()?;
    let limit = limit.map_or(PAGE_DEFAULT, |limit| limit as usize);
    let page = ListLive { source: (!source.is_empty()).then_some(source), after, limit };
    Ok((account, page))
}

/// The `next_cursor` that [`list_live`] reads, opaque to those who use it.
pub fn cursor(after: CallPlace) -> String {
    format!("{:032x}", u128::from_be_bytes(after.to_bytes()))
}

fn place_at(cursor: &str) -> Option<CallPlace> {
    let number = u128::from_str_radix(cursor, 16).ok()?;
    Some(CallPlace::from_bytes(number.to_be_bytes()))
}

pub fn concurrency(parameters: &Parameters<'_>) -> Asked<()> {
    let mut check = Check::new(parameters, CONCURRENCY);
    let account = check.account();
    check.done()?;
    Ok((account, ()))
}

/// Checks the query of a batch, which takes none of the parameters of its lines.
pub fn batch(parameters: &Parameters<'_>) -> Result<(), Denial> {
    Check::new(parameters, BATCH).done()
}

/// What a line of a batch asks for; `None`: it does not say.
pub fn of_line(parameters: &Parameters<'_>) -> Option<Operation> {
    match parameters.given(Field::Op) {
        Given::Text(name) => Operation::in_batch(name),
        _ => None,
    }
}

/// Refuses a line that names no operation.
pub fn unknown_op(parameters: &Parameters<'_>) -> Denial {
    let everything = FieldSet::of(&Field::ALL);
    let mut check = Check::new(parameters, everything);
    check.wrong(Field::Op, "is no operation", "expected admit, answer, renew or release");
    check.done().err().unwrap_or_else(|| Denial::InvalidRequest(Vec::new()))
}
