//! The runs of the slots of an account: which faults happen, and which rule is left out.

use super::{ALL_RULES, Config, Rules};
use crate::{Expected, Run};

/// Every fault once, all rules.
const FAULTS: Config = Config {
    limit: 2,
    granted_max: 2,
    requests: 2,
    wants: &[1, 2],
    crashes: 1,
    fences: 1,
    failovers: 1,
    rules: ALL_RULES,
};

/// A failover and nothing else; learning closes as soon as those that are there have reported.
const FAILOVER: Config = Config {
    crashes: 0,
    fences: 0,
    rules: Rules { strict_learning: false, ..ALL_RULES },
    ..FAULTS
};

/// Every fault once, with requests for everything only.
const COMBINED: Config = Config { wants: &[2], ..FAULTS };

/// The runs; the numbers are those of the lease protocol's list.
pub const RUNS: [Run<Config>; 11] = [
    Run {
        name: "01 a lease is a number that expires: a failover",
        expected: Expected::Breaks("I1"),
        small: true,
        config: Config {
            rules: Rules { learn: false, report_held: false, orphans: false, ..ALL_RULES },
            crashes: 0,
            fences: 0,
            ..FAULTS
        },
    },
    Run {
        name: "02 a crashed holder's lease returns at once",
        expected: Expected::Breaks("I1"),
        small: true,
        config: Config {
            rules: Rules { orphans: false, ..ALL_RULES },
            failovers: 0,
            fences: 0,
            ..FAULTS
        },
    },
    Run {
        name: "03 all rules: two crashes and two fences",
        expected: Expected::Holds,
        small: false,
        config: Config { failovers: 0, crashes: 2, fences: 2, ..FAULTS },
    },
    Run {
        name: "04 all rules: a failover",
        expected: Expected::Holds,
        small: true,
        config: FAILOVER,
    },
    Run {
        name: "05 holders do not report what they have",
        expected: Expected::Breaks("I1"),
        small: true,
        config: Config { rules: Rules { report_held: false, ..FAILOVER.rules }, ..FAILOVER },
    },
    Run {
        name: "06 answers to abandoned requests count",
        expected: Expected::Breaks("I1"),
        small: true,
        config: Config { rules: Rules { drop_stale: false, ..FAILOVER.rules }, ..FAILOVER },
    },
    Run {
        name: "07 learning does not wait for who is missing",
        expected: Expected::Breaks("I1"),
        small: true,
        config: Config { rules: FAILOVER.rules, ..COMBINED },
    },
    Run {
        name: "08 it does not, but grants wait for the replica",
        expected: Expected::Holds,
        small: false,
        config: Config { rules: Rules { wait: true, ..FAILOVER.rules }, ..COMBINED },
    },
    Run {
        name: "09 all rules: a crash, a fence and a failover",
        expected: Expected::Holds,
        small: false,
        config: COMBINED,
    },
    Run {
        name: "10 a live holder is reaped before it fences itself",
        expected: Expected::Breaks("I1"),
        small: true,
        config: Config {
            rules: Rules { timed_reap: false, ..ALL_RULES },
            failovers: 0,
            crashes: 0,
            fences: 0,
            ..FAULTS
        },
    },
    Run {
        name: "11 all rules: two failovers",
        expected: Expected::Holds,
        small: false,
        config: Config { failovers: 2, ..FAILOVER },
    },
];
