//! The journal of the embedded hub: payloads appended by one write each, synced to disk in groups,
//! read back at the next start, and compacted into snapshots beside the running process. It knows
//! nothing of calls: payloads and snapshot chunks are opaque bytes. It must never show a payload
//! whose append was refused, never retry a failed fsync, and never go on after damage it can see.
//!
//! A directory holds `lock`, segments `journal-<first position>.log`, at most one finished snapshot
//! `snapshot-<position>.snap` (two for an instant), and `*.tmp` files, which are deleted at start.
//! Positions count payloads from 1 and run on across segments; a snapshot at P replaces 1 to P.
//! Segments and snapshots have one layout (`header.rs`, `frame.rs`), all integers little endian:
//!
//! ```text
//! file   = header (64 bytes), frame*, [seal]     the rest of an unsealed file is zero or absent
//! header = magic [8], version u32, stream u128, position u64, zero [24], crc32c u32
//! frame  = length u32, crc32c u32, position u64, payload [length]
//! seal   = a frame of length 0: the file is complete and has been synced
//! ```
//!
//! In a snapshot the frames are chunks numbered from 1 and the seal is the footer. Damage in a
//! sealed file, or before one, is never tolerated; an unsealed end is what a crash leaves behind.

mod compact;
mod directory;
mod error;
mod failure;
mod frame;
mod header;
mod lock;
mod parts;
mod read;
mod recover;
mod reserve;
mod settings;
mod snapshot;
mod space;
mod sync;
#[cfg(test)]
mod tests;
mod write;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;

pub use compact::{CompactError, Compaction};
pub use error::{AppendError, Failed, OpenError};
pub use frame::Frame;
pub use recover::{Recovered, Recovery};
pub use settings::{FRAME_BYTES_MAX, SNAPSHOT_CHUNK_BYTES_MAX, Settings};

use lock::DirectoryLock;
use parts::Parts;

/// The how-manieth payload of a journal; 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position(pub u64);

impl Position {
    const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What a journal adds up to. Recovery feeds one, compaction feeds a fresh one and saves it.
pub trait Image {
    /// The next chunk of the snapshot, as an earlier [`Image::save`] gave it, in the same order.
    fn load(&mut self, chunk: &[u8]) -> Result<(), Refusal>;

    /// The payload appended at `position`.
    fn apply(&mut self, position: Position, payload: &[u8]) -> Result<(), Refusal>;

    /// Hands the whole content over in chunks of 1 to [`SNAPSHOT_CHUNK_BYTES_MAX`] bytes.
    fn save(self, sink: &mut dyn FnMut(&[u8]));
}

/// Why an [`Image`] cannot take what was intact on disk. Made from any error by `?`.
#[derive(Debug)]
pub struct Refusal(pub String);

impl<E: std::error::Error> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// An open journal: this process owns its directory until it is dropped. Dropping it syncs and
/// closes what has been appended.
pub struct Journal {
    parts: Arc<Parts>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    _lock: DirectoryLock,
}

impl Journal {
    /// Takes over `directory`, creating it when missing, and finds what there is to recover. The
    /// journal itself comes from [`Recovery::replay`]. Blocking.
    pub fn open(directory: &Path, settings: Settings) -> Result<Recovery, OpenError> {
        Recovery::begin(directory, settings)
    }

    fn start(parts: Parts, lock: DirectoryLock) -> Result<Self, OpenError> {
        let parts = Arc::new(parts);
        let journal = Self { parts, threads: Mutex::default(), _lock: lock };
        journal.spawn("journal-sync", sync::run)?;
        journal.spawn("journal-space", space::run)?;
        Ok(journal)
    }

    /// Appends the payload in `frame` by one write and empties the frame for the next one. Survives
    /// the death of the process at once and a power cut when [`Journal::durable`] says so. After an
    /// error nothing has been appended and the frame is as it was. An empty payload appends nothing
    /// and answers the last position.
    pub fn append(&self, frame: &mut Frame) -> Result<Position, AppendError> {
        self.parts.append(frame)
    }

    /// Returns when everything up to and including `position` is on disk.
    pub async fn durable(&self, position: Position) -> Result<(), Failed> {
        self.parts.durable(position).await
    }

    /// Whether the disk has no room for another segment. Appends go on working while the present
    /// one has room: that is kept for what cannot be refused.
    pub fn is_full(&self) -> bool {
        self.parts.is_full()
    }

    /// The position of the last payload appended.
    pub fn last(&self) -> Position {
        self.parts.last()
    }

    /// Names this journal: random at creation, the same for its whole life.
    pub fn stream(&self) -> u128 {
        self.parts.stream
    }

    /// From now on compacts whenever closed segments hold more than the setting says, on a thread
    /// of low priority, each time through a new image from `fresh`. Call it once.
    pub fn compact_in_background<I: Image>(
        &self,
        fresh: impl Fn() -> I + Send + 'static,
    ) -> Result<(), OpenError> {
        self.spawn("journal-compact", move |parts| compact::run(parts, &fresh))
    }

    /// Closes the present segment and replaces everything appended so far by one snapshot. Blocking
    /// and at full speed: for a graceful stop and for tests.
    pub fn compact_now<I: Image>(&self, fresh: I) -> Result<Compaction, CompactError> {
        compact::now(&self.parts, fresh)
    }

    fn spawn(
        &self,
        name: &'static str,
        work: impl FnOnce(&Parts) + Send + 'static,
    ) -> Result<(), OpenError> {
        let parts = Arc::clone(&self.parts);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            let _watched = parts.failure.watch_thread(name);
            work(&parts);
        });
        let thread = thread.map_err(|source| {
            OpenError::io("start a thread for", self.parts.directory.path(), source)
        })?;
        self.threads.lock().push(thread);
        Ok(())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.parts.stop();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                self.parts.failure.raise("a thread of the journal panicked");
            }
        }
        self.parts.close();
    }
}
