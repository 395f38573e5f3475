//! One payload or chunk as it stands in a file, and the buffer in which it is made.
//!
//! ```text
//!  0  length   u32   of the payload; 0 in a seal
//!  4  crc32c   u32   of payload, length, position and the file's seed, in this order
//!  8  position u64   one more than the frame before
//! 16  payload  [length]
//! ```

use super::Position;
use super::header::part;
use super::settings::FRAME_BYTES_MAX;

/// Bytes before the payload; a seal is nothing else.
pub(super) const FRAME_HEADER_BYTES: usize = 16;

/// A reusable buffer for [`super::Journal::append`]: the payload is written behind room for its
/// header, so nothing is copied before the one write.
#[derive(Clone, Debug)]
pub struct Frame {
    bytes: Vec<u8>,
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

impl Frame {
    pub fn new() -> Self {
        Self { bytes: vec![0; FRAME_HEADER_BYTES] }
    }

    /// The vector to which the payload is appended. What is already in it must stay.
    pub fn payload_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub fn payload(&self) -> &[u8] {
        self.bytes.get(FRAME_HEADER_BYTES..).unwrap_or_default()
    }

    /// Forgets the payload, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.resize(FRAME_HEADER_BYTES, 0);
    }

    /// The whole frame, header filled in.
    pub(super) fn encode(&mut self, checksum: PayloadChecksum, place: Place) -> &[u8] {
        let length = self.payload().len();
        self.bytes[..FRAME_HEADER_BYTES].copy_from_slice(&encode_header(length, checksum, place));
        &self.bytes
    }
}

/// Which frame of which file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) position: Position,
    pub(super) seed: u32,
}

/// The part of a frame's checksum that does not depend on its place, made outside the lock.
#[derive(Clone, Copy, Debug)]
pub(super) struct PayloadChecksum(u32);

impl PayloadChecksum {
    pub(super) fn of(payload: &[u8]) -> Self {
        Self(crc32c::crc32c(payload))
    }

    fn at(self, length: u32, place: Place) -> u32 {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4..12].copy_from_slice(&place.position.0.to_le_bytes());
        bytes[12..].copy_from_slice(&place.seed.to_le_bytes());
        crc32c::crc32c_append(self.0, &bytes)
    }
}

pub(super) fn encode_header(
    length: usize,
    checksum: PayloadChecksum,
    place: Place,
) -> [u8; FRAME_HEADER_BYTES] {
    let length = u32::try_from(length).expect("a frame is below FRAME_BYTES_MAX");
    let mut bytes = [0; FRAME_HEADER_BYTES];
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes[4..8].copy_from_slice(&checksum.at(length, place).to_le_bytes());
    bytes[8..].copy_from_slice(&place.position.0.to_le_bytes());
    bytes
}

/// The seal of a file whose next frame would stand at `place`.
pub(super) fn encode_seal(place: Place) -> [u8; FRAME_HEADER_BYTES] {
    encode_header(0, PayloadChecksum::of(&[]), place)
}

/// What 16 bytes at the start of a frame say, before the payload is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameHeader {
    /// Nothing was ever written here.
    Unwritten,
    Frame {
        length: usize,
        checksum: u32,
    },
    Damaged(&'static str),
}

impl FrameHeader {
    pub(super) fn decode(bytes: [u8; FRAME_HEADER_BYTES], expected: Position) -> Self {
        if bytes == [0; FRAME_HEADER_BYTES] {
            return Self::Unwritten;
        }
        let length = u32::from_le_bytes(part(&bytes, 0)) as usize;
        let checksum = u32::from_le_bytes(part(&bytes, 4));
        if length > FRAME_BYTES_MAX {
            return Self::Damaged("a length above the limit");
        }
        if u64::from_le_bytes(part(&bytes, 8)) != expected.0 {
            return Self::Damaged("a position out of order");
        }
        Self::Frame { length, checksum }
    }
}

pub(super) fn is_intact(payload: &[u8], checksum: u32, place: Place) -> bool {
    u32::try_from(payload.len())
        .is_ok_and(|length| PayloadChecksum::of(payload).at(length, place) == checksum)
}
