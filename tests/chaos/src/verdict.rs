//! Judges what stacks wrote down: the limit, refusals, ends of calls, and the ledger against the
//! stacks' own tally. Must never take the product's word for what it can calculate itself.
//!
//! A refusal for slots is judged only when request and answer lie in one healthy time: every process
//! up, linked, granted something by the hub, and settled. It is false when, from its request to its
//! answer, what may have been live was fewer than the limit at every instant. What may have been live:
//! the calls of [`crate::story`], and, for each holder that the hub has given up, the admits that it may
//! have answered and not told, for as long as the hub keeps slots for them (`b` of the lease protocol,
//! for a call lease).

use std::collections::HashMap;
use std::time::Duration;

use support::Nanos;
use support::history::{Limits, Refused, Span, Violation, check_spans};

use crate::faults::Outcome;
use crate::health::lies_within;
use crate::ledger::Posted;
use crate::plan::Fault;
use crate::stack::Notes;
use crate::story::{End, Receipt, Story};
use crate::tariff::TARIFF;

/// The reaping of a holder, and what the hub's clock may be behind.
const UNRECORDED_BEYOND_LEASE: Duration = Duration::from_secs(12);
/// What a gateway has answered is at the hub so long after, or with it gone nowhere.
const UNRECORDED_MAX: Duration = Duration::from_secs(1);
/// A call that nobody renews is over so long after its lease: a lost holder's calls are the hub's until
/// then.
pub const EXPIRY_LATE_MAX: Duration = Duration::from_secs(6);

/// What the product is held to.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub limit: u32,
    pub gateways: usize,
    pub call_lease_s: u32,
}

impl Terms {
    /// The most admits that one holder may have answered and not told, with the fewest holders.
    pub fn unflushed_max(&self) -> u32 {
        let others = u32::try_from(self.gateways.saturating_sub(1).max(1)).unwrap_or(u32::MAX);
        if self.limit < 8 { 0 } else { (self.limit / (16 * others)).clamp(1, 1_000) }
    }
}

/// What was wrong, and what was looked at.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub over_admissions: Vec<String>,
    pub false_refusals: Vec<String>,
    /// Calls that ended otherwise than their stacks wanted, or not at all.
    pub wrong_ends: Vec<String>,
    pub wrong_charges: Vec<String>,
    /// Calls that were listed as live when their stacks had long heard that they are over.
    pub undead: Vec<String>,
    pub most_live: u32,
    pub refusals: usize,
    pub refusals_checked: usize,
    /// Calls that a killed gateway had answered and nobody else knew.
    pub lost_with_a_gateway: usize,
    pub calls: usize,
    pub tally_micros: i64,
    pub ledger_micros: i64,
    pub latest_expiry: Duration,
}

impl Verdict {
    pub fn faults(&self) -> impl Iterator<Item = (&'static str, &Vec<String>)> {
        [
            ("over-admissions", &self.over_admissions),
            ("false refusals", &self.false_refusals),
            ("wrong ends of calls", &self.wrong_ends),
            ("wrong charges", &self.wrong_charges),
            ("calls that are live though they are over", &self.undead),
        ]
        .into_iter()
    }
}

/// Everything that is judged.
pub struct Evidence<'a> {
    pub terms: Terms,
    pub notes: &'a Notes,
    pub outcomes: &'a [Outcome],
    pub healthy: &'a [(Nanos, Nanos)],
    pub posted: &'a HashMap<String, Posted>,
    pub posted_twice: &'a [String],
}

pub fn judge(evidence: &Evidence<'_>) -> Verdict {
    let mut verdict = Verdict { refusals: evidence.notes.refused.len(), ..Verdict::default() };
    slots(evidence, &mut verdict);
    verdict.wrong_ends.extend(evidence.notes.odd.iter().cloned());
    let names: HashMap<&str, &Story> =
        evidence.notes.stories.iter().map(|story| (story.call_id.as_str(), story)).collect();
    for story in &evidence.notes.stories {
        one_end(evidence, story, &mut verdict);
    }
    undead(evidence, &names, &mut verdict);
    let unknown = evidence.posted.keys().filter(|name| !names.contains_key(name.as_str()));
    let nobodys = unknown.map(|name| format!("{name} is in the ledger and nobody's"));
    verdict.wrong_charges.extend(nobodys);
    let twice = evidence.posted_twice.iter().map(|name| format!("{name} was posted twice"));
    verdict.wrong_charges.extend(twice);
    verdict.ledger_micros = evidence.posted.values().map(|posted| posted.cost_micros).sum();
    if verdict.ledger_micros != verdict.tally_micros {
        let (ledger, tally) = (verdict.ledger_micros, verdict.tally_micros);
        verdict.wrong_charges.push(format!("the ledger has {ledger}, the stacks {tally}"));
    }
    verdict
}

fn slots(evidence: &Evidence<'_>, verdict: &mut Verdict) {
    let checked: Vec<Refused> = evidence
        .notes
        .refused
        .iter()
        .filter(|refused| lies_within(evidence.healthy, refused.from, refused.to))
        .copied()
        .collect();
    verdict.refusals_checked = checked.len();
    let mut spans: Vec<Span> = evidence.notes.stories.iter().filter_map(Story::span).collect();
    spans.extend(unrecorded(evidence));
    let limits = Limits::fixed(evidence.terms.limit);
    let (most_live, violations) = check_spans(&limits, &spans, &checked);
    verdict.most_live = most_live;
    for violation in violations {
        match violation {
            Violation::FalseRefusal { .. } => verdict.false_refusals.push(violation.to_string()),
            // The total is the account's own limit here.
            Violation::AboveTotal { .. } => {}
            _ => verdict.over_admissions.push(violation.to_string()),
        }
    }
}

/// Calls that hold a slot after every one who knew of them heard that they do not.
fn undead(evidence: &Evidence<'_>, stories: &HashMap<&str, &Story>, verdict: &mut Verdict) {
    for listed in evidence.outcomes.iter().filter_map(|outcome| outcome.listed.as_ref()) {
        for live in &listed.calls {
            let name = live["call_id"].as_str().unwrap_or_default();
            let story = stories.get(name);
            if story.is_none_or(|story| story.over.is_some_and(|over| over < listed.sent)) {
                verdict.undead.push(format!("{live} at {}: {story:?}", listed.sent));
            }
        }
    }
}

/// What the hub keeps for the admits of lost holders of which it does not know.
fn unrecorded(evidence: &Evidence<'_>) -> impl Iterator<Item = Span> {
    let lasts =
        Duration::from_secs(u64::from(evidence.terms.call_lease_s)) + UNRECORDED_BEYOND_LEASE;
    let lasts = u64::try_from(lasts.as_nanos()).unwrap_or(u64::MAX);
    let each = usize::try_from(evidence.terms.unflushed_max()).unwrap_or(usize::MAX);
    let lost = evidence.outcomes.iter().filter(|outcome| outcome.fault.silences_holder());
    lost.flat_map(move |outcome| {
        let span = Span {
            account: 0,
            possibly_from: outcome.at,
            surely_from: None,
            surely_to: outcome.at,
            possibly_to: outcome.repaired + lasts,
        };
        std::iter::repeat_n(span, each)
    })
}

fn one_end(evidence: &Evidence<'_>, story: &Story, verdict: &mut Verdict) {
    let name = &story.call_id;
    let posted = evidence.posted.get(name);
    verdict.calls += usize::from(story.told.is_some());
    match (&story.end, posted) {
        (End::Open, _) => verdict.wrong_ends.push(format!("{name} never ended: {story:?}")),
        (End::Receipt(receipt), Some(posted)) => {
            charge(story, receipt, posted, verdict);
            expiry(evidence, story, receipt, verdict);
        }
        (End::Receipt(receipt), None) => {
            verdict.tally_micros += receipt.cost_micros;
            verdict.wrong_charges.push(format!("{name} is not in the ledger: {story:?}"));
        }
        // It ended by its lease, and was forgotten since.
        (End::Unknown, Some(posted)) if posted.cause == "expiry" => {
            let Posted { cause, billable_s, cost_micros } = posted.clone();
            charge(story, &Receipt { cause, billable_s, cost_micros }, posted, verdict);
        }
        (End::Unknown, None) if story.told.is_none() => {}
        (End::Unknown, None) if is_lost_with_gateway(evidence, story) => {
            verdict.lost_with_a_gateway += 1;
        }
        (End::Unknown, posted) => {
            let what = format!("{name} is unknown, posted {posted:?}: {story:?}");
            verdict.wrong_ends.push(what);
        }
        (End::Refused, _) => {}
    }
    if story.is_cut_short && !is_lost_with_gateway(evidence, story) {
        verdict.wrong_ends.push(format!("{name} was said to be over too early: {story:?}"));
    }
}

/// The client's seconds, its price, the receipt and the ledger are one.
fn charge(story: &Story, receipt: &Receipt, posted: &Posted, verdict: &mut Verdict) {
    let name = &story.call_id;
    let seconds = receipt.billable_s;
    let price = TARIFF.price_micros(seconds);
    verdict.tally_micros += price;
    let (least, most) = story.seconds;
    if receipt.cause == "release" && !(least..=most).contains(&seconds) {
        verdict.wrong_charges.push(format!("{name}: {seconds} s are not {least} to {most} s"));
    }
    // Forgotten calls were never reported answered.
    if receipt.cause == "expiry" && seconds > 0 {
        verdict.wrong_charges.push(format!("{name} was never answered: {receipt:?}"));
    }
    if receipt.cost_micros != price {
        verdict.wrong_charges.push(format!("{name} costs {price}: {receipt:?}"));
    }
    let same = (&posted.cause, posted.billable_s, posted.cost_micros);
    if same != (&receipt.cause, seconds, receipt.cost_micros) {
        verdict.wrong_charges.push(format!("{name}: {receipt:?} was posted as {posted:?}"));
    }
}

/// How late a call ended that nobody renewed, where nothing was broken at its end.
fn expiry(evidence: &Evidence<'_>, story: &Story, receipt: &Receipt, verdict: &mut Verdict) {
    let Some(ended) = story.ended.filter(|_| receipt.cause == "expiry") else {
        return;
    };
    if lies_within(evidence.healthy, story.leased_until, ended) {
        let late = Duration::from_nanos(ended.saturating_sub(story.leased_until));
        verdict.latest_expiry = verdict.latest_expiry.max(late);
    }
}

/// The gateway that admitted it was killed before it can have told anybody.
fn is_lost_with_gateway(evidence: &Evidence<'_>, story: &Story) -> bool {
    let told = story.told.unwrap_or(story.asked);
    evidence.outcomes.iter().any(|outcome| {
        let is_its = outcome.fault == Fault::Kill { gateway: story.gateway };
        let lately =
            outcome.at.saturating_sub(told) < UNRECORDED_MAX.as_nanos().try_into().unwrap_or(0);
        is_its && told <= outcome.repaired && lately
    })
}

#[cfg(test)]
mod tests;
