//! The HTTP side as stacks meet it: real sockets, a real engine, a real hub in a temporary directory.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "slow clients are measured in real time; a test ends by panicking"
)]

mod bad_input;
mod batch;
mod calls;
mod client;
mod gate;
mod slow;
mod world;
