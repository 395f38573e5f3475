//! The figures, in the order in which they are measured. Each starts its own processes.

mod changes;
mod departure;
mod partition;
mod regimes;
mod start_up;
mod wallet;

pub use changes::milliseconds;
use std::io;

use crate::arguments::Arguments;
use crate::figure::Figure;

type Measure = fn(&Arguments, &'static str) -> io::Result<Figure>;

pub const ALL: [(&str, Measure); 8] = [
    ("fast regime", regimes::fast),
    ("exact regime", regimes::exact),
    ("changes", changes::measure),
    ("partition", partition::measure),
    ("departure", departure::measure),
    ("consolidated wallet under load", wallet::under_load),
    ("consolidated wallet to its end", wallet::to_its_end),
    ("start with many accounts", start_up::measure),
];
