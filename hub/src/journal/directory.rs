//! The files of a journal by name: listing them, making names permanent, deleting what is obsolete.
//! Reads and writes no contents.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::Position;
use super::error::OpenError;
use super::header::FileKind;

const POSITION_DIGITS: usize = 20;

pub(super) struct Directory {
    path: PathBuf,
    file: File,
}

/// A segment or snapshot with the position in its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedFile {
    pub(super) position: Position,
    pub(super) path: PathBuf,
}

/// Both in ascending order of their positions.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) segments: Vec<NamedFile>,
    pub(super) snapshots: Vec<NamedFile>,
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        fs::create_dir_all(path).map_err(|error| OpenError::io("create", path, error))?;
        let file = File::open(path).map_err(|error| OpenError::io("open", path, error))?;
        Ok(Self { path: path.to_path_buf(), file })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn temporary(&self, purpose: &str) -> PathBuf {
        self.path.join(format!("{purpose}.tmp"))
    }

    pub(super) fn named(&self, kind: FileKind, position: Position) -> PathBuf {
        let (prefix, suffix) = affixes(kind);
        self.path.join(format!("{prefix}{position:0POSITION_DIGITS$}{suffix}"))
    }

    /// Makes created, renamed and deleted names survive a power cut.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    pub(super) fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some(position) = position_in(name, FileKind::Segment) {
                listing.segments.push(NamedFile { position, path: entry.path() });
            } else if let Some(position) = position_in(name, FileKind::Snapshot) {
                listing.snapshots.push(NamedFile { position, path: entry.path() });
            }
        }
        listing.segments.sort_by_key(|file| file.position);
        listing.snapshots.sort_by_key(|file| file.position);
        Ok(listing)
    }

    /// Deletes what an interrupted process left half made.
    pub(super) fn remove_temporary(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

const fn affixes(kind: FileKind) -> (&'static str, &'static str) {
    match kind {
        FileKind::Segment => ("journal-", ".log"),
        FileKind::Snapshot => ("snapshot-", ".snap"),
    }
}

fn position_in(name: &str, kind: FileKind) -> Option<Position> {
    let (prefix, suffix) = affixes(kind);
    let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
    let complete = digits.len() == POSITION_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    if complete { digits.parse().ok().map(Position) } else { None }
}
