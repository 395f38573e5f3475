//! Reads a segment or snapshot from its beginning: the one reader for recovery and compaction.
//! Memory is bounded by the largest frame; nothing is handed out before its checksum is verified.
//! It says how a file ends and leaves it to the caller whether that may be so.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::directory::NamedFile;
use super::error::OpenError;
use super::frame::{FRAME_HEADER_BYTES, FrameHeader, Place, is_intact};
use super::header::{FileHeader, FileKind, HEADER_BYTES, HeaderFault, VERSION, part};
use super::{Position, Refusal};

/// What one read asks for.
const READ_BYTES: usize = 1 << 20;

pub(super) struct FrameReader {
    named: NamedFile,
    file: File,
    header: FileHeader,
    seed: u32,
    file_bytes: u64,
    buffer: Vec<u8>,
    /// Bytes read and not yet handed out: `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Where `buffer[start]` stands in the file.
    offset: u64,
    expected: Position,
}

pub(super) enum Item<'a> {
    Frame { position: Position, offset: u64, payload: &'a [u8] },
    End(End),
}

/// How a file ends, at [`FrameReader::offset`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Sealed,
    /// After a whole frame, by the end of the file or by zeros.
    Open,
    Torn(&'static str),
}

impl FrameReader {
    /// None when the file has no header yet.
    pub(super) fn open(named: &NamedFile, kind: FileKind) -> Result<Option<Self>, OpenError> {
        let path = &named.path;
        let file = File::open(path).map_err(|error| OpenError::io("open", path, error))?;
        let read_error = |error| OpenError::io("read", path, error);
        let file_bytes = file.metadata().map_err(read_error)?.len();
        let mut bytes = [0; HEADER_BYTES];
        let present = usize::try_from(file_bytes).map_or(HEADER_BYTES, |n| n.min(HEADER_BYTES));
        file.read_exact_at(&mut bytes[..present], 0).map_err(read_error)?;
        let header = match FileHeader::decode(kind, &bytes) {
            Ok(header) => header,
            Err(HeaderFault::Unwritten) => return Ok(None),
            Err(fault) => return Err(header_error(path, &fault)),
        };
        if header.position != named.position {
            return Err(damaged(path, 0, "its name and its header disagree"));
        }
        let expected = match kind {
            FileKind::Segment => header.position,
            FileKind::Snapshot => Position(1),
        };
        Ok(Some(Self {
            named: named.clone(),
            file,
            seed: header.seed(),
            header,
            file_bytes,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            offset: HEADER_BYTES as u64,
            expected,
        }))
    }

    pub(super) fn header(&self) -> &FileHeader {
        &self.header
    }

    pub(super) fn named(&self) -> &NamedFile {
        &self.named
    }

    /// Just behind the last frame handed out.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The position that the next frame must have.
    pub(super) fn expected(&self) -> Position {
        self.expected
    }

    /// Whether the file's last bytes are its seal, whatever stands before them.
    pub(super) fn is_sealed(&self) -> Result<bool, OpenError> {
        let Some(at) = self.file_bytes.checked_sub(FRAME_HEADER_BYTES as u64) else {
            return Ok(false);
        };
        let mut bytes = [0; FRAME_HEADER_BYTES];
        self.file.read_exact_at(&mut bytes, at).map_err(|error| self.io(error))?;
        let position = Position(u64::from_le_bytes(part(&bytes, 8)));
        Ok(match FrameHeader::decode(bytes, position) {
            FrameHeader::Frame { length: 0, checksum } => {
                is_intact(&[], checksum, self.place(position))
            }
            _ => false,
        })
    }

    pub(super) fn next(&mut self) -> Result<Item<'_>, OpenError> {
        if !self.fill(FRAME_HEADER_BYTES)? {
            let rest = &self.buffer[self.start..self.end];
            let zero = rest.iter().all(|byte| *byte == 0);
            return Ok(Item::End(if zero { End::Open } else { End::Torn("a record cut short") }));
        }
        let header: [u8; FRAME_HEADER_BYTES] = part(&self.buffer, self.start);
        let (length, checksum) = match FrameHeader::decode(header, self.expected) {
            FrameHeader::Unwritten => return Ok(Item::End(End::Open)),
            FrameHeader::Damaged(what) => return Ok(Item::End(End::Torn(what))),
            FrameHeader::Frame { length, checksum } => (length, checksum),
        };
        let whole = FRAME_HEADER_BYTES + length;
        let remaining = self.file_bytes.saturating_sub(self.offset);
        if remaining < whole as u64 || !self.fill(whole)? {
            return Ok(Item::End(End::Torn("a record cut short")));
        }
        let (position, offset) = (self.expected, self.offset);
        let payload = self.start + FRAME_HEADER_BYTES..self.start + whole;
        if !is_intact(&self.buffer[payload.clone()], checksum, self.place(position)) {
            return Ok(Item::End(End::Torn("a record with a wrong checksum")));
        }
        if length == 0 {
            let last = remaining == whole as u64;
            return Ok(Item::End(if last {
                End::Sealed
            } else {
                End::Torn("bytes after its seal")
            }));
        }
        self.start += whole;
        self.offset += whole as u64;
        self.expected = position.next();
        Ok(Item::Frame { position, offset, payload: &self.buffer[payload] })
    }

    pub(super) fn damaged(&self, what: &str) -> OpenError {
        damaged(&self.named.path, self.offset, what)
    }

    pub(super) fn refused(&self, offset: u64, refusal: Refusal) -> OpenError {
        OpenError::Refused { path: self.named.path.clone(), offset, reason: refusal.0 }
    }

    fn place(&self, position: Position) -> Place {
        Place { position, seed: self.seed }
    }

    /// Makes at least `need` bytes present, or answers false when the file ends before that.
    fn fill(&mut self, need: usize) -> Result<bool, OpenError> {
        if self.end - self.start >= need {
            return Ok(true);
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < need.max(READ_BYTES) {
            self.buffer.resize(need.max(READ_BYTES), 0);
        }
        while self.end < need {
            let at = self.offset + self.end as u64;
            match self.file.read_at(&mut self.buffer[self.end..], at) {
                Ok(0) => return Ok(false),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.io(error)),
            }
        }
        Ok(true)
    }

    fn io(&self, error: std::io::Error) -> OpenError {
        OpenError::io("read", &self.named.path, error)
    }
}

/// Bytes from `offset` to the last one that is not zero: what was written there.
pub(super) fn written_after(path: &Path, offset: u64) -> std::io::Result<u64> {
    let file = File::open(path)?;
    let mut block = vec![0; READ_BYTES];
    let (mut at, mut written) = (offset, 0);
    loop {
        let read = file.read_at(&mut block, at)?;
        if read == 0 {
            return Ok(written);
        }
        if let Some(last) = block[..read].iter().rposition(|byte| *byte != 0) {
            written = at - offset + last as u64 + 1;
        }
        at += read as u64;
    }
}

fn damaged(path: &Path, offset: u64, what: &str) -> OpenError {
    OpenError::Damaged { path: path.to_path_buf(), offset, what: what.into() }
}

fn header_error(path: &Path, fault: &HeaderFault) -> OpenError {
    match fault {
        HeaderFault::Unwritten => damaged(path, 0, "it has no header"),
        HeaderFault::Damaged(what) => damaged(path, 0, what),
        &HeaderFault::NewerVersion(version) => {
            OpenError::NewerVersion { path: path.to_path_buf(), version, known: VERSION }
        }
    }
}
