//! What a run came to: for readers a table, for programs JSON. Says what was promised beside what was
//! measured, and passes nothing that was not looked at.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use support::Nanos;

use crate::Settings;
use crate::faults::Outcome;
use crate::stack::Counts;
use crate::verdict::{EXPIRY_LATE_MAX, Verdict};
use crate::world::between;

/// How many examples of each fault are shown.
const SHOWN: usize = 20;
/// New grants come so soon after the first answer of the hub's new memory, all gateways being up.
const GRANTS_AFTER_MAX: Duration = Duration::from_secs(2);

pub struct Report {
    pub settings: Settings,
    pub lasted: Duration,
    pub healthy: Vec<(Nanos, Nanos)>,
    pub outcomes: Vec<Outcome>,
    pub verdict: Verdict,
    pub counts: Counts,
    /// Calls that could be admitted at once in the end.
    pub slots_free: u32,
    pub wallet_spent_micros: i64,
    /// Processes that ended though nobody ended them.
    pub died: Vec<String>,
}

/// One line of the table.
struct Line {
    what: &'static str,
    promised: String,
    measured: String,
    holds: bool,
}

impl Report {
    pub fn new(
        settings: &Settings,
        (from, to): (Nanos, Nanos),
        healthy: Vec<(Nanos, Nanos)>,
        outcomes: Vec<Outcome>,
    ) -> Self {
        Self {
            settings: settings.clone(),
            lasted: between(from, to),
            healthy,
            outcomes,
            verdict: Verdict::default(),
            counts: Counts::default(),
            slots_free: 0,
            wallet_spent_micros: 0,
            died: Vec::new(),
        }
    }

    /// Of the run, in percent.
    pub fn healthy_percent(&self) -> f64 {
        let healthy: Duration = self.healthy.iter().map(|(from, to)| between(*from, *to)).sum();
        100.0 * healthy.as_secs_f64() / self.lasted.as_secs_f64()
    }

    pub fn slowest_grants(&self) -> Option<Duration> {
        self.outcomes.iter().filter_map(|outcome| outcome.grants_after).max()
    }

    /// What does not hold.
    pub fn broken(&self) -> Vec<String> {
        let broken = self.lines().into_iter().filter(|line| !line.holds);
        let mut broken: Vec<String> = broken
            .map(|line| format!("{}: {} ({})", line.what, line.measured, line.promised))
            .collect();
        for (what, examples) in self.verdict.faults() {
            broken.extend(examples.iter().take(SHOWN).map(|example| format!("{what}: {example}")));
        }
        broken.extend(self.died.iter().map(|said| format!("died: {said}")));
        broken
    }

    fn lines(&self) -> Vec<Line> {
        let verdict = &self.verdict;
        let none = |what, found: &Vec<String>| Line {
            what,
            promised: "0".to_owned(),
            measured: found.len().to_string(),
            holds: found.is_empty(),
        };
        let Settings { limit, pace, .. } = self.settings;
        let mut lines: Vec<Line> =
            verdict.faults().map(|(what, found)| none(what, found)).collect();
        lines.push(none("processes that died by themselves", &self.died));
        lines.push(Line {
            what: "most calls surely live at once",
            promised: format!("at most {limit}"),
            measured: verdict.most_live.to_string(),
            holds: verdict.most_live <= limit,
        });
        lines.push(Line {
            what: "slots free at the end",
            promised: limit.to_string(),
            measured: self.slots_free.to_string(),
            holds: self.slots_free == limit,
        });
        let (tally, ledger) = (verdict.tally_micros, verdict.ledger_micros);
        lines.push(Line {
            what: "ledger, in micro-units",
            promised: format!("{tally}, the stacks' tally"),
            measured: format!("{ledger}; gone from the wallet {}", self.wallet_spent_micros),
            holds: tally == ledger && tally == self.wallet_spent_micros,
        });
        let kills = self.outcomes.iter().filter(|it| it.fault.name() == "gateway killed").count();
        lines.push(Line {
            what: "calls that only a killed gateway knew",
            promised: "at most what it may leave untold".to_owned(),
            measured: format!("{} in {kills} kills", verdict.lost_with_a_gateway),
            holds: verdict.lost_with_a_gateway <= kills * self.unflushed_max(),
        });
        lines.push(Line {
            what: "expiry after the end of the lease, at the latest",
            promised: format!("{} s", (pace * EXPIRY_LATE_MAX).as_secs()),
            measured: format!("{:.1} s", verdict.latest_expiry.as_secs_f64()),
            holds: verdict.latest_expiry <= pace * EXPIRY_LATE_MAX,
        });
        lines.extend(self.slowest_grants().map(|slowest| Line {
            what: "new grants after the hub's new memory answers",
            promised: format!("{} s", (pace * GRANTS_AFTER_MAX).as_secs()),
            measured: format!("{:.2} s at the slowest", slowest.as_secs_f64()),
            holds: slowest <= pace * GRANTS_AFTER_MAX,
        }));
        lines
    }

    fn unasked_failovers(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.is_after_unasked).count()
    }

    fn unflushed_max(&self) -> usize {
        let terms = crate::verdict::Terms {
            limit: self.settings.limit,
            gateways: self.settings.gateways,
            call_lease_s: self.settings.call_lease_s,
        };
        usize::try_from(terms.unflushed_max()).unwrap_or(usize::MAX)
    }

    /// Faults by their kind: how many, how long until settled at the longest, and the slowest grants.
    fn kinds(&self) -> BTreeMap<&'static str, (usize, Duration, Option<Duration>)> {
        let mut kinds = BTreeMap::new();
        for outcome in &self.outcomes {
            let kind = kinds.entry(outcome.fault.name()).or_insert((0, Duration::ZERO, None));
            kind.0 += 1;
            kind.1 = kind.1.max(between(outcome.at, outcome.settled));
            kind.2 = kind.2.max(outcome.grants_after);
        }
        kinds
    }

    pub fn markdown(&self) -> String {
        let settings = &self.settings;
        let mut text = format!(
            "# Chaos, seed {}\n\n{} gateways, {:?} hub, limit {}, {} clients, call lease {} s, {:.0} s, \
             {} faults; healthy for {:.1} % of the time.\n\n",
            settings.seed,
            settings.gateways,
            settings.hub,
            settings.limit,
            settings.clients,
            settings.call_lease_s,
            self.lasted.as_secs_f64(),
            self.outcomes.len(),
            self.healthy_percent(),
        );
        let (verdict, counts) = (&self.verdict, &self.counts);
        let mut line = |text_of: String| {
            // Cannot fail: it is a string.
            let _written = writeln!(text, "{text_of}");
        };
        line("| promise | promised | measured | holds |\n|---|---|---|---|".to_owned());
        for Line { what, promised, measured, holds } in self.lines() {
            let holds = if holds { "yes" } else { "**no**" };
            line(format!("| {what} | {promised} | {measured} | {holds} |"));
        }
        line(format!(
            "\n{} calls admitted, {} renewals, {} releases; {} refusals for slots, of which {} in healthy \
             times and checked; {} times 503, {} times no answer; {} failovers that nobody asked for.\n",
            counts.admitted,
            counts.renewed,
            counts.released,
            verdict.refusals,
            verdict.refusals_checked,
            counts.unavailable,
            counts.silent,
            self.unasked_failovers(),
        ));
        line("| fault | times | settled after, at most | new grants after, at most |\n|---|---|---|---|"
            .to_owned());
        for (name, (times, settled, grants)) in self.kinds() {
            let grants = grants.map_or(String::new(), |it| format!("{:.2} s", it.as_secs_f64()));
            line(format!("| {name} | {times} | {:.1} s | {grants} |", settled.as_secs_f64()));
        }
        for what in self.broken() {
            line(format!("\n- {what}"));
        }
        text
    }

    pub fn json(&self) -> Value {
        let verdict = &self.verdict;
        let faults: Vec<Value> = self
            .outcomes
            .iter()
            .map(|outcome| {
                json!({
                    "fault": outcome.fault.to_string(),
                    "repaired_after_s": between(outcome.at, outcome.repaired).as_secs_f64(),
                    "settled_after_s": between(outcome.at, outcome.settled).as_secs_f64(),
                    "grants_after_s": outcome.grants_after.map(|after| after.as_secs_f64()),
                })
            })
            .collect();
        json!({
            "seed": self.settings.seed,
            "hub": format!("{:?}", self.settings.hub).to_lowercase(),
            "gateways": self.settings.gateways,
            "clients": self.settings.clients,
            "limit": self.settings.limit,
            "call_lease_s": self.settings.call_lease_s,
            "lasted_s": self.lasted.as_secs_f64(),
            "healthy_percent": self.healthy_percent(),
            "admitted": self.counts.admitted,
            "refusals": verdict.refusals,
            "refusals_checked": verdict.refusals_checked,
            "unavailable": self.counts.unavailable,
            "silent": self.counts.silent,
            "unasked_failovers": self.unasked_failovers(),
            "most_live": verdict.most_live,
            "over_admissions": verdict.over_admissions.len(),
            "false_refusals": verdict.false_refusals.len(),
            "wrong_ends": verdict.wrong_ends.len(),
            "wrong_charges": verdict.wrong_charges.len(),
            "lost_with_a_gateway": verdict.lost_with_a_gateway,
            "slots_free": self.slots_free,
            "tally_micros": verdict.tally_micros,
            "ledger_micros": verdict.ledger_micros,
            "wallet_spent_micros": self.wallet_spent_micros,
            "broken": self.broken(),
            "faults": faults,
        })
    }
}
