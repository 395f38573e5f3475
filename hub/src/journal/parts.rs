//! What the threads of one journal share, and how they are told to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::compact::Closed;
use super::directory::Directory;
use super::failure::{Failure, Synced};
use super::settings::Settings;
use super::space::Space;
use super::write::{OpenSegment, Writer};

/// Locks are taken in the order of these fields, and none is held during an fsync.
pub(super) struct Parts {
    pub(super) directory: Directory,
    pub(super) settings: Settings,
    pub(super) stream: u128,
    pub(super) failure: Failure,
    pub(super) synced: watch::Sender<Synced>,
    /// One compaction at a time.
    pub(super) compacting: Mutex<()>,
    pub(super) writer: Mutex<Writer>,
    pub(super) unsynced: Condvar,
    pub(super) space: Mutex<Space>,
    pub(super) space_wanted: Condvar,
    pub(super) full: AtomicBool,
    pub(super) closed: Mutex<Closed>,
    pub(super) closed_changed: Condvar,
    stopping: Mutex<bool>,
    stopped: Condvar,
}

impl Parts {
    pub(super) fn new(
        directory: Directory,
        settings: Settings,
        stream: u128,
        segment: OpenSegment,
        closed: Closed,
    ) -> Self {
        let synced = watch::Sender::new(Synced { through: segment.last(), failed: false });
        Self {
            failure: Failure::new(settings.on_failure.clone(), synced.clone()),
            directory,
            settings,
            stream,
            synced,
            compacting: Mutex::default(),
            writer: Mutex::new(Writer::new(segment)),
            unsynced: Condvar::new(),
            space: Mutex::default(),
            space_wanted: Condvar::new(),
            full: AtomicBool::new(false),
            closed: Mutex::new(closed),
            closed_changed: Condvar::new(),
            stopping: Mutex::new(false),
            stopped: Condvar::new(),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        // Relaxed: a hint that orders nothing.
        self.full.load(Ordering::Relaxed)
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.lock()
    }

    /// Tells every thread to return. Each looks at the flag under the lock of what it waits for, so
    /// taking that lock before the wake-up means that none misses it.
    pub(super) fn stop(&self) {
        *self.stopping.lock() = true;
        self.stopped.notify_all();
        drop(self.writer.lock());
        self.unsynced.notify_all();
        drop(self.space.lock());
        self.space_wanted.notify_all();
        drop(self.closed.lock());
        self.closed_changed.notify_all();
    }

    /// Waits so long, or less when the journal stops; answers whether it does.
    pub(super) fn rest(&self, duration: Duration) -> bool {
        let mut stopping = self.stopping.lock();
        self.stopped.wait_while_for(&mut stopping, |stopping| !*stopping, duration);
        *stopping
    }
}
