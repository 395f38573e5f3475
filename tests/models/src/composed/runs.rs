//! The runs of slots and money together: which limit binds, and which rule is left out.

use super::{ALL_RULES, Config, Rules};
use crate::{Expected, Run};

/// One slot and one hold, no faults.
const SMALL: Config = Config {
    limits: [1, 1],
    asks: [2, 1],
    ahead_max: [1, 1],
    unflushed_max: 1,
    fences: 0,
    reaps: 0,
    rules: ALL_RULES,
};

/// Two of each.
const LARGE: Config = Config { limits: [2, 2], ..SMALL };

/// The runs.
pub const RUNS: [Run<Config>; 8] = [
    Run { name: "C01 all rules", expected: Expected::Holds, small: true, config: SMALL },
    Run {
        name: "C02 all rules: a fence, a reap",
        expected: Expected::Holds,
        small: false,
        config: Config { fences: 1, reaps: 1, ..SMALL },
    },
    Run {
        name: "C03 all rules: more money than slots",
        expected: Expected::Holds,
        small: false,
        config: Config { limits: [1, 2], ..SMALL },
    },
    Run {
        name: "C04 all rules: two of each",
        expected: Expected::Holds,
        small: false,
        config: LARGE,
    },
    Run {
        name: "C05 the slot is taken although the money lacks, and undone later",
        expected: Expected::Breaks("I14"),
        small: true,
        config: Config {
            limits: [2, 1],
            asks: [2, 2],
            rules: Rules { all_or_none: false, ..ALL_RULES },
            ..SMALL
        },
    },
    Run {
        name: "C06 a slot is given back that was never taken",
        expected: Expected::Breaks("I4"),
        small: true,
        config: Config {
            limits: [2, 1],
            rules: Rules { undo_exactly: false, ..ALL_RULES },
            ..SMALL
        },
    },
    Run {
        name: "C07 refused for the slot without a recall",
        expected: Expected::Breaks("I14"),
        small: true,
        config: Config { rules: Rules { recall_slots: false, ..ALL_RULES }, ..LARGE },
    },
    Run {
        name: "C08 refused for the money without a recall",
        expected: Expected::Breaks("I14"),
        small: true,
        config: Config { rules: Rules { recall_money: false, ..ALL_RULES }, ..LARGE },
    },
];
