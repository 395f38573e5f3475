//! Writes `MessagePack`, as far as the scripts read it: lists, whole numbers below 2^53, flags, bytes.

use crate::codec::Writer;

mod tag {
    pub(super) const FALSE: u8 = 0xc2;
    pub(super) const TRUE: u8 = 0xc3;
    pub(super) const U64: u8 = 0xcf;
    pub(super) const I64: u8 = 0xd3;
    pub(super) const BYTES_8: u8 = 0xd9;
    pub(super) const BYTES_16: u8 = 0xda;
    pub(super) const BYTES_32: u8 = 0xdb;
    pub(super) const LIST_16: u8 = 0xdc;
    pub(super) const LIST_32: u8 = 0xdd;
    pub(super) const SMALL_LIST: u8 = 0x90;
}

/// The largest number below which Lua counts without gaps.
pub(super) const TICK_MAX: u64 = (1 << 53) - 1;

/// A number that the scripts could not hold exactly: it is refused here, before anything happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is beyond 2^53 - 1 and cannot be kept in Redis exactly")]
pub struct OutOfRange(pub i128);

/// Appends values; the first that is out of range makes the whole void.
#[derive(Debug, Default)]
pub(super) struct Packer {
    bytes: Vec<u8>,
    fault: Option<OutOfRange>,
}

impl Packer {
    pub(super) fn finish(self) -> Result<Vec<u8>, OutOfRange> {
        self.fault.map_or(Ok(self.bytes), Err)
    }

    /// So many values follow that belong together.
    pub(super) fn list(&mut self, length: usize) {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(small @ ..16), _) => self.bytes.push(tag::SMALL_LIST | small),
            (_, Ok(middle)) => self.tagged(tag::LIST_16, middle.to_be_bytes()),
            _ => self.tagged(tag::LIST_32, length.to_be_bytes()),
        }
    }

    pub(super) fn number(&mut self, number: u64) {
        match u8::try_from(number) {
            Ok(small @ ..0x80) => self.bytes.push(small),
            _ if number <= TICK_MAX => self.tagged(tag::U64, number.to_be_bytes()),
            _ => self.fault = self.fault.or(Some(OutOfRange(number.into()))),
        }
    }

    pub(super) fn signed(&mut self, number: i64) {
        match u64::try_from(number) {
            Ok(number) => self.number(number),
            _ if number.unsigned_abs() <= TICK_MAX => self.tagged(tag::I64, number.to_be_bytes()),
            _ => self.fault = self.fault.or(Some(OutOfRange(number.into()))),
        }
    }

    pub(super) fn flag(&mut self, is_set: bool) {
        self.bytes.push(if is_set { tag::TRUE } else { tag::FALSE });
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes_of(bytes.len(), |writer| writer.0.extend_from_slice(bytes));
    }

    /// `length` bytes, which `write` appends.
    pub(super) fn bytes_of(&mut self, length: usize, write: impl FnOnce(&mut Writer<'_>)) {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(small), _) => self.tagged(tag::BYTES_8, [small]),
            (_, Ok(middle)) => self.tagged(tag::BYTES_16, middle.to_be_bytes()),
            _ => self.tagged(tag::BYTES_32, length.to_be_bytes()),
        }
        write(&mut Writer(&mut self.bytes));
    }

    fn tagged<const N: usize>(&mut self, tag: u8, bytes: [u8; N]) {
        self.bytes.push(tag);
        self.bytes.extend_from_slice(&bytes);
    }
}
