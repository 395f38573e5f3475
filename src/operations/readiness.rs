//! Whether this process should be sent calls, and why not.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// Where a process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    Starting = 0,
    Serving = 1,
    Draining = 2,
}

type Obstacle = Box<dyn Fn() -> Option<&'static str> + Send + Sync>;

/// Asked by every probe.
pub struct Readiness {
    phase: AtomicU8,
    obstacle: OnceLock<Obstacle>,
}

impl Readiness {
    pub fn starting() -> Self {
        Self { phase: AtomicU8::new(Phase::Starting as u8), obstacle: OnceLock::new() }
    }

    /// The phase only moves on.
    pub fn enter(&self, phase: Phase) {
        // A flag on its own: nothing else is published by it.
        self.phase.fetch_max(phase as u8, Ordering::Relaxed);
    }

    /// How to learn why the gateway admits nothing, for example because of a full disk.
    pub fn watch_hub(&self, obstacle: impl Fn() -> Option<&'static str> + Send + Sync + 'static) {
        // Set once, at start; a second hub does not exist.
        let _first = self.obstacle.set(Box::new(obstacle));
    }

    /// Why not; nothing when ready.
    pub fn reasons(&self) -> Vec<&'static str> {
        let mut reasons = Vec::new();
        match self.phase.load(Ordering::Relaxed) {
            phase if phase == Phase::Starting as u8 => reasons.push("starting"),
            phase if phase == Phase::Draining as u8 => reasons.push("draining"),
            _ => {}
        }
        reasons.extend(self.obstacle.get().and_then(|obstacle| obstacle()));
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_only_while_it_serves_with_a_hub_that_records() {
        let readiness = Readiness::starting();
        assert_eq!(readiness.reasons(), ["starting"]);
        readiness.enter(Phase::Serving);
        assert!(readiness.reasons().is_empty());
        readiness.watch_hub(|| Some("the disk is full"));
        assert_eq!(readiness.reasons().len(), 1);
        readiness.enter(Phase::Draining);
        readiness.enter(Phase::Serving);
        assert_eq!(readiness.reasons()[0], "draining");
    }
}
