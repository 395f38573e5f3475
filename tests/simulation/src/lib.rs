//! Several gateways, the hub they share, its control plane and the stacks that call them, in one thread
//! and in virtual time, under faults drawn from a seed. The same seed gives the same trace. The
//! invariants of the lease protocol are checked after every event.

mod control;
mod faults;
mod installation;
mod invariants;
pub mod node;
mod stacks;
mod watched;
mod world;

pub use world::{Failure, Summary, Teller, run, run_told};
