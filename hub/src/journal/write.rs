//! The end of the journal that grows: one write per append at a kept offset, and the change to the
//! next segment. A refused append leaves no byte behind; the lock is never held during an fsync.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::Position;
use super::directory::Directory;
use super::error::{AppendError, is_full};
use super::frame::{FRAME_HEADER_BYTES, Frame, PayloadChecksum, Place, encode_seal};
use super::header::{FileHeader, FileKind, HEADER_BYTES};
use super::parts::Parts;
use super::reserve::{Reserved, reserve_again, reserve_what_there_is};
use super::settings::{FRAME_BYTES_MAX, Settings};

/// A segment whose end may still move, or must still be sealed.
pub(super) struct OpenSegment {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    pub(super) first: Position,
    /// The position of the frame that would follow.
    next: Position,
    seed: u32,
    offset: u64,
    capacity: u64,
}

pub(super) struct Writer {
    pub(super) segment: OpenSegment,
    /// Full segments, not yet synced.
    pub(super) closing: Vec<OpenSegment>,
}

impl Writer {
    pub(super) fn new(segment: OpenSegment) -> Self {
        Self { segment, closing: Vec::new() }
    }
}

impl OpenSegment {
    /// Gives reserved space its header and its name. Not yet synced.
    pub(super) fn begin(
        directory: &Directory,
        reserved: Reserved,
        stream: u128,
        first: Position,
    ) -> io::Result<Self> {
        let header = FileHeader { kind: FileKind::Segment, stream, position: first };
        let path = directory.named(FileKind::Segment, first);
        let begun = reserved.file.write_all_at(&header.encode(), 0);
        if let Err(error) = begun.and_then(|()| fs::rename(&reserved.path, &path)) {
            fs::remove_file(&reserved.path)?;
            return Err(error);
        }
        Ok(Self {
            file: Arc::new(reserved.file),
            path,
            first,
            next: first,
            seed: header.seed(),
            offset: HEADER_BYTES as u64,
            capacity: reserved.bytes,
        })
    }

    /// A segment found on disk, whole up to `offset`, that a crash left without its seal.
    pub(super) fn found(
        path: PathBuf,
        header: &FileHeader,
        next: Position,
        offset: u64,
    ) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(&path)?;
        let (first, seed) = (header.position, header.seed());
        Ok(Self { file: Arc::new(file), path, first, next, seed, offset, capacity: offset })
    }

    pub(super) fn last(&self) -> Position {
        Position(self.next.0 - 1)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.next == self.first
    }

    pub(super) fn bytes(&self) -> u64 {
        self.offset
    }

    /// Removes whatever stands behind the last frame, and puts the rest on disk.
    pub(super) fn cut(&self) -> io::Result<()> {
        self.file.set_len(self.offset)?;
        self.file.sync_all()
    }

    /// Cuts off unused space and says that the segment is complete. Its frames are synced already.
    /// Without room for the seal it stays off: the frames are what counts.
    pub(super) fn seal(&self) -> io::Result<()> {
        self.file.set_len(self.offset)?;
        if !self.is_empty() {
            let seal = encode_seal(Place { position: self.next, seed: self.seed });
            match self.file.write_all_at(&seal, self.offset) {
                Err(error) if is_full(&error) => self.file.set_len(self.offset)?,
                outcome => outcome?,
            }
        }
        self.file.sync_data()
    }

    /// The seal has its room too. Any payload fits into an empty segment, reserved or not.
    fn has_room(&self, payload_bytes: usize) -> bool {
        let bytes = (payload_bytes + 2 * FRAME_HEADER_BYTES) as u64;
        self.is_empty() || self.offset + bytes <= self.capacity
    }
}

impl Parts {
    pub(super) fn append(&self, frame: &mut Frame) -> Result<Position, AppendError> {
        self.failure.check()?;
        let payload_bytes = frame.payload().len();
        if payload_bytes > FRAME_BYTES_MAX {
            return Err(AppendError::TooLarge { bytes: payload_bytes });
        }
        if payload_bytes == 0 {
            return Ok(self.last());
        }
        let checksum = PayloadChecksum::of(frame.payload());
        let mut writer = self.writer.lock();
        if !writer.segment.has_room(payload_bytes) {
            self.rotate(&mut writer)?;
        }
        let segment = &mut writer.segment;
        let position = segment.next;
        let bytes = frame.encode(checksum, Place { position, seed: segment.seed });
        if let Err(error) = segment.file.write_all_at(bytes, segment.offset) {
            return Err(self.undo_write(segment, &error));
        }
        segment.offset += bytes.len() as u64;
        segment.next = position.next();
        drop(writer);
        self.unsynced.notify_one();
        frame.clear();
        Ok(position)
    }

    pub(super) fn last(&self) -> Position {
        self.writer.lock().segment.last()
    }

    /// Begins the next segment, in the space kept ready for it or in what can be had now.
    pub(super) fn rotate(&self, writer: &mut Writer) -> Result<(), AppendError> {
        let ready = self.space.lock().spare.take();
        self.space_wanted.notify_one();
        let Settings { segment_bytes, preallocate, .. } = self.settings;
        let reserved = ready.map_or_else(
            || reserve_what_there_is(&self.directory, "rotation", segment_bytes, preallocate),
            Ok,
        );
        let first = writer.segment.next;
        let begun = reserved
            .and_then(|reserved| OpenSegment::begin(&self.directory, reserved, self.stream, first));
        match begun {
            Ok(segment) => {
                writer.closing.push(std::mem::replace(&mut writer.segment, segment));
                Ok(())
            }
            Err(error) => Err(self.cannot("begin a segment in", self.directory.path(), &error)),
        }
    }

    /// Removes what a refused write left behind, so that no later frame can run into it.
    fn undo_write(&self, segment: &OpenSegment, error: &io::Error) -> AppendError {
        if is_full(error) {
            if let Err(error) = segment.file.set_len(segment.offset) {
                return self.cannot("cut back", &segment.path, &error);
            }
            if self.settings.preallocate {
                reserve_again(&segment.file, segment.offset, segment.capacity);
            }
        }
        self.cannot("write to", &segment.path, error)
    }

    fn cannot(&self, action: &str, path: &std::path::Path, error: &io::Error) -> AppendError {
        if is_full(error) {
            self.set_full(true);
            drop(self.space.lock());
            self.space_wanted.notify_one();
            return AppendError::Full;
        }
        let reason = format!("cannot {action} {}: {error}", path.display());
        self.failure.raise(&reason).into()
    }
}
