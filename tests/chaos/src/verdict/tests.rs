//! Every way in which what stacks were told can be wrong, shown to the judge.

use super::*;
use crate::world::Listed;

const SECOND: Nanos = 1_000_000_000;
const HEALTHY: &[(Nanos, Nanos)] = &[(0, 1_000 * SECOND)];

/// What was seen with a limit of one, nothing broken unless it is said.
struct Case {
    notes: Notes,
    outcomes: Vec<Outcome>,
    healthy: Vec<(Nanos, Nanos)>,
    posted: HashMap<String, Posted>,
    twice: Vec<String>,
    limit: u32,
}

impl Case {
    fn new() -> Self {
        Self {
            notes: Notes::default(),
            outcomes: Vec::new(),
            healthy: HEALTHY.to_vec(),
            posted: HashMap::new(),
            twice: Vec::new(),
            limit: 1,
        }
    }

    /// A call that was live from one second to the other, and was charged for as many seconds.
    fn call(mut self, name: &str, from_s: u64, to_s: u64) -> Self {
        let story = ended(name, from_s, to_s, 31);
        self.posted.insert(name.to_owned(), posted(31));
        self.notes.stories.push(story);
        self
    }

    fn refused(mut self, from_s: u64, to_s: u64) -> Self {
        let (from, to) = (from_s * SECOND, to_s * SECOND);
        self.notes.refused.push(Refused { account: 0, call: 99, from, to });
        self
    }

    fn fault(mut self, fault: Fault, at_s: u64) -> Self {
        self.outcomes.push(Outcome {
            fault,
            at: at_s * SECOND,
            repaired: (at_s + 3) * SECOND,
            settled: (at_s + 7) * SECOND,
            grants_after: None,
            is_after_unasked: false,
            listed: None,
        });
        self
    }

    fn judged(&self) -> Verdict {
        judge(&Evidence {
            terms: Terms { limit: self.limit, gateways: 3, call_lease_s: 90 },
            notes: &self.notes,
            outcomes: &self.outcomes,
            healthy: &self.healthy,
            posted: &self.posted,
            posted_twice: &self.twice,
        })
    }
}

fn ended(name: &str, from_s: u64, to_s: u64, seconds: u32) -> Story {
    let mut story = Story::new(name.to_owned(), 0, from_s * SECOND);
    story.lives(from_s * SECOND, from_s * SECOND, 90);
    story.hangs_up(to_s * SECOND);
    let cost_micros = TARIFF.price_micros(seconds);
    let receipt = Receipt { cause: "release".to_owned(), billable_s: seconds, cost_micros };
    story.is_over(to_s * SECOND, End::Receipt(receipt));
    story.seconds = (seconds, seconds);
    story
}

fn posted(seconds: u32) -> Posted {
    let cost_micros = TARIFF.price_micros(seconds);
    Posted { cause: "release".to_owned(), billable_s: seconds, cost_micros }
}

fn counts(verdict: &Verdict) -> [usize; 5] {
    let mut counts = verdict.faults().map(|(_, found)| found.len());
    std::array::from_fn(|_| counts.next().expect("five kinds"))
}

#[test]
fn a_right_history_is_right() {
    let case = Case::new().call("a", 1, 5).refused(2, 3).call("b", 6, 9).refused(7, 8);
    let verdict = case.judged();
    assert_eq!(counts(&verdict), [0; 5], "{verdict:?}");
    assert_eq!((verdict.refusals_checked, verdict.most_live, verdict.calls), (2, 1, 2));
    assert_eq!(verdict.tally_micros, 2 * 762_000);
}

#[test]
fn two_calls_told_of_with_a_limit_of_one_are_an_over_admission_in_any_weather() {
    let mut case = Case::new().call("a", 1, 5).call("b", 4, 9);
    case.healthy.clear();
    assert_eq!(counts(&case.fault(Fault::Kill { gateway: 0 }, 2).judged()), [1, 0, 0, 0, 0]);
}

#[test]
fn a_call_counts_until_its_lease_is_over_though_nobody_ends_it() {
    let mut case = Case::new().call("a", 1, 200).call("b", 80, 85);
    assert_eq!(counts(&case.judged()), [1, 0, 0, 0, 0]);
    case = Case::new().call("a", 1, 200).call("b", 92, 95);
    assert_eq!(counts(&case.judged()), [0; 5], "ninety seconds have passed");
}

#[test]
fn a_refusal_while_a_slot_was_free_is_false_only_where_all_was_healthy() {
    let mut case = Case::new().call("a", 1, 5).refused(6, 7);
    assert_eq!(counts(&case.judged()), [0, 1, 0, 0, 0]);
    case.healthy = vec![(0, 6 * SECOND), (7 * SECOND, 9 * SECOND)];
    let verdict = case.judged();
    assert_eq!((counts(&verdict), verdict.refusals_checked), ([0; 5], 0));
}

#[test]
fn a_refusal_counts_what_is_kept_for_a_silent_holder_as_long_as_it_is_kept() {
    let silent = |refused_s| {
        let mut case = Case::new().fault(Fault::Kill { gateway: 0 }, 10);
        case.limit = 64;
        // With two holders left, two may be kept.
        for call in 0..62 {
            case = case.call(&format!("c{call}"), 20, 300);
        }
        // Renewed all the time.
        case.notes.stories.iter_mut().for_each(|story| story.lives(200 * SECOND, 200 * SECOND, 90));
        case.refused(refused_s, refused_s + 1)
    };
    assert_eq!(counts(&silent(30).judged()), [0; 5]);
    assert_eq!(counts(&silent(130).judged()), [0, 1, 0, 0, 0], "a lease and some more later");
}

#[test]
fn a_call_that_never_ends_or_is_unknown_is_caught_unless_its_gateway_was_killed_at_once() {
    let mut open = Case::new().call("a", 1, 5);
    open.notes.stories[0].end = End::Open;
    assert_eq!(counts(&open.judged())[2], 1);
    let unknown = || {
        let mut case = Case::new().call("a", 10, 15);
        case.posted.clear();
        case.notes.stories[0].end = End::Unknown;
        case
    };
    assert_eq!(counts(&unknown().judged()), [0, 0, 1, 0, 0]);
    let killed = unknown().fault(Fault::Kill { gateway: 0 }, 10).judged();
    assert_eq!((counts(&killed), killed.lost_with_a_gateway), ([0; 5], 1));
    for (gateway, at_s) in [(1, 10), (0, 12)] {
        let other = unknown().fault(Fault::Kill { gateway }, at_s).judged();
        assert_eq!(counts(&other)[2], 1, "gateway {gateway} at {at_s} s");
    }
}

#[test]
fn a_call_that_is_cut_short_is_caught() {
    let mut case = Case::new().call("a", 1, 5);
    case.notes.stories[0].is_cut_short = true;
    assert_eq!(counts(&case.judged()), [0, 0, 1, 0, 0]);
}

#[test]
fn a_wrong_charge_is_caught_wherever_it_stands() {
    let wrong = |change: fn(&mut Case)| {
        let mut case = Case::new().call("a", 1, 5);
        change(&mut case);
        counts(&case.judged())[3]
    };
    assert_eq!(wrong(|_| {}), 0);
    assert!(wrong(|case| case.posted.clear()) > 0, "it is not in the ledger");
    assert!(wrong(|case| drop(case.posted.insert("b".to_owned(), posted(7)))) > 0, "nobody's");
    assert!(wrong(|case| case.twice.push("a".to_owned())) > 0, "posted twice");
    assert!(wrong(|case| drop(case.posted.insert("a".to_owned(), posted(32)))) > 0, "seconds");
    assert!(wrong(|case| case.notes.stories[0].seconds = (30, 30)) > 0, "not as reported");
    let one_more = |case: &mut Case| {
        if let (End::Receipt(receipt), Some(posted)) =
            (&mut case.notes.stories[0].end, case.posted.get_mut("a"))
        {
            receipt.cost_micros += 1;
            posted.cost_micros += 1;
        }
    };
    assert!(wrong(one_more) > 0, "a micro-unit");
}

#[test]
fn a_forgotten_call_that_the_ledger_has_as_expired_is_right_and_free() {
    let mut case = Case::new().call("a", 1, 200);
    let expired = Posted { cause: "expiry".to_owned(), billable_s: 0, cost_micros: 0 };
    case.posted.insert("a".to_owned(), expired);
    case.notes.stories[0].end = End::Unknown;
    assert_eq!(counts(&case.judged()), [0; 5]);
}

#[test]
fn a_call_that_is_listed_as_live_after_its_end_was_heard_of_holds_a_slot_for_nobody() {
    for (sent_s, name, found) in [(4, "a", 0), (6, "a", 1), (6, "never asked for", 1)] {
        let mut case = Case::new().call("a", 1, 5).fault(Fault::KillReplica, 2);
        let calls = vec![serde_json::json!({"call_id": name})];
        case.outcomes[0].listed = Some(Listed { sent: sent_s * SECOND, calls });
        assert_eq!(case.judged().undead.len(), found, "{sent_s} {name}");
    }
}
