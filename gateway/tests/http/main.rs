//! The HTTP side as stacks meet it: real sockets, a real engine, a real hub in a temporary directory.

mod bad_input;
mod batch;
mod calls;
mod client;
mod gate;
mod slow;
mod tls;
mod world;
