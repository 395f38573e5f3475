//! What is measured, and what is wanted of it.

use benches::figures::Figures;
use serde::{Deserialize, Serialize};

/// Which account the calls are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Billing {
    /// With a rate and a wallet: a hold and a charge for each call.
    Billed,
    Unbilled,
}

/// What the issue of the benches asks for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Requests per second over those of the bare server.
    Ratio(f64),
    OperationsPerS(f64),
    /// Shown only.
    None,
}

/// One way of loading the server.
pub struct Case {
    pub name: &'static str,
    pub billing: Billing,
    pub arguments: &'static [&'static str],
    /// Whether a bare server can do the same.
    pub against_bare: bool,
    pub target: Target,
    /// The figure that the medians are of.
    pub measure: Measure,
    /// Seconds of a round, where they are part of the target.
    pub round_s: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    RequestsPerS,
    OperationsPerS,
    P99Us,
}

impl Measure {
    pub const fn of(self, figures: &Figures) -> f64 {
        match self {
            Self::RequestsPerS => figures.requests_per_s,
            Self::OperationsPerS => figures.operations_per_s,
            Self::P99Us => figures.latency_us.p99,
        }
    }

    pub const fn unit(self) -> &'static str {
        match self {
            Self::RequestsPerS => "requests/s",
            Self::OperationsPerS => "operations/s",
            Self::P99Us => "µs p99",
        }
    }
}

pub fn all() -> [Case; 5] {
    let case = Case {
        name: "",
        billing: Billing::Billed,
        arguments: &[],
        against_bare: true,
        target: Target::None,
        measure: Measure::RequestsPerS,
        round_s: None,
    };
    [
        Case {
            name: "admit and release, billed, 64 connections",
            arguments: &["--connections", "64"],
            target: Target::Ratio(0.85),
            ..case
        },
        Case {
            name: "admit and release, unbilled, 64 connections",
            billing: Billing::Unbilled,
            arguments: &["--connections", "64"],
            target: Target::Ratio(0.85),
            ..case
        },
        Case {
            name: "the same, billed, pipelined 16 deep",
            arguments: &["--connections", "64", "--pipeline", "16"],
            target: Target::Ratio(0.60),
            ..case
        },
        Case {
            name: "batches of 100, unbilled, 8 connections",
            billing: Billing::Unbilled,
            arguments: &["--connections", "8", "--batch", "100"],
            against_bare: false,
            target: Target::OperationsPerS(1_500_000.0),
            measure: Measure::OperationsPerS,
            round_s: Some(2.0),
        },
        Case {
            name: "open loop at 20000/s, billed, 64 connections",
            arguments: &["--connections", "64", "--rate", "20000"],
            measure: Measure::P99Us,
            ..case
        },
    ]
}
