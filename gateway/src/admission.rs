//! The admission core: slots, money, grants and live calls in memory. Pure: time, account and money
//! are arguments; no async, no I/O, no clock, no log line, no lock held across anything.
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::as_conversions)]

pub mod calls;
pub mod credit;
pub mod funds;
pub mod grant;
pub mod share;
pub mod slots;
pub mod wheel;
