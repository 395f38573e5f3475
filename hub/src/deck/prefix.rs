//! Digits of a number or a prefix in one word, so that one comparison tells whether a number begins with
//! a prefix, and the order of words is the order of a dictionary.

use std::fmt;
use std::str::FromStr;

use crate::directory::DIGITS_MAX;

const BITS: u32 = 4;
const DIGIT_MASK: u64 = 0xf;

/// Digits from the left, four bits each: the digit and one more; what follows the last is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digits(u64);

/// The digits that a destination begins with, at most [`DIGITS_MAX`]; with none it is every destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix(Digits);

impl Digits {
    pub const NONE: Self = Self(0);

    /// Those of plain digits. `None`: something else is among them, or there are more than
    /// [`DIGITS_MAX`].
    pub fn of(text: &str) -> Option<Self> {
        let is_plain = text.len() <= DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| text.bytes().fold(Self::NONE, |digits, byte| digits.then(byte - b'0')))
    }

    /// Those by which a phone number is known, however it is written: separators, a leading `+` and an
    /// international `00` do not count. What is no number has none.
    pub fn of_number(text: &str) -> Self {
        let is_separator = |byte: &u8| matches!(byte, b' ' | b'-' | b'.' | b'(' | b')');
        let (plus, rest) = text.strip_prefix('+').map_or((false, text), |rest| (true, rest));
        let mut digits = Self::NONE;
        // Leading zeros that may be the international prefix.
        let mut zeros = 0;
        for byte in rest.bytes().filter(|byte| !is_separator(byte)) {
            if !plus && zeros < 2 && digits.is_empty() && byte == b'0' {
                zeros += 1;
                continue;
            }
            if zeros == 1 && digits.is_empty() {
                digits = digits.then(0);
            }
            if !byte.is_ascii_digit() || digits.len() as usize == DIGITS_MAX {
                return Self::NONE;
            }
            digits = digits.then(byte - b'0');
        }
        if zeros == 1 && digits.is_empty() { digits.then(0) } else { digits }
    }

    /// One digit more, 0 to 9.
    #[must_use]
    pub const fn then(self, digit: u8) -> Self {
        let shift = u64::BITS - BITS * (self.len() + 1);
        Self(self.0 | (digit as u64 + 1) << shift)
    }

    pub const fn len(self) -> u32 {
        (u64::BITS - self.0.trailing_zeros()).div_ceil(BITS)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The digit at a place, counted from 0.
    pub const fn at(self, place: u32) -> Option<u8> {
        let nibble = (self.0 << (BITS * place) >> (u64::BITS - BITS)) & DIGIT_MASK;
        (nibble as u8).checked_sub(1)
    }

    /// The number that `count` digits from a place on make; those that are not there are zeros.
    pub fn value(self, from: u32, count: u32) -> usize {
        let digit = |place| usize::from(self.at(place).unwrap_or(0));
        (from..from + count).fold(0, |value, place| 10 * value + digit(place))
    }

    /// The first so many.
    #[must_use]
    pub const fn first(self, count: u32) -> Self {
        if count == 0 {
            Self::NONE
        } else {
            Self(self.0 & (u64::MAX << (u64::BITS - BITS * count)))
        }
    }

    /// In how many places from the first both are the same.
    pub const fn shared_with(self, other: Self) -> u32 {
        let alike = (self.0 ^ other.0).leading_zeros() / BITS;
        if alike > self.len() { self.len() } else { alike }
    }
}

impl Prefix {
    /// Every destination.
    pub const EMPTY: Self = Self(Digits::NONE);

    pub const fn digits(self) -> Digits {
        self.0
    }

    pub const fn of(digits: Digits) -> Self {
        Self(digits)
    }

    pub fn begins(self, number: Digits) -> bool {
        number.first(self.0.len()) == self.0
    }
}

/// The text is not a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected at most {DIGITS_MAX} digits, with or without a leading +, or * for every destination"
)]
pub struct InvalidPrefix;

impl FromStr for Prefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        if text == "*" {
            return Ok(Self::EMPTY);
        }
        let digits = Digits::of(text.strip_prefix('+').unwrap_or(text)).ok_or(InvalidPrefix)?;
        if digits.is_empty() { Err(InvalidPrefix) } else { Ok(Self(digits)) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("*");
        }
        self.0.fmt(f)
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..self.len()).filter_map(|place| self.at(place)).try_for_each(|digit| digit.fmt(f))
    }
}
