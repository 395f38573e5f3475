//! The lock-free parts of the gateway, compiled from its own files over the atomics of a model checker,
//! which runs them in every order that threads and memory allow. Never a copy of what it checks.

pub mod admission;
pub mod exploration;
pub mod sync;

// The gateway's own sources, as those in `admission`.
#[path = "../../../gateway/src/counts.rs"]
pub mod counts;
#[path = "../../../gateway/src/sharing/fence.rs"]
pub mod fence;
