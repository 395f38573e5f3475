//! The runs of the exact regime: which faults happen, and which rule is left out.

use super::{ALL_RULES, Config, Rules};
use crate::{Expected, Run};

/// One account with two units, no faults.
const QUIET: Config = Config {
    floors: [0, 0],
    caps: [2, 0],
    total: 2,
    asks: [2, 1],
    ahead_max: 2,
    unflushed_max: 1,
    tries: 2,
    losses: false,
    crashes: 0,
    fences: 0,
    reaps: 0,
    rules: ALL_RULES,
};

/// One gateway crashes, fences itself or is reaped alive.
const FAULTS: Config = Config { crashes: 1, fences: 1, reaps: 1, ..QUIET };

/// Two accounts, the first with a floor, share what is above it.
const SHARED: Config = Config { floors: [1, 0], caps: [2, 2], ahead_max: 1, ..QUIET };

/// The runs.
pub const RUNS: [Run<Config>; 20] = [
    Run { name: "E01 all rules", expected: Expected::Holds, small: true, config: QUIET },
    Run {
        name: "E02 all rules: more calls",
        expected: Expected::Holds,
        small: false,
        config: Config { asks: [2, 2], ..QUIET },
    },
    Run {
        name: "E03 all rules: exchanges are lost",
        expected: Expected::Holds,
        small: true,
        config: Config { asks: [1, 1], caps: [1, 0], losses: true, ..QUIET },
    },
    Run {
        name: "E04 all rules: exchanges are lost, more units",
        expected: Expected::Holds,
        small: false,
        config: Config { ahead_max: 1, losses: true, ..QUIET },
    },
    Run {
        name: "E05 all rules: a crash, a fence, a reap",
        expected: Expected::Holds,
        small: true,
        config: Config { asks: [1, 1], caps: [1, 0], ..FAULTS },
    },
    Run {
        name: "E06 all rules: a crash, a fence, a reap, more units",
        expected: Expected::Holds,
        small: false,
        config: FAULTS,
    },
    Run {
        name: "E07 all rules: lost exchanges, a crash, a fence, a reap",
        expected: Expected::Holds,
        small: false,
        config: Config { caps: [1, 0], losses: true, ..FAULTS },
    },
    Run {
        name: "E08 all rules: two accounts, a floor and a total",
        expected: Expected::Holds,
        small: false,
        config: SHARED,
    },
    Run {
        name: "E09 all rules: two accounts, a crash, a fence, a reap",
        expected: Expected::Holds,
        small: false,
        config: Config { asks: [1, 1], crashes: 1, fences: 1, reaps: 1, ..SHARED },
    },
    Run {
        name: "E10 all rules: two accounts, one unit, a total",
        expected: Expected::Holds,
        small: true,
        config: Config { floors: [0, 0], caps: [1, 1], total: 1, ..SHARED },
    },
    Run {
        name: "E11 refused by what is leased, without a recall",
        expected: Expected::Breaks("I14"),
        small: true,
        config: Config { rules: Rules { recall: false, ..ALL_RULES }, ..QUIET },
    },
    Run {
        name: "E12 refused although who asks has a unit that just became idle",
        expected: Expected::Breaks("I14"),
        small: true,
        config: Config { rules: Rules { own_idle: false, ..ALL_RULES }, ..QUIET },
    },
    Run {
        name: "E13 refused for the total, with idle units above floors recalled only",
        expected: Expected::Breaks("I14"),
        small: true,
        config: Config { rules: Rules { within_floor: false, ..ALL_RULES }, ..SHARED },
    },
    Run {
        name: "E14 a recall takes the units of unflushed admits too",
        expected: Expected::Breaks("I1"),
        small: true,
        config: Config { rules: Rules { recall_spares_unflushed: false, ..ALL_RULES }, ..QUIET },
    },
    Run {
        name: "E15 an idle unit is used without asking whatever b is, and a reap",
        expected: Expected::Breaks("I1"),
        small: true,
        config: Config { rules: Rules { credit: false, ..ALL_RULES }, ..FAULTS },
    },
    Run {
        name: "E16 the unit in one step, the call in another, and a reap",
        expected: Expected::Breaks("I1"),
        small: true,
        config: Config { rules: Rules { one_step: false, ..ALL_RULES }, ..FAULTS },
    },
    Run {
        name: "E17 two steps, and refused by what is leased",
        expected: Expected::Breaks("I14"),
        small: true,
        config: Config {
            ahead_max: 0,
            rules: Rules { one_step: false, recall: false, ..ALL_RULES },
            ..QUIET
        },
    },
    Run {
        name: "E18 a lower b counts from its telling, and a reap",
        expected: Expected::Breaks("I1"),
        small: true,
        config: Config { rules: Rules { lowered_by_report: false, ..ALL_RULES }, ..FAULTS },
    },
    Run {
        name: "E19 an abandoned exchange admits a call that was refused since",
        expected: Expected::Breaks("I14"),
        small: true,
        config: Config {
            caps: [1, 0],
            ahead_max: 0,
            losses: true,
            rules: Rules { newest_only: false, ..ALL_RULES },
            ..QUIET
        },
    },
    Run {
        name: "E20 a unit counts as free whose release another gateway has not flushed",
        expected: Expected::Breaks("I14"),
        small: true,
        config: Config {
            rules: Rules { quarantined_elsewhere_is_used: false, ..ALL_RULES },
            ..QUIET
        },
    },
];
