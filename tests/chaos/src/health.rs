//! When everything was whole: processes, links and hub. A refusal is checked, and a call that nobody
//! knows is believed, only then.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use support::{Nanos, now};

/// While something is broken, or has been until a moment ago.
const BROKEN: Nanos = Nanos::MAX;

pub struct Health {
    /// Since when all processes run and are linked; [`BROKEN`]: they do not.
    whole_since: AtomicU64,
    times: Mutex<Vec<(Nanos, Nanos)>>,
    settled_since: Mutex<Option<Nanos>>,
}

impl Default for Health {
    fn default() -> Self {
        let (times, settled_since) = (Mutex::default(), Mutex::default());
        Self { whole_since: AtomicU64::new(BROKEN), times, settled_since }
    }
}

impl Health {
    /// A fault is about to begin.
    pub fn breaks(&self) {
        self.whole_since.store(BROKEN, Ordering::Release);
        let at = now();
        let since = self.settled_since.lock().expect("no holder of it panics").take();
        self.times.lock().expect("no holder of it panics").extend(since.map(|from| (from, at)));
    }

    /// Everything runs again.
    pub fn is_whole(&self) {
        self.whole_since.store(now(), Ordering::Release);
    }

    /// What the last fault left behind has come home.
    pub fn settles(&self) {
        *self.settled_since.lock().expect("no holder of it panics") = Some(now());
    }

    /// Since when all processes run and are linked.
    pub fn whole_since(&self) -> Option<Nanos> {
        Some(self.whole_since.load(Ordering::Acquire)).filter(|since| *since != BROKEN)
    }

    /// The times in which everything was settled, in order.
    pub fn times(&self) -> Vec<(Nanos, Nanos)> {
        self.times.lock().expect("no holder of it panics").clone()
    }
}

/// Whether `from` to `to` lies in one of the times, which are in order.
pub fn lies_within(times: &[(Nanos, Nanos)], from: Nanos, to: Nanos) -> bool {
    let after = times.partition_point(|(begin, _)| *begin <= from);
    after.checked_sub(1).is_some_and(|index| to <= times[index].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_in_one_healthy_time_is_checked() {
        let times = [(10, 20), (30, 40)];
        for (from, to, within) in
            [(10, 20, true), (9, 12, false), (19, 21, false), (20, 30, false), (31, 39, true)]
        {
            assert_eq!(lies_within(&times, from, to), within, "{from} to {to}");
        }
    }
}
