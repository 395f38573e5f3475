//! A figure: what was asked, what was measured, and whether it holds. The value of a row is the median
//! of its runs; none is left out.

use std::fmt;

use serde::Serialize;

/// One promise and what was measured of it.
#[derive(Debug, Serialize)]
pub struct Figure {
    pub name: &'static str,
    pub asked: &'static str,
    pub rows: Vec<Row>,
    pub holds: bool,
}

/// One quantity, over all runs.
#[derive(Debug, Serialize)]
pub struct Row {
    pub what: String,
    pub unit: &'static str,
    /// In the order of the runs.
    pub runs: Vec<f64>,
    pub median: f64,
    /// What the median may be at most; `None`: shown only.
    pub at_most: Option<f64>,
}

impl Figure {
    pub fn new(name: &'static str, asked: &'static str, rows: Vec<Row>) -> Self {
        let holds = rows.iter().all(Row::holds);
        Self { name, asked, rows, holds }
    }
}

impl Row {
    pub fn new(what: impl Into<String>, unit: &'static str, runs: Vec<f64>) -> Self {
        let median = median(&runs);
        Self { what: what.into(), unit, runs, median, at_most: None }
    }

    #[must_use]
    pub fn at_most(self, at_most: f64) -> Self {
        Self { at_most: Some(at_most), ..self }
    }

    fn holds(&self) -> bool {
        self.at_most.is_none_or(|at_most| self.median <= at_most)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}: {}", self.name, if self.holds { "holds" } else { "MISSED" })?;
        writeln!(f, "  asked: {}", self.asked)?;
        self.rows.iter().try_for_each(|row| row.fmt(f))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, unit, runs, median, at_most } = self;
        write!(f, "  {what:<58} {:>10} {unit:<8}", short(*median))?;
        if let Some(at_most) = at_most {
            let verdict = if self.holds() { "yes" } else { "NO" };
            write!(f, " at most {}: {verdict}", short(*at_most))?;
        }
        if runs.len() > 1 {
            let runs: Vec<String> = runs.iter().map(|run| short(*run)).collect();
            write!(f, "   ({})", runs.join(", "))?;
        }
        writeln!(f)
    }
}

/// Four digits or the whole number, whichever is more.
fn short(value: f64) -> String {
    let decimals = match value.abs() {
        whole if whole >= 1_000.0 || whole.fract() == 0.0 => 0,
        small if small < 1.0 => 4,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The least of `values` that at least that part of them does not exceed; 0 of none.
#[expect(clippy::cast_precision_loss, reason = "thousands of values")]
#[expect(clippy::cast_possible_truncation, reason = "as above")]
#[expect(clippy::cast_sign_loss, reason = "never below 0")]
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let values: Vec<f64> = (1..=1_000).rev().map(f64::from).collect();
        assert!((quantile(&values, 0.99) - 990.0).abs() < f64::EPSILON);
        assert!((quantile(&values, 1.0) - 1_000.0).abs() < f64::EPSILON);
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_figure_holds_when_each_of_its_limits_does() {
        let row = |value| Row::new("x", "ms", vec![value]).at_most(1.0);
        assert!(Figure::new("a", "b", vec![row(1.0), Row::new("y", "", vec![9.0])]).holds);
        assert!(!Figure::new("a", "b", vec![row(0.5), row(1.5)]).holds);
    }
}
