//! The runs of the money of a wallet: which faults happen, and which rule is left out.

use super::{ALL_RULES, Config, Rules};
use crate::{Expected, Run};

/// The money of two calls, no faults.
const QUIET: Config = Config {
    escrow: 4,
    asks: [2, 1],
    costs: &[1],
    ahead_max: 2,
    disorder: false,
    crashes: 0,
    fences: 0,
    reaps: 0,
    memory_losses: 0,
    recharges: 0,
    withdrawals: 0,
    rules: ALL_RULES,
};

/// Exchanges are lost, or taken again later.
const DISORDER: Config = Config { asks: [1, 1], escrow: 2, disorder: true, ..QUIET };

/// One gateway crashes, fences itself or is reaped alive.
const FAULTS: Config = Config { crashes: 1, fences: 1, reaps: 1, ..QUIET };

/// The same, and the hub loses its memory.
const MEMORY: Config = Config { memory_losses: 1, ..FAULTS };

/// The runs.
pub const RUNS: [Run<Config>; 26] = [
    Run { name: "M01 all rules", expected: Expected::Holds, small: true, config: QUIET },
    Run {
        name: "M02 all rules: what one gateway lacks lies in parts",
        expected: Expected::Holds,
        small: true,
        config: Config { escrow: 3, ..QUIET },
    },
    Run {
        name: "M03 all rules: exchanges are lost, or taken twice",
        expected: Expected::Holds,
        small: true,
        config: Config { ahead_max: 0, ..DISORDER },
    },
    Run {
        name: "M04 all rules: exchanges are lost, or taken twice, money ahead",
        expected: Expected::Holds,
        small: false,
        config: DISORDER,
    },
    Run {
        name: "M05 all rules: a crash, a fence, a reap",
        expected: Expected::Holds,
        small: true,
        config: Config { asks: [1, 1], escrow: 2, ..FAULTS },
    },
    Run {
        name: "M06 all rules: a crash, a fence, a reap, more calls",
        expected: Expected::Holds,
        small: false,
        config: FAULTS,
    },
    Run {
        name: "M07 all rules: the hub loses its memory",
        expected: Expected::Holds,
        small: true,
        config: Config { memory_losses: 1, ..QUIET },
    },
    Run {
        name: "M08 all rules: a crash, a fence, a reap, and memory lost",
        expected: Expected::Holds,
        small: false,
        config: MEMORY,
    },
    Run {
        name: "M09 all rules: a call may cost nothing or all it holds",
        expected: Expected::Holds,
        small: false,
        config: Config { costs: &[0, 2], ..FAULTS },
    },
    Run {
        name: "M10 all rules: a recharge and a withdrawal",
        expected: Expected::Holds,
        small: true,
        config: Config { asks: [1, 1], escrow: 2, recharges: 1, withdrawals: 1, ..QUIET },
    },
    Run {
        name: "M11 all rules: a recharge, a withdrawal, and memory lost",
        expected: Expected::Holds,
        small: false,
        config: Config { escrow: 2, recharges: 1, withdrawals: 1, memory_losses: 1, ..QUIET },
    },
    Run {
        name: "M12 what is new is reported, not what there is",
        expected: Expected::Breaks("I10"),
        small: true,
        config: Config {
            asks: [2, 1],
            escrow: 4,
            rules: Rules { cumulative: false, ..ALL_RULES },
            ..DISORDER
        },
    },
    Run {
        name: "M13 a recharge is told by what it adds",
        expected: Expected::Breaks("I10"),
        small: true,
        config: Config {
            escrow: 0,
            recharges: 1,
            rules: Rules { absolute_escrow: false, ..ALL_RULES },
            ..QUIET
        },
    },
    Run {
        name: "M14 an older escrow counts",
        expected: Expected::Breaks("I10"),
        small: true,
        config: Config {
            withdrawals: 1,
            rules: Rules { newest_escrow: false, ..ALL_RULES },
            ..QUIET
        },
    },
    Run {
        name: "M15 a withdrawal is paid out before the hub has given it up",
        expected: Expected::Breaks("I10"),
        small: true,
        config: Config {
            withdrawals: 1,
            rules: Rules { withdrawn_from_hub: false, ..ALL_RULES },
            ..QUIET
        },
    },
    Run {
        name: "M16 a refund is used before its record is in the hub, and a reap",
        expected: Expected::Breaks("I10"),
        small: true,
        config: Config {
            escrow: 2,
            costs: &[0],
            reaps: 1,
            rules: Rules { quarantine: false, ..ALL_RULES },
            ..QUIET
        },
    },
    Run {
        name: "M17 a reap returns what recorded calls hold",
        expected: Expected::Breaks("I10"),
        small: true,
        config: Config { rules: Rules { named: false, ..ALL_RULES }, ..FAULTS },
    },
    Run {
        name: "M18 a reap keeps nothing for calls that are not recorded",
        expected: Expected::Breaks("I10"),
        small: true,
        config: Config { rules: Rules { anonymous: false, ..ALL_RULES }, ..FAULTS },
    },
    Run {
        name: "M19 a record that comes after its money was let go is charged in full",
        expected: Expected::Breaks("I10"),
        small: true,
        config: Config { rules: Rules { late_is_debt: false, ..ALL_RULES }, ..FAULTS },
    },
    Run {
        name: "M20 who has no memory grants at once",
        expected: Expected::Breaks("I10"),
        small: true,
        config: Config { memory_losses: 1, rules: Rules { learn: false, ..ALL_RULES }, ..QUIET },
    },
    Run {
        name: "M21 the escrow is rebuilt whole, whatever has been posted",
        expected: Expected::Breaks("I10"),
        small: true,
        config: Config { rules: Rules { unposted: false, ..ALL_RULES }, ..MEMORY },
    },
    Run {
        name: "M22 a reaped holder reports to a hub without memory, and is one again",
        expected: Expected::Breaks("I10"),
        small: true,
        config: Config {
            costs: &[0],
            crashes: 0,
            fences: 0,
            rules: Rules { dead_stays_dead: false, ..ALL_RULES },
            ..MEMORY
        },
    },
    Run {
        name: "M23 learning does not wait for the calls of holders reaped before",
        expected: Expected::Breaks("I10"),
        small: true,
        config: Config { rules: Rules { waits_for_dead: false, ..ALL_RULES }, ..MEMORY },
    },
    Run {
        name: "M24 refused by what the hub has, without a recall",
        expected: Expected::Breaks("I14"),
        small: true,
        config: Config { rules: Rules { recall: false, ..ALL_RULES }, ..QUIET },
    },
    Run {
        name: "M25 refused although who asks has a refund that just became idle",
        expected: Expected::Breaks("I14"),
        small: true,
        config: Config { escrow: 3, rules: Rules { own_idle: false, ..ALL_RULES }, ..QUIET },
    },
    Run {
        name: "M26 a record is posted as often as it comes",
        expected: Expected::Breaks("I11"),
        small: true,
        config: Config { rules: Rules { posted_once: false, ..ALL_RULES }, ..QUIET },
    },
];
