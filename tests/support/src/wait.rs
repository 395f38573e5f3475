//! Real time in tests: the only place that reads it or sleeps.

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// Nanoseconds since the first call of [`now`] in this process; monotonic over all threads.
pub type Nanos = u64;

const POLL: Duration = Duration::from_millis(5);

/// The monotonic time.
#[expect(clippy::disallowed_methods, reason = "the one clock of the tests")]
pub fn now() -> Nanos {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let origin = *ORIGIN.get_or_init(Instant::now);
    u64::try_from(Instant::now().duration_since(origin).as_nanos()).unwrap_or(u64::MAX)
}

/// How long `work` took, with what it returned.
pub fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let from = now();
    let result = work();
    (Duration::from_nanos(now() - from), result)
}

/// Polls until `condition` holds; panics with `what` when it does not within `deadline`.
#[track_caller]
pub fn wait_until(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    let from = now();
    while !condition() {
        let waited = Duration::from_nanos(now() - from);
        assert!(waited < deadline, "{what}: not within {deadline:?}");
        thread::sleep(POLL);
    }
}

/// Lets real time pass where a test is about time that passes (a lease, a billed second).
pub fn pause(duration: Duration) {
    thread::sleep(duration);
}

/// Says on the test's output what a repetition needs, such as a seed.
#[expect(clippy::print_stdout, reason = "shown with a failure, or by --no-capture")]
pub fn say(what: &str) {
    println!("{what}");
}
