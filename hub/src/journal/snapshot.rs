//! Writes and reads snapshots: the layout of a segment, with chunks for payloads and the seal for a
//! footer. One becomes visible whole or not at all: it is written and synced under another name.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::directory::{Directory, NamedFile};
use super::error::OpenError;
use super::frame::{PayloadChecksum, Place, encode_header, encode_seal};
use super::header::{FileHeader, FileKind, HEADER_BYTES};
use super::read::{End, FrameReader, Item};
use super::settings::{FILE_MODE, SNAPSHOT_CHUNK_BYTES_MAX};
use super::{Image, Position};

/// One write for so much.
const WRITE_BYTES: usize = 1 << 20;
/// Written through so often, so that one great fsync does not hold up those of the journal.
const SYNC_BYTES: u64 = 8 << 20;

pub(super) struct SnapshotWriter {
    temporary: PathBuf,
    file: File,
    header: FileHeader,
    seed: u32,
    next_chunk: Position,
    buffer: Vec<u8>,
    written: u64,
    synced: u64,
}

/// Where writing a snapshot failed; after a failed sync the disk cannot be trusted any more.
#[derive(Debug)]
pub(super) enum SnapshotError {
    Write(io::Error),
    Sync(io::Error),
}

impl SnapshotWriter {
    pub(super) fn begin(
        directory: &Directory,
        stream: u128,
        position: Position,
    ) -> io::Result<Self> {
        let temporary = directory.temporary("snapshot");
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(FILE_MODE);
        let file = options.open(&temporary)?;
        let header = FileHeader { kind: FileKind::Snapshot, stream, position };
        let mut buffer = Vec::with_capacity(WRITE_BYTES + SNAPSHOT_CHUNK_BYTES_MAX);
        buffer.extend_from_slice(&header.encode());
        let seed = header.seed();
        let next_chunk = Position(1);
        Ok(Self { temporary, file, header, seed, next_chunk, buffer, written: 0, synced: 0 })
    }

    pub(super) fn chunk(&mut self, chunk: &[u8]) -> Result<(), SnapshotError> {
        if chunk.is_empty() || chunk.len() > SNAPSHOT_CHUNK_BYTES_MAX {
            let what = format!("a snapshot chunk of {} bytes", chunk.len());
            return Err(SnapshotError::Write(io::Error::new(io::ErrorKind::InvalidInput, what)));
        }
        let header = encode_header(chunk.len(), PayloadChecksum::of(chunk), self.place());
        self.buffer.extend_from_slice(&header);
        self.buffer.extend_from_slice(chunk);
        self.next_chunk = self.next_chunk.next();
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    /// Makes the snapshot the newest one.
    pub(super) fn finish(
        mut self,
        directory: &Directory,
    ) -> Result<FinishedSnapshot, SnapshotError> {
        let seal = encode_seal(self.place());
        self.buffer.extend_from_slice(&seal);
        self.flush()?;
        self.file.sync_all().map_err(SnapshotError::Sync)?;
        let position = self.header.position;
        let path = directory.named(FileKind::Snapshot, position);
        fs::rename(&self.temporary, &path).map_err(SnapshotError::Write)?;
        directory.sync().map_err(SnapshotError::Sync)?;
        Ok(FinishedSnapshot { named: NamedFile { position, path }, bytes: self.written })
    }

    pub(super) fn abandon(self) {
        let path = self.temporary;
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "cannot remove an unfinished snapshot");
        }
    }

    fn place(&self) -> Place {
        Place { position: self.next_chunk, seed: self.seed }
    }

    fn flush(&mut self) -> Result<(), SnapshotError> {
        self.file.write_all(&self.buffer).map_err(SnapshotError::Write)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written - self.synced >= SYNC_BYTES {
            self.file.sync_data().map_err(SnapshotError::Sync)?;
            self.synced = self.written;
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
pub(super) struct FinishedSnapshot {
    pub(super) named: NamedFile,
    pub(super) bytes: u64,
}

/// Opens a snapshot, which always has a header.
pub(super) fn open(named: &NamedFile) -> Result<FrameReader, OpenError> {
    FrameReader::open(named, FileKind::Snapshot)?.ok_or_else(|| OpenError::Damaged {
        path: named.path.clone(),
        offset: 0,
        what: format!("its header of {HEADER_BYTES} bytes is missing"),
    })
}

/// Feeds a snapshot to an image, calling `pace` with the bytes of each chunk.
pub(super) fn load<E: From<OpenError>>(
    mut reader: FrameReader,
    image: &mut impl Image,
    mut pace: impl FnMut(usize) -> Result<(), E>,
) -> Result<FinishedSnapshot, E> {
    let end = loop {
        let (offset, bytes, outcome) = match reader.next()? {
            Item::Frame { offset, payload, .. } => (offset, payload.len(), image.load(payload)),
            Item::End(end) => break end,
        };
        outcome.map_err(|refusal| reader.refused(offset, refusal))?;
        pace(bytes)?;
    };
    require_whole(&reader, end)?;
    Ok(FinishedSnapshot { named: reader.named().clone(), bytes: reader.offset() })
}

/// Reads a snapshot to its end without using it.
pub(super) fn verify(named: &NamedFile) -> Result<(), OpenError> {
    let mut reader = open(named)?;
    let end = loop {
        if let Item::End(end) = reader.next()? {
            break end;
        }
    };
    require_whole(&reader, end)
}

fn require_whole(reader: &FrameReader, end: End) -> Result<(), OpenError> {
    match end {
        End::Sealed => Ok(()),
        End::Open => Err(reader.damaged("the snapshot is cut short")),
        End::Torn(what) => Err(reader.damaged(what)),
    }
}
