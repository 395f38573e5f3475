//! Medians, ratios and whether the targets are met. A ratio is the median of the ratios of
//! neighbouring rounds, so that a slow minute of the machine does not count as a slow server.

use std::fmt::{self, Write};

use benches::figures::Figures;
use benches::machine::Machine;
use serde::{Deserialize, Serialize};

use crate::arguments::Settings;
use crate::backlog::Posting;
use crate::cases::{Billing, Case, Measure, Target};

/// Everything that was measured.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    pub machine: Machine,
    pub settings: Settings,
    pub results: Vec<CaseResult>,
    /// Of the gateway's process after the last round.
    pub resident_bytes: u64,
}

/// Both servers under the same load, one after the other.
#[derive(Debug, Serialize, Deserialize)]
pub struct Round {
    pub gateway: Figures,
    pub posting: Posting,
    pub bare: Option<Figures>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct CaseResult {
    pub name: String,
    pub billing: Billing,
    pub measure: Measure,
    /// Medians over the rounds.
    pub gateway: f64,
    pub bare: Option<f64>,
    pub ratio: Option<f64>,
    /// Processor time of the bare server over that of the gateway, per request: what the ratio would
    /// be if only the server's processor counted.
    pub cpu_ratio: Option<f64>,
    pub gateway_cpu_us: Option<f64>,
    pub bare_cpu_us: Option<f64>,
    pub target: Target,
    /// `None`: there is no target.
    pub met: Option<bool>,
    pub rounds: Vec<Round>,
}

impl CaseResult {
    pub fn new(case: &Case, rounds: Vec<Round>) -> Self {
        let measure = case.measure;
        let gateway = median(rounds.iter().map(|round| measure.of(&round.gateway)));
        let bare = median(rounds.iter().filter_map(|round| Some(measure.of(round.bare.as_ref()?))));
        let paired = |of: &dyn Fn(&Figures) -> Option<f64>, turned: bool| {
            median(rounds.iter().filter_map(|round| {
                let (gateway, bare) = (of(&round.gateway)?, of(round.bare.as_ref()?)?);
                Some(if turned { bare / gateway } else { gateway / bare })
            }))
        };
        let cpu_us = |figures: &Figures| Some(figures.server?.cpu_us_per_request);
        let ratio = paired(&|figures| Some(measure.of(figures)), false);
        let gateway_cpu_us = median(rounds.iter().filter_map(|round| cpu_us(&round.gateway)));
        let bare_cpu_us = median(rounds.iter().filter_map(|round| cpu_us(round.bare.as_ref()?)));
        let cpu_ratio = paired(&cpu_us, true);
        let gateway = gateway.unwrap_or(0.0);
        let met = match case.target {
            Target::Ratio(least) => Some(ratio.is_some_and(|ratio| ratio >= least)),
            Target::OperationsPerS(least) => Some(gateway >= least),
            Target::None => None,
        };
        Self {
            name: case.name.to_owned(),
            billing: case.billing,
            measure,
            gateway,
            bare,
            ratio,
            cpu_ratio,
            gateway_cpu_us,
            bare_cpu_us,
            target: case.target,
            met,
            rounds,
        }
    }

    /// The median of one latency of all rounds.
    fn latency(&self, of: impl Fn(&Figures) -> f64) -> (f64, Option<f64>) {
        let gateway = median(self.rounds.iter().map(|round| of(&round.gateway)));
        (
            gateway.unwrap_or(0.0),
            median(self.rounds.iter().filter_map(|round| Some(of(round.bare.as_ref()?)))),
        )
    }
}

impl fmt::Display for CaseResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.measure.unit();
        writeln!(f, "\n{}", self.name)?;
        let line = |f: &mut fmt::Formatter<'_>, who: &str, value: f64, cpu_us: Option<f64>| {
            write!(f, "  {who:<10} {value:>12.0} {unit}")?;
            cpu_us.map_or(Ok(()), |cpu_us| write!(f, "   {cpu_us:.2} µs CPU per request"))?;
            f.write_char('\n')
        };
        line(f, "ringfence", self.gateway, self.gateway_cpu_us)?;
        if let Some(bare) = self.bare {
            line(f, "bare hyper", bare, self.bare_cpu_us)?;
        }
        if let Some(ratio) = self.ratio {
            write!(f, "  ratio      {ratio:>12.3}")?;
            let cpu = self.cpu_ratio.map(|ratio| format!("   {ratio:.3} by CPU time"));
            writeln!(f, "{}", cpu.unwrap_or_default())?;
        }
        let latencies = [
            ("p50", self.latency(|figures| figures.latency_us.p50)),
            ("p99", self.latency(|figures| figures.latency_us.p99)),
            ("p99.9", self.latency(|figures| figures.latency_us.p99_9)),
        ];
        write!(f, "  latency µs")?;
        for (name, (gateway, bare)) in latencies {
            let bare = bare.map(|bare| format!(" ({bare:.0})")).unwrap_or_default();
            write!(f, "   {name} {gateway:.0}{bare}")?;
        }
        let posting = |of: fn(&Posting) -> f64| {
            median(self.rounds.iter().map(|round| of(&round.posting))).unwrap_or(0.0)
        };
        writeln!(
            f,
            "\n  posting    {:.0} records left by a round, {:.0} of them after {:.1} s ({:.0}/s, {:.2} processors busy)",
            posting(|posting| posting.backlog),
            posting(|posting| posting.left),
            posting(|posting| posting.watched_s),
            posting(|posting| posting.per_s()),
            posting(|posting| posting.busy),
        )?;
        let wanted = match self.target {
            Target::Ratio(least) => format!("a ratio of {least:.2} or more"),
            Target::OperationsPerS(least) => format!("{least:.0} operations/s or more"),
            Target::None => return Ok(()),
        };
        let met = if self.met == Some(true) { "met" } else { "MISSED" };
        writeln!(f, "  target     {wanted}: {met}")
    }
}

impl Report {
    pub fn targets_met(&self) -> bool {
        self.results.iter().all(|result| result.met != Some(false))
    }

    /// What is said after the cases.
    #[expect(clippy::cast_precision_loss, reason = "shown in mebibytes")]
    pub fn closing(&self) -> String {
        let mebibytes = self.resident_bytes as f64 / 1_048_576.0;
        format!(
            "\nposting was allowed {} % of a processor during a round\n\
             resident memory of ringfence: {mebibytes:.0} MiB\n",
            self.settings.posting_cpu_percent,
        )
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], upper)
    } else {
        upper
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_whatever_the_order() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }
}
