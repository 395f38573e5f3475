//! What threads share their state by: the atomics of the standard library and a mutex. The lock-free
//! parts name them here, so that `tests/interleavings` compiles the same sources over its own. No logic.

pub use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicU64, Ordering};

pub use parking_lot::Mutex;
