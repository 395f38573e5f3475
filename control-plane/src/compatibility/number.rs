//! Numbers as this surface writes them: JSON numbers with at least one decimal, made of whole units and
//! never through a float.

use std::fmt;

use hub::money::Amount;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// `units` of the last of `decimals` places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    units: i64,
    decimals: usize,
}

impl Number {
    /// Money in hundredths of the currency unit: `31.754` is 0.31754 of it.
    pub(super) const fn hundredths(amount: Amount) -> Self {
        Self { units: amount.micros(), decimals: 4 }
    }

    /// Money in whole currency units.
    pub(super) const fn units(amount: Amount) -> Self {
        Self { units: amount.micros(), decimals: 6 }
    }

    pub(super) const fn seconds(seconds: i64) -> Self {
        Self { units: seconds, decimals: 0 }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:0width$}", self.units.unsigned_abs(), width = self.decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - self.decimals);
        let fraction = fraction.trim_end_matches('0');
        let sign = if self.units < 0 { "-" } else { "" };
        write!(f, "{sign}{whole}.{}", if fraction.is_empty() { "0" } else { fraction })
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_string()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_every_digit_and_no_needless_one() {
        let amount = Amount::from_micros;
        for (number, text) in [
            (Number::hundredths(amount(317_540)), "31.754"),
            (Number::hundredths(amount(220_000)), "22.0"),
            (Number::hundredths(amount(1)), "0.0001"),
            (Number::hundredths(amount(-10_000)), "-1.0"),
            (Number::units(amount(42_420_000)), "42.42"),
            (Number::units(Amount::MAX), "9007199254.740991"),
            (Number::seconds(151), "151.0"),
            (Number::seconds(0), "0.0"),
        ] {
            assert_eq!(serde_json::to_string(&number).expect("a number"), text);
        }
    }
}
