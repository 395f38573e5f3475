//! The hub's way to its servers, against real ones: single, behind sentinels, in a cluster; and the hub
//! that processes share there.

#![expect(clippy::unwrap_used, reason = "tests")]

mod cluster;
mod deployed;
mod hub;
mod sentinel;
mod shared;
mod single;
mod wake_ups;
