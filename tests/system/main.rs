//! Promises checked against a running `ringfence serve`, by the wire contract alone.

mod audit;
mod bad_input;
mod caps;
mod compatibility;
mod connections;
mod crashes;
mod cut_off;
mod decks;
mod departure;
mod disk;
mod documents;
mod first_start;
mod keyless;
mod leases;
mod life;
mod limits;
mod mail;
mod money;
mod moving;
mod observed;
mod reckoning;
mod refused;
mod seeds;
mod several;
mod shared_hub;
mod start_up;
mod story;
mod tls;
mod two_control_planes;

use support::Installation;

const BINARY: &str = env!("CARGO_BIN_EXE_ringfence");

/// An empty installation with known keys.
fn installation() -> Installation {
    Installation::new(BINARY)
}
