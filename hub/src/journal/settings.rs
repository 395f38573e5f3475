//! Sizes and times of a journal: what may be set, and the limits of the format.

use std::sync::Arc;
use std::time::Duration;

use super::error::OpenError;

/// A payload is at most this long.
pub const FRAME_BYTES_MAX: usize = 64 << 20;
/// A chunk that [`super::Image::save`] gives is at most this long.
pub const SNAPSHOT_CHUNK_BYTES_MAX: usize = 1 << 20;

/// Records name callers: nobody but the owner reads them.
pub(super) const FILE_MODE: u32 = 0o600;
/// The least and the most of [`Settings::segment_bytes`].
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = (64 << 10)..=(4 << 30);
/// The exit status of a process whose journal failed: `EX_IOERR` of sysexits.h.
const EXIT_IO_ERROR: i32 = 74;

/// How a journal uses its disk. The default is right for production.
#[derive(Clone)]
pub struct Settings {
    /// Disk space reserved for one segment; 64 KiB to 4 GiB.
    pub segment_bytes: u64,
    /// Reserve the space of segments ahead, where the file system can.
    pub preallocate: bool,
    /// While anything is unsynced, at most one fsync in this time.
    pub sync_interval: Duration,
    /// How soon to look again for room on a full disk.
    pub space_interval: Duration,
    /// Closed segments hold at most about this much, or as much as the snapshot if that is more,
    /// before they are compacted.
    pub compact_after_bytes: u64,
    /// Called once with the reason when the journal cannot go on; it should end the process and not
    /// return. The default logs the reason and exits with status 74.
    pub on_failure: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment_bytes: 32 << 20,
            preallocate: true,
            sync_interval: Duration::from_millis(10),
            space_interval: Duration::from_secs(1),
            compact_after_bytes: 128 << 20,
            on_failure: Arc::new(|reason| {
                tracing::error!(reason, "the journal has failed; the process ends");
                std::process::exit(EXIT_IO_ERROR);
            }),
        }
    }
}

impl Settings {
    pub(super) fn check(&self) -> Result<(), OpenError> {
        if SEGMENT_BYTES.contains(&self.segment_bytes) {
            return Ok(());
        }
        Err(OpenError::SegmentBytes {
            given: self.segment_bytes,
            least: *SEGMENT_BYTES.start(),
            most: *SEGMENT_BYTES.end(),
        })
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("segment_bytes", &self.segment_bytes)
            .field("preallocate", &self.preallocate)
            .field("sync_interval", &self.sync_interval)
            .field("space_interval", &self.space_interval)
            .field("compact_after_bytes", &self.compact_after_bytes)
            .finish_non_exhaustive()
    }
}
