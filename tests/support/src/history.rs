//! The history checker: decides from what clients saw whether limits held and refusals were true.
//!
//! A client knows only when it asked and when it was answered. So a call is *surely* live from the
//! answer of its admit to the request of its release, and *possibly* live from the request of its
//! admit to the answer of its release. A history is right when (a) what is surely live never exceeds
//! a limit and (b) within every refusal for slots there is an instant at which, counting what is
//! possibly live, no slot was free (invariant I14). After Herlihy and Wing's linearizability, reduced
//! to what counters need: both bounds are tight for a history without lost answers.

use std::collections::HashMap;
use std::fmt;

use crate::wait::Nanos;

/// What one account is promised.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub floor: u32,
    pub cap: u32,
}

/// Accounts under one total; events name them by their index.
#[derive(Clone, Debug)]
pub struct Limits {
    pub total: u32,
    pub accounts: Vec<Share>,
}

impl Limits {
    /// One account with a fixed limit.
    pub fn fixed(limit: u32) -> Self {
        Self { total: limit, accounts: vec![Share { floor: limit, cap: limit }] }
    }

    /// Whether an account that has `live[account]` calls may not have one more (design, section 3).
    fn refuses(&self, account: usize, live: &[u32]) -> bool {
        let Share { floor, cap } = self.accounts[account];
        let own = live[account];
        let all: u64 = live.iter().map(|count| u64::from(*count)).sum();
        own >= cap
            || all >= u64::from(self.total)
            || (own >= floor && self.committed(live) >= u64::from(self.total))
    }

    fn committed(&self, live: &[u32]) -> u64 {
        self.accounts.iter().zip(live).map(|(share, own)| u64::from(share.floor.max(*own))).sum()
    }
}

/// What an admit was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Admitted {
        duplicate: bool,
    },
    /// Refused for slots.
    NoSlot,
    /// The answer was lost: admitted or not.
    Lost,
}

/// One request of one client.
#[derive(Clone, Debug)]
pub enum Event {
    Admit {
        account: usize,
        call: u64,
        from: Nanos,
        to: Nanos,
        answer: Answer,
    },
    /// `to` is `None` when the answer was lost.
    Release {
        call: u64,
        from: Nanos,
        to: Option<Nanos>,
    },
}

/// What a right history contained, so that a test can see that it was not idle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub admitted: usize,
    pub refused: usize,
    /// The most calls that were surely live at once, over all accounts.
    pub most_live: u32,
}

/// One way in which a history is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// More surely live than the account's cap.
    AboveCap { account: usize, live: u32, at: Nanos },
    /// More surely live, or kept free for floors, than the total.
    AboveTotal { committed: u64, at: Nanos },
    /// A slot was free during the whole of this request.
    FalseRefusal { account: usize, call: u64, from: Nanos, to: Nanos },
    /// A call was admitted anew although it had been admitted before.
    AdmittedTwice { call: u64 },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AboveCap { account, live, at } => {
                write!(f, "account {account} had {live} live calls at {at} ns")
            }
            Self::AboveTotal { committed, at } => {
                write!(f, "{committed} slots were in use or promised at {at} ns")
            }
            Self::FalseRefusal { account, call, from, to } => {
                write!(
                    f,
                    "account {account}, call {call}: refused though a slot was free from {from} to {to} ns"
                )
            }
            Self::AdmittedTwice { call } => write!(f, "call {call} was admitted anew twice"),
        }
    }
}

/// When a call was live, as far as its clients can know.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub account: usize,
    pub possibly_from: Nanos,
    /// `None`: nobody was told of it.
    pub surely_from: Option<Nanos>,
    pub surely_to: Nanos,
    pub possibly_to: Nanos,
}

/// A refusal for slots, from its request to its answer.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    pub account: usize,
    pub call: u64,
    pub from: Nanos,
    pub to: Nanos,
}

/// Checks a history, in any order of its events.
pub fn check(limits: &Limits, events: &[Event]) -> Result<Summary, Vec<Violation>> {
    let known = spans(events);
    let (spans, refused): (Vec<Span>, Vec<Refused>) =
        (known.values().map(|(span, _)| *span).collect(), refusals(events).collect());
    let (most_live, mut violations) = check_spans(limits, &spans, &refused);
    let twice = known.iter().filter(|(_, (_, admissions))| *admissions > 1);
    violations.extend(twice.map(|(call, _)| Violation::AdmittedTwice { call: *call }));
    if !violations.is_empty() {
        return Err(violations);
    }
    let admitted = spans.iter().filter(|span| span.surely_from.is_some()).count();
    Ok(Summary { admitted, refused: refused.len(), most_live })
}

/// Checks what is known of calls in whatever way: the most that were surely live at once, and what is
/// wrong.
pub fn check_spans(limits: &Limits, spans: &[Span], refused: &[Refused]) -> (u32, Vec<Violation>) {
    let mut violations = Vec::new();
    let most_live = check_limits(limits, spans, &mut violations);
    check_refusals(limits, spans, refused, &mut violations);
    (most_live, violations)
}

fn refusals(events: &[Event]) -> impl Iterator<Item = Refused> {
    events.iter().filter_map(|event| match *event {
        Event::Admit { account, call, from, to, answer: Answer::NoSlot } => {
            Some(Refused { account, call, from, to })
        }
        _ => None,
    })
}

/// Each call, and how many answers called it new.
fn spans(events: &[Event]) -> HashMap<u64, (Span, u32)> {
    let mut spans: HashMap<u64, (Span, u32)> = HashMap::new();
    for event in events {
        let Event::Admit { account, call, from, to, answer } = *event else {
            continue;
        };
        if answer == Answer::NoSlot {
            continue;
        }
        let unknown = Span {
            account,
            possibly_from: from,
            surely_from: None,
            surely_to: Nanos::MAX,
            possibly_to: Nanos::MAX,
        };
        let (span, admissions) = spans.entry(call).or_insert((unknown, 0));
        span.possibly_from = span.possibly_from.min(from);
        if let Answer::Admitted { duplicate } = answer {
            span.surely_from = Some(span.surely_from.map_or(to, |known| known.min(to)));
            *admissions += u32::from(!duplicate);
        }
    }
    for event in events {
        let Event::Release { call, from, to } = *event else {
            continue;
        };
        if let Some((span, _)) = spans.get_mut(&call) {
            span.surely_to = span.surely_to.min(from);
            span.possibly_to = span.possibly_to.min(to.unwrap_or(Nanos::MAX));
        }
    }
    spans
}

/// One change of the number of live calls of an account.
#[derive(Clone, Copy)]
struct Change {
    at: Nanos,
    account: usize,
    begins: bool,
}

/// (a): returns the most that were surely live at once.
fn check_limits(limits: &Limits, spans: &[Span], violations: &mut Vec<Violation>) -> u32 {
    let mut changes = Vec::new();
    for span in spans {
        let Some(from) = span.surely_from.filter(|from| *from < span.surely_to) else {
            continue;
        };
        changes.push(Change { at: from, account: span.account, begins: true });
        changes.push(Change { at: span.surely_to, account: span.account, begins: false });
    }
    // At one instant ends come first: what touches is not surely together.
    changes.sort_by_key(|change| (change.at, change.begins));
    let mut live = vec![0; limits.accounts.len()];
    let mut most = 0;
    for Change { at, account, begins } in changes {
        if !begins {
            live[account] -= 1;
            continue;
        }
        live[account] += 1;
        most = most.max(live.iter().sum());
        if live[account] > limits.accounts[account].cap {
            violations.push(Violation::AboveCap { account, live: live[account], at });
        }
        let committed = limits.committed(&live);
        if committed > u64::from(limits.total) {
            violations.push(Violation::AboveTotal { committed, at });
        }
    }
    most
}

/// (b)
fn check_refusals(
    limits: &Limits,
    spans: &[Span],
    refused: &[Refused],
    violations: &mut Vec<Violation>,
) {
    let mut changes = Vec::new();
    for span in spans {
        changes.push(Change { at: span.possibly_from, account: span.account, begins: true });
        changes.push(Change { at: span.possibly_to, account: span.account, begins: false });
    }
    // At one instant begins come first: what touches is possibly together.
    changes.sort_by_key(|change| (change.at, !change.begins));
    // Step k lasts from change k − 1 to change k; `full[account][k]` counts the steps before k in
    // which the account would have been refused.
    let accounts = limits.accounts.len();
    let mut live = vec![0; accounts];
    let mut full: Vec<Vec<u32>> = vec![vec![0]; accounts];
    let mut count = |live: &[u32]| {
        for (account, counts) in full.iter_mut().enumerate() {
            let before = counts.last().copied().unwrap_or(0);
            counts.push(before + u32::from(limits.refuses(account, live)));
        }
    };
    count(&live);
    for change in &changes {
        if change.begins {
            live[change.account] += 1;
        } else {
            live[change.account] -= 1;
        }
        count(&live);
    }
    for Refused { account, call, from, to } in refused.iter().copied() {
        let first = changes.partition_point(|change| change.at < from);
        let last = changes.partition_point(|change| change.at <= to);
        if full[account][last + 1] == full[account][first] {
            violations.push(Violation::FalseRefusal { account, call, from, to });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Answer = Answer::Admitted { duplicate: false };

    fn admit(call: u64, from: Nanos, to: Nanos, answer: Answer) -> Event {
        Event::Admit { account: 0, call, from, to, answer }
    }

    fn of(account: usize, call: u64, from: Nanos, to: Nanos, answer: Answer) -> Event {
        Event::Admit { account, call, from, to, answer }
    }

    fn release(call: u64, from: Nanos, to: Nanos) -> Event {
        Event::Release { call, from, to: Some(to) }
    }

    #[test]
    fn a_right_history_passes_with_its_numbers() {
        let events = [
            admit(1, 0, 1, NEW),
            admit(2, 2, 3, Answer::NoSlot),
            release(1, 4, 5),
            admit(2, 6, 7, NEW),
            release(2, 8, 9),
            release(2, 10, 11),
        ];
        let summary = check(&Limits::fixed(1), &events);
        assert_eq!(summary, Ok(Summary { admitted: 2, refused: 1, most_live: 1 }));
    }

    #[test]
    fn two_calls_surely_live_above_a_limit_of_one_are_caught() {
        let events = [admit(1, 0, 1, NEW), admit(2, 2, 3, NEW), release(1, 4, 5)];
        let caught = check(&Limits::fixed(1), &events).expect_err("over-admission");
        assert!(caught.contains(&Violation::AboveCap { account: 0, live: 2, at: 3 }));
    }

    #[test]
    fn an_admit_that_overlaps_a_release_is_not_accused() {
        let events = [admit(1, 0, 1, NEW), release(1, 2, 6), admit(2, 3, 4, NEW)];
        assert!(check(&Limits::fixed(1), &events).is_ok());
    }

    #[test]
    fn a_refusal_while_a_slot_was_free_is_caught() {
        let events = [admit(1, 0, 1, NEW), release(1, 2, 3), admit(2, 4, 5, Answer::NoSlot)];
        let caught = check(&Limits::fixed(1), &events);
        let refused = Violation::FalseRefusal { account: 0, call: 2, from: 4, to: 5 };
        assert_eq!(caught, Err(vec![refused]));
        let never = [admit(1, 0, 1, Answer::NoSlot)];
        assert!(check(&Limits::fixed(1), &never).is_err());
    }

    #[test]
    fn a_refusal_is_true_when_the_slot_was_taken_for_any_instant_of_it() {
        // Call 1 may still hold the slot until its release is answered at 5.
        let events = [admit(1, 0, 1, NEW), release(1, 2, 5), admit(2, 5, 6, Answer::NoSlot)];
        assert!(check(&Limits::fixed(1), &events).is_ok());
        // Call 1 may have taken it when its request left at 3.
        let events = [admit(2, 1, 3, Answer::NoSlot), admit(1, 3, 9, NEW)];
        assert!(check(&Limits::fixed(1), &events).is_ok());
    }

    #[test]
    fn a_lost_answer_counts_as_possibly_live_and_never_as_surely() {
        let lost = admit(1, 0, 1, Answer::Lost);
        let both = [lost.clone(), admit(2, 2, 3, NEW)];
        assert!(check(&Limits::fixed(1), &both).is_ok());
        let refused = [lost, admit(2, 2, 3, Answer::NoSlot)];
        assert!(check(&Limits::fixed(1), &refused).is_ok());
    }

    #[test]
    fn a_retry_answered_duplicate_is_one_call_and_a_second_new_answer_is_caught() {
        let duplicate = Answer::Admitted { duplicate: true };
        let once = [admit(1, 0, 1, Answer::Lost), admit(1, 2, 3, duplicate)];
        assert!(check(&Limits::fixed(1), &once).is_ok());
        let twice = [admit(1, 0, 1, NEW), admit(1, 2, 3, NEW)];
        let caught = check(&Limits::fixed(9), &twice);
        assert_eq!(caught, Err(vec![Violation::AdmittedTwice { call: 1 }]));
    }

    fn shared() -> Limits {
        let share = |floor, cap| Share { floor, cap };
        Limits { total: 4, accounts: vec![share(2, 4), share(1, 2)] }
    }

    #[test]
    fn a_floor_stays_free_for_its_owner() {
        // Three of the first account leave one slot, which is the second's floor.
        let mut events: Vec<Event> = (1..=3).map(|call| of(0, call, call, call, NEW)).collect();
        events.push(of(0, 4, 5, 6, Answer::NoSlot));
        assert!(check(&shared(), &events).is_ok());
        events.push(of(1, 5, 7, 8, NEW));
        assert!(check(&shared(), &events).is_ok());
        // The second's next is above its floor, and everything is in use.
        events.push(of(1, 6, 9, 10, Answer::NoSlot));
        assert!(check(&shared(), &events).is_ok());
    }

    #[test]
    fn taking_anothers_floor_and_refusing_ones_own_are_caught() {
        let taken: Vec<Event> = (1..=4).map(|call| of(0, call, call, call, NEW)).collect();
        let caught = check(&shared(), &taken).expect_err("the floor was taken");
        assert_eq!(caught, [Violation::AboveTotal { committed: 5, at: 4 }]);
        let mut refused: Vec<Event> = (1..=3).map(|call| of(0, call, call, call, NEW)).collect();
        refused.push(of(1, 9, 10, 11, Answer::NoSlot));
        assert!(check(&shared(), &refused).is_err());
    }
}
