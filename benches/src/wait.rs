//! Waits for what other processes do.

use std::io;
use std::thread;
use std::time::Duration;

use crate::clock::monotonic_ns;

const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Looks until `condition` holds; an error that names `what` when it does not within `limit`.
pub fn until(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> io::Result<bool>,
) -> io::Result<()> {
    let from_ns = monotonic_ns();
    while !condition()? {
        if u128::from(monotonic_ns() - from_ns) > limit.as_nanos() {
            return Err(io::Error::other(format!("{what}: not within {limit:?}")));
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(())
}
