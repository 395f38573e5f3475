//! What can go wrong with a journal, in words for whoever runs it: which file, where, what to do.

use std::io;
use std::path::{Path, PathBuf};

use super::Position;

/// The journal cannot be opened. Nothing on disk was changed but leftover temporary files.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "the data directory {} is in use by {}: stop that process, or give this one a directory of \
         its own", directory.display(), holder(*pid)
    )]
    Locked { directory: PathBuf, pid: Option<u32> },

    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },

    #[error(
        "no room on the disk of {}: free some space there and start again", directory.display()
    )]
    Full { directory: PathBuf },

    #[error(
        "{} was written by a newer version (format {version}, this version reads up to {known}): \
         start that version, or restore a backup made by this one", path.display()
    )]
    NewerVersion { path: PathBuf, version: u32, known: u32 },

    #[error(
        "{} is damaged at byte {offset}: {what}. Nothing was changed. Restore the whole directory \
         from a backup, or keep a copy of it and ask for help", path.display()
    )]
    Damaged { path: PathBuf, offset: u64, what: String },

    #[error(
        "{} lacks the records {from} to {to}: a file was removed or not restored. Nothing was \
         changed. Restore the whole directory from a backup", directory.display()
    )]
    Gap { directory: PathBuf, from: Position, to: Position },

    #[error(
        "{} belongs to another journal than the other files of its directory: restore the whole \
         directory from one backup", path.display()
    )]
    ForeignFile { path: PathBuf },

    #[error("{} at byte {offset} is intact but cannot be used: {reason}", path.display())]
    Refused { path: PathBuf, offset: u64, reason: String },

    #[error("segment_bytes is {given}; expected {least} to {most}")]
    SegmentBytes { given: u64, least: u64, most: u64 },
}

impl OpenError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_path_buf(), source }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"))
}

/// Nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The disk is full (or a quota is spent); a later append may succeed.
    #[error("the disk of the journal is full")]
    Full,
    /// The payload is above [`super::FRAME_BYTES_MAX`].
    #[error("a record of {bytes} bytes is above the limit")]
    TooLarge { bytes: usize },
    /// As [`Failed`].
    #[error(transparent)]
    Failed(#[from] Failed),
}

/// The journal cannot go on, [`super::Settings::on_failure`] has been called with the reason, and
/// what was not yet durable may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal has failed")]
pub struct Failed;

/// Whether an error means that there is no room, rather than that the disk is broken.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
