//! Reads an amount of money as any JSON writer may put it: with an exponent, with more decimals than
//! are kept. From its digits, never through a float.

use crate::money::Amount;

/// Digits that are read; a writer of 64-bit floats needs 17.
const DIGITS_MAX: usize = 24;
/// The decimal places of a micro-unit.
const MICRO_PLACES: i32 = 6;
/// Powers of ten beyond which an amount is nothing or too much.
const SHIFT_MAX: u32 = 30;

/// The amount in major units, rounded half up to micro-units; `None`: it is no number, below zero, or
/// more than an amount can be.
pub(super) fn read(text: &str) -> Option<Amount> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    let plain = !whole.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || digits.len() > DIGITS_MAX {
        return None;
    }
    let number: u128 = digits.parse().ok()?;
    let places = i32::try_from(fraction.len()).ok()?;
    let shift = exponent.checked_sub(places)?.checked_add(MICRO_PLACES)?;
    let micros = if shift.unsigned_abs() > SHIFT_MAX {
        if number == 0 || shift < 0 { 0 } else { return None }
    } else {
        let power = 10_u128.checked_pow(shift.unsigned_abs())?;
        if shift < 0 {
            number.checked_add(power / 2)?.checked_div(power)?
        } else {
            number.checked_mul(power)?
        }
    };
    let amount = Amount::from_micros(i64::try_from(micros).ok()?);
    (amount <= Amount::MAX).then_some(amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_writer_are_read_from_their_digits() {
        for (text, micros) in [
            ("0", 0),
            ("42.42", 42_420_000),
            ("1.5e3", 1_500_000_000),
            ("1E-05", 10),
            ("1e+2", 100_000_000),
            ("0.00000049", 0),
            ("0.0000005", 1),
            ("0.12345678901234568", 123_457),
            ("1e-300", 0),
            ("0e300", 0),
            ("9007199254.740991", Amount::MAX.micros()),
        ] {
            assert_eq!(read(text).map(Amount::micros), Some(micros), "{text}");
        }
        for text in [
            "",
            ".",
            ".5",
            "-1",
            "+1",
            "1e",
            "e5",
            "1_0",
            "NaN",
            "1e300",
            "1.2.3",
            "true",
            "9007199254.740992",
            "1234567890123456789012345",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
