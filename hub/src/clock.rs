//! The one place that reads clocks. Everything that decides takes the time as an argument.

use std::num::NonZeroI64;

use rustix::time::{ClockId, clock_gettime};

pub const SECOND_US: i64 = 1_000_000;

/// Seconds since 1970, the unit of deadlines; good until the year 2106.
pub type EpochSeconds = u32;

/// An instant in microseconds since 1970, never zero: an optional one takes eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(NonZeroI64);

impl Moment {
    pub fn at(us: i64) -> Self {
        Self(NonZeroI64::new(us).unwrap_or(NonZeroI64::MIN))
    }

    pub const fn us(self) -> i64 {
        self.0.get()
    }
}

/// The wall clock, in microseconds since 1970.
pub fn now_us() -> i64 {
    let time = clock_gettime(ClockId::Realtime);
    time.tv_sec * SECOND_US + time.tv_nsec / 1_000
}

/// `CLOCK_BOOTTIME` in microseconds: unlike `Instant` it runs on while the machine is suspended.
pub fn boot_us() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec * SECOND_US + time.tv_nsec / 1_000
}

/// The whole second in which `us` lies.
pub fn second_of(us: i64) -> EpochSeconds {
    EpochSeconds::try_from(us.div_euclid(SECOND_US)).unwrap_or(0)
}

/// The first whole second not before `us`: a deadline so rounded is never early.
pub fn second_after(us: i64) -> EpochSeconds {
    second_of(us.saturating_add(SECOND_US - 1))
}
