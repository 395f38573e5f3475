//! The end of a journal: the first thing that cannot be mended is reported once, everything after
//! it is refused. After a failed fsync the kernel may have dropped the data and answer the next
//! fsync with success, so nothing here ever tries again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use super::Position;
use super::error::Failed;

/// How far the journal is on disk; what waits for durability watches this.
#[derive(Clone, Copy, Debug)]
pub(super) struct Synced {
    pub(super) through: Position,
    pub(super) failed: bool,
}

pub(super) struct Failure {
    raised: AtomicBool,
    synced: watch::Sender<Synced>,
    report: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Failure {
    pub(super) fn new(
        report: Arc<dyn Fn(&str) + Send + Sync>,
        synced: watch::Sender<Synced>,
    ) -> Self {
        Self { raised: AtomicBool::new(false), synced, report }
    }

    pub(super) fn check(&self) -> Result<(), Failed> {
        // Acquire: whoever sees the failure also sees what preceded it.
        if self.raised.load(Ordering::Acquire) { Err(Failed) } else { Ok(()) }
    }

    /// Refuses everything from now on; reports `reason` unless something was reported before.
    pub(super) fn raise(&self, reason: &str) -> Failed {
        if !self.raised.swap(true, Ordering::AcqRel) {
            self.synced.send_modify(|synced| synced.failed = true);
            (self.report)(reason);
        }
        Failed
    }

    /// A journal whose thread is gone has failed, however quietly that happened.
    pub(super) fn watch_thread(&self, name: &'static str) -> ThreadWatch<'_> {
        ThreadWatch { failure: self, name }
    }
}

pub(super) struct ThreadWatch<'a> {
    failure: &'a Failure,
    name: &'static str,
}

impl Drop for ThreadWatch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.failure.raise(&format!("the thread {} panicked", self.name));
        }
    }
}
