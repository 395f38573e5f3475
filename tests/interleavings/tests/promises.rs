//! What the lock-free parts promise, in every order of a few threads, and that a fault in the atomics
//! breaks each of these promises. `make interleavings` explores more orders.

#[path = "promises/counts.rs"]
mod counts;
#[path = "promises/credit.rs"]
mod credit;
#[path = "promises/fence.rs"]
mod fence;
#[path = "promises/funds.rs"]
mod funds;
#[path = "promises/slots.rs"]
mod slots;
#[path = "promises/wheel.rs"]
mod wheel;

use std::sync::Arc;

use loom::thread::{self, JoinHandle};

/// Starts a thread that shares `what`.
fn with<S: Send + Sync + 'static, T: 'static>(
    what: &Arc<S>,
    act: impl FnOnce(&S) -> T + Send + 'static,
) -> JoinHandle<T> {
    let what = Arc::clone(what);
    thread::spawn(move || act(&what))
}

fn end<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("a thread that does not panic")
}
