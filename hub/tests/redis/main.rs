//! The hub's way to its servers, against real ones: single, behind sentinels, in a cluster.

#![expect(clippy::unwrap_used, reason = "tests")]

mod cluster;
mod deployed;
mod hub;
mod sentinel;
mod single;
mod wake_ups;
