//! The first 64 bytes of a segment or snapshot: what it is, of which journal, from or at which
//! position. Magic and version stand at the same place in every version of the format.
//!
//! ```text
//!  0  magic    [8]   "RFJOURNL" or "RFSNAPSH"
//!  8  version  u32   1
//! 12  stream   u128  random at the creation of the journal
//! 28  position u64   segment: of its first frame; snapshot: of the last payload in it
//! 36  zero     [24]
//! 60  crc32c   u32   of bytes 0 to 59; also seeds the checksums of this file's frames
//! ```

use super::Position;

pub(super) const HEADER_BYTES: usize = 64;
pub(super) const VERSION: u32 = 1;
const CHECKED_BYTES: usize = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Segment,
    Snapshot,
}

impl FileKind {
    const fn magic(self) -> [u8; 8] {
        match self {
            Self::Segment => *b"RFJOURNL",
            Self::Snapshot => *b"RFSNAPSH",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub(super) kind: FileKind,
    pub(super) stream: u128,
    pub(super) position: Position,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderFault {
    /// All zero: reserved, and lost or cut off before anything was written.
    Unwritten,
    NewerVersion(u32),
    Damaged(&'static str),
}

impl FileHeader {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&self.kind.magic());
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..28].copy_from_slice(&self.stream.to_le_bytes());
        bytes[28..36].copy_from_slice(&self.position.0.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..CHECKED_BYTES]);
        bytes[CHECKED_BYTES..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(super) fn decode(kind: FileKind, bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderFault> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Err(HeaderFault::Unwritten);
        }
        if bytes[..8] != kind.magic() {
            return Err(HeaderFault::Damaged("it does not begin as such a file does"));
        }
        let version = u32::from_le_bytes(part(bytes, 8));
        if version > VERSION {
            return Err(HeaderFault::NewerVersion(version));
        }
        let checksum = u32::from_le_bytes(part(bytes, CHECKED_BYTES));
        if version == 0 || checksum != crc32c::crc32c(&bytes[..CHECKED_BYTES]) {
            return Err(HeaderFault::Damaged("the checksum of its header is wrong"));
        }
        Ok(Self {
            kind,
            stream: u128::from_le_bytes(part(bytes, 12)),
            position: Position(u64::from_le_bytes(part(bytes, 28))),
        })
    }

    /// Makes the checksums of one file's frames meaningless in any other file.
    pub(super) fn seed(&self) -> u32 {
        u32::from_le_bytes(part(&self.encode(), CHECKED_BYTES))
    }
}

/// The `N` bytes at `at`, which the caller knows to be there.
pub(super) fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}
